//! Everything the simulated vendors know, in one place, changed under one lock.
//!
//! Flows in: events, of the scenario or from a driver. Flows out: the state that the endpoints write down, and the
//! completed batches whose webhook is due.
//! Invariant: a paid card transaction moves the balance once.

use std::collections::{BTreeMap, BTreeSet};

use super::amount::Units;
use super::batches::{Batch, Batches};
use super::cards::{Card, Cards, PAID, PENDING, processing_fee, sales_tax};
use super::chance::{BATCH, CARD, Chance, EVENT};
use super::wallet::Wallet;

/// A batch's completion that its webhook has to tell.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    pub(crate) event: String,
    pub(crate) batch: String,
}

/// The state of both vendors.
#[derive(Default)]
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
}

impl World {
    /// Adds a card row; a paid one moves the balance.
    pub(crate) fn add_card(&mut self, card: Card, at: i64) -> i64 {
        if card.status == Some(PAID) {
            self.pay(card.credits, at);
        }
        self.cards.add(card)
    }

    /// Adds a card row that the model makes itself: brand, tax and fee are of its choice.
    pub(crate) fn make_card(&mut self, at: i64, credits: Units, status: i64) {
        let mut chance = Chance::at(self.seed, CARD, at + 1);
        let brand = chance.weighted(&[("visa", 60), ("mastercard", 30), ("amex", 10)]).copied().unwrap_or("visa");
        let refund = credits < 0;
        let row = Card {
            id: 0,
            credits,
            tax: if refund { 0 } else { sales_tax(credits) },
            fee: if refund { 0 } else { processing_fee(credits) },
            brand: brand.to_owned(),
            status: Some(status),
            created: at * 1_000_000 + i64::from(chance.below(1_000_000)),
        };
        let id = self.add_card(row, at);
        if status == PENDING {
            self.own_pending.push(id);
        }
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

    /// Begins a batch that the model fills itself, and returns its id.
    pub(crate) fn open_batch(&mut self, at: i64, planned: u32) -> String {
        let mut chance = Chance::at(self.seed, BATCH, at + 1);
        let id = chance.uuid().to_string();
        let meta_key = ["customer_ref", "campaign", ""].get(usize::try_from(chance.below(3)).unwrap_or(0)).copied();
        self.batches.add(Batch {
            id: id.clone(),
            foreign: false,
            complete: false,
            rows: std::sync::Arc::default(),
            meta_key: meta_key.unwrap_or_default().to_owned(),
            planned,
            created: at,
        });
        self.own_open.push(id.clone());
        id
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
        let event = Chance::at(self.seed, EVENT, created ^ at.rotate_left(20) ^ hash(&batch)).uuid().to_string();
        self.completions.push(Completion { event, batch });
        true
    }
}

/// Tells batches of one moment apart.
fn hash(text: &str) -> i64 {
    text.bytes().fold(17, |sum: i64, byte| sum.wrapping_mul(31).wrapping_add(i64::from(byte)))
}
