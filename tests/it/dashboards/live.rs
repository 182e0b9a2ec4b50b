//! Every query of every dashboard on a Prometheus that watches the built program while a test drives it.
//!
//! Flows in: how to ask that Prometheus, and how long it has watched. Flows out: a failure that names the queries without
//! data. Always holds: a query without data is on the list with its reason, and nothing else is on the list.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::board::{Dashboard, all};
use super::text;

/// Far more than a scrape, a poll and a zero start take, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

const NO_YESTERDAY: &str =
    "compares with a day or a week ago, when nothing was watched yet; the fortnight's check has both";

const POSITIVE: &str = "the part for a negative amount";

const BRIEF: &str = "a rate over ten minutes at least";

const NO_HOUR: &str = "compared once the balance has been polled for an hour";

const NO_HOURS: &str = "over the six hours, or the day, before each point";

/// As in a configuration that says nothing of it.
const OFF: &str = "the source transactions is off here; the fortnight's check has it";

/// Queries that a program watched for a minute cannot answer.
const EMPTY: &[(&str, &str)] = &[
    ("balance-checks/10 Success share over time/A", NO_HOURS),
    ("balance-checks/19 Typical balance/A", NO_HOURS),
    ("balance-checks/19 Typical balance/B", NO_HOURS),
    ("balance-checks/19 Typical balance/C", NO_HOURS),
    ("spend/24 Calls an hour by endpoint/A", OFF),
    ("spend/25 Price of a call by endpoint/A", OFF),
    ("spend/26 Typical price/A", OFF),
    ("spend/26 Typical price/B", OFF),
    ("spend/26 Typical price/C", OFF),
    ("spend/8 Spend rate by endpoint/A", BRIEF),
    ("spend/9 Spend rate by origin/A", BRIEF),
    ("wallet/1 Balance/B", POSITIVE),
    ("wallet/34 Not explained by the report/A", NO_HOUR),
    ("wallet/35 Compared/A", NO_HOUR),
    ("wallet/27 Spend rate, last hour/B", POSITIVE),
    ("wallet/15 Spend rate, against yesterday and last week/B", NO_YESTERDAY),
    ("wallet/15 Spend rate, against yesterday and last week/C", NO_YESTERDAY),
    ("wallet/16 Spent today, against the same time/B", NO_YESTERDAY),
    ("wallet/16 Spent today, against the same time/C", NO_YESTERDAY),
    ("wallet/17 Change/A", NO_YESTERDAY),
    ("wallet/17 Change/B", NO_YESTERDAY),
];

/// Queries that answer or not as the balance happens to be: hours or days.
const EITHER: &[&str] = &["wallet/4 Runway/A", "wallet/4 Runway/B"];

/// A query as Grafana would send it, with `All` chosen everywhere.
pub struct Query {
    pub expression: String,
    /// At this moment, and not over the whole time.
    pub instant: bool,
}

/// All queries by dashboard, panel and letter. Grafana's ranges become parts of the time watched.
fn queries(board: &Dashboard, watched: Duration) -> BTreeMap<String, Query> {
    let mut found = BTreeMap::new();
    let mut add = |place: String, expression: &str, instant: bool| {
        // Where the range before is asked for, the range must fit twice.
        let range = watched.as_secs() / if expression.contains("[$__range] offset $__range") { 2 } else { 1 };
        let expression = ["$job", "$instance", "$account"]
            .iter()
            .fold(expression.to_owned(), |text, variable| text.replace(variable, ".+"))
            // Four scrapes and a little, as Grafana would choose it.
            .replace("$group_by", "account")
            .replace("$labels", "")
            .replace("$__rate_interval", "5s")
            .replace("$__interval", "5s")
            .replace("$__range_s", &range.to_string())
            .replace("$__range", &format!("{range}s"));
        assert!(!expression.contains('$'), "{place}: {expression}");
        let double = found.insert(place.clone(), Query { expression, instant }).is_some();
        assert!(!double, "{place} stands twice");
    };
    for panel in board.panels() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let place = format!("{}/{} {}/{}", board.name, panel["id"], text(&panel["title"]), text(&target["refId"]));
            add(place, text(&target["expr"]), target["instant"] == true);
        }
    }
    for annotation in board.list("/annotations/list") {
        add(format!("{}/annotation/{}", board.name, text(&annotation["name"])), text(&annotation["expr"]), false);
    }
    for variable in board.list("/templating/list").iter().filter(|variable| variable["type"] == "query") {
        let inner =
            text(&variable["query"]["query"]).strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (selector, label) = inner.and_then(|inner| inner.rsplit_once(", ")).expect("label_values(selector, label)");
        let place = format!("{}/variable/{}", board.name, text(&variable["name"]));
        add(place, &format!("group by ({label}) ({selector})"), true);
    }
    found
}

/// Asks until everything that can answer has answered.
pub async fn every_query_answers(watched: Duration, ask: impl Fn(&Query) -> Vec<Value>) {
    let mut waiting: BTreeMap<String, Query> = all().iter().flat_map(|board| queries(board, watched)).collect();
    let asked = waiting.len();
    let excused: BTreeMap<&str, &str> = EMPTY.iter().copied().collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        waiting.retain(|_, query| ask(query).is_empty());
        let missing: Vec<String> = waiting
            .iter()
            .filter(|(place, _)| !excused.contains_key(place.as_str()) && !EITHER.contains(&place.as_str()))
            .map(|(place, query)| format!("{place}: {}", query.expression))
            .collect();
        if missing.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "no data:\n{}", missing.join("\n"));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let stale: Vec<&&str> = excused.keys().filter(|place| !waiting.contains_key(**place)).collect();
    assert!(stale.is_empty(), "on the list, and yet with data or gone: {stale:?}");
    eprintln!("{asked} queries of the dashboards, {} of them excused", excused.len());
}
