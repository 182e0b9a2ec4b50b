//! What a metric family is.
//!
//! Flows in: constants written beside the code that fills them. Flows out: names, types and help for the encoder, and
//! for the tests that hold README, dashboards and rules to them. Invariant: a counter's name ends in `_total`, and the
//! order of the labels is the order in the output.

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only rises; its name ends in `_total`.
    Counter,
    /// Counts by upper bound.
    Histogram,
}

impl Kind {
    /// The word in a `# TYPE` line, the same in both formats.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        }
    }
}

/// A family: everything about it but its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilySpec {
    /// The full name, `_total` included for a counter.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// Label names in output order, `account` first where there is one. A histogram's `le` is not among them.
    pub labels: &'static [&'static str],
    /// The help text: one plain sentence.
    pub help: &'static str,
}

impl FamilySpec {
    /// The family's name in OpenMetrics, where `_total` belongs to a counter's sample and not to its family.
    #[must_use]
    pub fn openmetrics_name(&self) -> &'static str {
        match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Gauge | Kind::Histogram => self.name,
        }
    }
}

/// A histogram as the encoder takes it.
#[derive(Clone, Copy, Debug)]
pub struct HistogramValue<'a> {
    /// Upper bounds, ascending and finite; `+Inf` is implied.
    pub bounds: &'a [f64],
    /// Observations in each bucket alone (not cumulated); one more than there are bounds, the last for `+Inf`.
    pub counts: &'a [u64],
    /// Sum of the observations.
    pub sum: f64,
}
