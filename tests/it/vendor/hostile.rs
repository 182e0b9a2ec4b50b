//! Any bytes, cut anywhere: no panic, the same result, and the same records as the `csv` crate reads.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use uuid::Uuid;
use wallet_exporter::batchdata::Grain;
use wallet_exporter::batchdata::intake::{read_balance, read_card_page, read_consumption};
use wallet_exporter::names::Label as _;
use wallet_exporter::rightfoot::intake::Export;
use wallet_exporter::rightfoot::{CheckRow, RowReject, RowSink};
use wallet_exporter::upstream::ParseError;

use super::client::{BATCH, HEADER, batch, card, day, enveloped, noon, page, report, row};

/// Everything that an export says.
#[derive(Debug, Default, PartialEq)]
struct All(Vec<String>);

impl RowSink for All {
    fn row(&mut self, row: &CheckRow<'_>) {
        self.0.push(format!("{row:?}"));
    }

    fn rejected(&mut self, reason: RowReject, batch_id: Option<Uuid>) {
        self.0.push(format!("{reason:?} {batch_id:?}"));
    }
}

/// Reads an export in pieces of these lengths, the last one as often as needed.
fn read(bytes: &[u8], lengths: &[usize]) -> (Result<(u64, u64), ParseError>, All) {
    let mut export = Export::new(&[batch()]);
    let mut all = All::default();
    let mut rest = bytes;
    let mut lengths = lengths.iter().copied().chain(std::iter::repeat(*lengths.last().unwrap()));
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(lengths.next().unwrap().clamp(1, rest.len()));
        rest = after;
        if let Err(error) = export.push(piece, &mut all) {
            return (Err(error), all);
        }
    }
    let outcome = export.finish(&mut all);
    (outcome.map(|summary| (summary.rows, summary.rejected)), all)
}

/// Bytes that mean something in a CSV, and some that do not.
fn csv_like() -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof![
        Just(b"\"".to_vec()),
        Just(b"\"\"".to_vec()),
        Just(b",".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\xef\xbb\xbf".to_vec()),
        Just(b"\xef\xbb".to_vec()),
        Just(b" ".to_vec()),
        Just(row("12.50", "SUCCESS").into_bytes()),
        Just(format!("a,{BATCH},\"B, \"\"C\"\"\n\",,,1,NO_MATCH,,2026-05-17T19:24:12Z").into_bytes()),
        "[a-z0-9.]{0,6}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(field, 0..40).prop_map(|fields| fields.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_export_is_the_same_however_it_is_cut(
        tail in csv_like(),
        with_header in prop::bool::weighted(0.9),
        lengths in prop::collection::vec(1_usize..40, 1..8),
    ) {
        let mut bytes = if with_header { format!("{HEADER}\n").into_bytes() } else { Vec::new() };
        bytes.extend(tail);
        let whole = read(&bytes, &[bytes.len().max(1)]);
        prop_assert_eq!(&read(&bytes, &lengths), &whole);
        prop_assert_eq!(&read(&bytes, &[1]), &whole);
    }

    #[test]
    fn an_export_is_the_same_with_and_without_its_last_line_end(
        tail in csv_like(),
        with_header in prop::bool::weighted(0.9),
        lengths in prop::collection::vec(1_usize..40, 1..8),
    ) {
        let mut bytes = if with_header { format!("{HEADER}\n").into_bytes() } else { Vec::new() };
        bytes.extend(tail);
        let without = read(&bytes, &lengths);
        for end in ["\n", "\r\n"] {
            prop_assert_eq!(&read(&[&bytes, end.as_bytes()].concat(), &lengths), &without);
        }
    }

    #[test]
    fn an_export_holds_the_records_that_the_csv_crate_reads(tail in csv_like(), end in prop_oneof![Just(""), Just("\n")]) {
        let bytes = [HEADER.as_bytes(), b"\n", &tail, end.as_bytes()].concat();
        let (outcome, all) = read(&bytes, &[7]);
        // An open quote at the end is `truncated`; the csv crate would take the rest for a field.
        if !matches!(&outcome, Err(error) if error.reason.as_str() == "truncated") {
            let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes.as_slice());
            let records: Vec<csv::ByteRecord> = reader.byte_records().map(Result::unwrap).collect();
            prop_assert_eq!(all.0.len(), records.len(), "{:?}", String::from_utf8_lossy(&tail));
            for (told, record) in all.0.iter().zip(&records) {
                prop_assert_eq!(told.starts_with("Columns"), record.len() != 9, "{} {:?}", told, record);
                if told.starts_with("CheckRow") {
                    let institution = String::from_utf8_lossy(&record[2]).into_owned();
                    prop_assert!(told.contains(&format!("institution: {institution:?}")), "{} {:?}", told, record);
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_json(&bytes);
        let _ = read(&bytes, &[3]);
    }

    #[test]
    fn a_good_answer_with_a_hole_in_it_is_read_without_a_panic(
        which in 0_usize..3,
        at in any::<prop::sample::Index>(),
        length in 0_usize..12,
        filler in prop_oneof![
            Just(Vec::new()), Just(b"null".to_vec()), Just(b"[]".to_vec()), Just(b"{}".to_vec()), Just(b"1e999".to_vec()),
            Just(b"\"".to_vec()), Just(b"-".to_vec()), prop::collection::vec(any::<u8>(), 0..5),
        ],
    ) {
        let mut bytes = good(which).into_bytes();
        let start = at.index(bytes.len());
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, filler);
        read_json(&bytes);
    }

    #[test]
    fn an_answer_that_is_cut_is_never_taken(which in 0_usize..3, at in any::<prop::sample::Index>()) {
        let bytes = good(which);
        let cut = &bytes.as_bytes()[..at.index(bytes.len())];
        let outcome = match which {
            0 => read_balance(cut, noon()).map(|_| ()),
            1 => read_consumption(cut, day("2026-05-01"), day("2026-05-19"), Grain::Day).map(|_| ()),
            _ => read_card_page(cut).map(|_| ()),
        };
        prop_assert_eq!(outcome.unwrap_err().reason.as_str(), "truncated");
    }
}

fn read_json(bytes: &[u8]) {
    let now: DateTime<Utc> = noon();
    let _ = read_balance(bytes, now);
    let _ = read_card_page(bytes);
    for grain in [Grain::Day, Grain::Hour] {
        let _ = read_consumption(bytes, day("2026-05-01"), day("2026-05-19"), grain);
    }
}

fn good(which: usize) -> String {
    match which {
        0 => enveloped(r#"{"balance":42.5000,"currency":"USD","asOf":"2026-05-19T11:43:21+00:00"}"#),
        1 => report(
            r#"[{"period":"2026-05-01","debit":0.45,"credit":0,"by_origin":{"api_request":{"debit":0.12}},"by_endpoint":{"/a":0.022}}]"#,
            45,
            0,
        ),
        _ => page(&[card(1), card(2)], 1, 1, 2),
    }
}

#[test]
fn hours_add_up_to_days() {
    let hour = |hour: u32, debit: &str| {
        format!(
            r#"{{"by_endpoint":{{"/a":{debit}}},"by_origin":{{"x":{{"debit":{debit}}}}},"credit":0,"debit":{debit},"period":"2026-05-01T{hour:02}:00:00"}}"#
        )
    };
    let list = format!("[{}]", (0..24).map(|at| hour(at, "0.0001")).collect::<Vec<_>>().join(","));
    let body = report(&list, 0, 0);
    let told = read_consumption(body.as_bytes(), day("2026-05-01"), day("2026-05-01"), Grain::Hour).unwrap();
    let only = &told.days[&day("2026-05-01")];
    assert_eq!(only.total.debit.to_string(), "0.0024");
    assert_eq!(only.by_path["/a"].to_string(), "0.0024");
    assert_eq!(only.by_origin["x"].debit.to_string(), "0.0024");
    let twice = report(&format!("[{},{}]", hour(3, "0"), hour(3, "0")), 0, 0);
    let error = read_consumption(twice.as_bytes(), day("2026-05-01"), day("2026-05-01"), Grain::Hour).unwrap_err();
    assert_eq!(error.detail, "a period appears twice");
}
