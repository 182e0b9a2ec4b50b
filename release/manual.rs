//! Writes the manual page and the shell completions, from the command line as the program defines it.
//!
//! Flows in: a directory. Flows out: a page for the program and one for each command, and completions for bash, zsh and fish, under the names by which
//! each shell looks for them.

use std::path::Path;
use std::process::ExitCode;

use clap_complete::Shell;

#[path = "../src/main/arguments.rs"]
#[allow(dead_code, reason = "the program reads the fields, this only the definition")]
mod arguments;

fn write(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    clap_mangen::generate_to(arguments::command(), directory)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut arguments::command(), "wallet-exporter", directory)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1) else {
        eprintln!("usage: manual DIRECTORY");
        return ExitCode::from(64);
    };
    match write(Path::new(&directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}
