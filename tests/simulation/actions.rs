//! What happens in a world: money, cards, batches.
//!
//! Flows in: chance. Flows out: changes at the vendors, and the same changes in the oracle. Invariant: no change
//! without its entry in the oracle.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use vendor_simulator::{CardEvent, Part};
use wallet_exporter::money::Usd;

use crate::plan::Trouble;
use crate::world::World;

pub const ORIGINS: [&str; 4] = ["api_request", "list_builder_ui", "address_verification_single_ui", "phone_ui"];
pub const PATHS: [&str; 4] = ["/api/v1/property/search", "/api/v1/address/verify", "/api/v1/phone/dnc", ""];
const BRANDS: [&str; 3] = ["visa", "mastercard", "amex"];

/// A card transaction at the vendor.
#[derive(Clone, Copy, Debug)]
pub struct Card {
    pub id: i64,
    pub status: Option<i64>,
    credits: i64,
    created: DateTime<Utc>,
    /// It changed although it had ended or was old, or the vendor's clock dated it strangely: only the next listing of all days must show that, if any.
    pub changed_late: bool,
}

/// What stands in the world and can change.
#[derive(Default)]
pub struct Standing {
    pub cards: Vec<Card>,
    /// Ids in the file.
    pub listed: Vec<String>,
    pub removed: Vec<String>,
    /// Said by the webhook.
    pub events: Vec<(uuid::Uuid, uuid::Uuid)>,
    pub saved: Option<crate::trouble::Saved>,
    pub names: u32,
    /// Ids that name no batch, and when they were first listed or said, in milliseconds.
    pub unknown: Vec<(String, i64)>,
    pub new_cards: u32,
}

pub fn usd(units: i64) -> Usd {
    Usd::from_ten_thousandths(units)
}

impl World {
    /// What was there before the exporter first ran.
    pub fn prepare_history(&mut self) {
        let now = self.vendors.now();
        for _ in 0..self.rng.u32(0..30) {
            let at = now - TimeDelta::seconds(self.rng.i64(0..70 * 86_400));
            self.spend_at(at);
        }
        for _ in 0..self.rng.u32(0..6) {
            let at = now - TimeDelta::seconds(self.rng.i64(0..40 * 86_400));
            self.new_card(at);
        }
        // About as old as what the vendor still lists: a later listing may begin before the first one did.
        for _ in 0..self.rng.u32(0..4) {
            let at = now - TimeDelta::days(self.rng.i64(350..370));
            self.failed_card(at);
        }
        for _ in 0..self.rng.u32(0..3) {
            let id = self.new_batch(true);
            let at = now.timestamp() - self.rng.i64(1_000..7 * 86_400);
            let rows = self.rng.u32(1..20);
            self.add_rows(&id, rows, at);
            self.list(&id);
        }
        self.write_ids();
    }

    /// One turn: usually something small, now and then trouble.
    pub async fn act(&mut self) -> Result<(), String> {
        for _ in 0..self.rng.u32(0..3) {
            self.spend_at(self.vendors.now());
        }
        if self.rng.u32(..12) == 0 {
            let (at, amount) = (self.vendors.now(), self.rng.i64(1..5_000_000));
            match self.draw_lag() {
                Some(seconds) => self.lagging(at, ("admin_adjustment", ""), -amount, seconds),
                None => {
                    self.vendors.credit(at, "admin_adjustment", usd(amount));
                    self.moved(at.date_naive(), amount, -amount);
                    self.expect(at.date_naive(), &[("credit", ""), ("origin_credit", "admin_adjustment")], amount);
                }
            }
        }
        if self.plan.has(Trouble::LateSpend) && self.rng.u32(..8) == 0 {
            let at = self.vendors.now() - TimeDelta::seconds(self.rng.i64(0..self.reach_back()));
            self.spend_at(at);
        }
        if self.plan.has(Trouble::Restatements) && self.rng.u32(..10) == 0 {
            self.restate();
        }
        if self.plan.has(Trouble::ManyNames) && self.rng.u32(..6) == 0 {
            for _ in 0..self.rng.u32(1..40) {
                self.standing.names += 1;
                let name = format!("origin-{}", self.standing.names % 150);
                self.spend(self.vendors.now(), &name, &format!("/api/{name}"));
            }
        }
        if self.plan.has(Trouble::Cards) && self.rng.u32(..6) == 0 {
            self.card_event();
        }
        if self.plan.has(Trouble::Batches) && self.rng.u32(..10) == 0 {
            self.begin_batch();
        }
        if self.rng.u32(..12) == 0 {
            self.poll_now();
        }
        self.trouble().await
    }

    /// How far back late changes reach; a full read has to find what lies before yesterday.
    fn reach_back(&self) -> i64 {
        if self.plan.intervals[1] >= 120 { 40 * 86_400 } else { 3_600 }
    }

    fn spend_at(&mut self, at: DateTime<Utc>) {
        let origin = ORIGINS[self.rng.usize(..ORIGINS.len())];
        let path = PATHS[self.rng.usize(..PATHS.len())];
        self.spend(at, origin, path);
    }

    fn spend(&mut self, at: DateTime<Utc>, origin: &str, path: &str) {
        let amount = self.rng.i64(1..900_000);
        if at + TimeDelta::minutes(1) > self.vendors.now()
            && let Some(seconds) = self.draw_lag()
        {
            return self.lagging(at, (origin, path), amount, seconds);
        }
        self.vendors.spend(at, origin, path, usd(amount));
        self.moved(at.date_naive(), -amount, amount);
        self.expect(at.date_naive(), &[("debit", ""), ("origin_debit", origin), ("path", path)], amount);
        self.say(|| format!("spend {amount} on {} by {origin} {path}", at.date_naive()));
    }

    fn expect(&self, day: NaiveDate, keys: &[(&str, &str)], amount: i64) {
        self.network.state().oracle.money.change_all(day, keys, amount);
    }

    /// The balance moved, and debits less credits of a day in the report. What was there before the first report is the
    /// base line.
    fn moved(&self, day: NaiveDate, balance: i64, net: i64) {
        if self.exporter.is_none() {
            return;
        }
        let today = self.vendors.now().date_naive();
        self.network.state().oracle.movements.add(self.time.ms(), (day, today), balance, net);
    }

    fn restate(&mut self) {
        let day = (self.vendors.now() - TimeDelta::seconds(self.rng.i64(0..self.reach_back()))).date_naive();
        let amount = self.rng.i64(-400_000..600_000);
        let origin = ORIGINS[self.rng.usize(..ORIGINS.len())];
        let path = PATHS[self.rng.usize(..3)];
        let (part, keys) = match self.rng.u32(..4) {
            0 => (Part::Total, vec![("debit", "")]),
            1 => (Part::Origin(origin.to_owned()), vec![("origin_debit", origin)]),
            2 => (Part::Path(path.to_owned()), vec![("path", path)]),
            _ => (
                Part::Everywhere { origin: origin.to_owned(), path: path.to_owned() },
                vec![("debit", ""), ("origin_debit", origin), ("path", path)],
            ),
        };
        self.vendors.restate(day, &part, usd(amount), Usd::ZERO);
        if keys[0].0 == "debit" {
            self.moved(day, 0, amount);
        }
        self.expect(day, &keys, amount);
        self.say(|| format!("restate {day} {part:?} by {amount}"));
    }

    fn new_card(&mut self, at: DateTime<Utc>) {
        let credits = self.rng.i64(-500..2_000) * 10_000;
        let status = [Some(0), Some(0), Some(1), Some(1), Some(2), Some(7), None][self.rng.usize(..7)];
        let brand = BRANDS[self.rng.usize(..BRANDS.len())];
        let event = CardEvent {
            credits: usd(credits).into(),
            sales_tax: None,
            processing_fee: None,
            card_brand: brand.to_owned(),
            status,
            at: Some(at),
        };
        let id = self.vendors.card(&event);
        self.standing.new_cards += 1;
        self.say(|| format!("card {id} of {credits} {status:?} at {at}"));
        self.note_ended(id, crate::oracle::status_name(status));
        if status == Some(1) {
            self.paid(at.date_naive(), credits);
        }
        self.standing.cards.push(Card {
            id,
            status,
            credits,
            created: at,
            changed_late: self.plan.has(Trouble::SimulatorClock),
        });
    }

    /// A payment that never moved any money.
    fn failed_card(&mut self, at: DateTime<Utc>) {
        let event = CardEvent { at: Some(at), ..CardEvent::failed(usd(10_000)) };
        let id = self.vendors.card(&event);
        self.standing.new_cards += 1;
        self.say(|| format!("failed card {id} dated {at}"));
        self.note_ended(id, "failed");
    }

    fn note_ended(&self, id: i64, status: &'static str) {
        if self.exporter.is_none() {
            self.network.state().oracle.cards.ended_before.insert((id, status));
        }
    }

    /// A refund lowers the balance only.
    fn paid(&mut self, day: NaiveDate, credits: i64) {
        self.moved(day, credits, -credits.max(0));
        if credits > 0 {
            self.expect(day, &[("credit", ""), ("origin_credit", "wallet_card_top_up")], credits);
        }
    }

    fn card_event(&mut self) {
        match self.rng.u32(..10) {
            0..4 => {
                let now = self.vendors.now();
                // A payment that is dated ahead is never paid yet, so that its credit has no day to come.
                if self.rng.u32(..20) == 0 {
                    let at = now + TimeDelta::days(self.rng.i64(1..3_000));
                    self.failed_card(at);
                } else {
                    self.new_card(now);
                }
            }
            4..9 if !self.standing.cards.is_empty() => {
                let place = self.rng.usize(..self.standing.cards.len());
                let Card { id, status: before, credits, .. } = self.standing.cards[place];
                let status = match before {
                    Some(0) => [Some(1), Some(1), Some(2), Some(9)][self.rng.usize(..4)],
                    _ if self.rng.u32(..6) == 0 => [Some(1), Some(2), Some(0)][self.rng.usize(..3)],
                    other => other,
                };
                if status != before && self.vendors.set_card_status(id, status) {
                    self.say(|| format!("card {id}: {before:?} -> {status:?}"));
                    self.standing.cards[place].status = status;
                    self.network.state().oracle.cards.ended_before.retain(|(ended, _)| *ended != id);
                    let old = self.vendors.now() - self.standing.cards[place].created > TimeDelta::days(25);
                    self.standing.cards[place].changed_late |= before != Some(0) || old;
                    if status == Some(1) {
                        self.paid(self.vendors.now().date_naive(), credits);
                    }
                }
            }
            9 if self.plan.has(Trouble::Drift) => {
                self.vendors.lose_newest_card();
                self.say(|| "the newest card vanishes".to_owned());
                self.checks.cards_vanished = true;
            }
            _ => {}
        }
    }

    pub fn uuid(&mut self) -> uuid::Uuid {
        uuid::Builder::from_random_bytes(self.rng.u128(..).to_le_bytes()).into_uuid()
    }
}
