//! From start to listening: the program with an empty store beside node exporter and
//! pushgateway, in one run, taking turns.
#![allow(clippy::disallowed_methods, reason = "the bans are for the program")]

#[allow(dead_code, reason = "the other bench uses the rest")]
mod rivals;

use std::process::Command;
use std::time::Instant;

use rivals::{Rival, free_address};

const ROUNDS: usize = 25;

/// The program as an operator starts it, with a vendor that is down and a storage that is empty.
fn ours() -> Option<(tempfile::TempDir, Rival)> {
    let (address, vendor, storage) = (free_address(), free_address(), tempfile::tempdir().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_wallet-exporter"));
    command
        .env("BATCHDATA_BASE_URL", format!("http://{vendor}"))
        .env("BATCHDATA_API_TOKEN", "bench")
        .env("WEB_LISTEN_ADDRESS", address.to_string())
        .env("STORAGE_PATH", storage.path());
    Some((storage, Rival::listening("wallet-exporter", &mut command, address)?))
}

fn main() {
    let rounds = if std::env::args().any(|argument| argument == "--test") { 1 } else { ROUNDS };
    let mut taken: Vec<(&str, Vec<f64>, f64)> = Vec::new();
    for _ in 0..rounds {
        for name in ["wallet-exporter", "prometheus-node-exporter", "prometheus-pushgateway"] {
            let began = Instant::now();
            let (_storage, rival) = match name {
                "wallet-exporter" => ours().map(|(storage, rival)| (Some(storage), rival)).unzip(),
                package => (None, Rival::package(package)),
            };
            let millis = began.elapsed().as_secs_f64() * 1e3;
            let Some(rival) = rival else { continue };
            let resident = rival.resident();
            match taken.iter_mut().find(|(other, ..)| *other == name) {
                Some((_, times, _)) => times.push(millis),
                None => taken.push((name, vec![millis], resident)),
            }
        }
    }
    println!("{:<26} {:>8} {:>8} {:>8} {:>12}", "start to listening, ms", "least", "median", "most", "MiB by then");
    for (name, mut times, resident) in taken {
        times.sort_by(f64::total_cmp);
        let (least, most) = (times[0], times[times.len() - 1]);
        println!("{name:<26} {least:>8.1} {:>8.1} {most:>8.1} {resident:>12.1}", times[times.len() / 2]);
    }
}
