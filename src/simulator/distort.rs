//! Placeholder.
use chrono::{DateTime, Utc};

use super::State;
use super::fault::Fault;
use super::wire::{Operation, Reply, Request};

pub(super) fn apply(
    state: &mut State,
    _operation: Operation,
    _request: &Request,
    _fault: Option<&Fault>,
    _now: DateTime<Utc>,
    right: impl FnOnce(&mut State) -> Reply,
) -> Reply {
    right(state)
}
