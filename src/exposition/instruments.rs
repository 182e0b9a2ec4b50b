//! What registries gathered, as families.
//!
//! Flows in: registries, and the durations of requests. Flows out: families. Invariant: the samples of several registries
//! are one family.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::proto::Metric;

use super::encode::{Encoder, HistogramValue};
use crate::catalog::{INSTRUMENTS, MetricType};
use crate::clock::Moment;
use crate::counting::zero_start::dated;
use crate::instruments::{AccountInstruments, ProcessInstruments, label};

/// Writes what the process and its accounts did since each started, as it is `now`.
pub fn write_instruments(
    out: &mut Encoder,
    process: Option<(&ProcessInstruments, Moment)>,
    accounts: &[Arc<AccountInstruments>],
    now: Moment,
) {
    let mut gathered: BTreeMap<String, Vec<(Metric, Moment)>> = BTreeMap::new();
    let of_accounts = accounts.iter().map(|account| account.gather(now));
    for families in of_accounts.chain(process.map(|(process, started)| process.gather(started, now))) {
        for (name, metrics) in families {
            gathered.entry(name).or_default().extend(metrics);
        }
    }
    for spec in INSTRUMENTS {
        let mut family = out.family(spec);
        for (metric, start) in gathered.get(spec.name).into_iter().flatten() {
            let labels: Vec<&str> = spec.labels.iter().map(|name| label(metric, name)).collect();
            match spec.kind {
                MetricType::Counter => {
                    family.counter(&labels, (metric.get_counter().get_value(), Some(dated(*start, now))));
                }
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
                    start: Some(dated(account.started, now)),
                };
                family.histogram(&[&account.account, account.vendor.name, operation], &value);
            }
        }
    }
}
