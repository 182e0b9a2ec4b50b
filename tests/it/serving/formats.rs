//! What is written, to the byte.

use std::io::Read;
use std::time::Instant;

use flate2::read::GzDecoder;
use proptest::prelude::*;
use wallet_exporter::metrics::{Appendix, Encoder, FamilySpec, Format, HistogramValue, Kind, Rendered, Reply};

use super::fixture::{BALANCE, CHECKS, SPENT, large, small};
use super::tools;

const TEXT: &str = r##"# HELP test_balance_usd The balance.
# TYPE test_balance_usd gauge
test_balance_usd{account="default"} 42.5
# HELP test_spent_usd_total What was "spent", a backslash \\ and\na line end.
# TYPE test_spent_usd_total counter
test_spent_usd_total{account="default",origin="api_request"} 12
test_spent_usd_total{account="default",origin="quote \" backslash \\ line\nend"} 0.1
# HELP test_check_balance_usd Balances.
# TYPE test_check_balance_usd histogram
test_check_balance_usd_bucket{account="default",le="0.0"} 1
test_check_balance_usd_bucket{account="default",le="0.5"} 1
test_check_balance_usd_bucket{account="default",le="100.0"} 3
test_check_balance_usd_bucket{account="default",le="+Inf"} 6
test_check_balance_usd_sum{account="default"} 1234.5
test_check_balance_usd_count{account="default"} 6
"##;

#[test]
fn text_to_the_byte() {
    assert_eq!(small().finish().to_text(Format::Text), TEXT);
}

#[test]
fn openmetrics_differs_in_the_counters_names_the_quotes_of_help_and_the_end() {
    let expected = TEXT
        .replace("# HELP test_spent_usd_total What was \"spent\",", "# HELP test_spent_usd What was \\\"spent\\\",")
        .replace("# TYPE test_spent_usd_total", "# TYPE test_spent_usd");
    assert_eq!(small().finish().to_text(Format::OpenMetrics), expected + "# EOF\n");
}

#[test]
fn what_is_not_finite_is_absent_and_a_family_without_samples_vanishes() {
    let mut out = Encoder::new();
    let mut family = out.family(&BALANCE);
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        family.sample(&["default"], value);
    }
    out.family(&CHECKS).histogram(&["default"], &HistogramValue { bounds: &[], counts: &[1], sum: f64::NAN });
    assert_eq!(out.finish().to_text(Format::Text), "");
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "written twice")]
fn a_label_set_cannot_be_written_twice() {
    let mut out = Encoder::new();
    let mut family = out.family(&SPENT);
    family.sample(&["default", "a"], 1.0);
    family.sample(&["default", "b"], 1.0);
    family.sample(&["default", "a"], 2.0);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "is written twice")]
fn a_family_cannot_be_written_twice() {
    let mut out = Encoder::new();
    out.family(&BALANCE).sample(&["a"], 1.0);
    out.family(&BALANCE).sample(&["b"], 1.0);
}

static LONE: FamilySpec = FamilySpec { name: "test_lone", kind: Kind::Gauge, labels: &[], help: "One." };
static LONE_HISTOGRAM: FamilySpec =
    FamilySpec { name: "test_lone_histogram", kind: Kind::Histogram, labels: &[], help: "One." };

fn printed(value: f64) -> String {
    let mut out = Encoder::new();
    out.family(&LONE).sample(&[], value);
    let text = out.finish().to_text(Format::Text);
    text.lines().last().unwrap().strip_prefix("test_lone ").unwrap().to_owned()
}

#[test]
fn numbers_are_short_and_exact() {
    for (value, expected) in [
        (0.0, "0"),
        (1.0, "1"),
        (-1.0, "-1"),
        (0.1, "0.1"),
        (0.05, "0.05"),
        (-0.0001, "-0.0001"),
        (1_763_678_400.0, "1763678400"),
        (123_456.789_1, "123456.7891"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e12, "1000000000000"),
        (1e300, "1e300"),
        (5e-324, "5e-324"),
    ] {
        assert_eq!(printed(value), expected);
    }
}

proptest! {
    #[test]
    fn every_finite_number_reads_back_as_itself(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        prop_assert_eq!(printed(value).parse::<f64>().unwrap(), value);
    }

    #[test]
    fn every_amount_of_money_is_printed_as_it_was_written(units in -1_000_000_000_000_i64..1_000_000_000_000) {
        let digits = format!("{}{}.{:04}", if units < 0 { "-" } else { "" }, units.abs() / 10_000, units.abs() % 10_000);
        let value: f64 = digits.parse().unwrap();
        let shown = printed(value);
        prop_assert_eq!(shown.parse::<f64>().unwrap(), value);
        prop_assert!(shown.len() <= digits.len());
    }
}

#[test]
fn a_histogram_without_labels_has_no_empty_braces() {
    let mut out = Encoder::new();
    let value = HistogramValue { bounds: &[1.0], counts: &[1, 1], sum: 2.5 };
    out.family(&LONE_HISTOGRAM).histogram(&[], &value);
    let text = out.finish().to_text(Format::Text);
    assert!(text.ends_with(
        "test_lone_histogram_bucket{le=\"1.0\"} 1\ntest_lone_histogram_bucket{le=\"+Inf\"} 2\n\
         test_lone_histogram_sum 2.5\ntest_lone_histogram_count 2\n"
    ));
}

fn bytes(reply: &Reply) -> Vec<u8> {
    let mut all: Vec<u8> = reply.shared.iter().flat_map(|piece| piece.to_vec()).collect();
    all.extend_from_slice(&reply.tail);
    assert_eq!(all.len() as u64, reply.length);
    all
}

fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    // One member only: what a second one held would be missing here.
    GzDecoder::new(bytes).read_to_string(&mut text).expect("a sound gzip member");
    text
}

fn check_all_encodings(rendered: &Rendered) {
    let appendix = Appendix::default();
    let now = Instant::now();
    for format in [Format::Text, Format::OpenMetrics] {
        let plain = bytes(&appendix.reply(rendered, format, false, now, |out| {
            out.family(&LONE).sample(&[], 7.0);
        }));
        let plain = String::from_utf8(plain).unwrap();
        let zipped = bytes(&appendix.reply(rendered, format, true, now, |out| {
            out.family(&LONE).sample(&[], 7.0);
        }));
        assert_eq!(gunzip(&zipped), plain);
        let alone = rendered.to_text(format);
        assert!(plain.starts_with(alone.trim_end_matches("# EOF\n")));
        assert!(plain.contains("\ntest_lone 7\n"));
        assert!(plain.contains("\nprocess_resident_memory_bytes "));
        assert_eq!(plain.ends_with("\n# EOF\n"), format == Format::OpenMetrics);
        assert_eq!(plain.matches("# EOF").count(), usize::from(format == Format::OpenMetrics));
    }
}

#[test]
fn every_size_is_the_same_in_gzip() {
    // Around the sizes at which a family is kept apart, and at which a piece is full.
    for series in [0, 1, 3, 60, 70, 80, 90, 500, 650, 4_000, 5_000, 6_000, 20_000] {
        check_all_encodings(&large(series).finish());
    }
    check_all_encodings(&Rendered::empty());
}

/// Readers of other makes, each with its own inflate, and strict: one member, a right check sum, nothing behind it.
#[test]
fn other_readers_read_the_gzip() {
    let python = "import sys, zlib\ndata = sys.stdin.buffer.read()\nreader = zlib.decompressobj(31)\n\
                  text = reader.decompress(data)\nassert reader.eof and not reader.unused_data\n\
                  sys.stdout.buffer.write(text)";
    let node = "process.stdout.write(require('zlib').gunzipSync(require('fs').readFileSync(0)))";
    for (program, arguments) in [("gzip", vec!["-dc"]), ("python3", vec!["-c", python]), ("node", vec!["-e", node])] {
        let Some(program) = tools::find(program) else { continue };
        for series in [0, 20, 300, 6_000] {
            let rendered = large(series).finish();
            for format in [Format::Text, Format::OpenMetrics] {
                let appendix = Appendix::default();
                let now = Instant::now();
                let plain = bytes(&appendix.reply(&rendered, format, false, now, |_| {}));
                let zipped = bytes(&appendix.reply(&rendered, format, true, now, |_| {}));
                let output = tools::with_input(&program, &arguments, &zipped);
                assert!(output.status.success(), "{}: {}", program.display(), output.err());
                assert!(output.stdout == plain, "{} reads something else at {series}", program.display());
            }
        }
    }
}

#[test]
fn a_large_family_has_all_its_samples_once_and_in_order() {
    let rendered = large(20_000).finish();
    for format in [Format::Text, Format::OpenMetrics] {
        let text = rendered.to_text(format);
        assert!(large(20_000).into_text(format) == text);
        let numbers = text.lines().filter(|line| line.starts_with("test_many_total{"));
        assert!(numbers.enumerate().all(|(index, line)| line.contains(&format!("\"value-{index:07}\""))));
        assert_eq!(text.matches("\ntest_many_total{").count(), 20_000);
        assert_eq!(text.matches("# TYPE test_many").count(), 1);
    }
}

#[test]
fn promtool_finds_nothing_to_say() {
    let Some(promtool) = tools::find("promtool") else { return };
    let appendix = Appendix::default();
    let reply = appendix.reply(&small().finish(), Format::Text, false, Instant::now(), |_| {});
    let output = tools::with_input(promtool, &["check", "metrics"], &bytes(&reply));
    assert!(output.status.success(), "{}{}", output.out(), output.err());
    assert_eq!(output.out() + &output.err(), "");
}
