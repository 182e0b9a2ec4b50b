//! What a driver can do and ask: the simulator's Rust interface.
//!
//! Invariant: a call has taken effect when it returns; the next request sees it.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use tokio::sync::watch;

use super::Simulator;
use super::amount::{units, usd};
use super::batches::{Batch, NewRow};
use super::cards::{Card, processing_fee, sales_tax};
use super::chance::{BATCH_ID, Chance};
use super::expected::{self, Expected};
use super::fault::Fault;
use super::log::Seen;
use super::wallet::Cell;
use super::wire::Operation;
use rust_decimal::Decimal;

/// What a restatement touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The wallet's total alone.
    Total,
    /// One origin's part alone: the total stays.
    Origin(String),
    /// One path's part alone: the total stays.
    Path(String),
    /// The total and both parts, as if the charge had been another from the start.
    Everywhere {
        /// Empty for none.
        origin: String,
        /// Empty for none.
        path: String,
    },
}

/// A card transaction to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardEvent {
    /// Negative for a refund.
    pub credits: Decimal,
    /// Computed from the credits if absent (nothing for a refund).
    pub sales_tax: Option<Decimal>,
    /// Computed in the same way.
    pub processing_fee: Option<Decimal>,
    /// `visa`, for instance.
    pub card_brand: String,
    /// 0 pending, 1 paid, 2 failed, any other, or none (`null`).
    pub status: Option<i64>,
    /// When; now if absent.
    pub at: Option<DateTime<Utc>>,
}

impl CardEvent {
    /// A paid top-up by Visa, now.
    #[must_use]
    pub fn paid(credits: impl Into<Decimal>) -> CardEvent {
        CardEvent {
            credits: credits.into(),
            sales_tax: None,
            processing_fee: None,
            card_brand: "visa".to_owned(),
            status: Some(1),
            at: None,
        }
    }

    /// One that waits for its payment.
    #[must_use]
    pub fn pending(credits: impl Into<Decimal>) -> CardEvent {
        CardEvent { status: Some(0), ..CardEvent::paid(credits) }
    }

    /// One whose card was declined.
    #[must_use]
    pub fn failed(credits: impl Into<Decimal>) -> CardEvent {
        CardEvent { status: Some(2), ..CardEvent::paid(credits) }
    }
}

/// The host of a URL.
pub(crate) fn host_of(url: &str) -> Option<url::Host> {
    url::Url::parse(url).ok()?.host().map(|host| host.to_owned())
}

impl Simulator {
    /// The vendor's own time: the injected clock's, moved by the offset.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.locked(|_, now| now)
    }

    /// Moves the vendor's clock against the injected one.
    pub fn set_clock_offset(&self, offset: TimeDelta) {
        self.locked(|state, _| state.offset = offset);
    }

    /// Charges the wallet. An empty origin or path is one that the report does not attribute.
    pub fn spend(&self, at: DateTime<Utc>, origin: &str, path: &str, amount: impl Into<Decimal>) {
        let amount = units(amount);
        self.locked(|state, _| state.world.wallet.spend(at.timestamp(), origin, path, amount));
    }

    /// Credits the wallet without a card, as `admin_adjustment` does.
    pub fn credit(&self, at: DateTime<Utc>, origin: &str, amount: impl Into<Decimal>) {
        let amount = units(amount);
        self.locked(|state, _| state.world.wallet.credit(at.timestamp(), origin, amount));
    }

    /// What the report says was spent in each hour, by hours since 1970.
    #[must_use]
    pub fn debits_by_hour(&self) -> BTreeMap<i64, Decimal> {
        self.locked(|state, _| {
            let hours = state.world.wallet.all_hours();
            let of_total =
                |cells: &[Cell]| cells.iter().filter(|cell| cell.key.in_total).map(|cell| usd(cell.debit)).sum();
            hours.map(|(hour, cells)| (hour, of_total(cells))).collect()
        })
    }

    /// Sets the balance, and nothing in the report.
    pub fn set_balance(&self, balance: impl Into<Decimal>) {
        let balance = units(balance);
        self.locked(|state, _| state.world.wallet.balance = balance);
    }

    /// Changes what the report says of a day: upward, or downward with negative amounts. The last hour of the day that
    /// the report knows of takes the change.
    pub fn restate(&self, day: NaiveDate, part: &Part, debit: impl Into<Decimal>, credit: impl Into<Decimal>) {
        let start = day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
        let (origin, path, in_total) = match part {
            Part::Total => ("", "", true),
            Part::Origin(origin) => (origin.as_str(), "", false),
            Part::Path(path) => ("", path.as_str(), false),
            Part::Everywhere { origin, path } => (origin.as_str(), path.as_str(), true),
        };
        let (debit, credit) = (units(debit), units(credit));
        self.locked(|state, _| {
            let wallet = &mut state.world.wallet;
            let first = start.div_euclid(3_600);
            let hour = wallet.hours(first, first + 23).last().map_or(first, |(hour, _)| hour);
            wallet.restate(hour * 3_600, origin, path, in_total, debit, credit);
        });
    }

    /// Adds a card transaction and returns its id. A paid one moves the balance; a paid top-up is a credit in the report.
    pub fn card(&self, event: &CardEvent) -> i64 {
        let credits = units(event.credits);
        let computed = |given: Option<Decimal>, rule: fn(i64) -> i64| match given {
            Some(amount) => units(amount),
            None if credits < 0 => 0,
            None => rule(credits),
        };
        self.locked(|state, now| {
            let at = event.at.unwrap_or(now);
            let row = Card {
                id: 0,
                credits,
                tax: computed(event.sales_tax, sales_tax),
                fee: computed(event.processing_fee, processing_fee),
                brand: event.card_brand.clone(),
                status: event.status,
                created: at.timestamp_micros(),
            };
            state.world.add_card(row, at.timestamp())
        })
    }

    /// A top-up that is paid now.
    pub fn top_up(&self, credits: impl Into<Decimal>) -> i64 {
        self.card(&CardEvent::paid(credits))
    }

    /// A refund that is paid now; `credits` is positive here and negative on the wire.
    pub fn refund(&self, credits: impl Into<Decimal>) -> i64 {
        self.card(&CardEvent::paid(-credits.into()))
    }

    /// Changes a card transaction's status; false if there is no such row.
    pub fn set_card_status(&self, id: i64, status: Option<i64>) -> bool {
        self.locked(|state, now| state.world.set_card_status(id, status, now.timestamp()))
    }

    /// Loses the newest card transaction, as if it had never been; false if there is none.
    pub fn lose_newest_card(&self) -> bool {
        self.locked(|state, _| state.world.cards.remove_newest().is_some())
    }

    /// A new batch with these rows; returns its id.
    pub fn batch(&self, rows: Vec<NewRow>) -> String {
        self.new_batch(None, false, "customer_ref", rows)
    }

    /// A new batch of another customer: asking for it is a 403.
    pub fn foreign_batch(&self) -> String {
        self.new_batch(None, true, "", Vec::new())
    }

    /// A new batch with all that can be chosen: its id (made up if absent), whose it is, and the key of its metadata
    /// (empty for none).
    pub fn new_batch(&self, id: Option<&str>, foreign: bool, meta_key: &str, rows: Vec<NewRow>) -> String {
        self.locked(|state, now| {
            let count = i64::try_from(state.world.batches.all().len()).unwrap_or(i64::MAX);
            let id = match id {
                Some(id) => id.to_ascii_lowercase(),
                None => Chance::at(state.world.seed, BATCH_ID, count).uuid().to_string(),
            };
            state.world.batches.add(Batch {
                id: id.clone(),
                foreign,
                complete: false,
                rows: std::sync::Arc::default(),
                meta_key: meta_key.to_owned(),
                planned: 0,
                created: now.timestamp(),
            });
            state.world.batches.add_rows(&id, rows, now.timestamp());
            id
        })
    }

    /// Adds rows to a batch; false if there is no such batch.
    pub fn add_rows(&self, id: &str, rows: Vec<NewRow>) -> bool {
        self.locked(|state, now| state.world.batches.add_rows(id, rows, now.timestamp()))
    }

    /// Adds believable rows to a batch, all of them recorded now; false if there is no such batch.
    pub fn fill(&self, id: &str, count: u32) -> bool {
        self.locked(|state, now| {
            let now = now.timestamp();
            let Some(batch) = state.world.batches.find(id) else { return false };
            let have = u32::try_from(batch.rows.len()).unwrap_or(u32::MAX);
            let (seed, created) = (state.world.seed, batch.created);
            let rows =
                (have..have.saturating_add(count)).map(|place| super::batches::believable(seed, created, place, now));
            state.world.batches.add_rows(id, rows, now)
        })
    }

    /// Completes a batch, so that its webhook is posted; again if it was complete. False if there is no such batch.
    pub fn complete(&self, id: &str) -> bool {
        self.locked(|state, now| state.world.complete(id, now.timestamp()))
    }

    /// Writes a row of a batch, by its place, with a column too many from now on.
    pub fn break_row(&self, id: &str, place: usize) {
        self.locked(|state, _| state.world.broken_rows.insert((id.to_ascii_lowercase(), place)));
    }

    /// Answers each request that holds this batch id with a status (403, 404, 500, ...), until told otherwise.
    pub fn refuse_batch(&self, id: &str, status: Option<u16>) {
        let id = id.to_ascii_lowercase();
        self.locked(|state, _| match status {
            Some(status) => drop(state.world.refused.insert(id, status)),
            None => drop(state.world.refused.remove(&id)),
        });
    }

    /// The ids of the customer's own batches, oldest first.
    #[must_use]
    pub fn batch_ids(&self) -> Vec<String> {
        self.locked(|state, _| {
            let own = state.world.batches.all().iter().filter(|batch| !batch.foreign);
            own.map(|batch| batch.id.clone()).collect()
        })
    }

    /// As [`Simulator::batch_ids`], to wait for new ones.
    #[must_use]
    pub fn watch_batch_ids(&self) -> watch::Receiver<Vec<String>> {
        self.shared.ids.subscribe()
    }

    /// Queues a fault for the next `times` requests of an endpoint (until cleared if that is absent).
    pub fn fault(&self, operation: Operation, fault: Fault, times: Option<u32>) {
        self.locked(|state, _| state.faults.push(operation, fault, times));
    }

    /// Forgets the faults of an endpoint, or all.
    pub fn clear_faults(&self, operation: Option<Operation>) {
        self.locked(|state, _| state.faults.clear(operation));
    }

    /// Grants an endpoint's permission to the wallet's token, or takes it away.
    pub fn set_permission(&self, operation: Operation, granted: bool) {
        let Some(permission) = operation.permission() else { return };
        self.locked(|state, _| match granted {
            true => drop(state.world.revoked.remove(permission)),
            false => drop(state.world.revoked.insert(permission.to_owned())),
        });
    }

    /// Replaces the wallet's token: the one before is refused from now on.
    pub fn set_batchdata_token(&self, token: &str) {
        self.locked(|state, _| token.clone_into(&mut state.token));
    }

    /// Replaces the key of the balance checks.
    pub fn set_rightfoot_key(&self, key: &str) {
        self.locked(|state, _| key.clone_into(&mut state.key));
    }

    /// Whether the control interface may have webhooks posted there.
    pub(crate) fn may_post_to(&self, url: &str) -> bool {
        match host_of(url) {
            Some(url::Host::Ipv4(address)) if address.is_loopback() => true,
            Some(url::Host::Ipv6(address)) if address.is_loopback() => true,
            Some(url::Host::Domain(name)) if name == "localhost" => true,
            Some(other) => self.shared.webhook_host.as_ref() == Some(&other),
            None => false,
        }
    }

    /// Where completed batches are told from now on.
    pub fn set_webhook(&self, url: Option<&str>) {
        self.locked(|state, _| state.webhook = url.map(str::to_owned));
    }

    /// What is true now.
    #[must_use]
    pub fn expected(&self) -> Expected {
        self.locked(|state, _| expected::expected(&state.world))
    }

    /// The requests to the vendors' endpoints so far (the newest 20,000), oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.locked(|state, _| state.log.all())
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.locked(|state, _| state.log.clear());
    }
}
