//! The exceptions for dashboard-linter, which people run before they import.
//!
//! Flows in: `.lint` beside the dashboards, and the dashboards. Flows out: an exception without a reason, without a panel
//! or without need, and a need without an exception.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::board::all;
use super::query::selectors;
use super::text;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lint {
    exclusions: BTreeMap<String, Exclusion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exclusion {
    reason: String,
    entries: Vec<Entry>,
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(deny_unknown_fields)]
struct Entry {
    dashboard: String,
    panel: String,
}

/// The panels with a selector that lacks the matcher `label=~"$label"`.
fn without(label: &str) -> BTreeSet<Entry> {
    let mut found = BTreeSet::new();
    for board in all() {
        for panel in board.panels() {
            let targets = panel["targets"].as_array().into_iter().flatten();
            let lacks = |selector: &super::Selector| selector.matcher(label) != Some(&format!("${label}"));
            if targets.flat_map(|target| selectors(text(&target["expr"]))).any(|selector| lacks(&selector)) {
                let (dashboard, panel) = (text(&board.json["title"]).to_owned(), text(&panel["title"]).to_owned());
                found.insert(Entry { dashboard, panel });
            }
        }
    }
    found
}

#[test]
fn every_exception_is_needed_and_has_its_reason() {
    let file = include_str!("../../../grafana/dashboards/.lint");
    let lint: Lint = serde_saphyr::from_str(file).expect("the linter's format");
    assert!(!lint.exclusions.is_empty());
    for (rule, exclusion) in lint.exclusions {
        assert!(exclusion.reason.len() > 20, "{rule}: no reason");
        let needed = match rule.as_str() {
            "target-job-rule" => without("job"),
            "target-instance-rule" => without("instance"),
            other => panic!("this test does not know when {other} needs an exception"),
        };
        let count = exclusion.entries.len();
        let excepted: BTreeSet<Entry> = exclusion.entries.into_iter().collect();
        assert_eq!(excepted.len(), count, "{rule}: a panel stands twice");
        assert_eq!(excepted, needed, "{rule}");
    }
}
