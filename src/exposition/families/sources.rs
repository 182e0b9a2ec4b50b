//! How the sources stand.

use crate::catalog::{self as c, FamilySpec};
use crate::clock::Moment;
use crate::exposition::encode::Encoder;
use crate::exposition::value::Value;
use crate::names::Label as _;
use crate::snapshot::{AccountView, Snapshot, SourceView};
use crate::upstream::Reason;
use strum::VariantArray as _;

pub(super) fn write(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    each(out, &c::SOURCE_UP, snapshot, |view| view.up.map(|up| f64::from(u8::from(up))));
    each(out, &c::SOURCE_LAST_SUCCESS, snapshot, |view| view.last_success.map(|at| at.by_clock_of(now)));
    each(out, &c::SOURCE_LAST_ATTEMPT, snapshot, |view| view.last_attempt.map(|at| at.by_clock_of(now)));
    each(out, &c::SOURCE_NEXT_ATTEMPT, snapshot, |view| view.next_attempt.map(|at| at.by_clock_of(now)));
    each(out, &c::SOURCE_INTERVAL, snapshot, |view| Some(view.interval.as_secs_f64()));
    each(out, &c::SOURCE_MAX_AGE, snapshot, |view| Some(view.max_age.as_secs_f64()));
    each(out, &c::SOURCE_CONSECUTIVE_FAILURES, snapshot, |view| Some(view.consecutive_failures));
    each(out, &c::SOURCE_LAST_DURATION, snapshot, |view| view.last_duration.map(|took| took.as_secs_f64()));
    let mut family = out.family(&c::SOURCE_FAILING);
    for (account, view) in sources(snapshot) {
        let failing = view.last_failure.as_ref().filter(|_| view.up == Some(false)).map(|failure| failure.reason);
        for reason in Reason::VARIANTS.iter().copied() {
            let [account, vendor, source] = labels(account, view);
            let value = f64::from(u8::from(failing == Some(reason)));
            family.sample(&[account, vendor, source, reason.as_str()], value);
        }
    }
}

fn sources(snapshot: &Snapshot) -> impl Iterator<Item = (&AccountView, &SourceView)> {
    let accounts = snapshot.accounts.iter().map(AsRef::as_ref);
    accounts.flat_map(|account: &AccountView| account.sources.iter().map(move |view| (account, view)))
}

fn each<V: Value>(
    out: &mut Encoder,
    spec: &'static FamilySpec,
    snapshot: &Snapshot,
    value: impl Fn(&SourceView) -> Option<V>,
) {
    let mut family = out.family(spec);
    for (account, view) in sources(snapshot) {
        if let Some(value) = value(view) {
            family.sample(&labels(account, view), value);
        }
    }
}

fn labels<'a>(account: &'a AccountView, view: &SourceView) -> [&'a str; 3] {
    [account.name(), account.vendor().name, view.source.name]
}
