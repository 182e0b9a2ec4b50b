//! The exporter itself: clock skew, label overflow, storage, reloads, build.

use super::super::encode::Encoder;
use super::seconds;
use crate::catalog as c;
use crate::clock::Moment;
use crate::snapshot::Snapshot;

pub(super) fn write(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let mut family = out.family(&c::CLOCK_SKEW);
    for (account, vendor, skew) in snapshot.clock_skews(now) {
        // A `Date` is cut to the second.
        family.sample(&[account, vendor.as_str()], skew.num_seconds() as f64);
    }
    overflow(out, snapshot);
    out.family(&c::STORAGE_UP).sample(&[], f64::from(u8::from(snapshot.storage.up())));
    out.family(&c::RELOAD_SUCCESSFUL).sample(&[], f64::from(u8::from(snapshot.reload.successful)));
    out.family(&c::RELOAD_TIME).sample(&[], seconds(snapshot.reload.last_success.by_clock_of(now)));
    let build = [env!("CARGO_PKG_VERSION"), env!("GIT_REVISION"), env!("RUSTC_VERSION")];
    out.family(&c::BUILD_INFO).sample(&build, 1.0);
}

fn overflow(out: &mut Encoder, snapshot: &Snapshot) {
    let mut family = out.family(&c::SERIES_OVERFLOW);
    for wallet in &snapshot.wallets {
        if let Some(view) = &wallet.consumption {
            for (metric, overflowing) in [
                (c::ORIGIN_DEBIT.name, view.overflowing_origins),
                (c::ORIGIN_CREDIT.name, view.overflowing_origins),
                (c::PATH_DEBIT.name, view.overflowing_paths),
            ] {
                family.sample(&[&wallet.account, metric], overflowing);
            }
        }
        if let Some(view) = &wallet.cards {
            family.sample(&[&wallet.account, c::CARD_TRANSACTIONS.name], view.overflowing_brands);
        }
    }
    for view in &snapshot.rightfoots {
        let overflowing = view.checks.totals.overflow();
        family.sample(&[&view.account, c::CHECKS_BY_INSTITUTION.name], overflowing);
    }
}
