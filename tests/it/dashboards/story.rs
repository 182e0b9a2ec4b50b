//! What happens in the fourteen days beside the simulator's everyday life: the accidents that the dashboards are for.
//!
//! Flows in: the time. Flows out: changes at the simulator and the first exporter. Always holds: a change is made once,
//! at the first moment that is not before its own; every figure that follows from it is the exporter's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Days, TimeDelta, Utc};
use vendor_simulator::{CardEvent, CsvChange, Fault, NewRow, Operation, Part, Simulator};
use wallet_exporter::money::Usd;

use super::history::{Replica, request};

pub const WEBHOOK_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// How long before the end the second exporter begins.
pub const SECOND_JOINS: TimeDelta = TimeDelta::days(2);

/// How long a batch stays on the list of ids.
const LISTED_FOR: TimeDelta = TimeDelta::hours(36);

/// The runaway job's dollars an hour.
const RUNAWAY: i64 = 190;

const WALLET: [Operation; 3] = [Operation::Balance, Operation::ConsumptionReport, Operation::CreditCardTransactions];

pub struct Story {
    vendors: Simulator,
    ids: PathBuf,
    end: DateTime<Utc>,
    /// Up to when everything has happened.
    reached: DateTime<Utc>,
    /// A batch of another customer that got onto the list by mistake.
    foreign: Option<String>,
    /// The batch that the vendor cannot export for a while.
    stuck: Option<String>,
    /// The batch that nobody ever fills.
    empty: Option<String>,
    /// All batches, and since when.
    submitted: BTreeMap<String, DateTime<Utc>>,
    listed: Vec<String>,
}

fn minutes(minutes: i64) -> TimeDelta {
    TimeDelta::minutes(minutes)
}

fn hours(hours: i64) -> TimeDelta {
    TimeDelta::hours(hours)
}

fn dollars(amount: i64) -> Usd {
    Usd::from_cents(amount * 100)
}

impl Story {
    pub fn new(vendors: Simulator, ids: PathBuf, end: DateTime<Utc>) -> Story {
        let reached = vendors.now();
        Story {
            vendors,
            ids,
            end,
            reached,
            foreign: None,
            stuck: None,
            empty: None,
            submitted: BTreeMap::new(),
            listed: Vec::new(),
        }
    }

    /// Writes the file of batch ids anew if it changes. Whoever keeps it takes out what is old, but for what was
    /// forgotten there.
    pub fn list_batches(&mut self, now: DateTime<Utc>) {
        for id in self.vendors.batch_ids() {
            self.submitted.entry(id).or_insert(now);
        }
        let young = self.submitted.iter().filter(|(_, since)| now - **since < LISTED_FOR).map(|(id, _)| id);
        let ids: Vec<String> = young.chain(&self.foreign).chain(&self.empty).cloned().collect();
        if ids != self.listed || !self.ids.exists() {
            std::fs::write(&self.ids, ids.join("\n")).unwrap();
            self.listed = ids;
        }
    }

    /// Whether the moment so long before the end has just come.
    fn comes(&self, now: DateTime<Utc>, before_end: TimeDelta) -> bool {
        let moment = self.end - before_end;
        self.reached < moment && moment <= now
    }

    /// Whether it is between two moments.
    fn lasts(&self, now: DateTime<Utc>, from: TimeDelta, to: TimeDelta) -> bool {
        now > self.end - from && now <= self.end - to
    }

    /// Everything up to `now`.
    pub async fn go_on(&mut self, now: DateTime<Utc>, first: &mut Replica) {
        self.wallet(now, first);
        self.card(now);
        self.checks(now);
        self.vendor_failures(now);
        self.operations(now, first).await;
        self.list_batches(now);
        self.reached = now;
    }

    fn wallet(&self, now: DateTime<Utc>, first: &Replica) {
        // The vendor tops up below 500 dollars, which must not happen while the card's listing cannot be read.
        let balance = || first.rig.value(r#"batchdata_wallet_balance_usd{account="default"}"#);
        if self.comes(now, hours(5)) && balance().is_some_and(|balance| balance < 1_500.0) {
            self.vendors.card(&CardEvent::paid(dollars(2_500)));
        }
        // A job runs away for three and a half hours.
        if self.lasts(now, hours(55), minutes(55 * 60 - 210)) {
            let cents = RUNAWAY * 100 * (now - self.reached).num_seconds() / 3_600;
            self.vendors.spend(now, "api_request", "/api/v3/property/skip-trace", Usd::from_cents(cents));
        }
        // The vendor takes back charges of the day before, on one path, and later a part of them in the total.
        let day_before = now.date_naive().checked_sub_days(Days::new(1)).unwrap();
        if self.comes(now, hours(34)) {
            let path = Part::Path("/api/v1/property/skip-trace".to_owned());
            self.vendors.restate(day_before, &path, dollars(-60), Usd::ZERO);
        }
        if self.comes(now, hours(26)) {
            self.vendors.restate(day_before, &Part::Total, dollars(-45), Usd::ZERO);
        }
    }

    fn card(&self, now: DateTime<Utc>) {
        if self.comes(now, hours(52)) {
            self.vendors.card(&CardEvent::failed(dollars(2_500)));
        }
        if self.comes(now, hours(30)) {
            self.vendors.refund(dollars(25));
        }
        if self.comes(now, minutes(75)) {
            self.vendors.card(&CardEvent::pending(dollars(2_500)));
        }
    }

    fn checks(&mut self, now: DateTime<Utc>) {
        if self.comes(now, hours(11 * 24)) {
            self.foreign = Some(self.vendors.foreign_batch());
        }
        // Nobody ever fills this one.
        if self.comes(now, hours(10 * 24)) {
            self.empty = Some(self.vendors.batch(Vec::new()));
        }
        // A bank has trouble: twice a batch with hardly a result from it.
        for moment in [hours(45), hours(38)] {
            if self.comes(now, moment) {
                let trouble = NewRow::failed("Wells Fargo", "RETRIEVAL_FAILED");
                let id = self.vendors.batch(vec![trouble; 160]);
                self.vendors.fill(&id, 120);
                // Two rows of the next export cannot be read.
                let change = CsvChange::SetInRow(2, "Balance".to_owned(), "12,5".to_owned());
                let changes = vec![change, CsvChange::RaggedShort(5)];
                self.vendors.fault(Operation::BalancesCsv, Fault::Csv { changes }, Some(1));
                // The vendor tells twice, as it sometimes does.
                self.vendors.complete(&id);
                self.vendors.complete(&id);
            }
        }
        if self.comes(now, hours(3)) {
            let id = self.vendors.batch(Vec::new());
            self.vendors.fill(&id, 200);
            self.vendors.refuse_batch(&id, Some(500));
            self.stuck = Some(id);
        }
        if self.comes(now, hours(1))
            && let Some(id) = &self.stuck
        {
            self.vendors.refuse_batch(id, None);
        }
    }

    fn vendor_failures(&self, now: DateTime<Utc>) {
        let inject = |operation, fault, times| self.vendors.fault(operation, fault, times);
        if self.comes(now, hours(100)) {
            WALLET.into_iter().for_each(|operation| inject(operation, Fault::NoReply, None));
        }
        if self.comes(now, minutes(100 * 60 - 45)) {
            self.vendors.clear_faults(None);
        }
        let soon = Fault::throttled(Some("90"));
        for (moment, operation, fault, times) in [
            (minutes(340), Operation::Balance, soon.clone(), 2),
            (minutes(290), Operation::BalancesCsv, Fault::status(503), 4),
            (minutes(255), Operation::ConsumptionReport, Fault::html(502), 3),
            (minutes(215), Operation::Balance, soon, 3),
            (minutes(165), Operation::ConsumptionReport, Fault::ResetMidBody, 2),
        ] {
            if self.comes(now, moment) {
                inject(operation, fault, Some(times));
            }
        }
        // Somebody takes a permission from the token, and gives it back.
        for (moment, granted) in [(minutes(144), false), (minutes(108), true)] {
            if self.comes(now, moment) {
                self.vendors.set_permission(Operation::CreditCardTransactions, granted);
            }
        }
        // The fortnight ends in the middle of an outage.
        if self.comes(now, minutes(40)) {
            inject(Operation::CreditCardTransactions, Fault::status(503), None);
        }
    }

    async fn operations(&self, now: DateTime<Utc>, first: &mut Replica) {
        // A machine is replaced; a new version is rolled out.
        for (stops, starts) in [(minutes(6 * 1_440), minutes(6 * 1_440 - 30)), (minutes(186), minutes(184))] {
            if self.comes(now, stops) {
                first.rig.stop().await;
            }
            if self.comes(now, starts) {
                first.start(true).await;
            }
        }
        let Some(web) = first.rig.web() else { return };
        // Whoever runs the process asks after its health; people look at the page now and then.
        request(web, "GET /-/healthy", "").await.unwrap();
        if now.timestamp() % 2_400 < 30 {
            request(web, "GET /", "").await.unwrap();
        }
        let Some(webhook) = first.rig.webhook() else { return };
        if self.comes(now, minutes(200)) {
            request(webhook, "POST /webhooks/rightfoot/fedcba9876543210fedcba9876543210", "{}").await.unwrap();
        }
        if self.comes(now, hours(60)) {
            let path = format!("POST /webhooks/rightfoot/{WEBHOOK_SECRET}");
            let other = r#"{"type":"BALANCE_THRESHOLD_ALERT","alerts":[]}"#;
            request(webhook, &path, other).await.unwrap();
        }
    }
}
