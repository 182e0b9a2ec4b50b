//! The deterministic simulation: one seed is one world, and the same seed is the same world again.
//!
//! The real application runs on simulated clocks, a simulated network and a real database; an oracle that counts in
//! integers knows what is true; invariants are checked on each scrape.
//!
//! `SIMULATION_SEED=7` runs one seed and prints what happens in it. `SIMULATION_SEEDS=500` or `SIMULATION_SEEDS=500..900`
//! runs many, and with `SIMULATION_STOP=1` only to the first that fails. Neither set: a few fixed ones.

#![expect(clippy::disallowed_methods, reason = "which seeds to run is asked for in the environment")]

mod actions;
mod batches;
mod budgets;
mod checks;
mod clock;
mod counters;
mod delivery;
mod finish;
mod gauges;
mod ids;
mod lag;
mod exporter;
mod money;
mod network;
mod oracle;
mod pauses;
mod plan;
mod polled;
mod reload;
mod starts;
mod tallies;
mod text;
mod trace;
mod transactions;
mod trouble;
mod world;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use plan::Plan;
use world::{Draw, Failed, Passed, run};

/// The seeds of an ordinary test run.
const FIXED: Range<u64> = 0..16;

fn seeds() -> Range<u64> {
    let number = |text: &str| text.trim().parse().expect("SIMULATION_SEEDS is a count, or a range such as 5..10");
    match std::env::var("SIMULATION_SEEDS") {
        Err(_) => FIXED,
        Ok(text) => match text.split_once("..") {
            Some((from, to)) => number(from)..number(to),
            None => 0..number(&text),
        },
    }
}

fn one(seed: u64, loud: bool, draw: Draw) -> Result<Passed, String> {
    match catch_unwind(AssertUnwindSafe(|| run(seed, loud, draw))) {
        Ok(Ok(passed)) => Ok(passed),
        Ok(Err(Failed { why, when, events })) => Err(format!(
            "seed {seed} at {when}: {why}\nthe last events:\n{events}\nreplay with SIMULATION_SEED={seed}\n"
        )),
        Err(_) => Err(format!("seed {seed}: panicked; replay with SIMULATION_SEED={seed}\n")),
    }
}

#[test]
fn invariants_hold_in_every_world() {
    if let Ok(seed) = std::env::var("SIMULATION_SEED") {
        let passed = one(seed.parse().expect("SIMULATION_SEED is a number"), true, Plan::draw)
            .unwrap_or_else(|why| panic!("{why}"));
        println!("{passed:?}");
        return;
    }
    let seeds = seeds();
    let (next, failed) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let [seconds, scrapes, requests, compared] = [(); 4].map(|()| AtomicU64::new(0));
    let began = std::time::Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    match one(seed, false, Plan::draw) {
                        Ok(passed) => {
                            seconds.fetch_add(passed.seconds, Ordering::Relaxed);
                            scrapes.fetch_add(passed.scrapes, Ordering::Relaxed);
                            requests.fetch_add(passed.requests, Ordering::Relaxed);
                            compared.fetch_add(passed.compared, Ordering::Relaxed);
                        }
                        Err(why) => {
                            println!("{why}");
                            if std::env::var_os("SIMULATION_STOP").is_some() {
                                next.store(seeds.end, Ordering::Relaxed);
                            }
                            failed.lock().unwrap().push(seed);
                        }
                    }
                }
            });
        }
    });
    // Two accounts in each world.
    let years = 2.0 * seconds.into_inner() as f64 / (365.25 * 86_400.0);
    let compared = compared.into_inner();
    println!(
        "{} seeds, {years:.1} account-years, {} scrapes, {} requests, {compared} comparisons in {:.1} s",
        seeds.end - seeds.start,
        scrapes.into_inner(),
        requests.into_inner(),
        began.elapsed().as_secs_f64()
    );
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    assert!(failed.is_empty(), "these seeds failed: {failed:?}");
    assert!(seeds != FIXED || compared > 0, "no balance was compared with a report that it must agree with");
}

#[test]
fn a_seed_is_the_same_world_again() {
    for seed in [3, 11, 24] {
        let first = one(seed, false, Plan::draw).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(first, one(seed, false, Plan::draw).unwrap_or_else(|why| panic!("{why}")), "seed {seed}");
    }
}

/// In more than one process of the exporter, because each restart is one.
#[test]
fn ten_years_stay_within_the_bounds() {
    let seeds = if std::env::var_os("WALLET_EXPORTER_LONG").is_some() { 0..8 } else { 0..1 };
    for seed in seeds {
        let passed = one(seed, std::env::var_os("SIMULATION_LOUD").is_some(), Plan::ten_years)
            .unwrap_or_else(|why| panic!("{why}"));
        assert!(passed.seconds > 10 * 365 * 86_400, "{passed:?}");
        println!("ten years, seed {seed}: {} bytes in the database", passed.bytes);
    }
}
