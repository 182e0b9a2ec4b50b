//! Every variable that a deployment file names is one that the program knows; the complete example names all of them.

use std::collections::BTreeSet;

use wallet_exporter::app::{INTEGRATIONS, variables};

use super::files::{text, under, yaml};

/// Read by the HTTP client that the program uses, and documented with its own.
pub const PROXY: [&str; 2] = ["HTTPS_PROXY", "NO_PROXY"];

/// Whether the program, or its HTTP client, reads this variable.
pub fn is_known(name: &str) -> bool {
    variables().any(|variable| variable.name == name) || PROXY.contains(&name)
}

/// The beginnings by which a word is known to be meant for the program, beside the vendors' prefixes.
const PREFIXES: &[&str] = &["HTTPS_", "LOG_", "METRICS_", "NO_", "STORAGE_", "WEBHOOK_", "WEB_"];

/// The names assigned in an environment file, the commented ones too.
pub fn assigned(environment_file: &str) -> BTreeSet<&str> {
    environment_file
        .lines()
        .filter_map(|line| line.strip_prefix('#').unwrap_or(line).split_once('='))
        .map(|(name, _)| name)
        .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
        .collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_uppercase() && !character.is_ascii_digit() && character != '_')
}

/// The words that are meant for the program.
pub fn words_of(text: &str) -> Vec<String> {
    let prefixes = || PREFIXES.iter().copied().chain(INTEGRATIONS.iter().map(|vendor| vendor.prefix));
    words(text).filter(|word| prefixes().any(|prefix| word.starts_with(prefix))).map(str::to_owned).collect()
}

#[test]
fn the_systemd_environment_file_names_every_variable_once_and_no_other() {
    let file = text("deploy/systemd/wallet-exporter.env");
    let known: BTreeSet<&str> = variables().map(|variable| variable.name).chain(PROXY).collect();
    assert_eq!(assigned(&file), known);
    for name in known {
        let lines = file.lines().filter(|line| line.trim_start_matches('#').starts_with(&format!("{name}=")));
        assert_eq!(lines.count(), 1, "{name}");
    }
}

#[test]
fn the_compose_environment_file_names_only_known_variables() {
    let compose = text("deploy/compose.yaml");
    for name in assigned(&text("deploy/.env.example")) {
        assert!(is_known(name) || compose.contains(&format!("${{{name}:-")), "{name} means nothing to anybody");
    }
}

#[test]
fn the_production_settings_name_only_known_variables() {
    let settings = text("deploy/kubernetes/overlays/production/settings.env");
    let names = assigned(&settings);
    assert!(!names.is_empty());
    for name in names {
        assert!(is_known(name), "{name}");
    }
}

#[test]
fn no_file_names_a_variable_that_the_program_does_not_know() {
    let mut files = under("deploy/kubernetes/base", "");
    files.extend(under("deploy/kubernetes/overlays", ""));
    files.extend(under("deploy/kubernetes/webhook", ""));
    files.extend(under("deploy/systemd", ""));
    files.extend(["Dockerfile", "deploy/compose.yaml", "deploy/.env.example", "deploy/README.md"].map(str::to_owned));
    let mut seen = 0;
    for file in &files {
        for word in words_of(&text(file)) {
            assert!(is_known(&word), "{file} names {word}");
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} names were seen");
}

#[test]
fn the_containers_environment_in_the_deployment_is_known() {
    let deployment = yaml("deploy/kubernetes/base/deployment.yaml");
    let environment = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
    for entry in environment.as_array().unwrap() {
        assert!(is_known(entry["name"].as_str().unwrap()), "{entry}");
    }
}

#[test]
fn the_systemd_environment_file_shows_the_real_defaults() {
    let file = text("deploy/systemd/wallet-exporter.env");
    // The unit keeps its state elsewhere than a program started by hand.
    for variable in variables().filter(|variable| !variable.default.is_empty() && variable.name != "STORAGE_PATH") {
        let line = format!("#{}={}", variable.name, variable.default);
        assert!(file.lines().any(|found| found == line), "{line}");
    }
}
