//! What is written, to the byte.

use std::io::Read;

use flate2::read::GzDecoder;
use proptest::prelude::*;
use wallet_exporter::catalog::{FamilySpec, MetricType};
use wallet_exporter::exposition::encode::Value;
use wallet_exporter::exposition::{Encoder, Format, HistogramValue, Rendered, end};
use wallet_exporter::money::Usd;

use super::fixture::{BALANCE, CHECKS, both, large, small};
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

fn text(out: Encoder) -> String {
    String::from_utf8(out.into_bytes()).unwrap()
}

#[test]
fn text_to_the_byte() {
    assert_eq!(text(small(Format::Text)), TEXT);
}

#[test]
fn openmetrics_differs_in_the_counters_names_the_quotes_of_help_and_the_end() {
    let expected = TEXT
        .replace("# HELP test_spent_usd_total What was \"spent\",", "# HELP test_spent_usd What was \\\"spent\\\",")
        .replace("# TYPE test_spent_usd_total", "# TYPE test_spent_usd");
    assert_eq!(text(small(Format::OpenMetrics)), expected);
    assert_eq!((end(Format::Text), end(Format::OpenMetrics)), ("", "# EOF\n"));
}

#[test]
fn what_is_not_finite_is_absent_and_a_family_without_samples_vanishes() {
    let mut out = Encoder::new(Format::Text);
    let mut family = out.family(&BALANCE);
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        family.sample(&["default"], value);
    }
    out.family(&CHECKS).histogram(&["default"], &HistogramValue { buckets: &[], count: 1, sum: f64::NAN });
    assert_eq!(text(out), "");
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "written twice")]
fn a_label_set_cannot_be_written_twice() {
    let mut out = Encoder::new(Format::Text);
    let mut family = out.family(&super::fixture::SPENT);
    family.sample(&["default", "a"], 1.0);
    family.sample(&["default", "b"], 1.0);
    family.sample(&["default", "a"], 2.0);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "is written twice")]
fn a_family_cannot_be_written_twice() {
    let mut out = Encoder::new(Format::Text);
    out.family(&BALANCE).sample(&["a"], 1.0);
    out.family(&BALANCE).sample(&["b"], 1.0);
}

static LONE: FamilySpec = FamilySpec { name: "test_lone", kind: MetricType::Gauge, labels: &[], help: "One." };
static LONE_HISTOGRAM: FamilySpec =
    FamilySpec { name: "test_lone_histogram", kind: MetricType::Histogram, labels: &[], help: "One." };

fn printed(value: impl Value) -> String {
    let mut out = Encoder::new(Format::Text);
    out.family(&LONE).sample(&[], value);
    text(out).lines().last().unwrap().strip_prefix("test_lone ").unwrap().to_owned()
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
        let shown = printed(Usd::parse(&digits).unwrap());
        let short = digits.trim_end_matches('0').trim_end_matches('.');
        prop_assert_eq!(shown, if short == "-0" { "0" } else { short });
    }
}

#[test]
fn a_histogram_without_labels_has_no_empty_braces() {
    let mut out = Encoder::new(Format::Text);
    let value = HistogramValue { buckets: &[(1.0, 1)], count: 2, sum: 2.5 };
    out.family(&LONE_HISTOGRAM).histogram(&[], &value);
    assert!(text(out).ends_with(
        "test_lone_histogram_bucket{le=\"1.0\"} 1\ntest_lone_histogram_bucket{le=\"+Inf\"} 2\n\
         test_lone_histogram_sum 2.5\ntest_lone_histogram_count 2\n"
    ));
}

fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    // One member only: what a second one held would be missing here.
    GzDecoder::new(bytes).read_to_string(&mut text).expect("a sound gzip member");
    text
}

const LAST: &str = "# TYPE test_last gauge\ntest_last 7\n";

fn body(rendered: &Rendered, gzip: bool) -> Vec<u8> {
    rendered.body(gzip, LAST.as_bytes().to_vec()).concat()
}

#[test]
fn every_size_is_the_same_in_gzip() {
    for series in [0, 1, 3, 60, 500, 4_000, 20_000] {
        for format in [Format::Text, Format::OpenMetrics] {
            let plain = text(large(series, format));
            let rendered = Rendered::new(plain.clone().into_bytes());
            // The second answer takes what the first has compressed.
            for _ in 0..2 {
                assert!(body(&rendered, false) == (plain.clone() + LAST).as_bytes());
                assert!(gunzip(&body(&rendered, true)) == plain.clone() + LAST, "{series}");
            }
        }
    }
    let empty = Rendered::new(Vec::new());
    assert_eq!(gunzip(&body(&empty, true)), LAST);
    assert_eq!(gunzip(&empty.body(true, Vec::new()).concat()), "");
    // Text that does not get smaller.
    let noise: Vec<u8> =
        (0..300_000_u32).map(|number| b' ' + (number.wrapping_mul(2_654_435_761) >> 25) as u8 % 90).collect();
    let rendered = Rendered::new(noise.clone());
    assert!(gunzip(&rendered.body(true, noise.clone()).concat()).into_bytes() == [noise.clone(), noise].concat());
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
        for series in [0, 300, 6_000] {
            let [rendered, _] = both(|format| large(series, format));
            let output = tools::with_input(&program, &arguments, &body(&rendered, true));
            assert!(output.status.success(), "{}: {}", program.display(), output.err());
            assert!(output.stdout == body(&rendered, false), "{} reads something else at {series}", program.display());
        }
    }
}

#[test]
fn promtool_finds_nothing_to_say() {
    let Some(promtool) = tools::find("promtool") else { return };
    let output = tools::with_input(promtool, &["check", "metrics"], &small(Format::Text).into_bytes());
    assert!(output.status.success(), "{}{}", output.out(), output.err());
    assert_eq!(output.out() + &output.err(), "");
}
