//! The network between the exporter and the vendors, in process.
//!
//! Flows in: the exporter's requests. Flows out: the vendor's answers, late, broken, refused or misdated by chance, and
//! to the oracle what they held. Invariant: chance comes from the world's seed alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{NaiveDate, TimeDelta};
use reqwest::Response;
use tokio::sync::Notify;
use vendor_simulator::{Delivery, Fault, Operation, Responded, Simulator};
use wallet_exporter::upstream::{NoAnswer, Outgoing, Transport};

use crate::clock::TrueTime;
use crate::delivery::{answer, no_answer, refused};
use crate::lag::Owed;
use crate::oracle::{Answered, Oracle};
use crate::trace::Trace;

/// What the `Date` header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dates {
    Honest,
    Missing,
    /// So many seconds off.
    Off(i64),
    /// The same text again and again, as a cache sends it.
    Frozen(String),
}

/// How the network behaves at present.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Latencies are drawn up to this many milliseconds.
    pub latency_ms: u64,
    /// Answers in 1,000 that are a stray status.
    pub stray: u32,
    /// Requests in 1,000 that get no answer.
    pub lost: u32,
    /// Requests a minute beyond which the answer is 429, and the `Retry-After` that goes with it.
    pub wallet_limit: Option<(u32, Option<String>)>,
    pub checks_limit: Option<(u32, Option<String>)>,
    pub wallet_dates: Dates,
    pub checks_dates: Dates,
}

impl Conditions {
    pub fn calm() -> Conditions {
        Conditions {
            latency_ms: 200,
            stray: 0,
            lost: 0,
            wallet_limit: None,
            checks_limit: None,
            wallet_dates: Dates::Honest,
            checks_dates: Dates::Honest,
        }
    }
}

#[derive(Default)]
struct Counts {
    minute: i64,
    requests: u32,
}

pub struct State {
    pub conditions: Conditions,
    pub oracle: Oracle,
    rng: fastrand::Rng,
    wallet: Counts,
    checks: Counts,
    /// Requests that were begun, by operation: when the last was, and how many are open.
    pub begun: BTreeMap<Operation, (i64, u32)>,
    /// Until when a 429 may keep a vendor's credential (wallet: true) from asking.
    pub limited_until: BTreeMap<bool, i64>,
    /// The status of the last answer that arrived, by operation; `None` if the request got none.
    pub last_status: BTreeMap<Operation, Option<u16>>,
    /// Requests without an answer that followed on one without an answer, since the process started.
    pub lost_twice: BTreeMap<Operation, u64>,
    /// A crash is to come after so many more answers.
    pub crash_after: Option<u32>,
    /// Whether webhooks come while answers arrive, and for which batch the next does.
    pub webhooks: bool,
    pub announced: Option<String>,
    pub requests: u64,
    /// What the report does not show yet, and how much ever was.
    pub owed: Vec<Owed>,
    pub owed_so_far: u64,
}

pub struct Network {
    pub vendors: Simulator,
    pub time: TrueTime,
    pub trace: Arc<Trace>,
    pub crash: Notify,
    /// A webhook is to come for the batch that the state names.
    pub announce: Notify,
    /// Rows of batches in answers that were read to their end.
    read: Arc<Mutex<Vec<(String, usize)>>>,
    state: Mutex<State>,
}

const STRAY: [u16; 10] = [302, 400, 401, 403, 404, 408, 409, 422, 425, 500];

/// Faults under which nothing of the body can be taken for an answer. Under others it may be, whatever was changed.
fn is_no_answer(fault: Option<&Fault>) -> bool {
    matches!(
        fault,
        Some(
            Fault::Html
                | Fault::EmptyBody
                | Fault::Body { .. }
                | Fault::Envelope { .. }
                | Fault::MalformedJson
                | Fault::Flood { .. }
        )
    )
}

struct Open<'a>(&'a Network, Operation);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some((_, open)) = self.0.state().begun.get_mut(&self.1) {
            *open -= 1;
        }
    }
}

impl Network {
    pub fn new(vendors: Simulator, time: TrueTime, oracle: Oracle, seed: u64, trace: Arc<Trace>) -> Network {
        let state = State {
            conditions: Conditions::calm(),
            oracle,
            rng: fastrand::Rng::with_seed(seed ^ 0x6e65_7477_6f72_6b21),
            wallet: Counts::default(),
            checks: Counts::default(),
            begun: BTreeMap::new(),
            limited_until: BTreeMap::new(),
            last_status: BTreeMap::new(),
            lost_twice: BTreeMap::new(),
            crash_after: None,
            webhooks: false,
            announced: None,
            requests: 0,
            owed: Vec::new(),
            owed_so_far: 0,
        };
        Network {
            vendors,
            time,
            trace,
            crash: Notify::new(),
            announce: Notify::new(),
            read: Arc::default(),
            state: Mutex::new(state),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn draw(&self, operation: Operation) -> (Duration, Duration, Option<Refusal>) {
        let (ms, minute) = (self.time.ms(), self.time.ms().div_euclid(60_000));
        let mut state = self.state();
        let state = &mut *state;
        state.requests += 1;
        let wallet = operation != Operation::BalancesCsv;
        let begun = state.begun.entry(operation).or_default();
        *begun = (ms, begun.1 + 1);
        let most = state.conditions.latency_ms;
        let latency = |rng: &mut fastrand::Rng| Duration::from_millis(rng.u64(1..=most.max(2)) / 2);
        let there = latency(&mut state.rng);
        let back = latency(&mut state.rng);
        let counts = if wallet { &mut state.wallet } else { &mut state.checks };
        if counts.minute != minute {
            *counts = Counts { minute, requests: 0 };
        }
        counts.requests += 1;
        let limit = if wallet { &state.conditions.wallet_limit } else { &state.conditions.checks_limit };
        let refusal = match limit {
            Some((most, retry)) if counts.requests > *most => Some(Refusal::Limit(retry.clone())),
            _ if state.rng.u32(..1_000) < state.conditions.stray => {
                Some(Refusal::Stray(STRAY[state.rng.usize(..STRAY.len())]))
            }
            _ if state.rng.u32(..1_000) < state.conditions.lost => Some(Refusal::Lost),
            _ => None,
        };
        (there, back, refusal)
    }

    /// Tells the oracle what the answer holds.
    fn note(&self, responded: &Responded, query: &[(String, String)]) {
        let mut state = self.state();
        let ms = self.time.ms();
        let drifted = matches!(responded.fault, Some(Fault::PageDrift { remove: false }));
        let vendor_day = self.vendors.now().date_naive();
        if drifted {
            // The simulator has just added a paid top-up of 10 dollars.
            state.oracle.money.change(vendor_day, "credit", 100_000);
            state.oracle.movements.add(ms, (vendor_day, vendor_day), 100_000, -100_000);
            state.oracle.money.change(vendor_day, "origin_credit/wallet_card_top_up", 100_000);
        }
        let (Delivery::Whole(body) | Delivery::Drip { body, .. } | Delivery::Unframed(body)) = &responded.delivery
        else {
            return;
        };
        if responded.status != 200 || is_no_answer(responded.fault.as_ref()) {
            return;
        }
        let date = |name: &str| -> Option<NaiveDate> {
            query.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.parse().ok())
        };
        match responded.operation {
            Some(Operation::ConsumptionReport) => {
                if let (Some(from), Some(to)) = (date("start_date"), date("end_date")) {
                    state.oracle.money.report(ms, from, to, vendor_day);
                    state.oracle.money.say(ms, (from, to), self.vendors.now());
                }
            }
            Some(Operation::CreditCardTransactions) => state.oracle.cards.page(ms, body),
            _ => {}
        }
    }

    fn date(&self, wallet: bool, honest: String) -> Option<String> {
        let state = self.state();
        let dates = if wallet { &state.conditions.wallet_dates } else { &state.conditions.checks_dates };
        match dates {
            Dates::Honest => Some(honest),
            Dates::Missing => None,
            Dates::Off(seconds) => {
                let shown = self.vendors.now() + TimeDelta::seconds(*seconds);
                Some(shown.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
            }
            Dates::Frozen(text) => Some(text.clone()),
        }
    }

    /// How many rows the asked batches have.
    fn rows_of(&self, query: &[(String, String)]) -> Vec<(String, usize)> {
        let state = self.state();
        let rows = query.iter().filter_map(|(_, id)| Some((id.clone(), state.oracle.batches.get(id)?.rows.len())));
        rows.collect()
    }

    /// A faulty answer may be taken for one with fewer rows, and half of one that is whole by its length is.
    fn doubt_answers(&self, query: &[(String, String)], fault: &Fault) {
        let mut state = self.state();
        for (_, id) in query {
            if let Some(batch) = state.oracle.batches.get_mut(id) {
                batch.answered = None;
                batch.uncertain |= matches!(fault, Fault::MalformedJson);
            }
        }
    }

    /// Notes which answers about batches the exporter has read to their end.
    pub fn note_read(&self) {
        let mut state = self.state();
        for (id, rows) in self.read.lock().unwrap().drain(..) {
            if let Some(batch) = state.oracle.batches.get_mut(&id)
                && batch.answered.is_none_or(|before| before.rows < rows)
            {
                batch.answered = Some(Answered { rows, polls: None });
            }
        }
    }

    /// A request has ended with this status, or without one. Returns how the one before had.
    fn ended(&self, operation: Operation, status: Option<u16>) -> Option<Option<u16>> {
        self.state().last_status.insert(operation, status)
    }

    /// An answer has arrived: perhaps the machine crashes now, or a webhook comes for what was asked.
    fn arrived(&self, asked: &[String]) {
        let mut state = self.state();
        if state.webhooks && !asked.is_empty() && state.rng.u32(..8) == 0 {
            state.announced = Some(asked[state.rng.usize(..asked.len())].clone());
            self.announce.notify_one();
        }
        if let Some(left) = &mut state.crash_after {
            *left -= 1;
            if *left == 0 {
                state.crash_after = None;
                self.crash.notify_one();
            }
        }
    }
}

enum Refusal {
    Limit(Option<String>),
    Stray(u16),
    Lost,
}

#[async_trait]
impl Transport for Network {
    async fn get(&self, request: Outgoing) -> Result<Response, NoAnswer> {
        let query: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
        let path = request.url.path();
        let operation = Operation::ALL.into_iter().find(|operation| operation.path() == path).unwrap();
        let wallet = operation != Operation::BalancesCsv;
        let (there, back, refusal) = self.draw(operation);
        let _open = Open(self, operation);
        tokio::time::sleep(there).await;
        let mut responded = match refusal {
            Some(Refusal::Lost) => {
                tokio::time::sleep(back).await;
                if self.ended(operation, None) == Some(None) {
                    *self.state().lost_twice.entry(operation).or_default() += 1;
                }
                self.trace.add(self.time, || format!("{operation:?}: no answer"));
                return Err(no_answer("the connection was closed before an answer"));
            }
            None => {
                let authorization = request.authorization.to_str().ok();
                let responded = self.vendors.respond(path, query.clone(), authorization);
                self.note(&responded, &query);
                responded
            }
            Some(Refusal::Limit(retry)) => refused(&self.vendors, operation, 429, retry),
            Some(Refusal::Stray(status)) => refused(&self.vendors, operation, status, None),
        };
        if responded.status == 429 || responded.headers.iter().any(|(name, _)| *name == "Retry-After") {
            let asked = responded.headers.iter().find(|(name, _)| *name == "Retry-After");
            let asked: i64 = asked.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
            let back_ms = i64::try_from(back.as_millis()).unwrap();
            let until = self.time.ms() + back_ms + asked.clamp(900, 3_600) * 1_000 + 1_000;
            let mut state = self.state();
            let kept = state.limited_until.entry(wallet).or_insert(until);
            *kept = (*kept).max(until);
        }
        self.trace.add(self.time, || {
            let fault = responded.fault.as_ref().map(|fault| format!(" {fault:?}")).unwrap_or_default();
            let asked: Vec<String> = match operation {
                Operation::BalancesCsv => vec![format!("{} ids", query.len())],
                _ => query.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            };
            format!("{operation:?} {}: {}{}", asked.join(" "), responded.status, &fault[..fault.len().min(80)])
        });
        let rows = match (&responded.fault, &responded.delivery, operation, responded.status) {
            (None, Delivery::Whole(_), Operation::BalancesCsv, 200) => self.rows_of(&query),
            _ => Vec::new(),
        };
        tokio::time::sleep(back).await;
        self.ended(operation, Some(responded.status));
        responded.headers.retain(|(name, _)| *name != "Date");
        let date = self.date(wallet, responded.date.clone());
        if let (Some(fault), Operation::BalancesCsv) = (&responded.fault, operation) {
            self.doubt_answers(&query, fault);
        }
        let asked: Vec<String> = rows.iter().map(|(id, _)| id.clone()).collect();
        let read = Arc::clone(&self.read);
        let answer = answer(responded, date, move || read.lock().unwrap().extend(rows)).await;
        self.arrived(&asked);
        answer
    }
}
