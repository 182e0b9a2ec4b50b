//! The rules: loaded by promtool, and complete in what promtool does not ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;

use serde::Deserialize;
use wallet_exporter::app;

use super::tools::{run, versions};
use super::{read, shipped};

const ALERTS: &str = "deploy/prometheus/wallet-alerts.rules.yml";
const RECORDING: &str = "deploy/prometheus/wallet-recording.rules.yml";

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
pub struct Rule {
    pub alert: Option<String>,
    record: Option<String>,
    pub expr: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct CaseFile {
    evaluation_interval: String,
    group_eval_order: Vec<String>,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    alert_rule_test: Vec<AlertCase>,
    #[serde(default)]
    promql_expr_test: Vec<Question>,
}

/// What is asked of the series `ALERTS`, and the series that answer.
#[derive(Deserialize)]
struct Question {
    expr: String,
    exp_samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    labels: String,
}

#[derive(Deserialize)]
struct AlertCase {
    alertname: String,
    exp_alerts: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    exp_labels: BTreeMap<String, String>,
}

fn groups() -> Vec<Group> {
    [RECORDING, ALERTS]
        .iter()
        .flat_map(|file| {
            serde_saphyr::from_str::<RuleFile>(&read(file)).unwrap_or_else(|fault| panic!("{file}: {fault}")).groups
        })
        .collect()
}

fn rules() -> Vec<Rule> {
    groups().into_iter().flat_map(|group| group.rules).collect()
}

/// Every alert, by its name.
pub fn alerts() -> Vec<(String, Rule)> {
    rules().into_iter().filter_map(|rule| rule.alert.clone().map(|name| (name, rule))).collect()
}

/// Every rule's name and expression.
pub fn expressions() -> Vec<(String, String)> {
    let name = |rule: &Rule| rule.alert.clone().or_else(|| rule.record.clone()).unwrap_or_default();
    rules().into_iter().map(|rule| (name(&rule), rule.expr)).collect()
}

/// Every file of cases, with its text.
fn case_files() -> Vec<(PathBuf, String)> {
    let folder = std::fs::read_dir(shipped("deploy/prometheus/tests")).expect("the cases");
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.expect("an entry").path()).collect();
    // The long ones first, so that both workers end together.
    files.sort_by_key(|file| {
        !["week", "reconciliation", "budget", "long", "hold", "checks", "memory"]
            .iter()
            .any(|name| file.ends_with(format!("{name}_test.yml")))
    });
    assert!(!files.is_empty());
    let text = |file: &PathBuf| std::fs::read_to_string(file).expect("a file of cases");
    files.into_iter().map(|file| (file.clone(), text(&file))).collect()
}

fn cases(file: &std::path::Path, text: &str) -> CaseFile {
    serde_saphyr::from_str(text).unwrap_or_else(|fault| panic!("{}: {fault}", file.display()))
}

/// The same cases with the groups evaluated the other way round, where Prometheus looks back as far as the last evaluation.
fn reversed(file: &std::path::Path, text: &str) -> Option<String> {
    let cases = cases(file, text);
    if ["15m", "2h"].contains(&cases.evaluation_interval.as_str()) {
        return None;
    }
    let (order, mut groups) = (cases.group_eval_order.join(", "), cases.group_eval_order);
    groups.reverse();
    let folder = shipped("deploy/prometheus").to_string_lossy().into_owned();
    assert!(text.contains(&order) && text.contains("- ../wallet"), "{}: the head is another", file.display());
    Some(text.replace(&order, &groups.join(", ")).replace("- ../wallet", &format!("- {folder}/wallet")))
}

#[test]
fn promtool_accepts_the_rules_and_the_scrape_example() {
    let (alerts, recording, config) =
        (shipped(ALERTS), shipped(RECORDING), shipped("deploy/prometheus/prometheus.yml"));
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    for promtool in versions("promtool") {
        run(&promtool, &["check", "rules", "--lint=all", "--lint-fatal", &text(&recording), &text(&alerts)]);
        run(&promtool, &["check", "config", "--lint=all", "--lint-fatal", &text(&config)]);
    }
}

/// Each order with another version where there are two; every combination where WALLET_EXPORTER_LONG is set.
#[test]
fn every_alert_fires_and_is_silent_when_it_should_in_both_orders_of_the_groups() {
    let versions = versions("promtool");
    let (Some(first), Some(last)) = (versions.first(), versions.last()) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (mut runs, long) = (Vec::new(), std::env::var_os("WALLET_EXPORTER_LONG").is_some());
    for (file, text) in case_files() {
        // A week takes minutes.
        if file.ends_with("week_test.yml") && !long {
            continue;
        }
        if let Some(other) = reversed(&file, &text) {
            let path = folder.path().join(file.file_name().expect("a name"));
            std::fs::write(&path, other).expect("a file is written");
            runs.push((last, path));
        }
        runs.push((first, file));
    }
    if long && first != last {
        let crossed: Vec<_> =
            runs.iter().map(|(promtool, file)| (if *promtool == first { last } else { first }, file.clone())).collect();
        runs.extend(crossed);
    }
    let runs = Mutex::new(runs.into_iter());
    let next = || runs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((promtool, file)) = next() {
                    run(promtool, &["test", "rules", &file.to_string_lossy()]);
                }
            });
        }
    });
}

/// The value of `alertname="..."` in a selector or a set of labels.
fn alert_in(text: &str) -> Option<&str> {
    text.split("alertname=\"").nth(1)?.split('"').next()
}

#[test]
fn every_alert_has_a_case_that_fires_and_one_that_is_silent() {
    let (mut told, mut firing, mut silent) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let order: Vec<String> = groups().into_iter().map(|group| group.name).collect();
    for (file, text) in case_files() {
        let cases = cases(&file, &text);
        assert_eq!(cases.group_eval_order, order, "{}: every group, in the order of the files", file.display());
        for case in cases.tests {
            for case in case.alert_rule_test {
                if case.exp_alerts.is_empty() {
                    silent.insert(case.alertname);
                } else {
                    assert!(case.exp_alerts.iter().all(|expected| expected.exp_labels.contains_key("severity")));
                    told.insert(case.alertname);
                }
            }
            for question in case.promql_expr_test.iter().filter(|question| question.expr.contains("ALERTS{")) {
                let asked = alert_in(&question.expr);
                if question.exp_samples.is_empty() {
                    silent.extend(asked.map(str::to_owned));
                } else {
                    let answers = question.exp_samples.iter().filter_map(|sample| alert_in(&sample.labels));
                    firing.extend(answers.chain(asked).map(str::to_owned));
                }
            }
        }
    }
    let all: BTreeSet<String> = alerts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(told, all, "cases with the whole text");
    assert_eq!(silent, all, "cases that are silent");
    let unknown: Vec<&String> = firing.difference(&all).collect();
    assert!(unknown.is_empty(), "cases of alerts that are not there: {unknown:?}");
}

#[test]
fn every_alert_says_how_bad_what_and_what_to_do() {
    let sections: BTreeSet<String> = read("deploy/prometheus/runbooks.md")
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|title| title.to_lowercase().replace(' ', "-"))
        .collect();
    let mut names = BTreeSet::new();
    for (name, rule) in alerts() {
        assert!(names.insert(name.clone()), "{name} twice");
        let label = |key: &str| rule.labels.get(key).unwrap_or_else(|| panic!("{name}: no {key}")).as_str();
        assert!(["critical", "warning", "info"].contains(&label("severity")), "{name}");
        let topic = label("topic");
        assert!(["money", "budget", "card", "checks", "source", "exporter"].contains(&topic), "{name}");
        assert!(rule.labels.values().all(|value| !value.contains("{{")), "{name}: a label changes with the value");
        assert!(!rule.expr.contains("topk"), "{name}: topk makes and ends alerts at random");
        let text = |key: &str| rule.annotations.get(key).unwrap_or_else(|| panic!("{name}: no {key}")).as_str();
        let summary = text("summary");
        // What belongs to the process belongs to no account.
        let whose =
            if rule.expr.contains("storage_up") || rule.expr.contains("last_reload") || rule.expr.starts_with("up ") {
                "$labels.instance"
            } else {
                "$labels.account"
            };
        assert!(summary.contains(whose), "{name}: the summary does not say whose it is");
        if ["money", "budget", "card"].contains(&topic) {
            assert!(summary.contains("USD") && summary.contains("printf"), "{name}: no amount in readable money");
        }
        assert!(text("description").len() > 60, "{name}: the description does not say what to do");
        let (base, anchor) = text("runbook_url").split_once("/runbooks#").expect("a link to the exporter's page");
        assert!(base.starts_with("{{ with $externalLabels.wallet_exporter_url }}"), "{name}: {base}");
        assert!(text("dashboard_url").starts_with("{{ with $externalLabels.grafana_url }}"), "{name}: dashboard_url");
        assert_eq!(anchor, name.to_lowercase());
        assert!(sections.contains(anchor), "{name}: no section in the runbooks");
    }
    let described: BTreeSet<String> = sections
        .into_iter()
        .filter(|section| section.starts_with("wallet") || section.starts_with("balancecheck"))
        .collect();
    assert_eq!(described, names.iter().map(|name| name.to_lowercase()).collect(), "runbooks of alerts that exist");
}

#[test]
fn every_expression_parses_and_names_only_what_exists() {
    let recorded: BTreeSet<String> = rules().iter().filter_map(|rule| rule.record.clone()).collect();
    for rule in rules() {
        promql_parser::parser::parse(&rule.expr).unwrap_or_else(|fault| panic!("{}\n{fault}", rule.expr));
    }
    let known = |name: &str| {
        app::families().any(|family| {
            family.name == name
                || ["_bucket", "_sum", "_count"].iter().any(|suffix| name.strip_suffix(suffix) == Some(family.name))
        })
    };
    // Expressions, the queries in annotations, the comments, and the prose of the runbooks.
    for file in [RECORDING, ALERTS, "deploy/prometheus/runbooks.md"] {
        let text = read(file);
        let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'));
        let mut seen = 0;
        for word in words.map(|word| word.trim_matches(':')).filter(|word| !word.is_empty()) {
            let prefixes = ["batchdata_", "rightfoot_", "wallet_exporter_"];
            if (word.starts_with("account") || word.starts_with("instance")) && word.contains(':') {
                let complete =
                    recorded.contains(word) || recorded.iter().any(|name| name.starts_with(&format!("{word}:")));
                assert!(complete, "{file}: {word} is not recorded");
                seen += 1;
            } else if prefixes.iter().any(|prefix| word.starts_with(prefix)) {
                // An external label of Prometheus, not a series.
                assert!(known(word) || word == "wallet_exporter_url", "{file}: {word} does not exist");
                seen += 1;
            }
        }
        assert!(seen >= 5, "{file}: the search found hardly anything");
    }
}

#[test]
fn money_alerts_read_what_is_remembered() {
    for (name, rule) in alerts() {
        if rule.labels.get("topic").is_some_and(|topic| topic == "money" || topic == "budget") {
            assert!(rule.expr.contains(":known"), "{name}: missing data would resolve it");
            assert!(!rule.expr.contains("_debit_usd_total"), "{name}: a counter holds still under revisions");
        }
    }
}

/// A turn of day, month or year changes nothing where nobody asks for it, and no job has to have a certain name.
#[test]
fn no_expression_reads_the_calendar_or_a_job() {
    for rule in rules() {
        let calendar = ["hour(", "minute(", "month(", "year(", "day_of", "days_in", "86400", "wallet_period_"];
        for word in calendar.iter().chain(&["job=", "job!"]) {
            assert!(!rule.expr.contains(word), "{word} in {}", rule.expr);
        }
    }
}
