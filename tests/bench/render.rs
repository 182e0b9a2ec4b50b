//! Rendering as text and as protobuf, plain and with compression, beside the `prometheus` crate's text encoder: time for each
//! series, and bytes. Taking turns; the least of several runs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use chrono::DateTime;
use prometheus::{CounterVec, Encoder as _, Opts, Registry, TextEncoder};
use wallet_exporter::catalog::{FamilySpec, MetricType};
use wallet_exporter::exposition::{Encoder, Format, Rendered};

static SERIES: FamilySpec = FamilySpec {
    name: "bench_wallet_api_path_debit_usd_total",
    kind: MetricType::Counter,
    labels: &["account", "api_path", "number"],
    help: "Money.",
};

fn time(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

fn main() {
    println!(
        "{:>8} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "series", "", "us/each", "gzip us/each", "bytes", "gzip bytes"
    );
    for series in [100_u32, 10_000, 150_000] {
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
        let push = |format| {
            let mut out = Encoder::new(format);
            let mut family = out.family(&SERIES);
            for (path, number, value) in &values {
                family.counter(&["default", path, number], (*value, start));
            }
            out.into_bytes()
        };
        let rival = || {
            let mut text = Vec::new();
            TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
            text
        };
        let zipped = |plain: Vec<u8>| Rendered::new(plain).body(true, Vec::new()).concat();
        let ours = |format: Format| move || push(format);
        let kinds: [(&str, &dyn Fn() -> Vec<u8>); 3] =
            [("text", &ours(Format::Text)), ("protobuf", &ours(Format::Protobuf)), ("prometheus", &rival)];
        let mut least = [[Duration::MAX; 2]; 3];
        for _ in 0..(2_000_000 / series).clamp(20, 2_000) {
            for (least, (_, run)) in least.iter_mut().zip(&kinds) {
                least[0] = least[0].min(time(|| drop(black_box(run()))));
                least[1] = least[1].min(time(|| drop(black_box(zipped(run())))));
            }
        }
        for ((kind, run), times) in kinds.iter().zip(least) {
            let [plain, gzip] = times.map(|time| time.as_secs_f64() * 1e6 / f64::from(series));
            let (bytes, smaller) = (run().len(), zipped(run()).len());
            println!("{series:>8} {kind:>12} {plain:>12.3} {gzip:>12.3} {bytes:>12} {smaller:>12}");
        }
    }
}
