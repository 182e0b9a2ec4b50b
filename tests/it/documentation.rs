//! The README's tables against the code.

use std::collections::BTreeSet;

use wallet_exporter::app::{self, variables};
use wallet_exporter::catalog::FamilySpec;

const README: &str = include_str!("../../README.md");

fn table(begin: &str) -> Vec<&'static str> {
    let after = README.split(begin).nth(1).unwrap_or_else(|| panic!("README has no {begin}"));
    after.lines().skip(1).take_while(|line| !line.starts_with("<!--")).filter(|line| line.starts_with("| `")).collect()
}

/// Every family that can be served.
fn families() -> Vec<&'static FamilySpec> {
    app::families().collect()
}

#[test]
fn the_table_of_variables_is_the_codes() {
    let expected: Vec<String> = variables()
        .map(|variable| {
            let default = if variable.default.is_empty() { "-".to_owned() } else { format!("`{}`", variable.default) };
            format!("| `{}` | {default} | {} |", variable.name, variable.meaning)
        })
        .collect();
    assert_eq!(table("<!-- variables -->"), expected, "\n\n{}\n", expected.join("\n"));
}

#[test]
fn the_table_of_metrics_is_the_codes() {
    let expected: Vec<String> = families()
        .iter()
        .map(|family| {
            let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(", ") };
            format!("| `{}` | {} | {labels} | {} |", family.name, family.kind.word(), family.help)
        })
        .collect();
    assert_eq!(table("<!-- metrics -->"), expected, "\n\n{}\n", expected.join("\n"));
}

#[test]
fn families_are_named_as_prometheus_wants() {
    let mut names = BTreeSet::new();
    for family in families() {
        assert!(names.insert(family.name), "{} stands twice", family.name);
        assert_eq!(family.name.ends_with("_total"), family.kind.word() == "counter", "{}", family.name);
        assert!(family.help.ends_with('.') && !family.help.contains('\n'), "{}: {}", family.name, family.help);
        for taken in ["job", "instance", "namespace", "service", "pod", "container", "endpoint", "node"] {
            assert!(!family.labels.contains(&taken), "{} uses the label {taken}", family.name);
        }
    }
}

#[test]
fn the_readmes_links_lead_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut links = 0;
    for link in README.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let path = link.split('#').next().unwrap_or_default();
        if !path.is_empty() && !path.starts_with("http") {
            assert!(root.join(path).exists(), "the README links {path}, which is not there");
            links += 1;
        }
    }
    assert!(links > 0);
}

#[test]
fn the_paths_that_contributors_are_shown_are_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = 0;
    for page in ["CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md"] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        for path in
            text.split('`').skip(1).step_by(2).filter(|word| word.contains('/') && !word.contains(char::is_whitespace))
        {
            if ["src/", "simulator/", "tests/", "deploy/"].iter().any(|top| path.starts_with(top)) {
                assert!(root.join(path).exists(), "{page} names {path}, which is not there");
                paths += 1;
            }
        }
    }
    assert!(paths > 15, "the search found hardly anything: {paths}");
}

#[test]
fn the_files_in_the_readmes_commands_are_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let blocks = README.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let words = blocks.flat_map(|block| block.split(|letter: char| letter.is_whitespace() || letter == '='));
    let files: Vec<&str> = words.filter(|word| word.starts_with("deploy/") || word.starts_with("tests/")).collect();
    assert!(files.len() >= 4, "the search found hardly anything: {files:?}");
    for file in files {
        assert!(root.join(file).is_file(), "a command in the README names {file}, which is not there");
    }
}

#[test]
fn the_readmes_queries_parse_and_name_what_exists() {
    let block = README.split("```promql\n").nth(1).unwrap().split("```").next().unwrap();
    let queries: Vec<&str> = block.split("\n\n").collect();
    assert_eq!(queries.len(), 3);
    for query in queries {
        promql_parser::parser::parse(query).unwrap_or_else(|fault| panic!("{query}: {fault}"));
        let words = query
            .lines()
            .filter(|line| !line.starts_with('#'))
            .flat_map(|line| line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_'));
        let metrics: Vec<&str> =
            words.filter(|word| word.starts_with("batchdata_") || word.starts_with("rightfoot_")).collect();
        assert!(!metrics.is_empty());
        for metric in metrics {
            assert!(families().iter().any(|family| family.name == metric), "{metric} is not served");
        }
    }
}
