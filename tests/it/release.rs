//! The release's scripts, workflows and changelog, as far as they can be read. `tests/run release` builds and tries it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(directory: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(top().join(directory)).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn workflows() -> Vec<(String, Value)> {
    let found: Vec<(String, Value)> = files(".github/workflows")
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let workflow = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, workflow)
        })
        .collect();
    assert!(found.len() >= 2);
    found
}

fn steps(workflow: &Value) -> Vec<&Value> {
    let jobs = workflow["jobs"].as_object().unwrap();
    jobs.values().flat_map(|job| job["steps"].as_array().unwrap()).collect()
}

#[test]
fn the_workflows_only_call_scripts_that_are_there() {
    let mut called = 0;
    for (name, workflow) in workflows() {
        for command in steps(&workflow).iter().filter_map(|step| step["run"].as_str()) {
            assert_eq!(command.lines().count(), 1, "{name}: '{command}' belongs into a script");
            let script = top().join(command.split(' ').next().unwrap());
            let mode =
                script.metadata().unwrap_or_else(|error| panic!("{name}: {command}: {error}")).permissions().mode();
            assert!(mode & 0o111 != 0, "{name}: {command} cannot be run");
            called += 1;
        }
    }
    assert!(called >= 6, "{called}");
}

#[test]
fn the_workflows_have_no_right_but_those_that_a_job_names() {
    for (name, workflow) in workflows() {
        assert_eq!(workflow["permissions"], serde_json::json!({}), "{name}");
        for (job, fields) in workflow["jobs"].as_object().unwrap() {
            let rights =
                fields["permissions"].as_object().unwrap_or_else(|| panic!("{name}: {job} has no permissions"));
            for (right, level) in rights {
                assert!(level == "read" || job == "publish", "{name}: {job} may write {right}");
            }
            assert!(fields["timeout-minutes"].is_u64(), "{name}: {job} has no limit");
        }
        for step in steps(&workflow) {
            let Some(used) = step["uses"].as_str() else { continue };
            let (_, version) = used.split_once('@').unwrap();
            let digest = version.len() == 40 && version.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(
                digest || version.strip_prefix('v').is_some_and(|rest| rest.parse::<u32>().is_ok()),
                "{name}: {used}"
            );
            if used.starts_with("actions/checkout@") {
                assert_eq!(step["with"]["persist-credentials"], false, "{name}: the token stays in the checkout");
            }
        }
    }
}

#[test]
fn the_scripts_can_be_run_and_read() {
    let mut scripts = 0;
    for directory in ["release", "release/debian", "tests/release"] {
        for path in files(directory).iter().filter(|path| path.is_file()) {
            let text = std::fs::read_to_string(path).unwrap();
            let first = text.lines().next().unwrap_or_default();
            let executable = path.metadata().unwrap().permissions().mode() & 0o111 != 0;
            assert_eq!(first.starts_with("#!"), executable, "{}", path.display());
            if first.ends_with("sh") && executable {
                let output = Command::new("bash").arg("-n").arg(path).output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                scripts += 1;
            }
        }
    }
    assert!(scripts > 15, "{scripts}");
}

/// `1.2.3` as numbers; `None` if it is something else.
fn version(text: &str) -> Option<[u32; 3]> {
    let numbers: Vec<u32> = text.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}

/// What is wrong with a changelog, if anything is. `current` is the program's version.
fn changelog_error(text: &str, current: &str) -> Option<String> {
    let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let mut before: Option<[u32; 3]> = None;
    for (index, section) in sections.iter().enumerate() {
        let Some((number, date)) = section.strip_suffix(')').and_then(|rest| rest.split_once(" (")) else {
            return Some(format!("'## {section}' is not '## X.Y.Z (YYYY-MM-DD)'"));
        };
        let Some(numbers) = version(number) else { return Some(format!("{number} is not X.Y.Z")) };
        let unreleased = index == 0 && date == "not released yet";
        if !unreleased && chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").is_err() {
            return Some(format!("{number}: '{date}' is not a date"));
        }
        if index == 0 && number != current {
            return Some(format!("the newest section is {number}, the program is {current}"));
        }
        if before.is_some_and(|newer| newer <= numbers) {
            return Some(format!("{number} does not stand below a newer version"));
        }
        before = Some(numbers);
    }
    let mut inside = false;
    for line in text.lines() {
        inside |= line.starts_with("## ");
        let fine = ["- ", "  ", "#"].iter().any(|begin| line.starts_with(begin)) || line.is_empty();
        // A sentence that introduces a list.
        if inside && !fine && !line.ends_with(['.', ':']) {
            return Some(format!("'{line}' is no entry of a list"));
        }
    }
    sections.is_empty().then(|| "no section".to_owned())
}

#[test]
fn the_changelog_keeps_its_format() {
    let text = std::fs::read_to_string(top().join("CHANGELOG.md")).unwrap();
    assert_eq!(changelog_error(&text, env!("CARGO_PKG_VERSION")), None);
}

#[test]
fn a_broken_changelog_is_noticed() {
    let good = "# Changelog\n\n## 1.1.0 (not released yet)\n\n- A.\n  B.\n\n## 1.0.0 (2026-01-31)\n\nFirst version.\n";
    assert_eq!(changelog_error(good, "1.1.0"), None);
    for (old, new) in [
        ("1.1.0 (not released yet)", "Unreleased"),
        ("1.1.0 (not", "1.2.0 (not"),
        ("(2026-01-31)", "(31 January)"),
        ("(2026-01-31)", "(not released yet)"),
        ("1.0.0", "1.1.0"),
        ("- A.", "A"),
        ("## 1", "### 1"),
    ] {
        let bad = good.replace(old, new);
        assert_ne!(bad, good);
        assert!(changelog_error(&bad, "1.1.0").is_some(), "{old} -> {new}");
    }
}
