//! Mutation testing: changes the rules that numbers follow, one expression at a time, and runs the tests.
//!
//! Flows in: the checkout, and names of files or folders in it. Flows out: what caught each mutant, and a list of those that
//! no test caught. All mutants are compiled into one program, and an environment variable selects one, because a build for
//! each would take days. Invariant: without that variable the program is what it was.

mod build;
mod check;
mod mutate;

use std::path::PathBuf;
use std::process::ExitCode;

/// What is mutated where no file is named.
const RULES: &[&str] = &[
    "src/counting",
    "src/batchdata/cards",
    "src/batchdata/consumption",
    "src/batchdata/history",
    "src/batchdata/reconciliation",
    "src/batchdata/status",
    "src/batchdata/transactions",
    "src/poll/attempts.rs",
    "src/rightfoot/batches",
    "src/snapshot/gate.rs",
    "src/store",
];

fn main() -> ExitCode {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout");
    let named: Vec<String> = std::env::args().skip(1).collect();
    let rules = if named.is_empty() { RULES.iter().map(|&name| name.to_owned()).collect() } else { named };
    let mut tree = build::Tree::copy(&root, &rules);
    let programs = tree.compile();
    let missed = check::check(&programs, tree.mutants());
    println!("{} mutants, {} missed", tree.mutants().len(), missed.len());
    for mutant in &missed {
        println!("{mutant}");
    }
    ExitCode::from(u8::from(!missed.is_empty()))
}
