//! The balance checks: counters over settled batches, gauges over open ones, the webhook.

use super::super::encode::{Encoder, HistogramValue};
use super::seconds;
use crate::catalog as c;
use crate::clock::Moment;
use crate::domain::checks::{SERIES_KEY, series_key};
use crate::domain::tally::{BOUNDS, BUCKETS};
use crate::money::Usd;
use crate::snapshot::{RightfootView, Snapshot};
use crate::vendor::{CheckStatus, RowReject, Source, SubmittedVia};

pub(super) fn write(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    counters(out, snapshot);
    gauges(out, snapshot, now, |view| {
        let source = snapshot.source(&view.account, Source::Batches);
        source.is_some_and(|source| source.is_fresh(now.boot))
    });
    webhook(out, snapshot);
}

fn counters(out: &mut Encoder, snapshot: &Snapshot) {
    let counted = |view: &&RightfootView| {
        snapshot.source(&view.account, Source::Batches).is_none_or(|source| !source.stale_at_start)
    };
    let counted = || snapshot.rightfoots.iter().filter(counted);
    let mut family = out.family(&c::CHECKS);
    for view in counted() {
        let is_shown = view.zero_starts.is_shown(SERIES_KEY);
        for status in CheckStatus::ALL {
            for via in SubmittedVia::ALL {
                let checks = view.checks.totals.by_status.get(&(status, via)).copied().filter(|_| is_shown);
                let labels = [view.account.as_str(), status.as_str(), via.as_str()];
                family.sample(&labels, checks.unwrap_or_default());
            }
        }
    }
    let mut family = out.family(&c::CHECKS_BY_INSTITUTION);
    for view in counted() {
        for (institution, by_status) in &view.checks.totals.by_institution {
            let is_shown = view.zero_starts.is_shown(&series_key(institution));
            for status in CheckStatus::ALL {
                let checks = by_status.get(&status).copied().filter(|_| is_shown).unwrap_or_default();
                family.sample(&[&view.account, institution, status.as_str()], checks);
            }
        }
    }
    let mut family = out.family(&c::CHECK_BALANCE);
    for view in counted() {
        let histogram = &view.checks.totals.histogram;
        let is_shown = view.zero_starts.is_shown(SERIES_KEY);
        let (counts, sum) = if is_shown { (histogram.counts, histogram.sum) } else { ([0; BUCKETS], Usd::ZERO) };
        let mut count = 0;
        let cumulative = counts.map(|observations| {
            count += observations;
            count
        });
        let bounds = BOUNDS.map(|bound| bound as f64);
        let buckets: Vec<(f64, u64)> = bounds.into_iter().zip(cumulative).collect();
        family.histogram(&[&view.account], &HistogramValue { buckets: &buckets, count, sum });
    }
    let mut family = out.family(&c::ROWS_REJECTED);
    for view in counted() {
        let is_shown = view.zero_starts.is_shown(SERIES_KEY);
        for reason in RowReject::ALL {
            let rows = view.checks.totals.rejected.get(&reason).copied().filter(|_| is_shown);
            family.sample(&[&view.account, reason.as_str()], rows.unwrap_or_default());
        }
    }
    let mut family = out.family(&c::CHECKS_COUNT_SINCE);
    for view in counted() {
        if let Some(since) = view.checks.count_since {
            family.sample(&[&view.account], seconds(since));
        }
    }
}

fn gauges(out: &mut Encoder, snapshot: &Snapshot, now: Moment, fresh: impl Fn(&RightfootView) -> bool) {
    let known = || snapshot.rightfoots.iter().filter(|view| fresh(view));
    let mut family = out.family(&c::OPEN_CHECKS);
    for view in known() {
        for status in CheckStatus::ALL {
            for via in SubmittedVia::ALL {
                let rows = view.checks.open_rows.get(&(status, via)).copied().unwrap_or_default();
                family.sample(&[&view.account, status.as_str(), via.as_str()], rows);
            }
        }
    }
    let mut family = out.family(&c::BATCHES);
    for view in known() {
        for (state, batches) in &view.checks.states {
            family.sample(&[&view.account, state.as_str()], *batches);
        }
    }
    let mut family = out.family(&c::BATCH_RESULTS);
    for view in known() {
        for (id, results, _) in &view.checks.newest {
            let id = id.to_string();
            for status in CheckStatus::ALL {
                let of_status = results.iter().filter(|((found, _), _)| *found == status);
                let rows: u64 = of_status.map(|(_, rows)| *rows).sum();
                family.sample(&[&view.account, &id, status.as_str()], rows);
            }
        }
    }
    let mut family = out.family(&c::BATCH_LAST_RESULT);
    for view in known() {
        for (id, _, newest) in &view.checks.newest {
            family.sample(&[&view.account, &id.to_string()], seconds(*newest));
        }
    }
    let mut family = out.family(&c::OLDEST_OPEN_BATCH);
    for view in known() {
        if let Some(oldest) = view.checks.oldest_open {
            family.sample(&[&view.account], seconds(oldest.by_clock_of(now)));
        }
    }
}

fn webhook(out: &mut Encoder, snapshot: &Snapshot) {
    let open = || snapshot.rightfoots.iter().filter_map(|view| Some((view.account.as_str(), view.webhook?)));
    let mut family = out.family(&c::WEBHOOK_EVENTS);
    for (account, events) in open() {
        for (result, value) in [
            ("accepted", events.accepted),
            ("duplicate", events.duplicate),
            ("ignored", events.ignored),
            ("malformed", events.malformed),
        ] {
            family.sample(&[account, result], value);
        }
    }
    if open().next().is_some() {
        out.family(&c::WEBHOOK_UNMATCHED).sample(&[], snapshot.webhook_unmatched);
    }
}
