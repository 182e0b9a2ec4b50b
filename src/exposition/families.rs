//! What the exporter says of itself and of every account, as families.
//!
//! Flows in: a snapshot and the time. Flows out: families. Invariant: a pure function of both; what is unknown or too old
//! is absent.

mod exporter;
mod sources;

use super::encode::Encoder;
use crate::catalog as c;
use crate::clock::Moment;
use crate::snapshot::Snapshot;

/// Writes families of a snapshot as it is at a moment.
pub type WriteFamilies = fn(&mut Encoder, &Snapshot, Moment);

/// Writes the families of every account that belong to no vendor.
pub(super) fn write_accounts(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let mut family = out.family(&c::ACCOUNT_INFO);
    for account in &snapshot.accounts {
        family.sample_with(&[account.name(), account.vendor().name], account.labels.iter(), 1.0);
    }
    sources::write(out, snapshot, now);
    exporter::write_accounts(out, snapshot, now);
}

/// Writes the families that belong to no account.
pub(super) fn write_exporter(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    exporter::write(out, snapshot, now);
}
