//! The programs that read what is served.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// A program on the path. Where tests must be complete its absence is a failure, elsewhere the test is left out.
#[expect(clippy::disallowed_methods, reason = "the ban is for the program, not for its tests")]
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{name} is not installed");
        println!("skipped: {name} is not installed");
    }
    found
}

/// What a program said.
pub struct Output {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

pub fn run(program: impl AsRef<Path>, arguments: &[&str]) -> Output {
    let output =
        Command::new(program.as_ref()).args(arguments).stdin(Stdio::null()).output().expect("the program runs");
    Output { status: output.status, stdout: output.stdout, stderr: output.stderr }
}

pub fn with_input(program: impl AsRef<Path>, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program.as_ref())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    child.stdin.take().unwrap().write_all(input).expect("the program reads");
    let output = child.wait_with_output().expect("the program ends");
    Output { status: output.status, stdout: output.stdout, stderr: output.stderr }
}

/// A program in the background, ended on drop.
pub struct Background(pub Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
