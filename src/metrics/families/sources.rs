//! How the sources stand.

use super::super::encode::Encoder;
use super::seconds;
use crate::catalog::{self as c, FamilySpec};
use crate::clock::Moment;
use crate::snapshot::{Snapshot, SourceView};
use crate::vendor::Reason;

pub(super) fn write(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let time = |at: Moment| seconds(at.by_clock_of(now));
    let mut each = |spec: &'static FamilySpec, value: &dyn Fn(&SourceView) -> Option<f64>| {
        let mut family = out.family(spec);
        for view in &snapshot.sources {
            if let Some(value) = value(view) {
                family.sample(&labels(view), value);
            }
        }
    };
    each(&c::SOURCE_UP, &|view| view.up.map(|up| f64::from(u8::from(up))));
    each(&c::SOURCE_LAST_SUCCESS, &|view| view.last_success.map(time));
    each(&c::SOURCE_LAST_ATTEMPT, &|view| view.last_attempt.map(time));
    each(&c::SOURCE_NEXT_ATTEMPT, &|view| view.next_attempt.map(time));
    each(&c::SOURCE_INTERVAL, &|view| Some(view.interval.as_secs_f64()));
    each(&c::SOURCE_MAX_AGE, &|view| Some(view.max_age.as_secs_f64()));
    each(&c::SOURCE_CONSECUTIVE_FAILURES, &|view| Some(view.consecutive_failures as f64));
    each(&c::SOURCE_LAST_DURATION, &|view| view.last_duration.map(|took| took.as_secs_f64()));
    let mut family = out.family(&c::SOURCE_FAILING);
    for view in &snapshot.sources {
        let failing = view.last_failure.as_ref().filter(|_| view.up == Some(false)).map(|failure| failure.reason);
        for reason in Reason::ALL {
            let [account, vendor, source] = labels(view);
            let value = f64::from(u8::from(failing == Some(reason)));
            family.sample(&[account, vendor, source, reason.as_str()], value);
        }
    }
}

fn labels(view: &SourceView) -> [&str; 3] {
    [&view.account, view.source.vendor().as_str(), view.source.as_str()]
}
