//! When each counter series was born.
//!
//! Flows in: the keys of series as they are first counted, and the time. Flows out: which of them may show their value.
//! Invariant: a series shows 0 from its birth for the hold, so that a scraper sees the first dollar as an increase; it
//! is shown for good only after that was made durable, because a restart would otherwise take the value back.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::BootTime;

/// Names a series, or a group that is always born together, within an account: `checks`, `path//api/v1/x`.
pub type SeriesKey = String;

/// The births of an account's series.
#[derive(Clone, Debug, Default)]
pub struct Births {
    /// `None`: shown for good.
    held: BTreeMap<SeriesKey, Option<BootTime>>,
}

impl Births {
    /// Births of the previous run: a hold that was not over begins again at `now`.
    #[must_use]
    pub fn restored(births: impl IntoIterator<Item = (SeriesKey, bool)>, now: BootTime) -> Births {
        Births { held: births.into_iter().map(|(key, shown)| (key, (!shown).then_some(now))).collect() }
    }

    /// Whether the series has been born.
    #[must_use]
    pub fn knows(&self, key: &str) -> bool {
        self.held.contains_key(key)
    }

    /// A series is born; one that exists is left alone.
    pub fn bear(&mut self, key: &str, now: BootTime) {
        if !self.knows(key) {
            self.held.insert(key.to_owned(), Some(now));
        }
    }

    /// Whether the series shows its value rather than 0.
    #[must_use]
    pub fn is_shown(&self, key: &str) -> bool {
        matches!(self.held.get(key), Some(None))
    }

    /// The series whose hold is over and which are not shown yet.
    #[must_use]
    pub fn due(&self, now: BootTime, hold: Duration) -> Vec<SeriesKey> {
        self.held
            .iter()
            .filter(|(_, born)| born.is_some_and(|born| born + hold <= now))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// When the next hold is over.
    #[must_use]
    pub fn next_due(&self, hold: Duration) -> Option<BootTime> {
        self.held.values().flatten().min().map(|born| *born + hold)
    }

    /// Shows series for good.
    pub fn show(&mut self, keys: &[SeriesKey]) {
        for key in keys {
            self.held.insert(key.clone(), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_that_was_cut_short_begins_again() {
        let hold = Duration::from_secs(120);
        let start = BootTime::default();
        let mut births = Births::default();
        births.bear("x", start);
        assert!(!births.is_shown("x"));
        assert!(births.due(start + hold / 2, hold).is_empty());
        assert_eq!(births.due(start + hold, hold), ["x"]);
        let later = start + hold * 10;
        let mut births = Births::restored([("x".to_owned(), false), ("y".to_owned(), true)], later);
        assert!(births.is_shown("y") && !births.is_shown("x"));
        assert!(births.due(later, hold).is_empty());
        assert_eq!(births.next_due(hold), Some(later + hold));
        births.show(&["x".to_owned()]);
        assert!(births.is_shown("x"));
    }
}
