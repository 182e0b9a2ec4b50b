//! The three JSON intakes: any bytes are judged without panic, and what is believed is within bounds.
//!
//! With cargo-fuzz, on nightly: `cargo +nightly fuzz run json`. On stable, without coverage feedback (libFuzzer then
//! only makes random inputs): `cd fuzz && cargo run --release --bin json -- -max_total_time=60`.
#![no_main]

use chrono::{DateTime, NaiveDate};
use libfuzzer_sys::fuzz_target;
use wallet_exporter::vendor::intake::{Grain, read_balance, read_card_page, read_consumption};

fuzz_target!(|bytes: &[u8]| {
    let now = DateTime::from_timestamp(1_779_192_000, 0).unwrap();
    let (from, to) =
        (NaiveDate::from_ymd_opt(2026, 5, 1).unwrap(), NaiveDate::from_ymd_opt(2026, 5, 31).unwrap());
    let _ = read_balance(bytes, now);
    let _ = read_card_page(bytes);
    for grain in [Grain::Day, Grain::Hour] {
        if let Ok(report) = read_consumption(bytes, from, to, grain) {
            assert!(report.days.keys().all(|day| (from..=to).contains(day)));
        }
    }
});
