//! The exporter itself: requests to the vendors, folded labels, storage, reloads, build.

use super::super::catalog as c;
use super::super::encode::Encoder;
use super::super::family::HistogramValue;
use super::{count, seconds};
use crate::clock::Moment;
use crate::snapshot::{REQUEST_BOUNDS, RequestLog, Snapshot};

pub(super) fn write(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    requests(out, snapshot);
    let mut family = out.family(&c::CLOCK_SKEW);
    for (account, vendor, skew) in snapshot.clock_skews(now) {
        // A `Date` is cut to the second.
        family.sample(&[account, vendor.as_str()], skew.num_seconds() as f64);
    }
    overflow(out, snapshot);
    let storage = &snapshot.storage;
    out.family(&c::STORAGE_UP).sample(&[], f64::from(u8::from(storage.up())));
    out.family(&c::STORAGE_FAILURES).sample(&[], count(storage.failures));
    out.family(&c::RELOAD_SUCCESSFUL).sample(&[], f64::from(u8::from(snapshot.reload.successful)));
    out.family(&c::RELOAD_TIME).sample(&[], seconds(snapshot.reload.last_success.by_clock_of(now)));
    let build = [env!("CARGO_PKG_VERSION"), env!("GIT_REVISION"), env!("RUSTC_VERSION")];
    out.family(&c::BUILD_INFO).sample(&build, 1.0);
}

fn requests(out: &mut Encoder, snapshot: &Snapshot) {
    let logs: Vec<(&str, &RequestLog)> = snapshot
        .wallets
        .iter()
        .map(|view| (view.account.as_str(), view.requests.as_ref()))
        .chain(snapshot.rightfoots.iter().map(|view| (view.account.as_str(), view.requests.as_ref())))
        .collect();
    let mut family = out.family(&c::VENDOR_REQUESTS);
    for (account, log) in &logs {
        for (operation, totals) in log.totals() {
            for (code, requests) in totals.codes {
                let code = if code == 0 { "error".to_owned() } else { code.to_string() };
                let labels = [account, operation.vendor().as_str(), operation.as_str(), &code];
                family.sample(&labels, count(requests));
            }
        }
    }
    let mut family = out.family(&c::VENDOR_REQUEST_DURATION);
    for (account, log) in &logs {
        for (operation, totals) in log.totals() {
            let labels = [account, operation.vendor().as_str(), operation.as_str()];
            let sum = totals.total.as_secs_f64();
            family.histogram(&labels, &HistogramValue { bounds: &REQUEST_BOUNDS, counts: &totals.buckets, sum });
        }
    }
}

fn overflow(out: &mut Encoder, snapshot: &Snapshot) {
    let mut family = out.family(&c::SERIES_OVERFLOW);
    for wallet in &snapshot.wallets {
        if let Some(view) = &wallet.consumption {
            for (metric, folded) in [
                (c::ORIGIN_DEBIT.name, view.overflowing_origins),
                (c::ORIGIN_CREDIT.name, view.overflowing_origins),
                (c::PATH_DEBIT.name, view.overflowing_paths),
            ] {
                family.sample(&[&wallet.account, metric], count(folded));
            }
        }
        if let Some(view) = &wallet.cards {
            family.sample(&[&wallet.account, c::CARD_TRANSACTIONS.name], count(view.overflowing_brands));
        }
    }
    for view in &snapshot.rightfoots {
        let folded = view.checks.totals.overflow();
        family.sample(&[&view.account, c::CHECKS_BY_INSTITUTION.name], count(folded));
    }
}
