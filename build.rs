//! Flows in: the git checkout and the compiler, where there is one. Flows out: `GIT_REVISION` and `RUSTC_VERSION`
//! for `--version` and `wallet_exporter_build_info`. A build outside git says `unknown` and never fails for it.

#![allow(
    clippy::disallowed_methods,
    reason = "the ban on reading the environment is for the program, not for its build"
)]

use std::process::Command;

fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim().to_owned();
    (!line.is_empty()).then_some(line)
}

fn main() {
    println!("cargo:rerun-if-env-changed=GIT_REVISION");
    println!("cargo:rerun-if-changed=.git/HEAD");
    println!("cargo:rerun-if-changed=.git/refs/heads");
    // A container build has no .git and hands the revision in.
    let revision = std::env::var("GIT_REVISION")
        .ok()
        .filter(|value| !value.is_empty())
        .or_else(|| first_line("git", &["rev-parse", "--short=12", "HEAD"]))
        .unwrap_or_else(|| "unknown".to_owned());
    let rustc = std::env::var("RUSTC")
        .ok()
        .and_then(|program| first_line(&program, &["--version"]))
        .and_then(|line| line.split_whitespace().nth(1).map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=GIT_REVISION={revision}");
    println!("cargo:rustc-env=RUSTC_VERSION={rustc}");
}
