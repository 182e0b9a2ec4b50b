//! Every dashboard run on a real Prometheus filled with 14 days, checked against Grafana's published types and drawn by
//! Grafana's own components into `target/dashboards/*.png`.
//!
//! Flows in: the dashboards, the rules, and the fortnight of [`history`]. Flows out: what `check.mjs` says about them.
//! Always holds: both Prometheus versions are asked where `PROMETHEUS_NEWEST` names the second.
//!
//! Needs promtool, prometheus, Chromium, node and npm. Absent tools skip the test with a line on stderr, and fail it
//! where `CI=true`.

#![allow(
    clippy::disallowed_methods,
    reason = "the ban on reading the environment is for the program, not for its tests"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::history;

fn runs(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Installs the locked packages once; a changed lock file installs anew.
fn packages(harness: &Path, modules: &Path) -> Result<(), String> {
    let lock = fs::read(harness.join("package-lock.json")).map_err(|fault| fault.to_string())?;
    let mark = modules.join("installed-lock.json");
    if fs::read(&mark).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    fs::create_dir_all(modules).map_err(|fault| fault.to_string())?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(harness.join(name), modules.join(name)).map_err(|fault| fault.to_string())?;
    }
    let output = Command::new("npm")
        .args(["ci", "--legacy-peer-deps", "--no-audit", "--no-fund"])
        .current_dir(modules)
        .output()
        .map_err(|fault| fault.to_string())?;
    if !output.status.success() {
        return Err(format!("npm ci failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    fs::write(&mark, lock).map_err(|fault| fault.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_answers_and_every_panel_is_drawn() {
    let required = std::env::var("CI").is_ok_and(|value| value == "true");
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    let tools = ["node", "npm", "prometheus", "promtool", chromium.as_str()];
    let missing: Vec<&str> = tools.into_iter().filter(|tool| !runs(tool)).collect();
    if !missing.is_empty() {
        assert!(!required, "CI must draw the dashboards; missing: {missing:?}");
        eprintln!("SKIPPED: dashboards not drawn, missing {missing:?}");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let harness = root.join("tests/dashboards");
    let output = root.join("target/dashboards");
    let modules = output.join("node");
    if let Err(fault) = packages(&harness, &modules) {
        assert!(!required, "{fault}");
        eprintln!("SKIPPED: dashboards not drawn, {fault}");
        return;
    }
    let history = output.join("history.om");
    history::write(&history).await;
    let mut check = Command::new("node");
    check.arg(harness.join("check.mjs")).arg(&modules).arg(&output).arg(&history);
    let report = check.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&report.stdout), String::from_utf8_lossy(&report.stderr));
    assert!(report.status.success(), "{}\n{said}", history.display());
    // Large; a failed check leaves it to look at.
    fs::remove_file(&history).unwrap();
    for name in ["balance-checks", "exporter", "spend", "wallet"] {
        let picture = output.join(format!("{name}.png"));
        assert!(
            fs::metadata(&picture).is_ok_and(|file| file.len() > 50_000),
            "{} is missing or blank",
            picture.display()
        );
    }
}
