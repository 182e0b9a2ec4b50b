//! Zero-initialised series: which counter series exist, and which of them may show their value.
//!
//! Flows in: the keys of series as they are first counted, and the time. Flows out: which of them may show their value.
//! Invariant: a new series shows 0 for `--metrics.start-at-zero`, so that a scraper sees the first dollar as an increase;
//! it is shown for good only after that was made durable, because a restart would otherwise take the value back.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::BootTime;

/// Names a series, or a group that is always created together, within an account: `checks`, `path//api/v1/x`.
pub type SeriesKey = String;

/// The series of an account.
#[derive(Clone, Debug, Default)]
pub struct ZeroStarts {
    /// When it was created, while it is at zero; `None`: shown for good.
    series: BTreeMap<SeriesKey, Option<BootTime>>,
}

impl ZeroStarts {
    /// The series of the previous run, and whether each was shown: one that was not starts at zero again at `now`.
    #[must_use]
    pub fn restored(series: impl IntoIterator<Item = (SeriesKey, bool)>, now: BootTime) -> ZeroStarts {
        ZeroStarts { series: series.into_iter().map(|(key, shown)| (key, (!shown).then_some(now))).collect() }
    }

    /// Whether the series exists.
    #[must_use]
    pub fn knows(&self, key: &str) -> bool {
        self.series.contains_key(key)
    }

    /// Creates a series; one that exists is left alone.
    pub fn create(&mut self, key: &str, now: BootTime) {
        if !self.knows(key) {
            self.series.insert(key.to_owned(), Some(now));
        }
    }

    /// Whether the series shows its value rather than 0.
    #[must_use]
    pub fn is_shown(&self, key: &str) -> bool {
        matches!(self.series.get(key), Some(None))
    }

    /// The series that have been at zero for long enough and are not shown yet.
    #[must_use]
    pub fn due(&self, now: BootTime, zero_for: Duration) -> Vec<SeriesKey> {
        self.series
            .iter()
            .filter(|(_, created)| created.is_some_and(|created| created + zero_for <= now))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// When the next series may be shown.
    #[must_use]
    pub fn next_due(&self, zero_for: Duration) -> Option<BootTime> {
        self.series.values().flatten().min().map(|created| *created + zero_for)
    }

    /// Shows series for good.
    pub fn show(&mut self, keys: &[SeriesKey]) {
        for key in keys {
            self.series.insert(key.clone(), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_start_that_was_cut_short_begins_again() {
        let zero_for = Duration::from_secs(120);
        let start = BootTime::default();
        let mut series = ZeroStarts::default();
        series.create("x", start);
        assert!(!series.is_shown("x"));
        assert!(series.due(start + zero_for / 2, zero_for).is_empty());
        assert_eq!(series.due(start + zero_for, zero_for), ["x"]);
        let later = start + zero_for * 10;
        let mut series = ZeroStarts::restored([("x".to_owned(), false), ("y".to_owned(), true)], later);
        assert!(series.is_shown("y") && !series.is_shown("x"));
        assert!(series.due(later, zero_for).is_empty());
        assert_eq!(series.next_due(zero_for), Some(later + zero_for));
        series.show(&["x".to_owned()]);
        assert!(series.is_shown("x"));
    }
}
