//! What registries gathered, as families.
//!
//! Flows in: registries. Flows out: families. Invariant: the samples of several registries are one family.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::proto::Metric;

use super::encode::{Encoder, HistogramValue};
use crate::catalog::{INSTRUMENTS, MetricType};
use crate::instruments::{AccountInstruments, ProcessInstruments, label};

/// Writes what the process and its accounts did.
pub fn write_instruments(
    out: &mut Encoder,
    process: Option<&ProcessInstruments>,
    accounts: &[Arc<AccountInstruments>],
) {
    let mut gathered: BTreeMap<String, Vec<Metric>> = BTreeMap::new();
    for mut family in accounts
        .iter()
        .flat_map(|account| account.gather())
        .chain(process.map(ProcessInstruments::gather).unwrap_or_default())
    {
        gathered.entry(family.name().to_owned()).or_default().append(&mut family.take_metric());
    }
    for spec in INSTRUMENTS {
        let mut family = out.family(spec);
        for metric in gathered.get(spec.name).into_iter().flatten() {
            let labels: Vec<&str> = spec.labels.iter().map(|name| label(metric, name)).collect();
            match spec.kind {
                MetricType::Counter => family.sample(&labels, metric.get_counter().get_value()),
                MetricType::Gauge => family.sample(&labels, metric.get_gauge().get_value()),
                MetricType::Histogram => {
                    let histogram = metric.get_histogram();
                    let buckets = histogram.get_bucket().iter();
                    let buckets: Vec<(f64, u64)> =
                        buckets.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect();
                    let (count, sum) = (histogram.get_sample_count(), histogram.get_sample_sum());
                    family.histogram(&labels, &HistogramValue { buckets: &buckets, count, sum });
                }
            }
        }
    }
}
