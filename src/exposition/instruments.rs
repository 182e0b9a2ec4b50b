//! What the process and its accounts did, as families.
//!
//! Flows in: the counts of accounts, and what the registry of the process gathered. Flows out: families. Invariant: the
//! samples of all accounts are one family.

use std::sync::Arc;

use super::encode::{Encoder, Family};
use super::value::{HistogramValue, StartTimestamp};
use crate::catalog::{self as c, MetricType, PROCESS_INSTRUMENTS};
use crate::clock::Moment;
use crate::counting::zero_start::dated;
use crate::instruments::account::{AccountCounts, AccountInstruments};
use crate::instruments::{ProcessInstruments, label};
use crate::names::Label as _;

/// Writes what the process and its accounts did since each started, as it is `now`.
pub fn write_instruments(
    out: &mut Encoder,
    process: Option<(&ProcessInstruments, Moment)>,
    accounts: &[Arc<AccountInstruments>],
    now: Moment,
) {
    write_accounts(out, accounts, now);
    let gathered = process.map(|(process, started)| process.gather(started, now)).unwrap_or_default();
    for spec in PROCESS_INSTRUMENTS {
        let mut family = out.family(spec);
        for (metric, start) in gathered.get(spec.name).into_iter().flatten() {
            let labels: Vec<&str> = spec.labels.iter().map(|name| label(metric, name)).collect();
            match spec.kind {
                MetricType::Counter => {
                    family.counter(&labels, (metric.get_counter().get_value(), Some(dated(*start, now))));
                }
                MetricType::Gauge => family.sample(&labels, metric.get_gauge().get_value()),
                // The registry has none.
                MetricType::Histogram => {}
            }
        }
    }
}

fn write_accounts(out: &mut Encoder, accounts: &[Arc<AccountInstruments>], now: Moment) {
    let mut write = |spec, of_account: fn(&mut Family<'_>, [&str; 2], &AccountCounts, StartTimestamp, Moment)| {
        let mut family = out.family(spec);
        for account in accounts {
            let (of, start) = ([account.account.as_str(), account.vendor.name], Some(dated(account.started, now)));
            of_account(&mut family, of, &account.counts(now), start, now);
        }
    };
    write(&c::SOURCE_POLLS, |family, [account, vendor], counts, start, _| {
        for (source, polls) in &counts.polls {
            family.counter(&[account, vendor, source], (*polls, start));
        }
    });
    write(&c::SOURCE_FAILURES, |family, [account, vendor], counts, start, _| {
        for ((source, reason), failures) in &counts.failures {
            family.counter(&[account, vendor, source, reason.as_str()], (*failures, start));
        }
    });
    write(&c::VENDOR_REQUESTS, |family, [account, vendor], counts, _, now| {
        for ((operation, code), requests) in &counts.requests {
            let code = code.map_or_else(|| "error".to_owned(), |code| code.to_string());
            let start = requests.start.map(|start| dated(start, now));
            family.counter(&[account, vendor, operation, &code], (requests.count, start));
        }
    });
    write(&c::VENDOR_RESPONSE_BYTES, |family, [account, vendor], counts, start, _| {
        for (operation, bytes) in &counts.bytes {
            family.counter(&[account, vendor, operation], (*bytes, start));
        }
    });
    write(&c::VENDOR_REQUEST_DURATION, |family, [account, vendor], counts, start, _| {
        for (operation, durations) in &counts.durations {
            let value = HistogramValue {
                buckets: &durations.buckets,
                count: durations.native.count(),
                sum: durations.sum,
                native: Some(&durations.native),
                start,
            };
            family.histogram(&[account, vendor, operation], &value);
        }
    });
}
