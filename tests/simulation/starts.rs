//! Start timestamps, as a scraper takes them: it puts a zero at each start that lies after what it has already.

use chrono::{DateTime, TimeDelta, Utc};
use prost::Message as _;
use wallet_exporter::exposition::protobuf::metrics::{Metric, MetricFamily};

use crate::checks::{Checks, Seen};
use crate::counters::source_of;

/// The clocks of the exporter and the scraper may be so far apart.
const AHEAD_MS: i64 = 1_000;

fn start(metric: &Metric) -> Option<(f64, Option<DateTime<Utc>>)> {
    let counter = metric.counter.as_ref().map(|counter| (counter.value, counter.start_timestamp));
    let histogram = || metric.histogram.as_ref().map(|found| (found.sample_count as f64, found.start_timestamp));
    let (value, start) = counter.or_else(histogram)?;
    let time = start.map(|start| DateTime::from_timestamp(start.seconds, start.nanos.unsigned_abs()).unwrap());
    Some((value, time))
}

impl Checks {
    /// Of what survives a restart, none lies in the future, and none moves past the last scrape while the value stays: it
    /// would count again.
    pub fn starts(&mut self, mut messages: &[u8], seen: &Seen<'_>) -> Result<(), String> {
        // What a clock says that is ahead of the scraper's lies in its future.
        self.clock_was_ahead |= seen.clock_error_ms > AHEAD_MS;
        if self.clock_was_ahead {
            return Ok(());
        }
        let now = seen.network.time.now();
        while !messages.is_empty() {
            let family = MetricFamily::decode_length_delimited(&mut messages).map_err(|error| error.to_string())?;
            let survives = source_of(&family.name).is_some();
            for (metric, (value, start)) in
                family.metric.iter().filter(|_| survives).filter_map(|metric| Some((metric, start(metric)?)))
            {
                let series = format!("{} {:?}", family.name, metric.label);
                // What an older copy of the storage does not tell is not claimed.
                let Some(start) = start else { continue };
                if start > now + TimeDelta::milliseconds(AHEAD_MS) {
                    return Err(format!("{series} starts at {start}, in the future"));
                }
                let before = self.served.insert(series.clone(), (now, value));
                if let Some((last, _)) = before.filter(|(last, before)| {
                    start > *last + TimeDelta::milliseconds(AHEAD_MS) && value >= *before && *before > 0.0
                }) {
                    return Err(format!("{series} is still {value}, last seen at {last}, and starts at {start}"));
                }
            }
        }
        Ok(())
    }
}
