//! The Grafana dashboards: rules that every panel keeps, names that exist, and the real drawing of all of them.

mod accounts;
pub mod board;
mod counters;
mod drawn;
mod exact;
mod firing;
mod history;
mod labels;
mod lint;
pub mod live;
mod query;
mod recorder;
mod situations;
mod story;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wallet_exporter::app;
use wallet_exporter::catalog::MetricType;

use board::{Dashboard, all};
use query::{Selector, selectors};

use crate::alerts::rules::expressions;

/// What the shipped rules record whenever an exporter is watched: where it is absent, they are not loaded.
const OF_RULES: &str = "account:wallet_alerts:loaded";

/// Prometheus' own series that the dashboards show.
const OF_PROMETHEUS: &[&str] = &["ALERTS", "up", "scrape_duration_seconds"];

/// Families on no dashboard, each with the reason.
const ON_NO_DASHBOARD: &[(&str, &str)] = &[
    ("process_virtual_memory_bytes", "an address space says nothing about the memory in use"),
    ("wallet_exporter_shard_info", "it has no value to draw; it is there only where accounts are divided"),
    ("process_threads", "the number of worker threads is fixed at the start"),
];

const PANEL_TYPES: &[&str] = &["timeseries", "stat", "bargauge", "table", "text", "row"];

fn families() -> Vec<(&'static str, MetricType)> {
    app::families().map(|family| (family.name, family.kind)).collect()
}

/// The family that a sample's name belongs to.
fn family_of(sample: &str) -> Option<(&'static str, MetricType)> {
    families().into_iter().find(|(name, kind)| {
        *name == sample
            || (*kind == MetricType::Histogram
                && ["_bucket", "_sum", "_count"].iter().any(|end| sample.strip_suffix(end) == Some(name)))
    })
}

/// Every query of a board with where it stands: panels, annotations, variables.
fn queries(board: &Dashboard) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for panel in board.panels() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push((board.place(&panel), text(&target["expr"]).to_owned()));
        }
    }
    for annotation in board.list("/annotations/list") {
        found.push((format!("{} annotation", board.name), text(&annotation["expr"]).to_owned()));
    }
    found
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn every_selector() -> Vec<(String, Selector)> {
    all()
        .iter()
        .flat_map(queries)
        .flat_map(|(place, expression)| {
            selectors(&expression).into_iter().map(move |selector| (place.clone(), selector))
        })
        .collect()
}

#[test]
fn there_is_one_dashboard_for_each_reader() {
    let uids: Vec<(String, String, String)> = all()
        .iter()
        .map(|board| {
            (
                text(&board.json["title"]).into(),
                text(&board.json["uid"]).into(),
                text(&board.json["time"]["from"]).into(),
            )
        })
        .collect();
    let expected = [
        ("Balance checks", "wallet-exporter-balance-checks", "now-7d"),
        ("Exporter", "wallet-exporter-exporter", "now-6h"),
        ("Spend", "wallet-exporter-spend", "now-7d"),
        ("Wallet", "wallet-exporter-wallet", "now-7d"),
    ];
    let expected: Vec<_> =
        expected.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect();
    assert_eq!(uids, expected);
}

#[test]
fn dashboards_are_classic_read_only_and_linked() {
    for board in all() {
        let json = &board.json;
        let version = json["schemaVersion"].as_u64().unwrap();
        assert!((39..=41).contains(&version), "{}: schemaVersion {version}", board.name);
        assert_eq!(json["editable"], false, "{}", board.name);
        assert_eq!(json["graphTooltip"], 1, "{}", board.name);
        assert!(
            json.get("__inputs").is_none() && json.get("id").is_none(),
            "{}: exported, not provisioned",
            board.name
        );
        let tag = &json["tags"][0];
        let links = board.list("/links");
        let link = links.iter().find(|link| link["type"] == "dashboards").unwrap();
        assert_eq!(&link["tags"][0], tag, "{}", board.name);
        assert!(link["keepTime"] == true && link["includeVars"] == true, "{}", board.name);
    }
}

#[test]
fn variables_choose_the_data_source_and_accounts() {
    for board in all() {
        let variables = board.list("/templating/list");
        let names: Vec<&str> = variables.iter().map(|variable| text(&variable["name"])).collect();
        let first = ["datasource", "job", "instance", "labels", "account"];
        assert_eq!(names[..5], first, "{}", board.name);
        let more: &[&str] = if board.name == "spend" { &["group_by"] } else { &[] };
        assert_eq!(&names[5..], more, "{}", board.name);
        assert_eq!(variables[0]["label"], "Data source", "{}", board.name);
        assert_eq!(variables[0]["type"], "datasource", "{}", board.name);
        assert_eq!(variables[0]["query"], "prometheus", "{}", board.name);
        for variable in &variables[1..] {
            let place = format!("{} variable {}", board.name, variable["name"]);
            if variable["type"] == "textbox" {
                assert!(!text(&variable["description"]).is_empty(), "{place}");
                assert_eq!(variable["current"]["value"], variable["query"], "{place}");
                continue;
            }
            assert!(variable["multi"] == true && variable["includeAll"] == true, "{place}");
            assert_eq!(variable["allValue"], ".+", "{place}");
            assert_eq!(variable["refresh"], 2, "{place}: reload when the time range changes");
            let query = text(&variable["query"]["query"]);
            let inner = query.strip_prefix("label_values(").and_then(|rest| rest.rsplit_once(", ")).unwrap().0;
            for selector in selectors(inner) {
                for name in selector.matcher("__name__").unwrap_or(&selector.name).split('|') {
                    assert!(family_of(name).is_some(), "{place}: {name}");
                }
            }
        }
    }
}

/// A target of one account has no build information, and the exporter's own target has no sources.
#[test]
fn the_variable_instance_lists_targets_of_one_account_too() {
    for board in all() {
        let variables = board.list("/templating/list");
        let query = text(&variables[2]["query"]["query"]);
        for family in ["wallet_exporter_build_info", "wallet_exporter_source_polls_total"] {
            assert!(query.contains(family), "{}: {query}", board.name);
        }
    }
}

/// Charts of which the last value or the total is read, and what their legends show.
const LEGENDS: &[(&str, &[&str])] = &[
    ("Balance, thresholds and top-ups", &["lastNotNull"]),
    ("Not explained by the report", &["lastNotNull"]),
    ("Runway by spend rate", &["lastNotNull"]),
    ("Settled checks by status", &["lastNotNull"]),
    ("Spend by day", &["lastNotNull", "sum"]),
    ("Spend rate, against yesterday and last week", &["lastNotNull"]),
];

#[test]
fn legends_show_the_last_value_and_the_total_of_days() {
    let mut seen = BTreeSet::new();
    for board in all() {
        for panel in board.panels() {
            let Some((title, calcs)) = LEGENDS.iter().find(|(title, _)| panel["title"] == *title) else { continue };
            assert_eq!(panel["options"]["legend"]["calcs"], json!(calcs), "{title}");
            seen.insert(*title);
        }
    }
    assert_eq!(seen.len(), LEGENDS.len(), "{seen:?}");
}

#[test]
fn the_data_source_is_always_the_variable() {
    for board in all() {
        let mut stack = vec![&board.json];
        while let Some(value) = stack.pop() {
            if let Some(source) = value.get("datasource") {
                assert_eq!(source["uid"], "${datasource}", "{}: {source}", board.name);
            }
            match value {
                Value::Array(items) => stack.extend(items),
                Value::Object(items) => stack.extend(items.values()),
                _ => {}
            }
        }
    }
}

#[test]
fn every_panel_is_described_and_says_what_no_data_means() {
    for board in all() {
        for panel in board.panels() {
            let place = board.place(&panel);
            let kind = text(&panel["type"]);
            assert!(PANEL_TYPES.contains(&kind), "{place}: {kind}");
            assert!(!text(&panel["title"]).is_empty(), "{place}");
            if kind == "row" {
                continue;
            }
            assert!(text(&panel["description"]).len() > 20, "{place}: no description");
            if kind == "text" {
                assert!(text(&panel["options"]["content"]).len() > 100, "{place}");
                continue;
            }
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(!text(&defaults["unit"]).is_empty(), "{place}: no unit");
            assert!(!text(&defaults["noValue"]).is_empty(), "{place}: no noValue");
            assert!(panel["datasource"].is_object(), "{place}: no data source");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{place}: no query");
            let unknown = &defaults["thresholds"]["steps"][0];
            assert!(
                ["text", "transparent", "orange"].contains(&text(&unknown["color"])),
                "{place}: unknown has a colour"
            );
            for target in targets {
                assert!(target["format"] == "table" || text(&target["legendFormat"]) != "__auto", "{place}: no legend");
            }
        }
    }
}

#[test]
fn every_dashboard_tells_what_to_do() {
    for board in all() {
        assert!(
            board.panels().iter().any(|panel| panel["title"] == "What to do" && panel["type"] == "text"),
            "{}",
            board.name
        );
    }
}

#[test]
fn panels_have_their_own_place_and_id() {
    for board in all() {
        let mut cells = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in board.panels() {
            let place = board.place(&panel);
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{place}: id used twice");
            let edge = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            assert!(edge("x") + edge("w") <= 24, "{place}: wider than the grid");
            for x in edge("x")..edge("x") + edge("w") {
                for y in edge("y")..edge("y") + edge("h") {
                    assert!(cells.insert((x, y)), "{place}: overlaps another panel at {x},{y}");
                }
            }
        }
    }
}

#[test]
fn every_selector_names_a_family_or_a_rule_and_keeps_the_variables() {
    let recorded = expressions();
    for (place, selector) in every_selector() {
        let recorded = recorded.iter().any(|(name, _)| *name == selector.name);
        if selector.name == "ALERTS" || recorded {
            // Aggregated expressions carry no job and no instance.
            assert!(!recorded || selector.matcher("account") == Some("$account"), "{place}: {}", selector.name);
            continue;
        }
        assert_eq!(selector.matcher("job"), Some("$job"), "{place}: {}", selector.name);
        assert_eq!(selector.matcher("instance"), Some("$instance"), "{place}: {}", selector.name);
        if OF_PROMETHEUS.contains(&selector.name.as_str()) {
            continue;
        }
        let (name, _) = family_of(&selector.name).unwrap_or_else(|| panic!("{place}: no family {}", selector.name));
        let labels = app::families().find(|family| family.name == name).map_or(&[][..], |family| family.labels);
        let expected = labels.contains(&"account").then_some("$account");
        assert_eq!(selector.matcher("account"), expected, "{place}: {}", selector.name);
        for (label, _) in &selector.matchers {
            let known = ["job", "instance", "le"].contains(&label.as_str()) || labels.contains(&label.as_str());
            assert!(known, "{place}: {} has no label {label}", selector.name);
        }
    }
}

/// Panels and columns that can be negative. Grafana writes a negative amount as `-$15.50` in the unit `currencyUSD`, which
/// shortens thousands to `$2.35K`, and as `$-15.50` in the other one.
const SIGNED: &[&str] = &[
    "Balance, thresholds and top-ups",
    "Not attributed",
    "Not explained by the report",
    "Spend rate, against yesterday and last week",
];

/// The unit of an amount that is negative, and of whatever else is in its column.
fn is_for_negative(column: &Value) -> bool {
    column["matcher"] == json!({"id": "byValue", "options": {"reducer": "min", "op": "lt", "value": 0}})
        && column["properties"] == json!([{"id": "unit", "value": "currencyUSD"}])
}

#[test]
fn money_is_shown_in_dollars_and_cents_and_no_limit_is_written_down() {
    for board in all() {
        for panel in board.panels() {
            let place = board.place(&panel);
            let defaults = &panel["fieldConfig"]["defaults"];
            let columns = panel["fieldConfig"]["overrides"].as_array().into_iter().flatten();
            let columns = columns.filter(|column| !is_for_negative(column)).flat_map(|column| {
                let properties = column["properties"].as_array().into_iter().flatten();
                let units = properties.filter(|property| property["id"] == "unit");
                units.map(|unit| (text(&column["matcher"]["options"]), text(&unit["value"])))
            });
            for (name, unit) in columns.chain([(text(&panel["title"]), text(&defaults["unit"]))]) {
                if !unit.starts_with("currency") || unit == "currency:financial:-$" {
                    continue;
                }
                let expected = if SIGNED.contains(&name) { "currencyUSD" } else { "currency:financial:$" };
                assert_eq!(unit, expected, "{place}: {name}");
            }
            if text(&defaults["unit"]).starts_with("currency") {
                let steps = defaults["thresholds"]["steps"].as_array().unwrap();
                assert!(
                    steps.iter().all(|step| step["value"].is_null() || step["value"] == 0),
                    "{place}: dollars in a threshold"
                );
            }
        }
    }
}

/// Grafana writes a negative amount in whole dollars and cents as `$-15.50`. So it has another unit while it is negative; the
/// drawn dashboards show that for every figure that is no counter. Where thousands must not be shortened, it is shown without
/// its sign, in a unit that has one.
#[test]
fn a_negative_amount_has_its_sign_before_the_dollar() {
    let mut seen = 0;
    for board in all() {
        for panel in board.panels() {
            for override_ in panel["fieldConfig"]["overrides"].as_array().into_iter().flatten() {
                let properties = override_["properties"].as_array().unwrap();
                let negative = properties.iter().any(|property| property["value"] == "currency:financial:-$");
                if !negative {
                    continue;
                }
                let place = board.place(&panel);
                assert_eq!(override_["matcher"]["id"], "byFrameRefID", "{place}");
                let target = panel["targets"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|target| target["refId"] == override_["matcher"]["options"]);
                assert!(text(&target.unwrap()["expr"]).starts_with('-'), "{place}: the sign would stand twice");
                seen += 1;
            }
        }
    }
    assert!(seen >= 3, "the search found hardly anything: {seen}");
}

#[test]
fn every_family_is_on_a_dashboard_or_excused() {
    let shown: BTreeSet<&str> =
        every_selector().iter().filter_map(|(_, selector)| family_of(&selector.name)).map(|(name, _)| name).collect();
    let excused: BTreeSet<&str> = ON_NO_DASHBOARD.iter().map(|(name, _)| *name).collect();
    let missing: Vec<&str> = families()
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !shown.contains(name) && !excused.contains(name))
        .collect();
    assert!(missing.is_empty(), "on no dashboard: {missing:?}");
    let stale: Vec<&&str> = excused.iter().filter(|name| shown.contains(*name)).collect();
    assert!(stale.is_empty(), "excused and yet shown: {stale:?}");
}
