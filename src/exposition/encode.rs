//! Samples to an exposition.
//!
//! Flows in: families and their samples, pushed one by one. Flows out: text 0.0.4, OpenMetrics 1.0.0 or protobuf.
//! Invariants: a sample's line is the same bytes in both texts, and its value in protobuf is the number that the text
//! reads as; HELP and TYPE are written only before a sample; a value that is not finite is dropped (unknown is absent);
//! a family, and a label set within it, is written once.

#[cfg(debug_assertions)]
use std::collections::HashSet;

use super::protobuf::Messages;
use super::value::{HistogramValue, StartTimestamp, Value};
use crate::catalog::{FamilySpec, MetricType};
use crate::counting::amounts::AmountHistogram;

/// An exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Prometheus text, version 0.0.4.
    Text,
    /// OpenMetrics text, version 1.0.0.
    OpenMetrics,
    /// Messages `io.prometheus.client.MetricFamily`, each after its length.
    Protobuf,
}

/// The end of an exposition.
#[must_use]
pub const fn end(format: Format) -> &'static str {
    match format {
        Format::Text | Format::Protobuf => "",
        Format::OpenMetrics => "# EOF\n",
    }
}

/// Takes samples, gives an exposition.
#[derive(Debug)]
pub struct Encoder {
    format: Format,
    out: Vec<u8>,
    messages: Messages,
    #[cfg(debug_assertions)]
    names: HashSet<&'static str>,
}

impl Encoder {
    /// An empty exposition.
    #[must_use]
    pub fn new(format: Format) -> Encoder {
        Encoder {
            format,
            out: Vec::new(),
            messages: Messages::default(),
            #[cfg(debug_assertions)]
            names: HashSet::new(),
        }
    }

    /// Begins a family. Each family is begun once.
    pub fn family(&mut self, spec: &'static FamilySpec) -> Family<'_> {
        #[cfg(debug_assertions)]
        {
            assert!(self.names.insert(spec.name), "family {} is written twice", spec.name);
            let total = spec.name.ends_with("_total");
            assert_eq!(
                spec.kind == MetricType::Counter,
                total,
                "{}: counters, and only counters, end in _total",
                spec.name
            );
        }
        Family {
            encoder: self,
            spec,
            begun: false,
            #[cfg(debug_assertions)]
            seen: HashSet::new(),
        }
    }

    /// The exposition so far, without the end that [`end`] gives.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.messages.end(&mut self.out);
        self.out
    }

    fn put(&mut self, parts: &[&str]) {
        for part in parts {
            self.out.extend_from_slice(part.as_bytes());
        }
    }

    fn header(&mut self, spec: &FamilySpec) {
        let help = spec.help.replace('\\', "\\\\").replace('\n', "\\n");
        let (name, help) = match self.format {
            Format::Text => (spec.name, help),
            Format::OpenMetrics => (spec.openmetrics_name(), help.replace('"', "\\\"")),
            Format::Protobuf => return self.messages.begin(spec, &mut self.out),
        };
        self.put(&["# HELP ", name, " ", &help, "\n# TYPE ", name, " ", spec.kind.word(), "\n"]);
    }

    /// `name{label="value",...} `, with `le` as the last label if there is one.
    fn labels(&mut self, name: [&str; 2], labels: &[&str], values: &[&str], le: Option<&str>) {
        self.put(&name);
        let mut opening = "{";
        for (label, value) in labels.iter().zip(values) {
            self.put(&[opening, label, "=\""]);
            write_escaped(&mut self.out, value);
            opening = "\",";
        }
        if let Some(le) = le {
            self.put(&[opening, "le=\"", le]);
            opening = "\",";
        }
        self.put(&[if opening == "{" { " " } else { "\"} " }]);
    }

    fn value(&mut self, value: impl Value) {
        value.write(&mut self.out);
        self.out.push(b'\n');
    }

    fn sample(&mut self, name: &str, labels: &[&str], values: &[&str], value: impl Value) {
        if self.format == Format::Protobuf {
            return self.messages.gauge(labels, values, value.number());
        }
        self.labels([name, ""], labels, values, None);
        self.value(value);
    }
}

/// Takes the samples of one family.
#[derive(Debug)]
pub struct Family<'a> {
    encoder: &'a mut Encoder,
    spec: &'static FamilySpec,
    begun: bool,
    #[cfg(debug_assertions)]
    seen: HashSet<Vec<String>>,
}

impl Family<'_> {
    /// One sample of a gauge. `values` are the label values in the family's order. A value that is not finite is dropped,
    /// because unknown is absent.
    pub fn sample(&mut self, values: &[&str], value: impl Value) {
        if self.begin(values, self.spec.kind == MetricType::Gauge && value.is_known()) {
            self.encoder.sample(self.spec.name, self.spec.labels, values, value);
        }
    }

    /// One sample of a counter.
    pub fn counter(&mut self, values: &[&str], (value, start): (impl Value, StartTimestamp)) {
        if !self.begin(values, self.spec.kind == MetricType::Counter && value.is_known()) {
            return;
        }
        if self.encoder.format == Format::Protobuf {
            return self.encoder.messages.counter(self.spec.labels, values, value.number(), start);
        }
        self.encoder.sample(self.spec.name, self.spec.labels, values, value);
    }

    /// One sample of a gauge with labels of its own beside the family's.
    pub fn sample_with<'a>(
        &mut self,
        own: &[&str],
        more: impl IntoIterator<Item = (&'a String, &'a String)>,
        value: impl Value,
    ) {
        if self.begin(own, self.spec.kind == MetricType::Gauge && value.is_known()) {
            let (more, mut values): (Vec<&str>, Vec<&str>) =
                more.into_iter().map(|(name, value)| (name.as_str(), value.as_str())).unzip();
            values.splice(..0, own.iter().copied());
            let labels: Vec<&str> = self.spec.labels.iter().copied().chain(more).collect();
            self.encoder.sample(self.spec.name, &labels, &values, value);
        }
    }

    /// One histogram. Dropped if its sum is not finite.
    pub fn histogram(&mut self, values: &[&str], value: &HistogramValue<'_, impl Value>) {
        if !self.begin(values, self.spec.kind == MetricType::Histogram && value.sum.is_known()) {
            return;
        }
        let (name, labels) = (self.spec.name, self.spec.labels);
        if self.encoder.format == Format::Protobuf {
            return self.encoder.messages.histogram(labels, values, value);
        }
        for (bound, count) in value.buckets {
            // Always as a float (`100.0`), in both formats, so that both make the same series.
            self.encoder.labels([name, "_bucket"], labels, values, Some(&format!("{bound:?}")));
            self.encoder.value(*count);
        }
        self.encoder.labels([name, "_bucket"], labels, values, Some("+Inf"));
        self.encoder.value(value.count);
        self.encoder.labels([name, "_sum"], labels, values, None);
        self.encoder.value(value.sum);
        self.encoder.labels([name, "_count"], labels, values, None);
        self.encoder.value(value.count);
    }

    /// One histogram of amounts, which were observed by these upper bounds.
    pub fn amounts(&mut self, values: &[&str], bounds: &[f64], (histogram, start): (AmountHistogram, StartTimestamp)) {
        let (buckets, count) = histogram.cumulative(bounds);
        let (sum, native) = (histogram.sum, Some(&histogram.native));
        self.histogram(values, &HistogramValue { buckets: &buckets, count, sum, native, start });
    }

    /// Whether a sample with these label values is to be written; before the first, HELP and TYPE are.
    fn begin(&mut self, values: &[&str], known: bool) -> bool {
        debug_assert_eq!(values.len(), self.spec.labels.len(), "{}: {values:?}", self.spec.name);
        if !known || values.len() != self.spec.labels.len() {
            return false;
        }
        #[cfg(debug_assertions)]
        {
            let labels: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            assert!(self.seen.insert(labels), "written twice: {}{values:?}", self.spec.name);
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.encoder.header(self.spec);
        }
        true
    }
}

/// A label value: `\`, `"` and line feed are escaped, alike in both formats.
fn write_escaped(out: &mut Vec<u8>, value: &str) {
    let mut rest = value.as_bytes();
    while let Some(at) = memchr::memchr3(b'\\', b'"', b'\n', rest) {
        let (plain, from) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((special, after)) = from.split_first() else { return };
        out.extend_from_slice(&[b'\\', if *special == b'\n' { b'n' } else { *special }]);
        rest = after;
    }
    out.extend_from_slice(rest);
}
