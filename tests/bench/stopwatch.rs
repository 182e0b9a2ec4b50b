//! The measure of both intake benches: the best of a few runs, in megabytes per second.

use std::hint::black_box;
use std::time::Instant;

/// Runs each rival in turn, round after round, so that all share the machine's good and bad moments; prints the best
/// of each. `cargo test` passes `--test`: then each runs once, to show that it works.
pub fn compare(what: &str, bytes: usize, rivals: &mut [(&str, &mut dyn FnMut() -> u64)]) {
    let rounds = if std::env::args().any(|argument| argument == "--test") { 1 } else { 5 };
    let mut best = vec![f64::INFINITY; rivals.len()];
    let mut results = vec![0; rivals.len()];
    for _ in 0..rounds {
        for ((best, result), (_, run)) in best.iter_mut().zip(&mut results).zip(rivals.iter_mut()) {
            let start = Instant::now();
            *result = black_box(run());
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    println!("{what}, {:.1} MB, best of {rounds}", bytes as f64 / 1e6);
    for ((name, _), (best, result)) in rivals.iter().zip(best.iter().zip(&results)) {
        println!("  {name:<44} {:>7.0} MB/s   (result {result})", bytes as f64 / 1e6 / best);
        assert_eq!(*result, results[0], "{name} does other work than its rival");
    }
}
