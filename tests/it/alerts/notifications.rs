//! Alertmanager: its configuration, who hears of which alert, and the texts that they read.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::rules::alerts;
use super::tools::{run, versions};
use super::{read, shipped};

const CONFIG: &str = "deploy/alertmanager/alertmanager.yml";
const QUIET: &str = "deploy/alertmanager/examples/quiet-hours.yml";
const PAYLOAD: &str = "deploy/alertmanager/examples/webhook-payload.yml";

/// Each template that a receiver names, and how Alertmanager renders it.
const TEMPLATES: [(&str, &str); 8] = [
    ("wallet.email.subject", "text"),
    ("wallet.email.text", "text"),
    ("wallet.email.html", "html"),
    ("wallet.slack.title", "text"),
    ("wallet.slack.text", "text"),
    ("wallet.slack.color", "text"),
    ("wallet.webhook.title", "text"),
    ("wallet.webhook.text", "text"),
];

fn path(file: &str) -> String {
    shipped(file).to_string_lossy().into_owned()
}

/// Whether this Alertmanager knows the `payload` of a webhook; 0.25 does not.
fn knows_payload(amtool: &PathBuf) -> bool {
    let version = run(amtool, &["--version"]);
    let number = version.split_whitespace().find_map(|word| word.trim_end_matches(',').strip_prefix("0."));
    let minor = number.and_then(|rest| rest.split('.').next()?.parse::<u32>().ok()).expect("a version 0.x");
    minor >= 33
}

#[test]
fn amtool_accepts_the_configuration_and_the_examples() {
    for amtool in versions("amtool") {
        run(&amtool, &["check-config", &path(CONFIG), &path(QUIET)]);
        if knows_payload(&amtool) {
            run(&amtool, &["check-config", &path(PAYLOAD)]);
        }
    }
}

#[test]
fn every_alert_reaches_the_receiver_of_its_severity() {
    for amtool in versions("amtool") {
        for (name, rule) in alerts() {
            let severity = rule.labels.get("severity").expect("a severity");
            let receiver = match severity.as_str() {
                "critical" => "wallet-page",
                "warning" => "wallet-chat",
                _ => "wallet-mail",
            };
            let mut labels = vec![format!("alertname={name}"), "account=default".to_owned()];
            labels.extend(rule.labels.iter().map(|(key, value)| format!("{key}={value}")));
            for config in [CONFIG, QUIET] {
                let (file, verify) =
                    (format!("--config.file={}", path(config)), format!("--verify.receivers={receiver}"));
                let mut arguments = vec!["config", "routes", "test", &file, &verify];
                arguments.extend(labels.iter().map(String::as_str));
                run(&amtool, &arguments);
            }
        }
    }
}

#[test]
fn the_inhibitions_name_alerts_that_exist() {
    let names: BTreeSet<String> = alerts().into_iter().map(|(name, _)| name).collect();
    for config in [CONFIG, QUIET] {
        let text = read(config);
        let quoted: Vec<&str> = text
            .split("alertname")
            .skip(1)
            .filter_map(|rest| rest.split('"').nth(1))
            .flat_map(|matcher| matcher.split('|'))
            .collect();
        assert!(quoted.len() > 10, "{config}: the search found hardly anything");
        for name in quoted {
            assert!(names.contains(name), "{config}: {name}");
        }
    }
}

#[test]
fn the_quiet_hours_example_is_the_configuration_with_quiet_hours() {
    let without = |text: &str| -> Vec<String> {
        let mut kept = Vec::new();
        let mut inside = false;
        for line in text.lines().skip_while(|line| *line != "global:") {
            // The section of the intervals, and the two lines that refer to it.
            inside = (inside && line.starts_with(' ')) || line == "time_intervals:";
            if !(inside || line.contains("mute_time_intervals") || line.is_empty()) {
                kept.push(line.replace("../templates", "templates"));
            }
        }
        kept
    };
    assert_eq!(without(&read(QUIET)), without(&read(CONFIG)));
    assert_eq!(read(QUIET).matches("mute_time_intervals").count(), 2, "warning and info, never critical");
}

/// The golden files are beside the data; `UPDATE_GOLDEN=1` writes them.
#[test]
fn the_texts_read_as_they_should() {
    let glob = format!("--template.glob={}", path("deploy/alertmanager/templates/*.tmpl"));
    for amtool in versions("amtool") {
        for data in ["one", "one_without_money", "two", "ten", "budget", "resolved", "down", "own_rule"] {
            let file = format!("--template.data={}", path(&format!("tests/it/alerts/render/{data}.json")));
            let mut all = String::new();
            for (template, kind) in TEMPLATES {
                let text = format!("--template.text={{{{ template \"{template}\" . }}}}");
                let kind = format!("--template.type={kind}");
                let rendered = run(&amtool, &["template", "render", &glob, &file, &kind, &text]);
                all.push_str(&format!("===== {template}\n{}\n", rendered.trim_end()));
            }
            let golden = shipped(&format!("tests/it/alerts/render/{data}.golden"));
            #[expect(clippy::disallowed_methods, reason = "the test's own environment, not the program's")]
            if std::env::var("UPDATE_GOLDEN").is_ok() {
                std::fs::write(&golden, &all).expect("the golden file is written");
            }
            assert_eq!(all, std::fs::read_to_string(&golden).unwrap_or_default(), "{}", golden.display());
        }
    }
}
