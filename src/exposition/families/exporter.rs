//! The exporter itself: clock skew, label overflow, webhook, storage, reloads, build.

use crate::catalog as c;
use crate::clock::Moment;
use crate::counting::zero_start::dated;
use crate::exposition::encode::Encoder;
use crate::snapshot::Snapshot;

/// Of every account.
pub(super) fn write_accounts(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let mut family = out.family(&c::CLOCK_SKEW);
    for account in &snapshot.accounts {
        if let Some(skew) = account.clock_skew(now) {
            // A `Date` is cut to the second.
            family.sample(&[account.name(), account.vendor().name], skew.num_seconds() as f64);
        }
    }
    let mut family = out.family(&c::SERIES_OVERFLOW);
    for account in &snapshot.accounts {
        let started = Some(dated(account.instruments.started, now));
        for (metric, overflowing) in account.overflow() {
            family.counter(&[account.name(), metric], (overflowing, started));
        }
    }
}

/// Of the process.
pub(super) fn write(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let mut family = out.family(&c::WEBHOOK_UNMATCHED);
    if let Some(requests) = snapshot.webhook_unmatched {
        family.counter(&[], (requests, Some(dated(snapshot.started_at, now))));
    }
    out.family(&c::STORAGE_UP).sample(&[], f64::from(u8::from(snapshot.storage.up())));
    out.family(&c::RELOAD_SUCCESSFUL).sample(&[], f64::from(u8::from(snapshot.reload.successful)));
    out.family(&c::RELOAD_TIME).sample(&[], snapshot.reload.last_success.by_clock_of(now));
    let mut family = out.family(&c::SHARD_INFO);
    if let Some(shard) = snapshot.shard {
        family.sample(&[&shard.index().to_string(), &shard.count().to_string()], 1.0);
    }
    let build = [env!("CARGO_PKG_VERSION"), env!("GIT_REVISION"), env!("RUSTC_VERSION")];
    out.family(&c::BUILD_INFO).sample(&build, 1.0);
}
