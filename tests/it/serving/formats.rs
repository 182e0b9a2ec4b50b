//! What is written, to the byte.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use proptest::prelude::*;
use wallet_exporter::catalog::{FamilySpec, MetricType};
use wallet_exporter::exposition::protobuf::metrics::BucketSpan;
use wallet_exporter::exposition::value::Value;
use wallet_exporter::exposition::{Encoder, Format, HistogramValue, Rendered, end};
use wallet_exporter::money::Usd;
use wallet_exporter::native_histogram::{NativeBuckets, SCHEMA, ZERO_THRESHOLD};

use super::fixture::{BALANCE, CHECKS, FORMATS, ago, every, large, small};
use super::readers::{messages, read};
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
fn the_three_formats_read_back_as_the_same_values_and_help() {
    let said = |format| read(format, &small(format).into_bytes());
    let text = said(Format::Text);
    assert_eq!(text.families["test_spent_usd_total"].1, "What was \"spent\", a backslash \\ and\na line end.");
    assert_eq!((text.families.len(), text.samples.len()), (3, 9));
    assert_eq!(text, said(Format::OpenMetrics));
    assert_eq!(text, said(Format::Protobuf));
}

#[test]
fn a_family_in_protobuf_is_one_message() {
    let families = messages(&large(3, Format::Protobuf).into_bytes());
    let names: Vec<&str> = families.iter().map(|family| family.name.as_str()).collect();
    assert_eq!(names, ["test_balance_usd", "test_spent_usd_total", "test_check_balance_usd", "test_many_total"]);
    assert_eq!(families[3].metric.len(), 3);
    // Start timestamps, where they are known.
    let seconds = |start: &Option<prost_types::Timestamp>| start.map(|start| (start.seconds, start.nanos));
    let counter = |metric: usize| seconds(&families[1].metric[metric].counter.as_ref().unwrap().start_timestamp);
    assert_eq!((counter(0), counter(1)), (Some((ago(60).timestamp(), 0)), None));
    let histogram = families[2].metric[0].histogram.as_ref().unwrap();
    assert_eq!(seconds(&histogram.start_timestamp), Some((ago(61).timestamp(), 0)));
    // One that has more labels than the one before, and less, keeps none of the other's.
    assert_eq!(families[1].metric[1].label.len(), 2);
    assert_eq!(families[2].metric[0].label.len(), 1);
}

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
    out.family(&CHECKS)
        .histogram(&["default"], &HistogramValue { buckets: &[], count: 1, sum: f64::NAN, native: None, start: None });
    assert_eq!(text(out), "");
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "written twice")]
fn a_label_set_cannot_be_written_twice() {
    let mut out = Encoder::new(Format::Text);
    let mut family = out.family(&super::fixture::SPENT);
    family.counter(&["default", "a"], (1.0, None));
    family.counter(&["default", "b"], (1.0, None));
    family.counter(&["default", "a"], (2.0, None));
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
        prop_assert_eq!(value.number(), value);
    }

    #[test]
    fn every_amount_of_money_is_printed_as_it_was_written(units in -1_000_000_000_000_i64..1_000_000_000_000) {
        let digits = format!("{}{}.{:04}", if units < 0 { "-" } else { "" }, units.abs() / 10_000, units.abs() % 10_000);
        let shown = printed(Usd::parse(&digits).unwrap());
        let short = digits.trim_end_matches('0').trim_end_matches('.');
        prop_assert_eq!(&shown, if short == "-0" { "0" } else { short });
        prop_assert_eq!(Usd::parse(&digits).unwrap().number(), shown.parse::<f64>().unwrap());
    }
}

/// Bucket and count, as the spans and deltas of a message say.
fn native(spans: &[BucketSpan], deltas: &[i64]) -> BTreeMap<i32, u64> {
    let (mut next, mut count) = (0, 0);
    let mut deltas = deltas.iter();
    let mut found = BTreeMap::new();
    for span in spans {
        next += span.offset;
        for _ in 0..span.length {
            count += deltas.next().unwrap();
            found.insert(next, u64::try_from(count).unwrap());
            next += 1;
        }
    }
    assert_eq!(deltas.next(), None);
    found
}

proptest! {
    #[test]
    fn native_buckets_read_back_as_they_are(values in prop::collection::vec(-1e6_f64..1e6, 0..300)) {
        let mut observed = NativeBuckets::default();
        values.iter().for_each(|value| observed.observe(*value));
        let value = HistogramValue { buckets: &[], count: observed.count(), sum: 1.0, native: Some(&observed), start: None };
        let mut out = Encoder::new(Format::Protobuf);
        out.family(&LONE_HISTOGRAM).histogram(&[], &value);
        let families = messages(&out.into_bytes());
        let read = families[0].metric[0].histogram.as_ref().unwrap();
        prop_assert_eq!(read.zero_count, observed.zero);
        prop_assert_eq!((read.schema, read.zero_threshold), (SCHEMA, ZERO_THRESHOLD));
        prop_assert_eq!(native(&read.positive_span, &read.positive_delta), observed.positive);
        prop_assert_eq!(native(&read.negative_span, &read.negative_delta), observed.negative);
    }
}

#[test]
fn native_buckets_that_hold_something_else_than_the_classic_ones_are_left_out() {
    let mut observed = NativeBuckets::default();
    observed.observe(1.0);
    let value = HistogramValue { buckets: &[], count: 2, sum: 1.0, native: Some(&observed), start: None };
    let mut out = Encoder::new(Format::Protobuf);
    out.family(&LONE_HISTOGRAM).histogram(&[], &value);
    let families = messages(&out.into_bytes());
    let read = families[0].metric[0].histogram.as_ref().unwrap();
    assert_eq!((read.sample_count, read.zero_threshold, read.positive_span.len()), (2, 0.0, 0));
}

#[test]
fn a_histogram_without_labels_has_no_empty_braces() {
    let mut out = Encoder::new(Format::Text);
    let value = HistogramValue { buckets: &[(1.0, 1)], count: 2, sum: 2.5, native: None, start: None };
    out.family(&LONE_HISTOGRAM).histogram(&[], &value);
    assert!(text(out).ends_with(
        "test_lone_histogram_bucket{le=\"1.0\"} 1\ntest_lone_histogram_bucket{le=\"+Inf\"} 2\n\
         test_lone_histogram_sum 2.5\ntest_lone_histogram_count 2\n"
    ));
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    // One member only: what a second one held would be missing here.
    GzDecoder::new(bytes).read_to_end(&mut plain).expect("a sound gzip member");
    plain
}

const LAST: &str = "# TYPE test_last gauge\ntest_last 7\n";

fn body(rendered: &Rendered, gzip: bool) -> Vec<u8> {
    rendered.body(gzip, LAST.as_bytes().to_vec()).concat()
}

#[test]
fn every_size_is_the_same_in_gzip() {
    for series in [0, 1, 3, 60, 500, 4_000, 20_000] {
        for format in FORMATS {
            let plain = large(series, format).into_bytes();
            let rendered = Rendered::new(plain.clone());
            let whole = [&plain, LAST.as_bytes()].concat();
            // The second answer takes what the first has compressed.
            for _ in 0..2 {
                assert!(body(&rendered, false) == whole);
                assert!(gunzip(&body(&rendered, true)) == whole, "{series}");
            }
        }
    }
    let empty = Rendered::new(Vec::new());
    assert_eq!(gunzip(&body(&empty, true)), LAST.as_bytes());
    assert_eq!(gunzip(&empty.body(true, Vec::new()).concat()), b"");
    // Text that does not get smaller.
    let noise: Vec<u8> =
        (0..300_000_u32).map(|number| b' ' + (number.wrapping_mul(2_654_435_761) >> 25) as u8 % 90).collect();
    let rendered = Rendered::new(noise.clone());
    assert!(gunzip(&rendered.body(true, noise.clone()).concat()) == [noise.clone(), noise].concat());
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
            let rendered = &every(|format| large(series, format))[&Format::Text];
            let output = tools::with_input(&program, &arguments, &body(rendered, true));
            assert!(output.status.success(), "{}: {}", program.display(), output.err());
            assert!(output.stdout == body(rendered, false), "{} reads something else at {series}", program.display());
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
