//! The Helm chart as far as it can be read without Helm: its version, its values against their schema and against the
//! program, its rules and dashboards. `tests/run release` renders it.

use std::collections::BTreeSet;

use serde_json::Value;

use wallet_exporter::app::variables;

use super::files::{text, top, under, yaml};
use super::variables::{PROXY, is_known, words_of};

const CHART: &str = "deploy/helm/wallet-exporter";

/// What the chart sets itself, from values of their own or because the image's ports and paths are fixed.
const SET_BY_THE_CHART: [&str; 17] = [
    "WEB_LISTEN_ADDRESS",
    "WEB_CONFIG_FILE",
    "WEBHOOK_LISTEN_ADDRESS",
    "STORAGE_PATH",
    "CONFIG_FILE",
    "SECRETS_DIRECTORY",
    "SHARD",
    "BATCHDATA_API_TOKEN",
    "BATCHDATA_API_TOKEN_FILE",
    "RIGHTFOOT_API_KEY",
    "RIGHTFOOT_API_KEY_FILE",
    "RIGHTFOOT_BATCH_IDS",
    "RIGHTFOOT_BATCH_IDS_FILE",
    "RIGHTFOOT_WEBHOOK_SECRET",
    "RIGHTFOOT_WEBHOOK_SECRET_FILE",
    "RIGHTFOOT_WEBHOOK_OLD_SECRET",
    "RIGHTFOOT_WEBHOOK_OLD_SECRET_FILE",
];

fn schema() -> Value {
    serde_json::from_str(&text(&format!("{CHART}/values.schema.json"))).unwrap()
}

#[test]
fn the_chart_has_the_programs_version() {
    let chart = yaml(&format!("{CHART}/Chart.yaml"));
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_schema_takes_every_variable_that_the_chart_does_not_set() {
    let schema = schema();
    let names = schema["properties"]["config"]["propertyNames"]["enum"].as_array().unwrap();
    let listed: BTreeSet<&str> = names.iter().map(|name| name.as_str().unwrap()).collect();
    let expected: BTreeSet<&str> = variables()
        .map(|variable| variable.name)
        .filter(|name| !SET_BY_THE_CHART.contains(name))
        .chain(PROXY)
        .collect();
    assert_eq!(listed, expected, "values.schema.json, properties.config.propertyNames");
    for name in SET_BY_THE_CHART {
        assert!(is_known(name), "{name}");
    }
}

/// Every value has a place in the schema, and every place in the schema a documented default.
fn agree(path: &str, values: &Value, schema: &Value) {
    if schema["additionalProperties"] != false {
        return;
    }
    let names = |value: &Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
    let (found, mut listed) = (names(values), names(&schema["properties"]));
    // Helm's own, which no chart lists.
    if path.is_empty() {
        listed.remove("global");
    }
    assert_eq!(found, listed, "values.yaml and values.schema.json differ under '{path}'");
    for name in found {
        agree(&format!("{path}.{name}"), &values[&name], &schema["properties"][&name]);
    }
}

#[test]
fn the_values_and_their_schema_agree() {
    let (values, schema) = (yaml(&format!("{CHART}/values.yaml")), schema());
    assert_eq!(schema["additionalProperties"], false, "a typo would pass");
    agree("", &values, &schema);
}

/// Values in a row may share a comment; what stands alone has its own.
#[test]
fn every_group_of_values_begins_with_a_comment() {
    let values = text(&format!("{CHART}/values.yaml"));
    for group in values.split("\n\n") {
        assert!(group.starts_with("# "), "no comment: {group}");
    }
}

#[test]
fn the_chart_has_the_shipped_rules_and_dashboards_themselves() {
    let link = |path: &str| top().join(CHART).join(path).canonicalize().unwrap();
    assert_eq!(link("dashboards"), top().join("grafana/dashboards").canonicalize().unwrap());
    let rules = under("deploy/prometheus", ".rules.yml");
    assert_eq!(under(&format!("{CHART}/rules"), "").len(), rules.len());
    for rule in rules {
        let name = rule.rsplit('/').next().unwrap();
        assert_eq!(link(&format!("rules/{name}")), top().join(&rule).canonicalize().unwrap());
    }
}

#[test]
fn the_chart_protects_and_bounds_the_pod_as_kustomize_does() {
    let values = yaml(&format!("{CHART}/values.yaml"));
    let deployment = yaml("deploy/kubernetes/base/deployment.yaml");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(values["podSecurityContext"], pod["securityContext"]);
    assert_eq!(values["securityContext"], pod["containers"][0]["securityContext"]);
    assert_eq!(values["resources"], pod["containers"][0]["resources"]);
    let claim = yaml("deploy/kubernetes/base/persistentvolumeclaim.yaml");
    assert_eq!(values["persistence"]["size"], claim["spec"]["resources"]["requests"]["storage"]);
    let policy = yaml("deploy/kubernetes/base/networkpolicy.yaml");
    assert_eq!(values["networkPolicy"]["prometheus"], policy["spec"]["ingress"][0]["from"]);
}

#[test]
fn the_chart_names_no_variable_that_the_program_does_not_know() {
    let mut files = under(&format!("{CHART}/templates"), "");
    files.push(format!("{CHART}/values.yaml"));
    let mut seen = 0;
    for file in &files {
        for word in words_of(&text(file)) {
            assert!(is_known(&word), "{file} names {word}");
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} names were seen");
}
