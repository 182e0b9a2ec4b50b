//! What the exporter says of itself and of every account, as families.
//!
//! Flows in: a snapshot and the time. Flows out: families. Invariant: a pure function of both; what is unknown or too old
//! is absent.

mod exporter;
mod sources;

use super::encode::Encoder;
use crate::clock::Moment;
use crate::snapshot::Snapshot;

/// Writes families of a snapshot as it is at a moment.
pub type WriteFamilies = fn(&mut Encoder, &Snapshot, Moment);

/// Writes the families that belong to no vendor.
pub(super) fn write(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    sources::write(out, snapshot, now);
    exporter::write(out, snapshot, now);
}
