//! What tiles show in situations that a fortnight does not hold, by promtool.
//!
//! Flows in: the panels' queries; series as promtool writes them, a value each minute from the time 0. Flows out: a tile
//! that shows something else. Always holds: `default` is the chosen account.

use serde_json::{Value, json};

use super::board::expression;
use crate::alerts::rules::alerts;
use crate::alerts::tools::{run, versions};

struct Situation {
    name: &'static str,
    /// Names and labels beside account, job and instance `a`; values.
    series: &'static [(&'static str, &'static str)],
    panel: (&'static str, &'static str),
    /// Whether the shipped rules are loaded.
    rules: bool,
    at: &'static str,
    /// None where nothing is to be shown but the panel's own words.
    shown: Option<f64>,
}

const RUNWAY: (&str, &str) = ("Runway", "A");
const EMPTY_AT: &str = r#"batchdata_wallet_empty_timestamp_seconds{window="24h"}"#;
const BURN: &str = r#"batchdata_wallet_burn_usd_per_hour{window="24h"}"#;
const FIRING: (&str, &str) = ("Alerts firing", "A");
const RULES: &str = "account:wallet_alerts:loaded{}";
const BEHIND: (&str, &str) = ("Sources behind", "A");
const INTERVAL: &str = r#"wallet_exporter_source_interval_seconds{vendor="batchdata",source="balance"}"#;
const SUCCESS: &str = r#"wallet_exporter_source_last_success_timestamp_seconds{vendor="batchdata",source="balance"}"#;
const BALANCE: &str = "batchdata_wallet_balance_usd{}";
const BALANCE_UP: &str = r#"wallet_exporter_source_up{vendor="batchdata",source="balance"}"#;
const REPORT_UP: &str = r#"wallet_exporter_source_up{vendor="batchdata",source="consumption"}"#;

/// What the rules read besides, where a situation does not say otherwise: both sources polled every minute, with success.
const POLLED: &[(&str, &str)] = &[
    (INTERVAL, "60x400"),
    (SUCCESS, "0+60x400"),
    (BALANCE_UP, "1x400"),
    (r#"wallet_exporter_source_interval_seconds{vendor="batchdata",source="consumption"}"#, "60x400"),
    (r#"wallet_exporter_source_last_success_timestamp_seconds{vendor="batchdata",source="consumption"}"#, "0+60x400"),
    (REPORT_UP, "1x400"),
];

/// What [`RUNWAY`] has to agree with: the figure in the texts of the alerts.
const ALERTED: &str = r#"
    (min by (account) (account_window:batchdata_wallet_empty_timestamp_seconds:known{window=~"1h|6h|24h"}) - time()) / 3600
"#;

const SITUATIONS: &[Situation] = &[
    Situation {
        name: "the runway counts down",
        series: &[(EMPTY_AT, "36000x60"), (BURN, "5x60")],
        panel: RUNWAY,
        rules: false,
        at: "30m",
        shown: Some(9.5),
    },
    Situation {
        name: "two days and more are shown as days",
        series: &[(EMPTY_AT, "866400x60"), (BURN, "5x60")],
        panel: ("Runway", "B"),
        rules: false,
        at: "40m",
        shown: Some(10.0),
    },
    Situation {
        name: "the runway counts down, by the rules",
        series: &[(EMPTY_AT, "36000x60"), (BURN, "5x60"), (BALANCE, "50x60")],
        panel: RUNWAY,
        rules: true,
        at: "30m",
        shown: Some(9.5),
    },
    Situation {
        name: "the runway counts down while nothing is known",
        series: &[
            (EMPTY_AT, "36000x10 stale"),
            (BURN, "5x10 stale"),
            (BALANCE, "50x10 stale"),
            (BALANCE_UP, "1x10 0x390"),
            (SUCCESS, "0x400"),
            (REPORT_UP, "1x10 0x390"),
        ],
        panel: RUNWAY,
        rules: true,
        at: "5h",
        shown: Some(5.0),
    },
    Situation {
        name: "the balance alone is withheld, and the spend rate doubles",
        series: &[
            (EMPTY_AT, "36000x10 stale"),
            (BURN, "5x10 10x390"),
            (BALANCE, "50x10 stale"),
            (BALANCE_UP, "1x10 0x390"),
            (SUCCESS, "0x400"),
        ],
        panel: RUNWAY,
        rules: true,
        at: "2h",
        shown: Some(3.0),
    },
    Situation {
        name: "the report alone is withheld, and the wallet is topped up",
        series: &[
            (EMPTY_AT, "36000x10 stale"),
            (BURN, "5x10 stale"),
            (BALANCE, "50x10 100x390"),
            (REPORT_UP, "1x10 0x390"),
        ],
        panel: RUNWAY,
        rules: true,
        at: "2h",
        shown: Some(20.0),
    },
    Situation {
        name: "no rules are loaded and nothing is known",
        series: &[(EMPTY_AT, "36000x10 stale"), (BURN, "5x10 stale")],
        panel: RUNWAY,
        rules: false,
        at: "5h",
        shown: None,
    },
    Situation {
        name: "what is not spent has no end, and the time 0 stands for it",
        series: &[(EMPTY_AT, "36000x10 stale"), (BURN, "5x10 0x300")],
        panel: RUNWAY,
        rules: false,
        at: "5h",
        shown: Some(-5.0),
    },
    Situation {
        name: "nor has it when that was known last",
        series: &[(EMPTY_AT, "36000x10 stale"), (BURN, "5x10 0x5 stale"), (REPORT_UP, "1x15 0x300")],
        panel: RUNWAY,
        rules: true,
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
        rules: false,
        at: "30m",
        shown: Some(9.5),
    },
    Situation {
        name: "nothing known of a runway",
        series: &[(BALANCE, "5x60")],
        panel: RUNWAY,
        rules: false,
        at: "30m",
        shown: None,
    },
    Situation {
        name: "the window with the highest spend rate counts",
        series: &[
            (r#"batchdata_wallet_empty_timestamp_seconds{window="1h"}"#, "9000x60"),
            (r#"batchdata_wallet_empty_timestamp_seconds{window="6h"}"#, "90000x60"),
            (EMPTY_AT, "95000x60"),
            (r#"batchdata_wallet_empty_timestamp_seconds{window="7d"}"#, "7200x60"),
        ],
        panel: RUNWAY,
        rules: false,
        at: "30m",
        shown: Some(2.0),
    },
    Situation {
        name: "a rate of 6 hours counts while the last one is at rest",
        series: &[
            (r#"batchdata_wallet_burn_usd_per_hour{window="1h"}"#, "0x60"),
            (r#"batchdata_wallet_empty_timestamp_seconds{window="6h"}"#, "90000x60"),
            (EMPTY_AT, "95000x60"),
            (BURN, "5x60"),
            (BALANCE, "50x60"),
        ],
        panel: RUNWAY,
        rules: true,
        at: "30m",
        shown: Some(24.5),
    },
    Situation {
        name: "two wallets under one name: the lower balance, which alerts",
        series: &[(BALANCE, "500x60"), (r#"batchdata_wallet_balance_usd{instance="b"}"#, "900x60")],
        panel: ("Balance", "A"),
        rules: false,
        at: "30m",
        shown: Some(500.0),
    },
    Situation {
        name: "the lower balance is an old one",
        series: &[
            (BALANCE, "500x60"),
            (r#"batchdata_wallet_balance_usd{instance="b"}"#, "300x60"),
            (r#"wallet_exporter_source_up{source="balance",instance="b"}"#, "0x60"),
        ],
        panel: ("Balance", "A"),
        rules: false,
        at: "30m",
        shown: Some(500.0),
    },
    Situation {
        name: "a poll failed and the balance is not too old",
        series: &[(BALANCE, "500x60"), (r#"wallet_exporter_source_up{source="balance"}"#, "0x60")],
        panel: ("Balance", "A"),
        rules: false,
        at: "30m",
        shown: Some(500.0),
    },
    Situation {
        name: "a balance without thresholds",
        series: &[(BALANCE, "500x60")],
        panel: ("Balance status", "A"),
        rules: false,
        at: "30m",
        shown: Some(-1.0),
    },
    Situation {
        name: "nothing fires",
        series: &[(RULES, "60x60")],
        panel: FIRING,
        rules: false,
        at: "30m",
        shown: Some(0.0),
    },
    Situation {
        name: "no rules are loaded",
        series: &[(BALANCE, "500x60")],
        panel: FIRING,
        rules: false,
        at: "30m",
        shown: None,
    },
    Situation {
        name: "the recording rules alone are loaded",
        series: &[("account_vendor_source:wallet_exporter_source_interval_seconds:known{}", "60x60")],
        panel: FIRING,
        rules: false,
        at: "30m",
        shown: None,
    },
    Situation {
        name: "what fires of another account is its own",
        series: &[
            (RULES, "60x60"),
            (r#"ALERTS{alertname="WalletEmpty",alertstate="firing",account="other"}"#, "1x60"),
            (r#"ALERTS{alertname="WalletEmpty",alertstate="firing"}"#, "1x60"),
            (r#"ALERTS{alertname="WalletExporterTargetDown",alertstate="firing",account=""}"#, "1x60"),
        ],
        panel: FIRING,
        rules: false,
        at: "30m",
        shown: Some(2.0),
    },
    Situation {
        name: "a late scrape makes nothing older",
        series: &[(INTERVAL, "60x30"), (SUCCESS, "_x30 1770")],
        panel: BEHIND,
        rules: false,
        at: "34m",
        shown: Some(0.0),
    },
    Situation {
        name: "a source that is behind",
        series: &[(INTERVAL, "60x30"), (SUCCESS, "_x30 1500")],
        panel: BEHIND,
        rules: false,
        at: "30m",
        shown: Some(1.0),
    },
    Situation {
        name: "a source that never succeeded",
        series: &[(INTERVAL, "60x30")],
        panel: BEHIND,
        rules: false,
        at: "30m",
        shown: Some(1.0),
    },
    Situation {
        name: "none pending",
        series: &[(r#"batchdata_card_transactions_pending{kind="top_up",card_brand="visa"}"#, "0x60")],
        panel: ("Oldest pending", "A"),
        rules: false,
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
            .replace("$account", "default");
        let labels = if ["Alerts firing", "Sources behind"].contains(&panel) { "{}" } else { r#"{account="default"}"# };
        let besides = POLLED.iter().filter(|(name, _)| self.rules && self.series.iter().all(|(own, _)| own != name));
        let series = self.series.iter().chain(besides);
        let series: Vec<Value> =
            series.map(|(series, values)| json!({"series": labelled(series), "values": values})).collect();
        let samples: Vec<Value> = self.shown.iter().map(|value| json!({"labels": labels, "value": value})).collect();
        let mut asked = vec![json!({"expr": plain, "eval_time": self.at, "exp_samples": samples})];
        // Below zero it stands for no end, where nothing alerts.
        if self.rules && self.shown.is_some_and(|hours| hours > 0.0) {
            asked.push(json!({"expr": ALERTED, "eval_time": self.at, "exp_samples": samples}));
        }
        json!({"name": self.name, "interval": "1m", "input_series": series, "promql_expr_test": asked})
    }
}

#[test]
fn tiles_are_right_in_situations_that_are_rare_and_agree_with_the_alerts() {
    let low = alerts().into_iter().find(|(name, _)| name == "WalletBalanceLow").unwrap().1;
    let text = &low.annotations["summary"];
    assert!(text.contains(&ALERTED.trim().replace('{', r#"{account="%s","#)), "the alert asks another thing: {text}");
    let folder = tempfile::tempdir().unwrap();
    let rules = format!("{}/deploy/prometheus/wallet-recording.rules.yml", env!("CARGO_MANIFEST_DIR"));
    for (name, loaded, files) in [("without", false, json!([])), ("with", true, json!([rules]))] {
        let file = folder.path().join(format!("{name}_rules_test.yml"));
        let cases: Vec<Value> = SITUATIONS.iter().filter(|one| one.rules == loaded).map(Situation::case).collect();
        assert!(cases.len() >= 5);
        // JSON is YAML.
        let text = json!({"rule_files": files, "evaluation_interval": "1m", "tests": cases}).to_string();
        std::fs::write(&file, text).unwrap();
        for promtool in versions("promtool") {
            run(&promtool, &["test", "rules", &file.to_string_lossy()]);
        }
    }
}
