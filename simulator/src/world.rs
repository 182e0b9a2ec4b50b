//! Everything the simulated vendors know, in one place, changed under one lock.
//!
//! Flows in: time, and what a driver orders. Flows out: the state that the endpoints write down, and the completed
//! batches whose webhook is due.
//! Invariant: time only goes forward here, whatever the clock does; what has happened stays.

use std::collections::{BTreeMap, BTreeSet};

use super::amount::Units;
use super::batches::{Batch, Batches};
use super::cards::{Card, Cards, PAID};
use super::chance::Chance;
use super::scenario::{self, Profile};
use super::story::Story;
use super::wallet::Wallet;

/// A batch's completion that its webhook has to tell.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    pub(crate) event: String,
    pub(crate) batch: String,
}

/// The state of both vendors.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) wallet: Wallet,
    pub(crate) cards: Cards,
    pub(crate) batches: Batches,
    /// Completions that have not been taken yet.
    pub(crate) completions: Vec<Completion>,
    /// Card rows and batches that the model moves on by itself; a driver's own stay as they are.
    pub(crate) own_pending: Vec<i64>,
    pub(crate) own_open: Vec<String>,
    /// Batches that get an answer of their own, and which status.
    pub(crate) refused: BTreeMap<String, u16>,
    /// Rows, by batch and place, that are written with a column too many.
    pub(crate) broken_rows: BTreeSet<(String, usize)>,
    /// Permissions that were taken away.
    pub(crate) revoked: BTreeSet<String>,
    /// What the scenario brings.
    pub(crate) story: Story,
    /// Up to when everything has happened.
    reached: i64,
    /// How things happen by themselves, if they do.
    profile: Option<Profile>,
}

impl World {
    /// A world as it is at `now`; with profile, things have happened in it by themselves since `began`.
    pub(crate) fn new(
        seed: u64,
        began: i64,
        now: i64,
        history_days: u32,
        profile: Option<Profile>,
        story: Story,
    ) -> World {
        let began = began.min(now);
        let mut world = World {
            seed,
            wallet: Wallet::default(),
            cards: Cards::default(),
            batches: Batches::default(),
            completions: Vec::new(),
            own_pending: Vec::new(),
            own_open: Vec::new(),
            refused: BTreeMap::new(),
            broken_rows: BTreeSet::new(),
            revoked: BTreeSet::new(),
            story,
            reached: began,
            profile,
        };
        let first_hour = began - began.rem_euclid(3_600);
        if history_days > 0 {
            let first_day = began - began.rem_euclid(86_400);
            scenario::history(&mut world, first_day - i64::from(history_days) * 86_400, first_hour);
            if profile.is_some() {
                world.reached = first_hour;
                // What was told before the simulator began need not be told now.
                world.advance(now);
            }
            world.completions.clear();
        }
        world
    }

    /// Lets everything happen up to and including `now`.
    pub(crate) fn advance(&mut self, now: i64) {
        if now <= self.reached {
            return;
        }
        if let Some(profile) = self.profile {
            let mut at = self.reached - self.reached.rem_euclid(scenario::SLOT) + scenario::SLOT;
            while at <= now {
                scenario::slot(self, &profile, at);
                at += scenario::SLOT;
            }
        }
        self.reached = now;
    }

    /// Adds a card row; a paid one moves the balance.
    pub(crate) fn add_card(&mut self, card: Card, at: i64) -> i64 {
        if card.status == Some(PAID) {
            self.pay(card.credits, at);
        }
        self.cards.add(card)
    }

    /// Changes a card row's status; what becomes paid moves the balance. False if there is no such row.
    pub(crate) fn set_card_status(&mut self, id: i64, status: Option<i64>, at: i64) -> bool {
        let Some(before) = self.cards.set_status(id, status) else {
            return false;
        };
        if before.status != Some(PAID) && status == Some(PAID) {
            self.pay(before.credits, at);
        }
        true
    }

    /// A top-up is a credit in the report. A refund only lowers the balance: the vendor does not say how it is reported,
    /// and report and balance need not agree.
    fn pay(&mut self, credits: Units, at: i64) {
        if credits < 0 {
            self.wallet.balance += credits;
        } else {
            self.wallet.credit(at, "wallet_card_top_up", credits);
        }
    }

    /// Adds a batch.
    pub(crate) fn add_batch(&mut self, batch: Batch) {
        self.batches.add(batch);
    }

    /// Marks a batch complete and makes its webhook due; false if there is no such batch. A second call tells it again,
    /// as the vendor sometimes does.
    pub(crate) fn complete(&mut self, id: &str, at: i64) -> bool {
        let Some(batch) = self.batches.find_mut(id) else {
            return false;
        };
        batch.complete = true;
        let created = batch.created;
        let batch = batch.id.clone();
        let event = Chance::at(self.seed, 5, created ^ at.rotate_left(20) ^ hash(&batch)).uuid().to_string();
        self.completions.push(Completion { event, batch });
        true
    }
}

/// Tells batches of one moment apart.
fn hash(text: &str) -> i64 {
    text.bytes().fold(17, |sum: i64, byte| sum.wrapping_mul(31).wrapping_add(i64::from(byte)))
}
