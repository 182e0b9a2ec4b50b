//! Finds and runs promtool and amtool.
//!
//! Flows in: a program's name and arguments. Flows out: what each installed version says. Invariant: under CI an absent
//! program is a failure; elsewhere the test says on standard error that it was skipped.

use std::path::PathBuf;
use std::process::Command;

/// A folder with another version of the programs, tested beside the installed one.
const ANOTHER: &str = "WALLET_EXPORTER_TEST_TOOLS";

#[expect(clippy::disallowed_methods, reason = "the test's own environment, not the program's")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// The first program of this name on the path.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    path.split(':').map(|folder| PathBuf::from(folder).join(program)).find(|file| file.is_file())
}

/// Every version of a program: the first on the path, and the one in the other folder, if that is set.
pub fn versions(program: &str) -> Vec<PathBuf> {
    let installed = find(program);
    let other = variable(ANOTHER).map(|folder| {
        let file = PathBuf::from(folder).join(program);
        assert!(file.is_file(), "{ANOTHER} names a folder without {program}");
        file
    });
    let found: Vec<PathBuf> = installed.into_iter().chain(other).collect();
    if found.is_empty() {
        assert!(variable("CI").is_none(), "{program} is not installed, and under CI it must be");
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}

/// Runs a program and returns its standard output; panics with all it said if it fails.
pub fn run(program: &PathBuf, arguments: &[&str]) -> String {
    // promtool has little in memory, and would spend a quarter of its time on garbage collection.
    let output = Command::new(program).args(arguments).env("GOGC", "400").output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{} {}\n{said}{}",
        program.display(),
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    said
}
