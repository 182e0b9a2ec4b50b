//! The README and the documents against the code and the repository.

use std::collections::BTreeSet;
use strum::VariantArray as _;
use wallet_exporter::names::Label as _;

use wallet_exporter::app::{self, variables};
use wallet_exporter::catalog::FamilySpec;

const README: &str = include_str!("../../README.md");
const METRICS: &str = include_str!("../../docs/metrics.md");
const CONFIGURATION: &str = include_str!("../../docs/configuration.md");
const COUNTERS: &str = include_str!("../../docs/counters.md");

fn table(document: &'static str, begin: &str) -> Vec<&'static str> {
    let after = document.split(begin).nth(1).unwrap_or_else(|| panic!("there is no {begin}"));
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
    assert_eq!(table(CONFIGURATION, "<!-- variables -->"), expected, "\n\n{}\n", expected.join("\n"));
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
    assert_eq!(table(METRICS, "<!-- metrics -->"), expected, "\n\n{}\n", expected.join("\n"));
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

/// The reasons in the code, by the name that the metrics use.
#[test]
fn the_table_of_reasons_is_the_codes() {
    let section = METRICS.split("## Reasons").nth(1).unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let expected: Vec<&str> =
        wallet_exporter::upstream::Reason::VARIANTS.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(rows.collect::<Vec<_>>(), expected);
}

#[test]
fn every_link_of_a_document_leads_to_a_file_and_to_a_heading_in_it() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned(), "deploy/README.md".to_owned()];
    for entry in std::fs::read_dir(root.join("docs")).unwrap() {
        pages.push(format!("docs/{}", entry.unwrap().file_name().into_string().unwrap()));
    }
    assert!(pages.len() >= 10, "{pages:?}");
    let mut links = 0;
    for page in &pages {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let file = if path.is_empty() { root.join(page) } else { root.join(page).parent().unwrap().join(path) };
            assert!(file.exists(), "{page} links {link}, which is not there");
            if !heading.is_empty() {
                let target = std::fs::read_to_string(&file).unwrap();
                let mut headings = target.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
                let is_it = |found: &str| found.to_lowercase().replace(' ', "-") == heading;
                assert!(headings.any(is_it), "{page} links {link}, and there is no such heading");
            }
            links += 1;
        }
    }
    assert!(links > 30, "{links}");
}

#[test]
fn the_readme_stays_short() {
    let lines = README.lines().count();
    assert!(lines <= 160, "the README has {lines} lines: move details to docs/");
}

#[test]
fn the_readme_lists_every_command() {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_wallet-exporter")).arg("-h").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let section = README.split("## Commands\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut seen = 0;
    for command in commands.lines().filter_map(|line| line.split_whitespace().next()) {
        let listed = section.contains(&format!("`{command}`")) || section.contains(&format!("| `{command} "));
        assert!(listed, "the README does not list {command}");
        seen += 1;
    }
    assert!(seen >= 6, "{help}");
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
    assert_eq!(files.len(), 2, "what the search found: {files:?}");
    for file in files {
        assert!(root.join(file).is_file(), "a command in the README names {file}, which is not there");
    }
}

#[test]
fn the_documented_queries_parse_and_name_what_exists() {
    let block = COUNTERS.split("```promql\n").nth(1).unwrap().split("```").next().unwrap();
    let queries: Vec<&str> = block.split("\n\n").collect();
    assert_eq!(queries.len(), 5);
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
            let histogram = metric.strip_suffix("_sum").or(metric.strip_suffix("_count")).unwrap_or(metric);
            assert!(families().iter().any(|family| family.name == histogram), "{metric} is not served");
        }
    }
}

/// What `tests/may-install.sh` ends with on a terminal where this is typed, and what it prints.
fn answered(text: &str, variables: &[(&str, &str)]) -> (bool, String) {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/may-install.sh a-package");
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", script, "/dev/null"])
        .env_remove("CI")
        .env_remove("INSTALL")
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script makes a terminal");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_tests_ask_on_a_terminal_before_they_install_packages() {
    for (text, installs) in [("y\n", true), ("yes\n", true), ("\n", false), ("n\n", false)] {
        let (ended_well, printed) = answered(text, &[]);
        assert!(printed.contains("need these Debian packages: a-package."), "{printed}");
        assert_eq!((ended_well, printed.contains("not installed;")), (installs, !installs), "{text:?}: {printed}");
    }
    for variable in [("CI", "true"), ("INSTALL", "yes")] {
        assert_eq!(answered("", &[variable]), (true, String::new()));
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/may-install.sh");
    let mut without = std::process::Command::new(script);
    without.arg("a-package").env_remove("CI").env_remove("INSTALL").stdin(std::process::Stdio::null());
    assert_eq!(without.output().map(|output| (output.status.success(), output.stdout)).unwrap(), (true, Vec::new()));
}
