//! Turns of day, month and year and a leap day, as the real exporter shows them, evaluated by the shipped rules.
//!
//! Flows in: an exporter over the simulator, scraped every two minutes around a midnight over which a source fails. Flows
//! out: a runway that jumps, an alert that ends, or one that should not fire; a budget of the day or month that ends before its
//! period does, or outlives it. Always holds: promtool begins at the time 0,
//! so each timestamp that the exporter serves is moved back by the beginning. Nothing else is changed: no rule reads the
//! calendar, which a test of the rules makes sure of.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use vendor_simulator::{Fault, Operation, Options};
use wallet_exporter::clock::{Clock as _, ManualClock};
use wallet_exporter::money::Usd;

use super::shipped;
use super::tools::{run, versions};
use crate::rig::{Rig, at, vendor_clock};

/// An hour and a half before each midnight: the year ends, the week ends, the leap day begins, the leap day ends and with it
/// the month.
const EVENINGS: [&str; 4] =
    ["2027-12-31T22:30:00Z", "2028-02-27T22:30:00Z", "2028-02-28T22:30:00Z", "2028-02-29T22:30:00Z"];
const STEP: TimeDelta = TimeDelta::minutes(2);
const STEPS: usize = 90;
/// Minutes after the beginning between which the source fails, over midnight.
const FAILS: std::ops::Range<i64> = 70..110;
/// Cents an hour.
const SPENT: i64 = 600;

/// What the rules read of this exporter.
const READ: [&str; 13] = [
    "batchdata_wallet_budget_period_end_timestamp_seconds",
    "batchdata_wallet_budget_projected_usd",
    "batchdata_wallet_budget_spent_usd",
    "batchdata_wallet_budget_usd",
    "batchdata_wallet_balance_threshold_usd",
    "batchdata_wallet_balance_usd",
    "batchdata_wallet_burn_usd_per_hour",
    "batchdata_wallet_empty_timestamp_seconds",
    "wallet_exporter_source_interval_seconds",
    "wallet_exporter_source_last_attempt_timestamp_seconds",
    "wallet_exporter_source_last_success_timestamp_seconds",
    "wallet_exporter_source_max_age_seconds",
    "wallet_exporter_source_up",
];

struct Night {
    fails: Operation,
    /// In dollars, an hour and a half before midnight.
    balance: i64,
    /// Hours, while the wallet drains.
    runway: (i64, i64),
    fires: bool,
}

const NIGHTS: [Night; 2] = [
    Night { fails: Operation::ConsumptionReport, balance: 360, runway: (55, 61), fires: false },
    Night { fails: Operation::Balance, balance: 200, runway: (29, 35), fires: true },
];

/// By series, the value of each scrape.
type Scrapes = BTreeMap<String, Vec<Option<f64>>>;

fn scrape(rig: &Rig, begin: DateTime<Utc>, step: usize, scrapes: &mut Scrapes) {
    for line in rig.metrics().lines() {
        let Some((name, rest)) = line.split_once('{') else { continue };
        if !READ.contains(&name) {
            continue;
        }
        let (labels, value) = rest.rsplit_once("} ").unwrap();
        let value: f64 = value.parse().unwrap();
        let moved = if name.ends_with("_timestamp_seconds") { value - begin.timestamp() as f64 } else { value };
        let series = format!(r#"{name}{{{labels},instance="a:10700",job="wallet-exporter"}}"#);
        let values = scrapes.entry(series).or_default();
        values.resize(step, None);
        values.push(Some(moved));
    }
}

/// As promtool writes values: a series that a scrape no longer has is marked stale.
fn written(values: &[Option<f64>]) -> String {
    let mut before = None;
    let words = values.iter().map(|value| {
        let word = match (value, before) {
            (Some(value), _) => value.to_string(),
            (None, Some(_)) => "stale".to_owned(),
            (None, None) => "_".to_owned(),
        };
        before = *value;
        word
    });
    words.collect::<Vec<_>>().join(" ")
}

async fn lived(evening: &str, night: &Night) -> Scrapes {
    let begin = at(evening);
    let clock = ManualClock::new(begin);
    let mut rig = Rig::with(clock.clone(), Options::quiet(vendor_clock(&clock))).await;
    rig.set("BATCHDATA_SOURCES", "balance,consumption");
    rig.set("BATCHDATA_MAX_AGE", "10m");
    // All are spent by the evening.
    rig.set("BATCHDATA_BUDGET_DAY_USD", "100");
    rig.set("BATCHDATA_BUDGET_WEEK_USD", "110");
    rig.set("BATCHDATA_BUDGET_MONTH_USD", "170");
    for half_hours in 1..=60_i32 {
        let when = begin - TimeDelta::minutes(30) * half_hours + TimeDelta::seconds(1);
        rig.vendors.spend(when, "api_request", "/api/v1/address/verify", Usd::from_cents(SPENT / 2));
    }
    rig.vendors.set_balance(Usd::from_cents(night.balance * 100));
    rig.start().await;
    rig.first_polls().await;
    let mut scrapes = Scrapes::new();
    for step in 0..STEPS {
        let minutes = (clock.now() - begin).num_minutes();
        if minutes == FAILS.start {
            rig.vendors.fault(night.fails, Fault::NoReply, None);
        }
        if minutes == FAILS.end {
            rig.vendors.clear_faults(None);
        }
        rig.rest().await;
        scrape(&rig, begin, step, &mut scrapes);
        clock.advance(STEP.to_std().unwrap());
        rig.vendors.spend(clock.now(), "api_request", "/api/v1/address/verify", Usd::from_cents(SPENT / 30));
    }
    for values in scrapes.values_mut() {
        values.resize(STEPS, None);
    }
    scrapes
}

fn case(name: String, scrapes: &Scrapes, night: &Night) -> Value {
    let every = |value: &str| vec![value; STEPS].join(" ");
    let target = r#"{instance="a:10700",job="wallet-exporter"}"#;
    let mut series: Vec<Value> =
        scrapes.iter().map(|(series, values)| json!({"series": series, "values": written(values)})).collect();
    for name in ["up", "wallet_exporter_build_info"] {
        series.push(json!({"series": format!("{name}{target}"), "values": every("1")}));
    }
    let runway = r#"(account_window:batchdata_wallet_empty_timestamp_seconds:known{window="24h"} - time()) / 3600"#;
    let (least, most) = night.runway;
    let firing = r#"group by (alertname) (ALERTS{alertstate="firing", topic="money"})"#;
    let mut asked = Vec::new();
    for minutes in (5..STEPS * 2).step_by(5) {
        let at = format!("{minutes}m");
        // One value, and it lies between the bounds.
        let inside = format!("count({runway} > {least} < {most})");
        asked.push(json!({"expr": inside, "eval_time": at, "exp_samples": [{"labels": "{}", "value": 1}]}));
        // After an hour and a little more.
        let fires = night.fires && minutes >= 75;
        let alerts =
            if fires { json!([{"labels": r#"{alertname="WalletRunwayShort"}"#, "value": 1}]) } else { json!([]) };
        if !night.fires || minutes < 55 || fires {
            asked.push(json!({"expr": firing, "eval_time": at, "exp_samples": alerts}));
        }
    }
    // Midnight is in minute 90; an alert starts within ten minutes and ends within ten.
    let spent = r#"group by (budget) (ALERTS{alertstate="firing", alertname="WalletBudgetSpent"})"#;
    let month_goes_on = name.starts_with("2028-02-27") || name.starts_with("2028-02-28");
    let week_ends = name.starts_with("2028-02-27");
    for minutes in (10..STEPS * 2).step_by(5).filter(|minutes| !(90..100).contains(minutes)) {
        let budgets =
            [("day", minutes < 90), ("week", minutes < 90 || !week_ends), ("month", minutes < 90 || month_goes_on)];
        let firing = budgets.iter().filter(|(_, fires)| *fires);
        let samples: Vec<Value> =
            firing.map(|(budget, _)| json!({"labels": format!(r#"{{budget="{budget}"}}"#), "value": 1})).collect();
        asked.push(json!({"expr": spent, "eval_time": format!("{minutes}m"), "exp_samples": samples}));
    }
    json!({"name": name, "interval": "2m", "input_series": series, "promql_expr_test": asked})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_of_the_calendar_change_no_runway_and_no_alert() {
    let mut cases = Vec::new();
    for evening in EVENINGS {
        for night in &NIGHTS {
            let scrapes = lived(evening, night).await;
            let missing = scrapes.iter().filter(|(series, values)| {
                let of_failed = match night.fails {
                    Operation::Balance => series.starts_with("batchdata_wallet_balance_usd"),
                    _ => series.starts_with("batchdata_wallet_burn_usd_per_hour"),
                };
                of_failed && values[46].is_none() && values[STEPS - 1].is_some()
            });
            assert!(missing.count() > 0, "{evening}: the source was not withheld over midnight, or never came back");
            cases.push(case(format!("{evening}, {:?} fails", night.fails), &scrapes, night));
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("calendar_test.yml");
    let rules = ["wallet-recording.rules.yml", "wallet-alerts.rules.yml"]
        .map(|name| shipped("deploy/prometheus").join(name).to_string_lossy().into_owned());
    // JSON is YAML.
    let text = json!({"rule_files": rules, "evaluation_interval": "100s", "tests": cases}).to_string();
    std::fs::write(&file, text).expect("a file is written");
    for promtool in versions("promtool") {
        run(&promtool, &["test", "rules", &file.to_string_lossy()]);
    }
}
