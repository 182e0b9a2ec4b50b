//! Two things at once: clocks, lists, webhooks, request limits and storage. Each test is named after what was seen.

mod batches;
mod clocks;
mod pauses;
mod storage;

use chrono::TimeDelta;
use wallet_exporter::clock::Clock as _;

use crate::rig::Rig;

/// Sets the exporter's wall clock; the vendor's goes on as it was.
fn step(rig: &Rig, by: TimeDelta, vendor_offset: TimeDelta) {
    rig.clock.step_to(rig.clock.now() + by);
    rig.vendors.set_clock_offset(vendor_offset);
}

/// Polls a source until it succeeds, at most so often.
async fn until_up(rig: &Rig, source: &str, attempts: usize) {
    for _ in 0..attempts {
        if rig.source("up", source) == Some(1.0) {
            return;
        }
        rig.poll(&[source]).await;
    }
    assert_eq!(rig.source("up", source), Some(1.0), "{source} did not succeed in {attempts} attempts");
}
