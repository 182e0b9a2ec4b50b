//! A simulator of both vendors on one listener, for the demo and for every test that needs a vendor.
//!
//! Flows in: a seed, a clock, and the calls of a driver (money spent, cards charged, batches filled, faults). Flows out:
//! the vendors' documented answers, broken ones where there is a fault, and webhooks.
//! Invariant: it is written from the vendors' documents and shares no code with the clients, so that it cannot share a
//! mistake with them. The same seed, the same clock and the same calls give the same bytes.

#![warn(unreachable_pub)]

mod amount;
mod batches;
mod cards;
mod chance;
mod clock;
mod control;
mod inject;
mod inject_csv;
mod drive;
mod edit;
mod fault;
mod scenario;
mod listener;
mod log;
mod respond;
mod story;
mod transmit;
mod expected;
mod wallet;
mod webhook;
mod wire;
mod world;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

pub use batches::{
    CANARIES, CANARY_AUTHORIZER, CANARY_CARD_LAST4, CANARY_CREATOR, CANARY_DESCRIPTION, CANARY_META, CANARY_PHONE,
    CANARY_REFERENCE, CANARY_ZIP, NewRow, STATUSES,
};
pub use clock::{Clock, SharedClock};
pub use drive::{CardEvent, Part};
pub use expected::{Expected, ExpectedBatch, ExpectedCard, Flow};
pub use fault::{CsvChange, ErrorBody, Fault};
pub use log::Seen;
pub use respond::{Delivery, Responded};
pub use wire::Operation;

use fault::Queue;
use log::Log;
use scenario::Timeline;
use story::{Story, Trouble};
use wire::{Reply, Request, Vendor};
use world::World;

/// What happens by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Nothing happens by itself.
    Quiet,
    /// Spend every few seconds, card events every few minutes, a batch every three minutes.
    Calm,
    /// As [`Scenario::Calm`]. Within three minutes the balance runs low, a card fails, a batch settles, a vendor throttles.
    Demo,
    /// As [`Scenario::Calm`]. The balance runs low and stays low for ten minutes.
    LowBalance,
    /// As [`Scenario::Calm`]. Both vendors are down for two minutes.
    Outage,
    /// The same spend; a card payment takes minutes, a batch begins every seven hours and fills for two and a half.
    Everyday,
}

/// How a simulator is made.
#[derive(Clone)]
pub struct Options {
    /// Seed of the random numbers.
    pub seed: u64,
    /// The only clock that it looks at.
    pub clock: SharedClock,
    /// The token that the wallet's endpoints accept.
    pub batchdata_token: String,
    /// The key that the balance checks accept.
    pub rightfoot_key: String,
    /// When things begin to happen by themselves; now if absent, and never later. The same moment gives the same world.
    pub began: Option<DateTime<Utc>>,
    /// When the scenario's story begins; with the rest if absent.
    pub story_began: Option<DateTime<Utc>>,
    /// How many days before the beginning the wallet's history begins; 0 for an empty wallet.
    pub history_days: u32,
    /// Whether anything happens by itself.
    pub scenario: Scenario,
    /// Where to tell that a batch has completed: a plain `http` URL.
    pub webhook: Option<String>,
    /// Requests a minute that the wallet's token may make before it gets 429.
    pub requests_per_minute: u32,
}

impl Options {
    /// A lively wallet with 60 days of history.
    #[must_use]
    pub fn demo(clock: SharedClock) -> Options {
        Options { history_days: 60, scenario: Scenario::Demo, ..Options::quiet(clock) }
    }

    /// An empty wallet in which nothing happens by itself.
    #[must_use]
    pub fn quiet(clock: SharedClock) -> Options {
        Options {
            seed: 1,
            clock,
            batchdata_token: "sim-batchdata-token".to_owned(),
            rightfoot_key: "rf_live_simulator".to_owned(),
            began: None,
            story_began: None,
            history_days: 0,
            scenario: Scenario::Quiet,
            webhook: None,
            requests_per_minute: 3_000,
        }
    }
}

/// Both vendors. A handle: clones are the same simulator.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
}

struct Shared {
    clock: SharedClock,
    requests_per_minute: u32,
    /// The host of the webhook that the options name.
    webhook_host: Option<url::Host>,
    state: Mutex<State>,
    ids: watch::Sender<Vec<String>>,
    /// Something waits for the webhook's sender.
    completed: Notify,
}

struct State {
    world: World,
    timeline: Timeline,
    faults: Queue,
    log: Log,
    token: String,
    key: String,
    webhook: Option<String>,
    offset: TimeDelta,
    /// The minute that is being counted, and the requests in it of the wallet's token.
    minute: (i64, u32),
}

/// What is to be sent.
struct Answer {
    reply: Reply,
    fault: Option<Fault>,
    date: String,
    /// Its entry in the log, if it has one.
    number: Option<u64>,
}

impl Simulator {
    /// A simulator in which everything has happened up to the clock's present.
    #[must_use]
    pub fn new(options: Options) -> Simulator {
        let now = options.clock.now().timestamp();
        let (profile, steps) = match options.scenario {
            Scenario::Quiet => (None, &[][..]),
            Scenario::Calm => (Some(scenario::DEMO), &[][..]),
            Scenario::Demo => (Some(scenario::DEMO), story::EVERYTHING),
            Scenario::LowBalance => (Some(scenario::DEMO), story::LOW_BALANCE),
            Scenario::Outage => (Some(scenario::DEMO), story::OUTAGE),
            Scenario::Everyday => (Some(scenario::EVERYDAY), &[][..]),
        };
        let began = options.began.map_or(now, |began| began.timestamp());
        let story = Story::new(options.story_began.map_or(began, |began| began.timestamp()), steps);
        let (timeline, world) = Timeline::begin(options.seed, began, now, options.history_days, profile, story);
        let webhook_host = options.webhook.as_deref().and_then(drive::host_of);
        let state = State {
            world,
            timeline,
            faults: Queue::default(),
            log: Log::default(),
            token: options.batchdata_token,
            key: options.rightfoot_key,
            webhook: options.webhook,
            offset: TimeDelta::zero(),
            minute: (0, 0),
        };
        let simulator = Simulator {
            shared: Arc::new(Shared {
                clock: options.clock,
                requests_per_minute: options.requests_per_minute,
                webhook_host,
                state: Mutex::new(state),
                ids: watch::Sender::new(Vec::new()),
                completed: Notify::new(),
            }),
        };
        simulator.locked(|_, _| ());
        simulator
    }

    /// What the scenario brings, in the order of time: when, and what to say of it.
    #[must_use]
    pub fn programme(&self) -> Vec<(DateTime<Utc>, &'static str)> {
        self.locked(|state, _| {
            let story = &state.timeline.story;
            let moment = |at| DateTime::from_timestamp(at, 0).unwrap_or_default();
            story.steps.iter().map(|step| (moment(story.at(step)), step.text)).collect()
        })
    }

    /// Serves both vendors, and the control interface below `/_simulator/`, until `shutdown`; then ends all connections.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        self.run(listener, None, shutdown).await;
    }

    /// As [`Simulator::serve`], over TLS.
    pub async fn serve_tls(
        self,
        listener: TcpListener,
        tls: Arc<rustls::ServerConfig>,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        self.run(listener, Some(tls), shutdown).await;
    }

    async fn run(
        self,
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        let events = webhook::run(self.clone());
        tokio::select! {
            () = listener::serve(self, listener, tls, shutdown) => {}
            () = events => {}
        }
    }

    /// Lets happen what is due, calls `act` under the lock, then wakes who waits. `now` is the vendor's own time.
    fn locked<R>(&self, act: impl FnOnce(&mut State, DateTime<Utc>) -> R) -> R {
        let now = self.shared.clock.now();
        // A test that panicked while it held the lock has failed already; no call leaves the state half changed.
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now + state.offset;
        let State { timeline, world, .. } = &mut *state;
        timeline.advance(world, now.timestamp());
        let result = act(&mut state, now);
        let batches = state.world.batches.all();
        self.shared.ids.send_if_modified(|ids| {
            let changed = ids.len() != batches.iter().filter(|batch| !batch.foreign).count();
            if changed {
                *ids = batches.iter().filter(|batch| !batch.foreign).map(|batch| batch.id.clone()).collect();
            }
            changed
        });
        if !state.world.completions.is_empty() {
            self.shared.completed.notify_one();
        }
        result
    }

    /// The answer to a request, entered in the log.
    fn answer(&self, request: &Request) -> Answer {
        let date = |now: DateTime<Utc>| now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        if let Some(command) = request.path.strip_prefix("/_simulator/") {
            let reply = control::answer(self, command, request);
            return Answer { reply, fault: None, date: self.locked(|_, now| date(now)), number: None };
        }
        let asked_at = self.shared.clock.now();
        let limit = self.shared.requests_per_minute;
        self.locked(|state, now| {
            let operation = Operation::of(request);
            let fault = operation.and_then(|operation| state.faults.take(operation));
            let authorized = operation.is_some_and(|operation| request.bears(state.secret(operation)));
            let reply = match operation {
                None => Reply::refused(404, "Not Found"),
                Some(operation) => {
                    let right = |state: &mut State| state.right(operation, request, now, limit, authorized);
                    inject::apply(state, operation, request, fault.as_ref(), now, right)
                }
            };
            let number = state.log.push(Seen {
                number: 0,
                at: asked_at,
                operation,
                method: request.method.clone(),
                path: request.path.clone(),
                query: request.query.clone(),
                had_authorization: request.authorization.is_some(),
                authorized,
                status: fault.as_ref().is_none_or(Fault::answers).then_some(reply.status),
                fault: fault.as_ref().map(Fault::name),
                body_bytes: 0,
            });
            Answer { reply, fault, date: date(now), number: Some(number) }
        })
    }

    /// Enters in the log what went out.
    fn sent(&self, number: Option<u64>, bytes: u64) {
        if let Some(number) = number {
            self.locked(|state, _| state.log.sent(number, bytes));
        }
    }
}

impl State {
    fn secret(&self, operation: Operation) -> &str {
        match operation.vendor() {
            Vendor::BatchData => &self.token,
            Vendor::Rightfoot => &self.key,
        }
    }

    /// The documented answer.
    fn right(
        &mut self,
        operation: Operation,
        request: &Request,
        now: DateTime<Utc>,
        limit: u32,
        authorized: bool,
    ) -> Reply {
        let vendor = operation.vendor();
        if request.method != "GET" && request.method != "HEAD" {
            return vendor.refused(405, "Method not allowed.");
        }
        if !authorized {
            return vendor.refused(401, "Invalid token.");
        }
        if vendor == Vendor::BatchData && self.over_limit(now, limit) {
            return Reply::throttled();
        }
        match (self.timeline.story.trouble, vendor) {
            (Some(Trouble::Down), _) => return vendor.refused(503, "Service Unavailable"),
            (Some(Trouble::Throttled), Vendor::BatchData) => {
                let mut reply = Reply::throttled();
                let left = self.timeline.story.trouble_ends_in(now.timestamp());
                reply.headers.extend(left.map(|seconds| ("Retry-After", seconds.to_string())));
                return reply;
            }
            (Some(Trouble::Throttled), Vendor::Rightfoot) | (None, _) => {}
        }
        if operation.permission().is_some_and(|permission| self.world.revoked.contains(permission)) {
            return vendor.refused(403, "The token lacks the permission for this endpoint.");
        }
        let seconds = now.timestamp();
        match operation {
            Operation::Balance => wire::balance::answer(&self.world, seconds),
            Operation::ConsumptionReport | Operation::ConsumptionCsv => {
                wire::consumption::answer(&mut self.world, request, now.date_naive())
            }
            Operation::CreditCardTransactions => wire::cards::answer(&self.world, request),
            Operation::BalancesCsv => match wire::balances_csv::table(&self.world, request) {
                Ok(table) => wire::balances_csv::download(table.written(), seconds),
                Err(reply) => reply,
            },
        }
    }

    /// Counts a request of the wallet's token; no limit of the other vendor is documented.
    fn over_limit(&mut self, now: DateTime<Utc>, limit: u32) -> bool {
        let minute = now.timestamp().div_euclid(60);
        if self.minute.0 != minute {
            self.minute = (minute, 0);
        }
        self.minute.1 += 1;
        self.minute.1 > limit
    }
}
