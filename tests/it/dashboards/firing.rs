//! The panels over `ALERTS` and the shipped alerts.
//!
//! Flows in: the selectors of `ALERTS` in the dashboards; the rules' names. Flows out: an alert that no panel shows, or a
//! part of a pattern that no alert bears.

use super::board::all;
use super::query::Selector;
use super::{OF_RULES, every_selector, text};
use crate::alerts::rules::{alerts, expressions};

/// Every selector of `ALERTS`, with where it stands.
fn over_alerts() -> Vec<(String, Selector)> {
    every_selector().into_iter().filter(|(_, selector)| selector.name == "ALERTS").collect()
}

/// The beginnings of a pattern such as `(Wallet|BalanceCheck).+`.
fn beginnings(pattern: &str) -> Vec<&str> {
    let inner = pattern.strip_prefix('(').and_then(|rest| rest.strip_suffix(").+"));
    inner.unwrap_or_else(|| panic!("a pattern of another form: {pattern}")).split('|').collect()
}

#[test]
fn every_shipped_alert_is_on_every_panel_over_alerts() {
    let selectors = over_alerts();
    assert!(selectors.len() >= 4, "the search found hardly anything");
    for (place, selector) in selectors {
        for (name, _) in alerts() {
            assert!(selector.accepts("alertname", &name), "{place}: does not show {name}");
        }
        for beginning in beginnings(selector.matcher("alertname").expect("a choice of names")) {
            assert!(
                alerts().iter().any(|(name, _)| name.starts_with(beginning)),
                "{place}: no shipped alert begins with {beginning}"
            );
        }
    }
}

#[test]
fn whether_the_rules_are_loaded_is_told_by_what_they_record() {
    let recorded = expressions();
    assert!(recorded.iter().any(|(name, _)| name == OF_RULES), "the rules no longer record {OF_RULES}");
    for board in all() {
        for panel in board.panels().iter().filter(|panel| panel["title"] == "Alerts firing") {
            let expression = text(&panel["targets"][0]["expr"]);
            assert!(expression.contains(OF_RULES), "{}: 0 also without rules", board.place(panel));
        }
    }
}

/// An alert without an account is of the exporter itself, and concerns every account.
#[test]
fn alerts_are_those_of_the_chosen_accounts() {
    for (place, selector) in over_alerts() {
        assert_eq!(selector.matcher("account"), Some("$account|"), "{place}");
    }
}

/// Labels that tell one alert of a name from another are shown, or they cannot be told apart.
#[test]
fn the_table_of_alerts_shows_each_of_their_labels() {
    for board in all() {
        for panel in board.panels().iter().filter(|panel| panel["title"] == "Firing alerts") {
            let place = board.place(panel);
            let organize = &panel["transformations"][1]["options"];
            for label in ["alertname", "alertstate", "severity", "account", "about"] {
                assert!(!text(&organize["renameByName"][label]).is_empty(), "{place}: {label}");
            }
            let expression = text(&panel["targets"][0]["expr"]);
            for label in
                ["vendor", "source", "state", "status", "kind", "metric", "window", "budget", "period", "instance"]
            {
                assert!(expression.contains(&format!("\"{label}\"")), "{place}: {label}");
                assert_eq!(organize["excludeByName"][label], true, "{place}: {label} stands twice");
            }
            // The rank of the severity is the value, and the value is the order.
            assert_eq!(panel["transformations"][0]["options"]["sort"][0]["field"], "Value", "{place}");
            let rank = |severity: &str| expression.find(&format!("severity{severity}"));
            assert!(rank("=\"critical\"") < rank("=\"warning\""), "{place}: critical is not first");
            assert!(rank("=\"warning\"") < rank("!~"), "{place}: what is no warning is before the warnings");
        }
    }
}
