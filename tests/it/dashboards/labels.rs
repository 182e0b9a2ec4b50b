//! Label values that queries name are values that the exporter serves.
//!
//! Flows in: the selectors of dashboards and rules; the exposition of a running exporter. Flows out: a value that nothing
//! bears, with the query that waits for it in vain.

use std::collections::{BTreeMap, BTreeSet};

use vendor_simulator::{CardEvent, NewRow};
use wallet_exporter::money::Usd;
use wallet_exporter::upstream::RequestLimits;

use super::query::{Selector, selectors};
use super::{every_selector, family_of};
use crate::alerts::rules;
use crate::rig::Rig;

/// Known to everybody, and not the exporter's to choose.
const OPEN: [&str; 4] = ["job", "instance", "account", "le"];

type Values = BTreeMap<(String, String), BTreeSet<String>>;

/// By family and label.
async fn served() -> Values {
    let mut rig = Rig::new().await;
    // The rig's own are for faults: too short for a busy machine.
    rig.limits = RequestLimits::default();
    rig.set("BATCHDATA_WARNING_BALANCE_USD", "200");
    rig.set("BATCHDATA_CRITICAL_BALANCE_USD", "50");
    rig.set("BATCHDATA_BUDGET_MONTH_USD", "1000");
    rig.set("RIGHTFOOT_BATCH_IDS", &rig.vendors.batch(vec![NewRow::success("Chase", 100)]));
    rig.set("BATCHDATA_SOURCES", "balance,consumption,card_transactions,transactions");
    let dollar = Usd::from_cents(100);
    rig.vendors.spend(rig.vendors.now(), "api_request", "/api/v1/address/verify", dollar);
    for card in [CardEvent::paid(dollar), CardEvent::failed(dollar), CardEvent::pending(dollar)] {
        rig.vendors.card(&card);
    }
    rig.start().await;
    rig.until("every source is read", |rig| rig.snapshot().sources().all(|view| view.up == Some(true))).await;
    let mut values = Values::new();
    for line in rig.metrics().lines().filter(|line| !line.starts_with('#')) {
        let Some((sample, rest)) = line.split_once('{') else { continue };
        let Some((family, _)) = family_of(sample) else { panic!("no family {sample}") };
        for pair in rest.rsplit_once("\"}").unwrap().0.split("\",") {
            let (label, value) = pair.split_once("=\"").unwrap();
            values.entry((family.to_owned(), label.to_owned())).or_default().insert(value.to_owned());
        }
    }
    values
}

fn known(values: &Values, selector: &Selector, label: &str, value: &str) -> bool {
    let family = family_of(&selector.name).map(|(family, _)| (family.to_owned(), label.to_owned()));
    match family.and_then(|key| values.get(&key)) {
        Some(known) => known.contains(value),
        // A recorded series keeps the labels of what it was made of; a family without a series shares its labels' values.
        None => values.iter().any(|((_, one), known)| one == label && known.contains(value)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_label_value_that_a_query_names_is_served() {
    let values = served().await;
    let of_rules = rules::expressions().into_iter().flat_map(|(rule, expression)| {
        selectors(&expression).into_iter().map(move |selector| (rule.clone(), selector))
    });
    let mut seen = 0;
    for (place, selector) in every_selector().into_iter().chain(of_rules) {
        if selector.name == "ALERTS" {
            continue;
        }
        for (label, matcher) in selector.matchers.iter().filter(|(label, _)| !OPEN.contains(&label.as_str())) {
            for value in matcher.split('|') {
                assert!(known(&values, &selector, label, value), "{place}: nothing has {label}=\"{value}\"");
                seen += 1;
            }
        }
    }
    assert!(seen > 50, "the search found hardly anything: {seen}");
}
