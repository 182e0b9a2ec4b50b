//! How counters are read: as a rate or an increase where a figure is an estimate, and else as a difference of two readings.
//!
//! Flows in: the queries of the dashboards. Flows out: a query that reads a counter in another way. Always holds: all
//! differences are written alike, so that one test of a figure is a test of all.

use serde_json::{Value, json};
use wallet_exporter::catalog::MetricType;

use super::board::all;
use super::query::selectors;
use super::{families, family_of, queries};
use crate::alerts::tools::{run, versions};

/// Windows that stand in queries, each with what it is for.
const WINDOWS: &[(&str, &str)] = &[
    ("$__rate_interval", "rates of what is no money"),
    ("$__range", "the chosen range"),
    ("1h", "the spend rate by endpoint and origin"),
    ("1d", "the readings of a day"),
    ("7d", "whether a later day was read"),
];

fn is_counter(sample: &str) -> bool {
    family_of(sample).is_some_and(|(_, kind)| kind != MetricType::Gauge)
}

/// The counters of a query as they are written, with their matchers.
fn written(expression: &str) -> Vec<&str> {
    let mut found: Vec<&str> = families()
        .iter()
        .filter(|(_, kind)| *kind != MetricType::Gauge)
        .flat_map(|(name, _)| expression.match_indices(name).map(|(at, _)| &expression[at..]))
        .filter_map(|rest| Some(&rest[..=rest.find('}')?]))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The labels of every `by (…)` of a query.
fn groupings(expression: &str) -> Vec<&str> {
    let mut found: Vec<&str> = expression.split("by (").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// What a counter grew by in `range`: see *Exact figures* in grafana/README.md.
fn grown(labels: &str, counter: &str, range: &str) -> String {
    let vendor = if counter.starts_with("rightfoot") { "rightfoot" } else { "batchdata_wallet" };
    let matchers = r#"job=~"$job", instance=~"$instance", account=~"$account""#;
    let since = format!("{vendor}_count_since_timestamp_seconds{{{matchers}}}");
    let by = format!("max by ({labels})");
    let watched_whole = format!(
        "({by} ({counter} - {counter} offset {range}) or {by} ({counter}) - {by} ({counter} offset {range})) >= 0 \
         or {by} ({counter}) and on (account) {since} offset {range}"
    );
    if range != "$__range" {
        return watched_whole;
    }
    format!("{watched_whole} or {by} ({counter} - min_over_time({counter}[{range}]))")
}

/// The query without quantiles of native histograms, which stand before those of the classic ones. They are no figures of
/// their own: what an increase extrapolates is every bucket alike, and that moves no quantile.
fn without_native_quantiles(expression: &str) -> String {
    let mut rest = expression.to_owned();
    for native in ["rightfoot_balance_check_balance_usd", "batchdata_wallet_transaction_usd"] {
        let native = format!(r#"{native}{{job=~"$job", instance=~"$instance", account=~"$account"}}"#);
        for quantile in ["0.25", "0.5", "0.75"] {
            let quantile = format!("histogram_quantile({quantile}, ");
            let before = format!("{quantile}sum(increase({native}[1d]))) > -Inf or {quantile}");
            rest = rest.replace(&before, &quantile);
        }
    }
    rest
}

/// The query without its differences.
fn without_differences(expression: &str) -> String {
    let mut rest = without_native_quantiles(expression);
    for counter in written(expression) {
        for labels in groupings(expression) {
            for range in ["$__range", "$__interval", "6h", "1d"] {
                rest = rest.replace(&grown(labels, counter, range), "");
            }
        }
        let before = format!("{counter} offset $__range - min_over_time({counter}[$__range] offset $__range)");
        let rate = format!("{counter} - min_over_time({counter}[1h])");
        rest = rest.replace(&before, "").replace(&rate, "");
        for form in imported(counter) {
            rest = rest.replace(&form, "");
        }
    }
    rest
}

/// The hours and days of an imported history, where no exporter was scraped.
fn imported(counter: &str) -> [String; 4] {
    [
        format!("{counter} - {counter} offset 1h"),
        format!("{counter} offset 1d - {counter} offset 25h"),
        format!("{counter} offset 1w - {counter} offset 169h"),
        format!("max by (account) ({counter} offset -1d) - max by (account) ({counter})"),
    ]
}

#[test]
fn counters_are_read_as_rates_or_as_differences() {
    let mut differences = 0;
    for (place, expression) in all().iter().flat_map(queries) {
        let rest = without_differences(&expression);
        if rest == expression {
            for selector in selectors(&expression) {
                let counts = is_counter(&selector.name);
                assert_eq!(selector.in_rate, counts, "{place}: {} inside rate: {}", selector.name, selector.in_rate);
            }
        } else {
            differences += 1;
            assert!(written(&rest).is_empty(), "{place}: a counter in a form of its own: {rest}");
        }
    }
    assert!(differences > 20, "the search found hardly anything: {differences}");
}

#[test]
fn no_money_is_extrapolated() {
    for (place, expression) in all().iter().flat_map(queries) {
        let expression = without_native_quantiles(&expression);
        for selector in selectors(&expression).iter().filter(|selector| selector.name.contains("_usd")) {
            assert!(!selector.in_rate, "{place}: {}", selector.name);
        }
    }
}

#[test]
fn windows_are_few_and_known() {
    for (place, expression) in all().iter().flat_map(queries) {
        for part in expression.split('[').skip(1) {
            let window = part.split(']').next().unwrap_or_default();
            assert!(WINDOWS.iter().any(|(known, _)| *known == window), "{place}: [{window}]");
        }
    }
}

/// Time since something is taken when it was scraped: a scrape that is late makes nothing older.
#[test]
fn ages_are_taken_at_the_scrape() {
    for (place, expression) in all().iter().flat_map(queries) {
        for (at, _) in expression.match_indices("time()") {
            let before = &expression[..at];
            assert!(before.ends_with(") - "), "{place}: {before}time()");
            assert!(before.contains("batchdata_wallet_empty_timestamp_seconds"), "{place}: only runway counts down");
        }
    }
}

/// What a wallet was counted to be, minute by minute for two hours, and what the hour's difference is.
struct Course {
    name: &'static str,
    /// The instance, whether it was counted since before, and promtool's way of writing values.
    instances: &'static [(&'static str, &'static str, &'static str)],
    expected: f64,
}

const SINCE_EVER: &str = "1x120";

const COURSES: &[Course] = &[
    Course {
        name: "steps between two scrapes are whole",
        instances: &[("a", SINCE_EVER, "100x60 350.25x30 600x29")],
        expected: 500.0,
    },
    Course {
        name: "a rollout that changes the instance",
        instances: &[("a", "1x89 stale", "100x59 150x29 stale"), ("b", "_x91 1x29", "_x91 150x9 400x19")],
        expected: 250.0,
    },
    Course {
        name: "a second replica that has counted less",
        instances: &[("a", SINCE_EVER, "1000x60 1500x59"), ("b", "_x90 1x30", "_x90 0x9 20x20")],
        expected: 500.0,
    },
    Course {
        name: "the replica that has counted longest leaves",
        instances: &[("a", "1x89 stale", "1000x60 1500x28 stale"), ("b", SINCE_EVER, "10x60 530x59")],
        expected: 520.0,
    },
    Course { name: "a lost storage", instances: &[("a", SINCE_EVER, "1000x60 1200x29 0x9 40x19")], expected: 40.0 },
    Course {
        name: "an installation within the hour, with its history",
        instances: &[("a", "_x70 1x50", "_x70 5000x19 5500x30")],
        expected: 500.0,
    },
    Course {
        name: "what is counted for the first time",
        instances: &[("a", SINCE_EVER, "_x80 0x1 12.5x38")],
        expected: 12.5,
    },
];

impl Course {
    fn case(&self) -> Value {
        let labels = |instance: &str| format!(r#"{{job="wallet-exporter",instance="{instance}",account="default"}}"#);
        let series = self.instances.iter().flat_map(|(instance, since, counted)| {
            let of =
                |name: &str, values: &str| json!({"series": name.to_owned() + &labels(instance), "values": values});
            [
                of("batchdata_wallet_count_since_timestamp_seconds", since),
                of("batchdata_wallet_debit_usd_total", counted),
            ]
        });
        let selector = r#"batchdata_wallet_debit_usd_total{job=~"$job", instance=~"$instance", account=~"$account"}"#;
        let expression = grown("account", selector, "$__range")
            .replace("$__range", "1h")
            .replace("$job", ".+")
            .replace("$instance", ".+")
            .replace("$account", ".+");
        json!({
            "name": self.name,
            "interval": "1m",
            "input_series": series.collect::<Vec<Value>>(),
            "promql_expr_test": [{
                "expr": expression,
                "eval_time": "2h",
                "exp_samples": [{"labels": r#"{account="default"}"#, "value": self.expected}],
            }],
        })
    }
}

#[test]
fn differences_are_sound_when_instances_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("differences_test.yml");
    let cases: Vec<Value> = COURSES.iter().map(Course::case).collect();
    // JSON is YAML.
    std::fs::write(&file, json!({"rule_files": [], "evaluation_interval": "1m", "tests": cases}).to_string()).unwrap();
    for promtool in versions("promtool") {
        run(&promtool, &["test", "rules", &file.to_string_lossy()]);
    }
}
