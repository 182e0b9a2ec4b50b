//! The panels over `ALERTS` and the shipped alerts.
//!
//! Flows in: the selectors of `ALERTS` in the dashboards; the rules' names. Flows out: an alert that no panel shows, or a
//! part of a pattern that no alert bears.

use super::board::all;
use super::query::Selector;
use super::{every_selector, text};
use crate::alerts::rules::alerts;

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

/// Labels that tell one alert of a name from another need a column, or they cannot be told apart.
#[test]
fn the_table_of_alerts_has_a_column_for_each_of_their_labels() {
    for board in all() {
        for panel in board.panels().iter().filter(|panel| panel["title"] == "What is firing") {
            let organize = &panel["transformations"][0]["options"];
            for label in
                ["alertname", "alertstate", "severity", "account", "vendor", "source", "state", "status", "metric"]
            {
                assert!(!text(&organize["renameByName"][label]).is_empty(), "{}: {label}", board.place(panel));
            }
        }
    }
}
