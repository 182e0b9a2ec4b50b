//! Rendering, plain and with compression, beside the `prometheus` crate's text encoder. Taking turns; the
//! least of several runs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use prometheus::{Encoder as _, GaugeVec, Opts, Registry, TextEncoder};
use wallet_exporter::catalog::{FamilySpec, MetricType};
use wallet_exporter::exposition::{Encoder, Format, Rendered};

static SERIES: FamilySpec = FamilySpec {
    name: "bench_wallet_api_path_debit_usd",
    kind: MetricType::Gauge,
    labels: &["account", "api_path", "number"],
    help: "Money.",
};

fn time(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

fn main() {
    println!("{:>8} {:>22} {:>22} {:>22}", "series", "ours, plain+gzip", "ours, plain", "prometheus");
    for series in [100_u32, 10_000, 100_000] {
        let values: Vec<(String, String, f64)> = (0..series)
            .map(|number| {
                let path = format!("/api/v1/property/search/{}", number % 97);
                (path, number.to_string(), f64::from(number) * 1.2345)
            })
            .collect();
        let registry = Registry::new();
        let gauge = GaugeVec::new(Opts::new(SERIES.name, SERIES.help), SERIES.labels).unwrap();
        registry.register(Box::new(gauge.clone())).unwrap();
        for (path, number, value) in &values {
            gauge.with_label_values(&["default", path, number]).set(*value);
        }
        let push = || {
            let mut out = Encoder::new(Format::Text);
            let mut family = out.family(&SERIES);
            for (path, number, value) in &values {
                family.sample(&["default", path, number], *value);
            }
            out
        };
        let mut least = [Duration::MAX; 3];
        for _ in 0..(2_000_000 / series).clamp(20, 2_000) {
            let runs = [
                time(|| drop(black_box(Rendered::new(push().into_bytes()).body(true, Vec::new())))),
                time(|| drop(black_box(push()))),
                time(|| {
                    let mut text = Vec::new();
                    TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
                    black_box(text);
                }),
            ];
            for (least, run) in least.iter_mut().zip(runs) {
                *least = (*least).min(run);
            }
        }
        let [all, plain, rival] = least.map(|time| time.as_secs_f64() * 1e6 / f64::from(series));
        println!("{series:>8} {all:>14.3} us/each {plain:>14.3} us/each {rival:>14.3} us/each");
    }
}
