//! Burn and runway at `/metrics`, against an oracle of whole cents and seconds that shares no code with the exporter.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use vendor_simulator::{Fault, Operation, Options, Part};
use wallet_exporter::clock::{Clock as _, ManualClock};
use wallet_exporter::money::Usd;

use crate::rig::{Rig, at, vendor_clock};

const WINDOWS: [(&str, i64, i64); 5] =
    [("1h", 1, 3_600), ("6h", 6, 3_600), ("24h", 24, 3_600), ("7d", 7, 86_400), ("30d", 30, 86_400)];

fn series(name: &str, window: &str) -> String {
    format!(r#"batchdata_wallet_{name}{{account="default",window="{window}"}}"#)
}

/// What the vendor knows: cents by hour since 1970.
#[derive(Default)]
struct Oracle(BTreeMap<i64, i64>);

impl Oracle {
    fn spend(&mut self, rig: &Rig, ago: TimeDelta, cents: i64) {
        let when = rig.clock.now() - ago;
        *self.0.entry(when.timestamp().div_euclid(3_600)).or_default() += cents;
        rig.vendors.spend(when, "api_request", "/api/v1/address/verify", Usd::from_cents(cents));
    }

    /// The vendor changes the last hour of today that it knows of.
    fn restate(&mut self, rig: &Rig, cents: i64) {
        let today = rig.clock.now().date_naive();
        let first = today.and_time(chrono::NaiveTime::MIN).and_utc().timestamp() / 3_600;
        let known = self.0.range(first..first + 24).last().map_or(first, |(hour, _)| *hour);
        *self.0.entry(known).or_default() += cents;
        rig.vendors.restate(today, &Part::Total, Usd::from_cents(cents), Usd::ZERO);
    }

    fn burn(&self, now: i64, count: i64, length: i64) -> f64 {
        let period = |number: i64| -> i64 {
            let hours = number * length / 3_600..(number + 1) * length / 3_600;
            self.0.range(hours).map(|(_, cents)| cents).sum()
        };
        let (current, elapsed) = (now / length, now % length);
        let whole: i64 = (current - count + 1..=current).map(period).sum();
        let cents_times_length = whole * length + period(current - count) * (length - elapsed);
        cents_times_length as f64 / (length * (count * length / 3_600) * 100) as f64
    }

    /// Compares every window with what is served.
    fn compare(&self, rig: &Rig, about: &str) {
        let stored = |source: &str| rig.source("last_success_timestamp_seconds", source).unwrap();
        let (reported, polled) = (stored("consumption") as i64, stored("balance"));
        let balance = rig.value(r#"batchdata_wallet_balance_usd{account="default"}"#).unwrap();
        for (window, count, length) in WINDOWS {
            let expected = self.burn(reported, count, length);
            let burn = rig.value(&series("burn_usd_per_hour", window)).unwrap();
            assert!((burn - expected).abs() < 1e-9, "{about}: {window} burns {burn}, not {expected}");
            let runway = rig.value(&series("runway_seconds", window));
            let empty = rig.value(&series("empty_timestamp_seconds", window));
            if balance <= 0.0 {
                assert_eq!((runway, empty), (Some(0.0), Some(polled)), "{about}: {window}");
            } else if burn > 0.0 {
                let seconds = balance / burn * 3_600.0;
                let close = |found: Option<f64>, wanted: f64| (found.unwrap() - wanted).abs() < wanted * 1e-9 + 0.002;
                assert!(close(runway, seconds), "{about}: {window} lasts {runway:?}, not {seconds}");
                assert!(close(empty, polled + seconds), "{about}: {window} ends {empty:?}, not {}", polled + seconds);
            } else {
                assert_eq!((runway, empty), (None, None), "{about}: {window}");
            }
        }
    }
}

async fn rig_at(moment: &str) -> Rig {
    let clock = ManualClock::new(at(moment));
    let options = Options::quiet(vendor_clock(&clock));
    let mut rig = Rig::with(clock, options).await;
    rig.set("BATCHDATA_SOURCES", "balance,consumption");
    rig.set("BATCHDATA_CONSUMPTION_INTERVAL", "1m");
    rig.vendors.set_balance(Usd::from_cents(100_000));
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unused_wallet_burns_nothing_and_lasts_for_ever() {
    let mut rig = rig_at("2028-03-01T00:00:30Z").await;
    rig.start().await;
    rig.first_polls().await;
    Oracle::default().compare(&rig, "unused");
    let page = serde_json::to_value(rig.snapshot().status(rig.clock.moment())).unwrap();
    let burn = &page["accounts"][0]["wallet"]["burn"][0];
    assert_eq!((burn["window"].as_str(), burn["usd_per_hour"].as_str()), (Some("1h"), Some("0")));
    assert!(burn["empty_at"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn burn_holds_over_midnights_month_ends_late_hours_restatements_and_restarts() {
    // The night before a leap day, and the one after it, which ends a month.
    for start in ["2028-02-28T21:10:00Z", "2028-02-29T21:10:00Z", "2026-12-31T21:10:00Z"] {
        let directory = tempfile::tempdir().unwrap();
        let mut rig = rig_at(start).await;
        rig.set("STORAGE_PATH", directory.path().to_str().unwrap());
        let mut oracle = Oracle::default();
        for days in [0, 1, 3, 6, 7, 8, 29, 30, 31, 40] {
            oracle.spend(&rig, TimeDelta::days(days) + TimeDelta::minutes(37), 1_000 + days);
        }
        rig.start().await;
        rig.first_polls().await;
        oracle.compare(&rig, "the first hour");
        for step in 0..24_i64 {
            // Some of it is reported 20 minutes late, some 70: then an hour that was over grows.
            oracle.spend(&rig, TimeDelta::minutes([0, 20, 70][(step % 3) as usize]), 100 + step * 31);
            if step % 7 == 5 {
                oracle.restate(&rig, -40);
            }
            rig.clock.advance(Duration::from_secs(15 * 60 + 7));
            // Not in steps: while a request is under way the clock must not move.
            rig.until("both were polled", |rig| {
                let now = rig.clock.boot();
                rig.snapshot().sources().all(|view| {
                    view.last_attempt.is_some_and(|last| last.boot == now)
                        && view.next_attempt.is_some_and(|next| next.boot > now)
                })
            })
            .await;
            oracle.compare(&rig, &format!("{start}, step {step}"));
        }
        rig.stop().await;
        rig.vendors.fault(Operation::ConsumptionReport, Fault::NoReply, None);
        rig.start().await;
        oracle.compare(&rig, "restored");
        rig.clock.advance(Duration::from_secs(3_601));
        assert_eq!(rig.value(&series("burn_usd_per_hour", "1h")), None, "older than max_age");
    }
}

/// Polls of many accounts would else stay together for hours once their midnight polls were.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_its_midnight_poll_a_source_is_polled_when_it_would_have_been_anyway() {
    let mut rig = Rig::new().await;
    rig.clock.step_to(at("2026-05-19T23:56:00Z"));
    rig.start().await;
    rig.rest().await;
    rig.poll(&["consumption"]).await;
    rig.rest().await;
    let snapshot = rig.snapshot();
    let view = snapshot.source("default", wallet_exporter::batchdata::CONSUMPTION).unwrap();
    let [polled, next] = [view.last_success, view.next_attempt].map(|moment| moment.unwrap().wall);
    assert!((at("2026-05-20T00:00:02Z")..at("2026-05-20T00:00:03Z")).contains(&polled), "{polled}");
    assert!((at("2026-05-20T00:00:45Z")..at("2026-05-20T00:01:16Z")).contains(&next), "{next}");
}
