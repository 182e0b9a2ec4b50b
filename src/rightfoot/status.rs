//! What the page and `/api/v1/status` show of an account's batches.
//!
//! Flows in: the facts of an account. Flows out: fields of JSON, and rows of the page. Invariant: bounded, however many
//! batches there have been.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::batches::batch::BatchState;
use super::batches::families::CHECKS_BY_INSTITUTION;
use super::view::RightfootView;
use crate::clock::Moment;
use crate::names::Label as _;
use crate::snapshot::{AccountView, Attention, DetailRow, Details, Facts, Piece};

impl Facts for RightfootView {
    fn details(&self, _account: &AccountView, now: Moment) -> Details {
        let attention = self.checks.needing_attention.iter().map(|(id, state, first_seen)| Attention {
            kind: "batch",
            id: id.to_string(),
            state: state.as_str(),
            first_seen: first_seen.by_clock_of(now),
            advice: state.advice(),
        });
        let count = |state| self.checks.states.get(&state).copied().unwrap_or_default();
        let batches = BatchesStatus {
            open: count(BatchState::Open),
            failing: count(BatchState::Failing),
            unavailable: count(BatchState::Unavailable),
            abandoned: count(BatchState::Abandoned),
            settled: count(BatchState::Settled),
            needing_attention: Vec::new(),
        };
        details(batches, attention.collect(), self.checks.count_since)
    }

    fn overflow(&self) -> Vec<(&'static str, u64)> {
        vec![(CHECKS_BY_INSTITUTION.name, self.checks.totals.overflow())]
    }
}

/// The batches by state, and those that need care, in `/api/v1/status`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BatchesStatus {
    /// Followed, results may still come.
    pub open: u64,
    /// Alone keep failing.
    pub failing: u64,
    /// Alone are refused.
    pub unavailable: u64,
    /// Never had a row.
    pub abandoned: u64,
    /// Counted.
    pub settled: u64,
    /// Those that a person should look at, at most 20, oldest first.
    pub needing_attention: Vec<BatchStatus>,
}

/// A batch that a person should look at.
#[derive(Clone, Debug, Serialize)]
pub struct BatchStatus {
    /// The vendor's id.
    pub batch_id: String,
    /// `failing`, `unavailable` or `abandoned`.
    pub state: &'static str,
    /// When it was first seen.
    pub first_seen: DateTime<Utc>,
    /// What to do.
    pub advice: &'static str,
}

/// The same for the page and for JSON.
#[must_use]
pub fn details(batches: BatchesStatus, attention: Vec<Attention>, count_since: Option<DateTime<Utc>>) -> Details {
    let needing_attention = attention.iter().map(|batch| BatchStatus {
        batch_id: batch.id.clone(),
        state: batch.state,
        first_seen: batch.first_seen,
        advice: batch.advice,
    });
    let batches = BatchesStatus { needing_attention: needing_attention.collect(), ..batches };
    let states = format!(
        "{} open, {} failing, {} unavailable, {} abandoned, {} settled",
        batches.open, batches.failing, batches.unavailable, batches.abandoned, batches.settled
    );
    let mut fields = serde_json::Map::new();
    fields.insert("batches".to_owned(), serde_json::to_value(&batches).unwrap_or_default());
    let rows = vec![DetailRow { term: "Batches", lines: vec![vec![Piece::Text(states)]] }];
    Details { count_since, fields, rows, attention, ..Details::default() }
}
