//! What was asked: one entry for each request to a vendor's endpoint, so that a test can count requests and bytes.
//!
//! Invariant: a credential is never kept, only whether it was the right one.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::wire::Operation;

/// One request, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Its number since the start, from 1.
    pub number: u64,
    /// When it came, by the injected clock.
    pub at: DateTime<Utc>,
    /// The endpoint; absent for a path that is none.
    pub operation: Option<Operation>,
    /// `GET`, or what else was tried.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query's pairs, decoded, in their order.
    pub query: Vec<(String, String)>,
    /// An `Authorization` header came with it.
    pub had_authorization: bool,
    /// It was the right one for this endpoint.
    pub authorized: bool,
    /// The status that was answered; absent if nothing was.
    pub status: Option<u16>,
    /// The fault that was applied, by the name it has in the control interface.
    pub fault: Option<String>,
    /// How many bytes of the body went out.
    pub body_bytes: u64,
}

/// How many entries are kept: enough for every test, and bounded for a simulator that runs for weeks.
const KEPT: usize = 20_000;

/// The newest requests.
#[derive(Default)]
pub(crate) struct Log {
    entries: VecDeque<Seen>,
    count: u64,
}

impl Log {
    /// Notes a request and returns its number.
    pub(crate) fn push(&mut self, mut seen: Seen) -> u64 {
        self.count += 1;
        seen.number = self.count;
        if self.entries.len() >= KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(seen);
        self.count
    }

    /// Notes what went out for it.
    pub(crate) fn sent(&mut self, number: u64, body_bytes: u64) {
        // The newest are at the back, and this one is new.
        if let Some(seen) = self.entries.iter_mut().rev().find(|seen| seen.number == number) {
            seen.body_bytes = body_bytes;
        }
    }

    /// All that are kept, oldest first.
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.entries.iter().cloned().collect()
    }

    /// Forgets the entries; the numbers go on.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}
