//! What registries gathered, as families.
//!
//! Flows in: registries, and the durations of requests. Flows out: families. Invariant: the samples of several registries
//! are one family.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use prometheus::proto::Metric;

use super::encode::{Encoder, HistogramValue};
use crate::catalog::{INSTRUMENTS, MetricType};
use crate::clock::Moment;
use crate::instruments::{AccountInstruments, ProcessInstruments, label};

/// Writes what the process and its accounts did since each started, as it is `now`.
pub fn write_instruments(
    out: &mut Encoder,
    process: Option<(&ProcessInstruments, Moment)>,
    accounts: &[Arc<AccountInstruments>],
    now: Moment,
) {
    let mut gathered: BTreeMap<String, Vec<(Metric, DateTime<Utc>)>> = BTreeMap::new();
    let of_accounts = accounts.iter().map(|account| (account.gather(), account.started));
    for (families, started) in of_accounts.chain(process.map(|(process, started)| (process.gather(), started))) {
        let started = started.by_clock_of(now);
        for mut family in families {
            let metrics = family.take_metric().into_iter().map(|metric| (metric, started));
            gathered.entry(family.name().to_owned()).or_default().extend(metrics);
        }
    }
    for spec in INSTRUMENTS {
        let mut family = out.family(spec);
        for (metric, started) in gathered.get(spec.name).into_iter().flatten() {
            let labels: Vec<&str> = spec.labels.iter().map(|name| label(metric, name)).collect();
            match spec.kind {
                MetricType::Counter => family.counter(&labels, (metric.get_counter().get_value(), Some(*started))),
                _ => family.sample(&labels, metric.get_gauge().get_value()),
            }
        }
        for account in accounts.iter().filter(|_| spec.kind == MetricType::Histogram) {
            for (operation, durations) in account.durations() {
                let value = HistogramValue {
                    buckets: &durations.buckets,
                    count: durations.native.count(),
                    sum: durations.sum,
                    native: Some(&durations.native),
                    start: Some(account.started.by_clock_of(now)),
                };
                family.histogram(&[&account.account, account.vendor.name, operation], &value);
            }
        }
    }
}
