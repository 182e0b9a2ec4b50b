//! The balance checks: counters over settled batches, gauges over open ones, the webhook.

use super::tally::BOUNDS;
use super::totals::{BALANCES_KEY, SERIES_KEY, series_key};
use super::{CheckStatus, RowReject, SubmittedVia};
use crate::catalog::{ACCOUNT, counter, families, gauge, histogram};
use crate::clock::Moment;
use crate::counting::zero_start::dated;
use crate::exposition::Encoder;
use crate::names::Label as _;
use crate::rightfoot::{BATCHES as SOURCE, RightfootView};
use crate::snapshot::{AccountView, Snapshot};
use strum::VariantArray as _;

families! {
    /// Of the batches.
    FAMILIES:
    CHECKS = counter("rightfoot_balance_checks_total", &["account", "status", "submitted_via"], "Balance checks of settled batches.");
    CHECKS_BY_INSTITUTION = counter("rightfoot_balance_checks_by_institution_total", &["account", "institution", "status"], "Balance checks of settled batches by institution.");
    CHECK_BALANCE = histogram("rightfoot_balance_check_balance_usd", ACCOUNT, "Balances in US dollars found by successful checks of settled batches; negative ones add nothing to the sum.");
    ROWS_REJECTED = counter("rightfoot_balance_check_rows_rejected_total", &["account", "reason"], "Rows of the export that could not be used, counted when first seen.");
    OPEN_CHECKS = gauge("rightfoot_open_balance_checks", &["account", "status", "submitted_via"], "Balance checks of batches that have not settled.");
    BATCHES = gauge("rightfoot_batches", &["account", "state"], "Batches by state.");
    BATCH_RESULTS = gauge("rightfoot_batch_results", &["account", "batch_id", "status"], "Results by status of the 20 batches with the newest results.");
    BATCH_LAST_RESULT = gauge("rightfoot_batch_last_result_timestamp_seconds", &["account", "batch_id"], "Newest result of the 20 batches with the newest results.");
    OLDEST_OPEN_BATCH = gauge("rightfoot_oldest_open_batch_timestamp_seconds", ACCOUNT, "When the oldest batch that has not settled was first seen; absent if there is none.");
    CHECKS_COUNT_SINCE = gauge("rightfoot_count_since_timestamp_seconds", ACCOUNT, "Time from which balance checks count, by their own timestamps.");
    WEBHOOK_EVENTS = counter("rightfoot_webhook_events_total", &["account", "result"], "Webhook events by result.");
}

/// Writes them.
pub fn write(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    counters(out, snapshot, now);
    gauges(out, snapshot, now);
    webhook(out, snapshot, now);
}

fn counters(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let counted = || snapshot.with_facts::<RightfootView>().filter(|(account, _)| account.is_counted(SOURCE));
    let mut family = out.family(&CHECKS);
    for (account, view) in counted() {
        for &status in CheckStatus::VARIANTS {
            for &via in SubmittedVia::VARIANTS {
                let checks = view.checks.totals.by_status.get(&(status, via)).copied().unwrap_or_default();
                let labels = [account.name(), status.as_str(), via.as_str()];
                family.counter(&labels, account.shown(SERIES_KEY, checks, now));
            }
        }
    }
    let mut family = out.family(&CHECKS_BY_INSTITUTION);
    for (account, view) in counted() {
        for (institution, by_status) in &view.checks.totals.by_institution {
            let key = series_key(institution);
            for &status in CheckStatus::VARIANTS {
                let checks = by_status.get(&status).copied().unwrap_or_default();
                let labels = [account.name(), institution, status.as_str()];
                family.counter(&labels, account.shown(&key, checks, now));
            }
        }
    }
    let mut family = out.family(&CHECK_BALANCE);
    for (account, view) in counted() {
        let shown = account.shown(BALANCES_KEY, view.checks.totals.histogram.clone(), now);
        family.amounts(&[account.name()], &BOUNDS.map(|bound| bound as f64), shown);
    }
    let mut family = out.family(&ROWS_REJECTED);
    for (account, view) in counted() {
        for &reason in RowReject::VARIANTS {
            let rows = view.checks.totals.rejected.get(&reason).copied().unwrap_or_default();
            family.counter(&[account.name(), reason.as_str()], account.shown(SERIES_KEY, rows, now));
        }
    }
    let mut family = out.family(&CHECKS_COUNT_SINCE);
    for (account, view) in counted() {
        if let Some(since) = view.checks.count_since {
            family.sample(&[account.name()], since);
        }
    }
}

fn gauges(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let fresh = |(account, _): &(&AccountView, &RightfootView)| account.fresh(SOURCE, now.boot).is_some();
    let known = || snapshot.with_facts::<RightfootView>().filter(fresh);
    let mut family = out.family(&OPEN_CHECKS);
    for (account, view) in known() {
        for &status in CheckStatus::VARIANTS {
            for &via in SubmittedVia::VARIANTS {
                let rows = view.checks.open_rows.get(&(status, via)).copied().unwrap_or_default();
                family.sample(&[account.name(), status.as_str(), via.as_str()], rows);
            }
        }
    }
    let mut family = out.family(&BATCHES);
    for (account, view) in known() {
        for (state, batches) in &view.checks.states {
            family.sample(&[account.name(), state.as_str()], *batches);
        }
    }
    let mut family = out.family(&BATCH_RESULTS);
    for (account, view) in known() {
        for (id, results, _) in &view.checks.newest {
            let id = id.to_string();
            for &status in CheckStatus::VARIANTS {
                let of_status = results.iter().filter(|((found, _), _)| *found == status);
                let rows: u64 = of_status.map(|(_, rows)| *rows).sum();
                family.sample(&[account.name(), &id, status.as_str()], rows);
            }
        }
    }
    let mut family = out.family(&BATCH_LAST_RESULT);
    for (account, view) in known() {
        for (id, _, newest) in &view.checks.newest {
            family.sample(&[account.name(), &id.to_string()], *newest);
        }
    }
    let mut family = out.family(&OLDEST_OPEN_BATCH);
    for (account, view) in known() {
        if let Some(oldest) = view.checks.oldest_open {
            family.sample(&[account.name()], oldest.by_clock_of(now));
        }
    }
}

fn webhook(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let mut family = out.family(&WEBHOOK_EVENTS);
    for (account, view) in snapshot.with_facts::<RightfootView>() {
        let Some(events) = view.webhook else { continue };
        let started = Some(dated(account.instruments.started, now));
        for (result, value) in [
            ("accepted", events.accepted),
            ("duplicate", events.duplicate),
            ("ignored", events.ignored),
            ("malformed", events.malformed),
        ] {
            family.counter(&[account.name(), result], (value, started));
        }
    }
}
