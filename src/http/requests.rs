//! Counts of the server's own requests.
//!
//! Flows in: what the routes answered. Flows out: the `wallet_exporter_http_*` families, in every exposition.
//! Invariant: labels are from fixed lists, whatever a client sends.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::StatusCode;

use crate::metrics::{Encoder, FamilySpec, Kind};

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// The exposition.
    Metrics,
    /// The page for people.
    Page,
    /// The state as JSON.
    Status,
    /// The README.
    Documentation,
    /// Liveness and readiness.
    Health,
    /// The reload.
    Reload,
    /// The webhook.
    Webhook,
    /// Anything else.
    Other,
}

const HANDLERS: [(Handler, &str); 8] = [
    (Handler::Metrics, "metrics"),
    (Handler::Page, "page"),
    (Handler::Status, "status"),
    (Handler::Documentation, "documentation"),
    (Handler::Health, "health"),
    (Handler::Reload, "reload"),
    (Handler::Webhook, "webhook"),
    (Handler::Other, "other"),
];

/// The codes that the server answers with; any other is counted as `other`.
const CODES: [(u16, &str); 11] = [
    (200, "200"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (413, "413"),
    (500, "500"),
    (503, "503"),
    (0, "other"),
];

/// Requests by handler and code.
pub static REQUESTS: FamilySpec = FamilySpec {
    name: "wallet_exporter_http_requests_total",
    kind: Kind::Counter,
    labels: &["handler", "code"],
    help: "Requests answered, by what they were for and the status code. A scrape counts in the next one.",
};
/// Requests that are being answered.
pub static IN_FLIGHT: FamilySpec = FamilySpec {
    name: "wallet_exporter_http_requests_in_flight",
    kind: Kind::Gauge,
    labels: &[],
    help: "Requests being answered, this scrape included.",
};
/// Open connections.
pub static CONNECTIONS: FamilySpec = FamilySpec {
    name: "wallet_exporter_http_connections",
    kind: Kind::Gauge,
    labels: &[],
    help: "Open connections to both addresses.",
};
/// Connections closed by the server.
pub static CLOSED: FamilySpec = FamilySpec {
    name: "wallet_exporter_http_connections_closed_total",
    kind: Kind::Counter,
    labels: &["reason"],
    help: "Connections that the server ended: idle or too slow, or to make room for others at the connection limit.",
};
/// Panics.
pub static PANICS: FamilySpec = FamilySpec {
    name: "wallet_exporter_http_panics_total",
    kind: Kind::Counter,
    labels: &[],
    help: "Requests answered with 500 because of a defect in the program.",
};

/// Why the server closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// No request for long.
    Idle,
    /// Headers, TLS handshake, body or reading of the answer took too long.
    Slow,
    /// Made room for another.
    Room,
}

const CLOSURES: [(Closed, &str); 3] = [(Closed::Idle, "idle"), (Closed::Slow, "slow"), (Closed::Room, "room")];

/// The counts.
#[derive(Debug, Default)]
pub struct Requests {
    answered: [[AtomicU64; CODES.len()]; HANDLERS.len()],
    in_flight: AtomicU64,
    connections: AtomicU64,
    closed: [AtomicU64; CLOSURES.len()],
    panics: AtomicU64,
}

/// Counts one thing as present for as long as it lives.
#[derive(Debug)]
pub struct Present<'a>(&'a AtomicU64);

impl<'a> Present<'a> {
    fn new(count: &'a AtomicU64) -> Present<'a> {
        count.fetch_add(1, Ordering::Relaxed);
        Present(count)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Requests {
    /// A request was answered.
    pub fn answered(&self, handler: Handler, code: StatusCode) {
        let other = CODES.len() - 1;
        let code = CODES.iter().position(|(known, _)| *known == code.as_u16()).unwrap_or(other);
        if let Some(count) = self.answered.get(handler as usize).and_then(|codes| codes.get(code)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request came in; it is over when the result is dropped.
    pub fn begin(&self) -> Present<'_> {
        Present::new(&self.in_flight)
    }

    /// A connection was opened; it is over when the result is dropped.
    pub fn connected(&self) -> Present<'_> {
        Present::new(&self.connections)
    }

    /// The server closed a connection.
    pub fn closed(&self, reason: Closed) {
        if let Some(count) = self.closed.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A handler panicked.
    pub fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes the families.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    pub(super) fn write(&self, out: &mut Encoder) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        let mut family = out.family(&REQUESTS);
        for ((handler, name), codes) in HANDLERS.iter().zip(&self.answered) {
            debug_assert_eq!(*handler as usize, HANDLERS.iter().position(|(_, known)| known == name).unwrap_or(99));
            for ((code, label), count) in CODES.iter().zip(codes) {
                // Successes are known values and stand at 0 from the start; the rest appear with their first event.
                let count = load(count);
                if count > 0.0 || *code == 200 {
                    family.sample(&[name, label], count);
                }
            }
        }
        out.family(&IN_FLIGHT).sample(&[], load(&self.in_flight));
        out.family(&CONNECTIONS).sample(&[], load(&self.connections));
        let mut family = out.family(&CLOSED);
        for ((_, reason), count) in CLOSURES.iter().zip(&self.closed) {
            family.sample(&[reason], load(count));
        }
        out.family(&PANICS).sample(&[], load(&self.panics));
    }
}
