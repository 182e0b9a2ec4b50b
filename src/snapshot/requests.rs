//! Requests to the vendors, counted.
//!
//! Flows in: each request's end. Flows out: totals by endpoint and code. Invariant: the codes that are to be expected
//! exist from the start, so that the first failure is seen as an increase.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::vendor::{Observe, Operation};

/// Upper bounds of the duration histogram, in seconds.
pub const REQUEST_BOUNDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// HTTP codes that are to be expected; 0 stands for no answer.
const EXPECTED: [u16; 11] = [0, 200, 400, 401, 403, 404, 422, 429, 500, 502, 503];

/// Totals of one endpoint.
#[derive(Clone, Debug)]
pub struct RequestTotals {
    /// Requests by HTTP code; 0 stands for no answer.
    pub codes: BTreeMap<u16, u64>,
    /// Requests by duration, one more than there are bounds.
    pub buckets: [u64; REQUEST_BOUNDS.len() + 1],
    /// All durations.
    pub total: Duration,
}

impl Default for RequestTotals {
    fn default() -> RequestTotals {
        let codes = EXPECTED.into_iter().map(|code| (code, 0)).collect();
        RequestTotals { codes, buckets: [0; REQUEST_BOUNDS.len() + 1], total: Duration::ZERO }
    }
}

/// Counts requests. Two accounts of one vendor have one log each.
#[derive(Debug, Default)]
pub struct RequestLog {
    totals: Mutex<BTreeMap<Operation, RequestTotals>>,
}

impl RequestLog {
    /// A log of endpoints that are going to be asked.
    #[must_use]
    pub fn of(operations: impl IntoIterator<Item = Operation>) -> RequestLog {
        let totals = operations.into_iter().map(|operation| (operation, RequestTotals::default())).collect();
        RequestLog { totals: Mutex::new(totals) }
    }

    /// The totals so far.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<Operation, RequestTotals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observe for RequestLog {
    fn request(&self, operation: Operation, code: Option<u16>, took: Duration) {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let totals = totals.entry(operation).or_default();
        *totals.codes.entry(code.unwrap_or(0)).or_default() += 1;
        let seconds = took.as_secs_f64();
        let bucket = REQUEST_BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(REQUEST_BOUNDS.len());
        if let Some(count) = totals.buckets.get_mut(bucket) {
            *count += 1;
        }
        totals.total += took;
    }
}
