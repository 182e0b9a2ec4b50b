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
    for shell in [Shell::Bash, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut arguments::command(), "wallet-exporter", directory)?;
    }
    std::fs::write(directory.join("wallet-exporter.fish"), fish()?)
}

/// fish's completions. clap's ask `argparse` where the command stands, which refuses flags with a dot and so completes
/// nothing; here it is the first word that is a command.
fn fish() -> std::io::Result<String> {
    let mut command = arguments::command();
    let mut bytes = Vec::new();
    clap_complete::generate(Shell::Fish, &mut command, "wallet-exporter", &mut bytes);
    let text = String::from_utf8(bytes).map_err(std::io::Error::other)?;
    let commands: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let search = format!(
        "    for word in $cmd\n        if contains -- $word {}\n            echo $word\n            return 1\n        end\n    end\n",
        commands.join(" ")
    );
    let place = text.find("    argparse -s ").and_then(|begin| {
        let length = text.get(begin..)?.find("    return 0\n")?;
        Some((begin, begin + length))
    });
    let (begin, end) =
        place.ok_or_else(|| std::io::Error::other("clap writes fish's completions in another way now"))?;
    Ok([&text[..begin], &search, &text[end..]].concat())
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
