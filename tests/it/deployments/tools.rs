//! The programs that check the deployments.
//!
//! Flows in: a program's name. Flows out: its path, from what `tests/deploy/tools.sh` fetched or from `PATH`; nothing if
//! it is absent, with a line that says so. Under `CI=true` an absent program is a failure: a check that never runs is
//! worse than none.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where `tests/deploy/tools.sh` puts what it fetches.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("deploy-tools")
}

/// The path of a program.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::iter::once(directory().join("bin"))
        .chain(std::env::split_paths(&path))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        absent(name);
    }
    found
}

/// Says that something is absent: fails under CI, prints a line elsewhere.
pub fn absent(name: &str) {
    assert!(
        std::env::var_os("CI").as_deref() != Some(OsStr::new("true")),
        "{name} is absent: run tests/deploy/tools.sh"
    );
    eprintln!("skipped: {name} is absent; tests/deploy/tools.sh fetches it");
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a program that must succeed; answers what it printed.
pub fn succeeds(command: &mut Command) -> String {
    let output = run(command);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout.into_owned()
}
