//! Runs the tests with one mutant after another.
//!
//! Flows in: programs, mutants. Flows out: the mutants that no test caught. A test that fails, or does not end, has caught
//! one.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::build::Programs;
use crate::mutate::Mutant;

/// The integration tests of the rules: those that take seconds and need no other program.
const MODULES: &[&str] = &[
    "ledger::",
    "laws::",
    "burn::",
    "budgets::",
    "reconciliation::",
    "transactions::",
    "starts::",
    "combinations::",
    "webhook::",
];
const PATIENCE: Duration = Duration::from_secs(300);

/// The mutants that no test caught.
pub fn check(programs: &Programs, mutants: &[Mutant]) -> Vec<String> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    assert!(caught_by(programs, 0).is_none(), "the tests fail without a mutant");
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = if mutant.unviable { Some("unviable") } else { caught_by(programs, mutant.number) };
                    println!("{:5} {:11} {}", mutant.number, outcome.unwrap_or("missed"), mutant.what);
                    if outcome.is_none() {
                        done.lock().expect("no panic").push((mutant.number, mutant.what.clone()));
                    }
                }
            });
        }
    });
    let mut missed = done.into_inner().expect("no panic");
    missed.sort();
    missed.into_iter().map(|(_, what)| what).collect()
}

/// Which tests catch the mutant, quick ones first.
fn caught_by(programs: &Programs, number: u32) -> Option<&'static str> {
    let passes = |program: &Path, arguments: &[&str]| passes(program, arguments, &programs.root, number);
    if !passes(&programs.unit, &[]) {
        Some("unit")
    } else if !passes(&programs.integration, MODULES) {
        Some("integration")
    } else if !passes(&programs.simulation, &[]) {
        Some("simulation")
    } else {
        None
    }
}

fn passes(program: &Path, arguments: &[&str], root: &Path, number: u32) -> bool {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .env("CARGO_MANIFEST_DIR", root)
        .env("MUTANT", number.to_string())
        .env("SIMULATION_STOP", "1")
        // They wait more than they work.
        .env("RUST_TEST_THREADS", "8")
        .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a program that was built");
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status.success();
        }
        if begin.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
