//! The export's intake: any bytes, in pieces whose lengths the first two bytes choose, must give what the whole gives.
//!
//! With cargo-fuzz, on nightly: `cargo +nightly fuzz run csv`. On stable, without coverage feedback (libFuzzer then
//! only makes random inputs): `cd fuzz && cargo run --release --bin csv -- -max_total_time=60`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use uuid::Uuid;
use wallet_exporter::vendor::intake::Export;
use wallet_exporter::vendor::{CheckRow, RowReject, RowSink};

const HEADER: &[u8] = b"Authorizer ID,Batch ID,Institution,Phone,Zip,Balance,Status,Creator,Timestamp\n";

#[derive(Debug, Default, PartialEq)]
struct Told(Vec<String>);

impl RowSink for Told {
    fn row(&mut self, row: &CheckRow<'_>) {
        self.0.push(format!("{row:?}"));
    }

    fn rejected(&mut self, reason: RowReject, batch_id: Option<Uuid>) {
        self.0.push(format!("{reason:?} {batch_id:?}"));
    }
}

fn read(start: &[u8], bytes: &[u8], piece: usize) -> (String, Told) {
    let mut told = Told::default();
    let mut export = Export::new(&[Uuid::from_u128(1)]);
    for piece in start.chunks(piece).chain(bytes.chunks(piece)) {
        if let Err(flaw) = export.push(piece, &mut told) {
            return (flaw.to_string(), told);
        }
    }
    let outcome = export.finish(&mut told);
    (format!("{outcome:?}"), told)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let start = if choice & 1 == 0 { HEADER } else { b"" };
    assert_eq!(read(start, bytes, 1 + usize::from(choice >> 1)), read(start, bytes, usize::MAX));
});
