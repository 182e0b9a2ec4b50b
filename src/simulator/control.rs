//! The control interface over HTTP, for tests that drive a real process.
use super::Simulator;
use super::wire::{Reply, Request};

pub(super) fn answer(_simulator: &Simulator, _command: &str, _request: &Request) -> Reply {
    Reply::json(404, "{}")
}
