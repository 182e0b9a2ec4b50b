//! Families as protobuf messages.
//!
//! Flows in: families and their samples. Flows out: `io.prometheus.client.MetricFamily`, each after its length.
//! Invariant: every byte comes from the types that prost makes of Prometheus' own schema. A family is encoded metric by
//! metric: messages that follow each other are one message whose lists are joined, so that no family has to be in memory
//! as objects.

#[rustfmt::skip]
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
pub mod metrics;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use prost::Message as _;
use prost_types::Timestamp;

use super::value::{HistogramValue, StartTimestamp, Value};
use crate::catalog::{FamilySpec, MetricType};
use crate::native_histogram::{SCHEMA, ZERO_THRESHOLD};
use metrics::{Bucket, BucketSpan, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily};

/// Takes the samples of one family after the other.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// The family that is being written, without its length.
    family: Vec<u8>,
    /// The labels of one metric after the other, in memory that is used again.
    labels: Vec<LabelPair>,
}

/// As precise as what the storage keeps: a restart moves nothing.
fn timestamp(time: DateTime<Utc>) -> Timestamp {
    let micros = i32::try_from(time.timestamp_subsec_micros()).unwrap_or_default();
    Timestamp { seconds: time.timestamp(), nanos: micros * 1_000 }
}

/// Runs of buckets, and each count less the one before.
fn spans(buckets: &BTreeMap<i32, u64>) -> (Vec<BucketSpan>, Vec<i64>) {
    let (mut spans, mut deltas): (Vec<BucketSpan>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut next, mut before) = (0, 0);
    for (&bucket, &count) in buckets {
        match spans.last_mut() {
            Some(span) if bucket == next => span.length += 1,
            _ => spans.push(BucketSpan { offset: bucket - next, length: 1 }),
        }
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        deltas.push(count - before);
        (next, before) = (bucket + 1, count);
    }
    (spans, deltas)
}

// Encoding into a vector cannot fail, so the results below are dropped.
impl Messages {
    /// Begins a family; the one before is complete and goes to `out`.
    pub(super) fn begin(&mut self, spec: &FamilySpec, out: &mut Vec<u8>) {
        self.end(out);
        let kind = match spec.kind {
            MetricType::Gauge => metrics::MetricType::Gauge,
            MetricType::Counter => metrics::MetricType::Counter,
            MetricType::Histogram => metrics::MetricType::Histogram,
        };
        let (name, help) = (spec.name.to_owned(), spec.help.to_owned());
        let family = MetricFamily { name, help, r#type: kind.into(), ..MetricFamily::default() };
        let _ = family.encode(&mut self.family);
    }

    /// The last family is complete.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if !self.family.is_empty() {
            let _ = prost::encode_length_delimiter(self.family.len(), out);
            out.append(&mut self.family);
        }
    }

    /// One sample of a gauge.
    pub(super) fn gauge(&mut self, labels: &[&str], values: &[&str], value: f64) {
        self.metric(labels, values, Metric { gauge: Some(Gauge { value }), ..Metric::default() });
    }

    /// One sample of a counter.
    pub(super) fn counter(&mut self, labels: &[&str], values: &[&str], value: f64, start: StartTimestamp) {
        let counter = Counter { value, start_timestamp: start.map(timestamp), ..Counter::default() };
        self.metric(labels, values, Metric { counter: Some(counter), ..Metric::default() });
    }

    /// One histogram. The bucket `+Inf` is implied.
    pub(super) fn histogram(&mut self, labels: &[&str], values: &[&str], value: &HistogramValue<'_, impl Value>) {
        let bucket = |(upper_bound, cumulative_count): &(f64, u64)| Bucket {
            cumulative_count: *cumulative_count,
            upper_bound: *upper_bound,
            ..Bucket::default()
        };
        let mut histogram = Histogram {
            sample_count: value.count,
            sample_sum: value.sum.number(),
            bucket: value.buckets.iter().map(bucket).collect(),
            start_timestamp: value.start.map(timestamp),
            ..Histogram::default()
        };
        // A scraper refuses the whole answer where they disagree.
        if let Some(native) = value.native.filter(|native| native.count() == value.count) {
            histogram.schema = SCHEMA;
            histogram.zero_threshold = ZERO_THRESHOLD;
            histogram.zero_count = native.zero;
            (histogram.positive_span, histogram.positive_delta) = spans(&native.positive);
            (histogram.negative_span, histogram.negative_delta) = spans(&native.negative);
        }
        self.metric(labels, values, Metric { histogram: Some(histogram), ..Metric::default() });
    }

    fn metric(&mut self, labels: &[&str], values: &[&str], mut metric: Metric) {
        metric.label = std::mem::take(&mut self.labels);
        metric.label.resize_with(labels.len(), LabelPair::default);
        for (pair, (name, value)) in metric.label.iter_mut().zip(labels.iter().zip(values)) {
            for (text, new) in [(&mut pair.name, name), (&mut pair.value, value)] {
                text.clear();
                text.push_str(new);
            }
        }
        let mut part = MetricFamily { metric: vec![metric], ..MetricFamily::default() };
        let _ = part.encode(&mut self.family);
        self.labels = part.metric.pop().map(|metric| metric.label).unwrap_or_default();
    }
}
