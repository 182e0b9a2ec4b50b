//! The systemd unit: accepted without a word, hardened, and reading its credentials where they are put.

use std::process::Command;

use super::files::text;
use super::tools;

/// The unit where `systemd-analyze` finds it, with a program that exists on this machine.
fn unit() -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wallet-exporter.service");
    let unit = text("deploy/systemd/wallet-exporter.service");
    let startable = unit.replace("ExecStart=/usr/local/bin/wallet-exporter\n", "ExecStart=/bin/true\n");
    assert_ne!(unit, startable);
    std::fs::write(&path, startable).unwrap();
    (directory, path)
}

#[test]
fn systemd_accepts_the_unit_without_a_word() {
    let Some(analyze) = tools::find("systemd-analyze") else { return };
    let (_directory, path) = unit();
    let output = tools::run(Command::new(analyze).args(["verify", "--man=no"]).arg(path));
    // An unknown key is only a warning to systemd.
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
fn systemd_finds_the_exposure_below_two() {
    let Some(analyze) = tools::find("systemd-analyze") else { return };
    let (_directory, path) = unit();
    tools::succeeds(
        Command::new(analyze).args(["security", "--offline=true", "--threshold=20", "--no-pager"]).arg(path),
    );
}

#[test]
fn a_credential_is_named_by_the_path_that_systemd_gives_it() {
    let unit = text("deploy/systemd/wallet-exporter.service");
    let credential = unit.lines().find_map(|line| line.strip_prefix("LoadCredential=")).unwrap();
    let (id, directory) = credential.split_once(':').unwrap();
    assert_eq!(directory, "/etc/wallet-exporter/secrets");
    let environment = text("deploy/systemd/wallet-exporter.env");
    let paths: Vec<&str> = environment
        .lines()
        .filter_map(|line| line.split_once("_FILE="))
        .map(|(_, path)| path)
        .filter(|path| path.starts_with("/run/credentials/"))
        .collect();
    assert_eq!(paths.len(), 4);
    for path in paths {
        assert!(path.starts_with(&format!("/run/credentials/wallet-exporter.service/{id}_")), "{path}");
    }
}

#[test]
fn the_unit_keeps_its_state_where_the_program_is_told_to() {
    let unit = text("deploy/systemd/wallet-exporter.service");
    for line in [
        "DynamicUser=yes",
        "StateDirectory=wallet-exporter",
        "Environment=STORAGE_PATH=%S/wallet-exporter",
        "EnvironmentFile=/etc/wallet-exporter/wallet-exporter.env",
        "LimitCORE=0",
        "MemoryMax=256M",
        "TasksMax=64",
        // Wrong configuration ends with 64: starting again would not help.
        "RestartPreventExitStatus=64",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
}
