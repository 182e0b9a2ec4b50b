//! Rendering as text and as protobuf, plain and with compression, beside the `prometheus` crate's text encoder: time for each
//! series, and bytes. Taking turns; the least of several runs. Histograms have native buckets in protobuf.

use std::hint::black_box;
use std::time::{Duration, Instant};

use chrono::DateTime;
use prometheus::{CounterVec, Encoder as _, HistogramOpts, HistogramVec, Opts, Registry, TextEncoder};
use wallet_exporter::catalog::{FamilySpec, MetricType};
use wallet_exporter::exposition::{Encoder, Format, HistogramValue, Rendered};
use wallet_exporter::native_histogram::NativeBuckets;

static SERIES: FamilySpec = FamilySpec {
    name: "bench_wallet_api_path_debit_usd_total",
    kind: MetricType::Counter,
    labels: &["account", "api_path", "number"],
    help: "Money.",
};

static AMOUNTS: FamilySpec = FamilySpec {
    name: "bench_wallet_transaction_usd",
    kind: MetricType::Histogram,
    labels: &["account", "endpoint_name"],
    help: "Amounts.",
};

const BOUNDS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 50.0, 100.0, 1_000.0];

/// Amounts that each histogram has, over some thirty native buckets.
const OBSERVED: u32 = 100;

type Render<'a> = &'a dyn Fn() -> Vec<u8>;

fn time(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

fn zipped(plain: Vec<u8>) -> Vec<u8> {
    Rendered::new(plain).body(true, Vec::new()).concat()
}

fn text_of(registry: &Registry) -> Vec<u8> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
    text
}

fn measure(family: &str, series: u32, rounds: u32, kinds: [(&str, Render<'_>); 3]) {
    let mut least = [[Duration::MAX; 2]; 3];
    for _ in 0..rounds {
        for (least, (_, run)) in least.iter_mut().zip(&kinds) {
            least[0] = least[0].min(time(|| drop(black_box(run()))));
            least[1] = least[1].min(time(|| drop(black_box(zipped(run())))));
        }
    }
    for ((kind, run), times) in kinds.iter().zip(least) {
        let [plain, gzip] = times.map(|time| time.as_secs_f64() * 1e6 / f64::from(series));
        let (bytes, smaller) = (run().len(), zipped(run()).len());
        println!("{family:>10} {series:>8} {kind:>12} {plain:>12.3} {gzip:>12.3} {bytes:>12} {smaller:>12}");
    }
}

fn counters(series: u32) {
    let values: Vec<(String, String, f64)> = (0..series)
        .map(|number| {
            let path = format!("/api/v1/property/search/{}", number % 97);
            (path, number.to_string(), f64::from(number) * 1.2345)
        })
        .collect();
    let registry = Registry::new();
    let counter = CounterVec::new(Opts::new(SERIES.name, SERIES.help), SERIES.labels).unwrap();
    registry.register(Box::new(counter.clone())).unwrap();
    for (path, number, value) in &values {
        counter.with_label_values(&["default", path, number]).inc_by(*value);
    }
    let start = DateTime::from_timestamp(1_779_193_800, 123_456_000);
    let ours = |format: Format| {
        let values = &values;
        move || {
            let mut out = Encoder::new(format);
            let mut family = out.family(&SERIES);
            for (path, number, value) in values {
                family.counter(&["default", path, number], (*value, start));
            }
            out.into_bytes()
        }
    };
    let kinds: [(&str, Render<'_>); 3] =
        [("text", &ours(Format::Text)), ("protobuf", &ours(Format::Protobuf)), ("prometheus", &|| text_of(&registry))];
    measure("counters", series, (2_000_000 / series).clamp(20, 2_000), kinds);
}

fn histograms(series: u32) {
    let opts = HistogramOpts::new(AMOUNTS.name, AMOUNTS.help).buckets(BOUNDS.to_vec());
    let rival = HistogramVec::new(opts, AMOUNTS.labels).unwrap();
    let registry = Registry::new();
    registry.register(Box::new(rival.clone())).unwrap();
    let observed = |number: u32| {
        let (endpoint, mut native) = (format!("property-search-{number}"), NativeBuckets::default());
        let (mut buckets, mut sum) = (BOUNDS.map(|bound| (bound, 0)), 0.0);
        for place in 0..OBSERVED {
            let amount = 0.03 * 1.03_f64.powi(i32::try_from((number + place) % OBSERVED).unwrap());
            buckets.iter_mut().filter(|(bound, _)| amount <= *bound).for_each(|(_, count)| *count += 1);
            native.observe(amount);
            sum += amount;
            rival.with_label_values(&["default", &endpoint]).observe(amount);
        }
        (endpoint, buckets, native, sum)
    };
    let values: Vec<_> = (0..series).map(observed).collect();
    let start = DateTime::from_timestamp(1_779_193_800, 123_456_000);
    let ours = |format: Format| {
        let values = &values;
        move || {
            let mut out = Encoder::new(format);
            let mut family = out.family(&AMOUNTS);
            for (endpoint, buckets, native, sum) in values {
                let (count, sum, native) = (native.count(), *sum, Some(native));
                family.histogram(&["default", endpoint], &HistogramValue { buckets, count, sum, native, start });
            }
            out.into_bytes()
        }
    };
    let kinds: [(&str, Render<'_>); 3] =
        [("text", &ours(Format::Text)), ("protobuf", &ours(Format::Protobuf)), ("prometheus", &|| text_of(&registry))];
    measure("histograms", series, (200_000 / series).clamp(20, 2_000), kinds);
}

fn main() {
    println!(
        "{:>10} {:>8} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "", "series", "", "us/each", "gzip us/each", "bytes", "gzip bytes"
    );
    for series in [100, 10_000, 150_000] {
        counters(series);
    }
    for series in [10, 1_000] {
        histograms(series);
    }
}
