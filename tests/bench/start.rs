//! The program beside node exporter and pushgateway, in one run: from start to listening with an empty store, taking
//! turns; then the memory at rest, on the simulator's data. Needs `curl`.
#![allow(clippy::disallowed_methods, reason = "the bans are for the program")]

#[allow(dead_code, reason = "the other bench uses the rest")]
mod rivals;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rivals::{Rival, free_address, need};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wallet-exporter");
const PACKAGES: [&str; 2] = ["prometheus-node-exporter", "prometheus-pushgateway"];

/// The program with an empty storage; the variables say where its vendors are.
fn ours(variables: &[(String, String)]) -> Option<(TempDir, Rival)> {
    let (address, storage) = (free_address(), tempfile::tempdir().unwrap());
    let mut command = Command::new(PROGRAM);
    command
        .env("WEB_LISTEN_ADDRESS", address.to_string())
        .env("STORAGE_PATH", storage.path())
        .env("LOG_LEVEL", "error")
        .envs(variables.iter().cloned());
    Some((storage, Rival::listening("wallet-exporter", &mut command, address)?))
}

fn start(rounds: usize) {
    let nobody = free_address();
    let variables = [("BATCHDATA_BASE_URL", format!("http://{nobody}")), ("BATCHDATA_API_TOKEN", "bench".to_owned())];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let mut taken: Vec<(&str, Vec<f64>)> =
        ["wallet-exporter"].into_iter().chain(PACKAGES).map(|name| (name, vec![])).collect();
    for _ in 0..rounds {
        for (name, times) in &mut taken {
            let began = Instant::now();
            let rival = match *name {
                "wallet-exporter" => ours(&variables).map(|(storage, rival)| (Some(storage), rival)),
                package => Rival::package(package).map(|rival| (None, rival)),
            };
            let millis = began.elapsed().as_secs_f64() * 1e3;
            times.extend(rival.is_some().then_some(millis));
        }
    }
    println!("{:<26} {:>8} {:>8} {:>8}", "start to listening, ms", "least", "median", "most");
    for (name, mut times) in taken.into_iter().filter(|(_, times)| !times.is_empty()) {
        times.sort_by(f64::total_cmp);
        let (least, most) = (times[0], times[times.len() - 1]);
        println!("{name:<26} {least:>8.1} {:>8.1} {most:>8.1}", times[times.len() / 2]);
    }
}

/// A process, ended on drop.
struct Simulator(std::process::Child);

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The simulator, and the variables that it prints.
fn simulator() -> (Simulator, Vec<(String, String)>) {
    let mut child = Command::new(PROGRAM)
        .args(["simulate", "--simulator.listen-address", &free_address().to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut variables = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let words = line.split_whitespace().filter_map(|word| word.split_once('='));
        variables.extend(words.map(|(name, value)| (name.to_owned(), value.to_owned())));
        if line.contains("RIGHTFOOT_BATCH_IDS=") {
            break;
        }
    }
    (Simulator(child), variables)
}

fn scrape(rival: &Rival) -> String {
    let url = format!("http://{}/metrics", rival.address);
    let output = Command::new("curl").args(["--silent", "--fail", "--compressed", &url]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn rest(settle: Duration) {
    let (_simulator, mut variables) = simulator();
    let plain = ours(&variables).unwrap();
    variables.push(("MALLOC_ARENA_MAX".to_owned(), "2".to_owned()));
    let shipped = ours(&variables).unwrap();
    let rivals = PACKAGES.map(Rival::package);
    let deadline = Instant::now() + Duration::from_secs(60);
    for (_, rival) in [&plain, &shipped] {
        while scrape(rival).matches("\nwallet_exporter_source_up{").count() < 4
            || scrape(rival).lines().any(|line| line.starts_with("wallet_exporter_source_up{") && line.ends_with(" 0"))
        {
            assert!(Instant::now() < deadline, "not all sources are up:\n{}", scrape(rival));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    // Threads that wait for work in vain end after ten seconds. Two scrapes a settling, as two servers would.
    for _ in 0..2 {
        std::thread::sleep(settle / 2);
        for rival in [&plain.1, &shipped.1].into_iter().chain(rivals.iter().flatten()) {
            scrape(rival);
        }
    }
    println!("{:<42} {:>8} {:>8}", "memory at rest", "samples", "MiB");
    let rows = [("wallet-exporter", Some(&plain.1)), ("wallet-exporter as deployed, 2 heaps", Some(&shipped.1))];
    for (name, rival) in rows.into_iter().chain(PACKAGES.into_iter().zip(rivals.iter().map(Option::as_ref))) {
        let Some(rival) = rival else { continue };
        let samples = scrape(rival).lines().filter(|line| !line.starts_with('#')).count();
        println!("{name:<42} {samples:>8} {:>8.1}", rival.resident());
    }
}

fn main() {
    need("curl");
    let tried_only = std::env::args().any(|argument| argument == "--test");
    start(if tried_only { 1 } else { 25 });
    rest(Duration::from_secs(if tried_only { 1 } else { 30 }));
}
