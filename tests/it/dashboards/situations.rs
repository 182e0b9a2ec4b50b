//! What tiles show in situations that a fortnight does not hold, by promtool.
//!
//! Flows in: the panels' queries; series as promtool writes them, a value each minute from the time 0. Flows out: a tile
//! that shows something else. Always holds: `default` is the chosen account.

use serde_json::{Value, json};

use super::board::expression;
use crate::alerts::tools::{run, versions};

struct Situation {
    name: &'static str,
    /// Names and labels beside account, job and instance `a`; values.
    series: &'static [(&'static str, &'static str)],
    panel: (&'static str, &'static str),
    at: &'static str,
    /// None where nothing is to be shown but the panel's own words.
    shown: Option<f64>,
}

const RUNWAY: (&str, &str) = ("Runway", "A");
const EMPTY_AT: &str = r#"batchdata_wallet_empty_timestamp_seconds{window="24h"}"#;
const BURN: &str = r#"batchdata_wallet_burn_usd_per_hour{window="24h"}"#;
const FIRING: (&str, &str) = ("Alerts firing", "A");
const RULES: &str = "account_vendor_source:wallet_exporter_source_interval_seconds:known{}";
const BEHIND: (&str, &str) = ("Sources behind", "A");
const INTERVAL: &str = r#"wallet_exporter_source_interval_seconds{vendor="batchdata",source="balance"}"#;
const SUCCESS: &str = r#"wallet_exporter_source_last_success_timestamp_seconds{vendor="batchdata",source="balance"}"#;
const BALANCE: &str = "batchdata_wallet_balance_usd{}";

const SITUATIONS: &[Situation] = &[
    Situation {
        name: "the runway counts down",
        series: &[(EMPTY_AT, "36000x60"), (BURN, "5x60")],
        panel: RUNWAY,
        at: "30m",
        shown: Some(9.5),
    },
    Situation {
        name: "two days and more are shown as days",
        series: &[(EMPTY_AT, "866400x60"), (BURN, "5x60")],
        panel: ("Runway", "B"),
        at: "40m",
        shown: Some(10.0),
    },
    Situation {
        name: "the runway counts down while nothing is known",
        series: &[(EMPTY_AT, "36000x10 stale"), (BURN, "5x10 stale")],
        panel: RUNWAY,
        at: "5h",
        shown: Some(5.0),
    },
    Situation {
        name: "what is not spent has no end, and the time 0 stands for it",
        series: &[(EMPTY_AT, "36000x10 stale"), (BURN, "5x10 0x300")],
        panel: RUNWAY,
        at: "5h",
        shown: Some(-5.0),
    },
    Situation {
        name: "nor has it when that was known last",
        series: &[(EMPTY_AT, "36000x10 stale"), (BURN, "5x10 0x5 stale")],
        panel: RUNWAY,
        at: "5h",
        shown: Some(-5.0),
    },
    Situation {
        name: "an old figure of an instance whose polls fail",
        series: &[
            (EMPTY_AT, "36000x60"),
            (r#"batchdata_wallet_empty_timestamp_seconds{window="24h",instance="b"}"#, "7200x60"),
            (r#"wallet_exporter_source_up{source="balance",instance="b"}"#, "0x60"),
            (r#"wallet_exporter_source_up{source="consumption",instance="b"}"#, "1x60"),
        ],
        panel: RUNWAY,
        at: "30m",
        shown: Some(9.5),
    },
    Situation {
        name: "nothing known of a runway",
        series: &[(BALANCE, "5x60")],
        panel: RUNWAY,
        at: "30m",
        shown: None,
    },
    Situation {
        name: "the last hour's rate pages",
        series: &[
            (r#"batchdata_wallet_empty_timestamp_seconds{window="1h"}"#, "9000x60"),
            (r#"batchdata_wallet_empty_timestamp_seconds{window="6h"}"#, "72000x60"),
        ],
        panel: ("Runway", "C"),
        at: "30m",
        shown: Some(2.0),
    },
    Situation {
        name: "an hour's batch that leaves enough",
        series: &[
            (r#"batchdata_wallet_empty_timestamp_seconds{window="1h"}"#, "9000x60"),
            (r#"batchdata_wallet_empty_timestamp_seconds{window="6h"}"#, "90000x60"),
        ],
        panel: ("Runway", "C"),
        at: "30m",
        shown: None,
    },
    Situation {
        name: "the higher balance is an old one",
        series: &[
            (BALANCE, "500x60"),
            (r#"batchdata_wallet_balance_usd{instance="b"}"#, "900x60"),
            (r#"wallet_exporter_source_up{source="balance",instance="b"}"#, "0x60"),
        ],
        panel: ("Balance", "A"),
        at: "30m",
        shown: Some(500.0),
    },
    Situation {
        name: "a poll failed and the balance is not too old",
        series: &[(BALANCE, "500x60"), (r#"wallet_exporter_source_up{source="balance"}"#, "0x60")],
        panel: ("Balance", "A"),
        at: "30m",
        shown: Some(500.0),
    },
    Situation {
        name: "a balance without thresholds",
        series: &[(BALANCE, "500x60")],
        panel: ("Balance status", "A"),
        at: "30m",
        shown: Some(-1.0),
    },
    Situation { name: "nothing fires", series: &[(RULES, "60x60")], panel: FIRING, at: "30m", shown: Some(0.0) },
    Situation { name: "no rules are loaded", series: &[(BALANCE, "500x60")], panel: FIRING, at: "30m", shown: None },
    Situation {
        name: "what fires of another account is its own",
        series: &[
            (RULES, "60x60"),
            (r#"ALERTS{alertname="WalletEmpty",alertstate="firing",account="other"}"#, "1x60"),
            (r#"ALERTS{alertname="WalletEmpty",alertstate="firing"}"#, "1x60"),
            (r#"ALERTS{alertname="WalletExporterTargetDown",alertstate="firing",account=""}"#, "1x60"),
        ],
        panel: FIRING,
        at: "30m",
        shown: Some(2.0),
    },
    Situation {
        name: "a late scrape makes nothing older",
        series: &[(INTERVAL, "60x30"), (SUCCESS, "_x30 1770")],
        panel: BEHIND,
        at: "34m",
        shown: Some(0.0),
    },
    Situation {
        name: "a source that is behind",
        series: &[(INTERVAL, "60x30"), (SUCCESS, "_x30 1500")],
        panel: BEHIND,
        at: "30m",
        shown: Some(1.0),
    },
    Situation {
        name: "a source that never succeeded",
        series: &[(INTERVAL, "60x30")],
        panel: BEHIND,
        at: "30m",
        shown: Some(1.0),
    },
    Situation {
        name: "none pending",
        series: &[(r#"batchdata_card_transactions_pending{kind="top_up",card_brand="visa"}"#, "0x60")],
        panel: ("Oldest pending", "A"),
        at: "30m",
        shown: Some(-1.0),
    },
];

/// With the labels that every series has, where it has no other of the name.
fn labelled(series: &str) -> String {
    let (name, labels) = series.split_once('{').unwrap();
    let labels = labels.trim_end_matches('}');
    let own = [("account", "default"), ("job", "wallet-exporter"), ("instance", "a")];
    let missing = own.iter().filter(|(label, _)| !labels.contains(&format!("{label}=")));
    let all: Vec<String> = missing.map(|(label, value)| format!(r#"{label}="{value}""#)).collect();
    let separator = if labels.is_empty() { "" } else { "," };
    format!("{name}{{{}{separator}{labels}}}", all.join(","))
}

impl Situation {
    fn case(&self) -> Value {
        let (panel, query) = self.panel;
        let plain = expression("wallet", panel, query)
            .replace("$job", ".+")
            .replace("$instance", ".+")
            .replace("$account", "default")
            // promtool allows a query 10,000 samples.
            .replace("[14d:1m]", "[6h:1m]");
        let labels = if ["Alerts firing", "Sources behind"].contains(&panel) { "{}" } else { r#"{account="default"}"# };
        let series: Vec<Value> =
            self.series.iter().map(|(series, values)| json!({"series": labelled(series), "values": values})).collect();
        let samples: Vec<Value> = self.shown.iter().map(|value| json!({"labels": labels, "value": value})).collect();
        json!({
            "name": self.name,
            "interval": "1m",
            "input_series": series,
            "promql_expr_test": [{"expr": plain, "eval_time": self.at, "exp_samples": samples}],
        })
    }
}

#[test]
fn tiles_are_right_in_situations_that_are_rare() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("situations_test.yml");
    let cases: Vec<Value> = SITUATIONS.iter().map(Situation::case).collect();
    // JSON is YAML.
    std::fs::write(&file, json!({"rule_files": [], "evaluation_interval": "1m", "tests": cases}).to_string()).unwrap();
    for promtool in versions("promtool") {
        run(&promtool, &["test", "rules", &file.to_string_lossy()]);
    }
}
