//! What Alertmanager holds back because something worse or its cause is known, and what it never holds back.
//!
//! Flows in: alerts with the labels of the shipped rules, posted to the real Alertmanager with the shipped configuration.
//! Flows out: which of them it holds back, and by which other. Always holds: nothing is held back before its cause is
//! there, so that it is the cause that does it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::read;
use super::rules::alerts;
use super::servers::{alertmanager, free_port, get, post};
use super::sink::Sink;
use super::tools::versions;

const PATIENCE: Duration = Duration::from_secs(120);

/// An alert: its name, and the labels that are not its rule's: `account=a, vendor=batchdata`.
type Alert = (&'static str, &'static str);

/// A cause, what it holds back, and what it leaves alone.
struct Case {
    /// Place of the rule in the configuration.
    rules: &'static [usize],
    cause: Alert,
    held: &'static [Alert],
    left: &'static [Alert],
}

const CASES: &[Case] = &[
    Case {
        rules: &[0, 1],
        cause: ("WalletExporterDown", "account=down, vendor=batchdata"),
        held: &[
            ("WalletSourceFailing", "account=down, vendor=batchdata, source=balance"),
            ("WalletBalanceLow", "account=down"),
            ("WalletRunwayShort", "account=down"),
        ],
        left: &[
            // Of another account, maybe: that target has none.
            ("WalletExporterTargetDown", "job=wallet-exporter, instance=a:10700"),
            ("WalletSourceFailing", "account=up, vendor=batchdata, source=balance"),
            ("WalletBalanceLow", "account=up"),
            ("WalletBalanceCritical", "account=down"),
            ("WalletRunwayCritical", "account=down"),
            ("WalletExporterStorageDown", "job=wallet-exporter, instance=a:10700"),
        ],
    },
    Case {
        rules: &[0],
        cause: ("WalletExporterDown", "account=refused-and-down, vendor=batchdata"),
        held: &[("WalletTokenRejected", "account=refused-and-down, vendor=batchdata")],
        // Of this name, but of another exporter.
        left: &[("WalletTokenRejected", "account=refused-and-down, vendor=rightfoot")],
    },
    Case {
        rules: &[0],
        cause: ("WalletExporterDown", "account=checks-down, vendor=rightfoot"),
        held: &[("WalletSourceFailing", "account=checks-down, vendor=rightfoot, source=batches")],
        left: &[
            ("WalletSourceFailing", "account=checks-down, vendor=batchdata, source=balance"),
            ("WalletBalanceLow", "account=checks-down"),
        ],
    },
    Case {
        rules: &[9],
        cause: ("WalletExporterDown", "job=wallet-exporter, instance=many:10700"),
        held: &[("WalletExporterTargetDown", "job=wallet-exporter, instance=many:10700")],
        left: &[
            ("WalletExporterTargetDown", "job=wallet-exporter, instance=few:10700"),
            ("WalletSourceFailing", "account=many, vendor=batchdata, source=balance"),
            ("WalletBalanceLow", "account=many"),
        ],
    },
    Case {
        rules: &[2],
        cause: ("WalletSourceStale", "account=stale, vendor=batchdata, source=balance"),
        held: &[("WalletBalanceLow", "account=stale"), ("WalletRunwayShort", "account=stale")],
        left: &[("WalletBalanceLow", "account=fresh"), ("WalletSpendSpike", "account=stale")],
    },
    Case {
        rules: &[2],
        cause: ("WalletBalanceWithheld", "account=unknown, vendor=batchdata, source=balance"),
        held: &[("WalletBalanceLow", "account=unknown"), ("WalletRunwayShort", "account=unknown")],
        left: &[("WalletNoTopUpAlthoughLow", "account=unknown")],
    },
    Case {
        rules: &[],
        cause: ("WalletSourceStale", "account=old-and-critical, vendor=batchdata, source=balance"),
        held: &[],
        // A page is worth being wrong.
        left: &[
            ("WalletBalanceCritical", "account=old-and-critical"),
            ("WalletRunwayCritical", "account=old-and-critical"),
        ],
    },
    Case {
        rules: &[],
        cause: ("WalletSourceStale", "account=old-report, vendor=batchdata, source=consumption"),
        held: &[],
        left: &[("WalletBalanceLow", "account=old-report")],
    },
    Case {
        rules: &[3],
        cause: ("WalletRunwayCritical", "account=fast"),
        held: &[("WalletBalanceLow", "account=fast"), ("WalletRunwayShort", "account=fast")],
        left: &[("WalletRunwayShort", "account=slow"), ("WalletCardPaymentFailed", "account=fast")],
    },
    Case {
        rules: &[4],
        cause: ("WalletEmpty", "account=empty"),
        held: &[("WalletBalanceCritical", "account=empty"), ("WalletRunwayCritical", "account=empty")],
        left: &[("WalletBalanceCritical", "account=full"), ("WalletCardPaymentFailed", "account=empty")],
    },
    Case {
        rules: &[5],
        cause: ("WalletTokenRejected", "account=refused, vendor=batchdata"),
        held: &[
            ("WalletSourceFailing", "account=refused, vendor=batchdata, source=balance"),
            ("WalletSourceStale", "account=refused, vendor=batchdata, source=consumption"),
        ],
        left: &[
            ("WalletSourceFailing", "account=refused, vendor=rightfoot, source=batches"),
            ("WalletSourceFailing", "account=let-in, vendor=batchdata, source=balance"),
            ("WalletBalanceWithheld", "account=refused, vendor=batchdata, source=balance"),
        ],
    },
    Case {
        rules: &[6],
        cause: ("WalletPermissionMissing", "account=not-allowed, vendor=batchdata, source=card_transactions"),
        held: &[
            ("WalletSourceFailing", "account=not-allowed, vendor=batchdata, source=card_transactions"),
            ("WalletSourceStale", "account=not-allowed, vendor=batchdata, source=card_transactions"),
        ],
        left: &[
            ("WalletSourceFailing", "account=not-allowed, vendor=batchdata, source=balance"),
            ("WalletSourceFailing", "account=allowed, vendor=batchdata, source=card_transactions"),
        ],
    },
    Case {
        rules: &[6],
        cause: ("WalletPermissionMissing", "account=long-not-allowed, vendor=batchdata, source=consumption"),
        held: &[("WalletDataWithheld", "account=long-not-allowed, vendor=batchdata, source=consumption")],
        left: &[],
    },
    Case {
        rules: &[7],
        cause: ("WalletBalanceWithheld", "account=dropped, vendor=batchdata, source=balance"),
        held: &[
            ("WalletSourceFailing", "account=dropped, vendor=batchdata, source=balance"),
            ("WalletSourceStale", "account=dropped, vendor=batchdata, source=balance"),
        ],
        left: &[
            ("WalletSourceFailing", "account=dropped, vendor=batchdata, source=consumption"),
            ("WalletSourceStale", "account=kept, vendor=batchdata, source=balance"),
        ],
    },
    Case {
        rules: &[7],
        cause: ("WalletDataWithheld", "account=dropped-checks, vendor=rightfoot, source=batches"),
        held: &[("WalletSourceFailing", "account=dropped-checks, vendor=rightfoot, source=batches")],
        left: &[("WalletDataWithheld", "account=dropped-checks, vendor=batchdata, source=consumption")],
    },
    Case {
        rules: &[8],
        cause: ("WalletBudgetSpent", "account=spent, budget=team, period=month"),
        held: &[
            ("WalletBudgetAlmostSpent", "account=spent, budget=team, period=month"),
            ("WalletBudgetProjectedOver", "account=spent, budget=team, period=month"),
        ],
        left: &[
            ("WalletBudgetAlmostSpent", "account=spent, budget=team, period=week"),
            ("WalletBudgetProjectedOver", "account=spent, budget=other, period=month"),
            ("WalletBudgetAlmostSpent", "account=saved, budget=team, period=month"),
        ],
    },
];

/// All labels of an alert: its own and those of its shipped rule.
fn labels((name, own): Alert) -> BTreeMap<String, String> {
    let (_, rule) = alerts().into_iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no alert {name}"));
    let own = own.split(", ").map(|pair| pair.split_once('=').expect("a label"));
    let own = own.map(|(label, value)| (label.to_owned(), value.to_owned()));
    rule.labels.into_iter().chain(own).chain([("alertname".to_owned(), name.to_owned())]).collect()
}

/// Makes these alerts fire, at once.
fn fire(port: u16, firing: &[Alert]) {
    let body: Vec<Value> = firing.iter().map(|alert| json!({"labels": labels(*alert)})).collect();
    assert!(post(port, "/api/v2/alerts", &Value::from(body).to_string()), "Alertmanager refused the alerts");
}

/// What it knows: labels, fingerprint, and the fingerprints of what holds it back.
struct Known {
    labels: BTreeMap<String, String>,
    fingerprint: String,
    held_by: Vec<String>,
}

fn known(port: u16) -> Vec<Known> {
    let answer: Value = serde_json::from_str(&get(port, "/api/v2/alerts").expect("an answer")).expect("JSON");
    let one = |alert: &Value| Known {
        labels: serde_json::from_value(alert["labels"].clone()).expect("labels"),
        fingerprint: alert["fingerprint"].as_str().unwrap_or_default().to_owned(),
        held_by: serde_json::from_value(alert["status"]["inhibitedBy"].clone()).expect("a list"),
    };
    answer.as_array().expect("a list").iter().map(one).collect()
}

async fn until(what: &str, condition: impl Fn() -> Result<(), String>) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(fault) = condition() {
        assert!(Instant::now() < deadline, "{what}: {fault}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn find(all: &[Known], alert: Alert) -> Result<&Known, String> {
    let wanted = labels(alert);
    all.iter().find(|known| known.labels == wanted).ok_or_else(|| format!("{alert:?} is not there"))
}

#[derive(Deserialize)]
struct Config {
    inhibit_rules: Vec<Value>,
}

#[test]
fn every_inhibition_has_a_case() {
    let config: Config = serde_saphyr::from_str(&read("deploy/alertmanager/alertmanager.yml")).expect("YAML");
    let proven: BTreeSet<usize> = CASES.iter().flat_map(|case| case.rules).copied().collect();
    assert_eq!(proven, (0..config.inhibit_rules.len()).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn causes_hold_back_their_consequences_and_nothing_else() {
    for program in versions("prometheus-alertmanager") {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let _process = alertmanager(&program, folder.path(), port, &Sink::start());
        until("Alertmanager is ready", || get(port, "/-/ready").map(|_| ()).ok_or("no".to_owned())).await;

        // Consequences first: nothing holds them back yet. A cause that is itself a consequence elsewhere comes later.
        let causes: BTreeSet<Alert> = CASES.iter().map(|case| case.cause).collect();
        for case in CASES {
            fire(port, case.held);
        }
        until("the consequences have arrived", || {
            let all = known(port);
            CASES.iter().flat_map(|case| case.held).try_for_each(|alert| {
                let held_by = &find(&all, *alert)?.held_by;
                assert!(held_by.is_empty(), "{alert:?} is held back without a cause");
                Ok(())
            })
        })
        .await;

        fire(port, &causes.iter().copied().collect::<Vec<_>>());
        for case in CASES {
            fire(port, case.left);
        }
        until("causes hold back their consequences", || {
            let all = known(port);
            CASES.iter().try_for_each(|case| {
                let cause = &find(&all, case.cause)?.fingerprint;
                case.left.iter().try_for_each(|alert| find(&all, *alert).map(|_| ()))?;
                let free =
                    case.held.iter().find(|alert| !find(&all, **alert).is_ok_and(|one| one.held_by.contains(cause)));
                free.map_or(Ok(()), |alert| Err(format!("{:?} does not hold back {alert:?}", case.cause)))
            })
        })
        .await;
        let all = known(port);
        for alert in CASES.iter().flat_map(|case| case.left) {
            let held_by = &find(&all, *alert).expect("it was there").held_by;
            assert!(held_by.is_empty(), "{alert:?} is held back by {held_by:?}");
        }
    }
}
