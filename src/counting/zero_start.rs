//! Zero-initialised series: which counter series exist, when each started, and which of them may show their value.
//!
//! Flows in: the keys of series as they are first counted, and the time. Flows out: what each shows, and its start
//! timestamp. Invariants: a new series shows 0 for `--metrics.start-at-zero`, so that a scraper sees the first dollar as
//! an increase; it is shown for good only after that was made durable, because a restart would otherwise take the value
//! back; the start of a series that is shown never moves.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::clock::{BootTime, Moment};

/// Names a series, or a group that is always created together, within an account: `checks`, `path//api/v1/x`.
pub type SeriesKey = String;

/// From when on a series counts: its start timestamp. `None` if that cannot be told.
pub type Start = Option<Moment>;

/// A start lies at most this long before the series is first served: Prometheus drops a zero that lies more than about an
/// hour back.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// The start of a series that is first served at `served`, and was not there at the poll at `polled`.
#[must_use]
pub fn start(polled: Moment, served: BootTime) -> Moment {
    polled.at_boot(polled.boot.max(served - LONGEST))
}

/// A start as it is shown `now`. A clock that was set back takes it along. One that was set forward does not: it is not known
/// since when it was behind, and a start after what was served is a reset.
#[must_use]
pub fn dated(start: Moment, now: Moment) -> DateTime<Utc> {
    start.by_clock_of(now).min(start.wall)
}

#[derive(Clone, Copy, Debug)]
struct Series {
    /// When it was created, or restored, while it is at zero; `None`: shown for good.
    zero_since: Option<BootTime>,
    start: Start,
}

impl Series {
    /// While it is at zero it may not have been served yet.
    fn start(self) -> Start {
        let start_at = |served| self.start.map(|polled| start(polled, served));
        self.zero_since.map_or(self.start, start_at)
    }
}

/// The series of an account.
#[derive(Clone, Debug, Default)]
pub struct ZeroStarts {
    series: BTreeMap<SeriesKey, Series>,
}

impl ZeroStarts {
    /// The series of the previous run, and whether each was shown: one that was not starts at zero again at `now`.
    #[must_use]
    pub fn restored(series: impl IntoIterator<Item = (SeriesKey, Start, bool)>, now: BootTime) -> ZeroStarts {
        let restored = |shown: bool, start| Series { zero_since: (!shown).then_some(now), start };
        ZeroStarts { series: series.into_iter().map(|(key, start, shown)| (key, restored(shown, start))).collect() }
    }

    /// Whether the series exists.
    #[must_use]
    pub fn knows(&self, key: &str) -> bool {
        self.series.contains_key(key)
    }

    /// Whether the series exists and it can be told when it started.
    #[must_use]
    pub fn is_dated(&self, key: &str) -> bool {
        self.series.get(key).is_some_and(|series| series.start.is_some())
    }

    /// Creates a series; one that exists takes no more than the start that it lacks.
    pub fn create(&mut self, key: &str, start: Start, now: BootTime) {
        let series = self.series.entry(key.to_owned()).or_insert(Series { zero_since: Some(now), start });
        series.start = series.start.or(start);
    }

    /// What the series shows of its value, which is zero at first, and its start.
    #[must_use]
    pub fn shown<V: Default>(&self, key: &str, value: V) -> (V, Start) {
        let series = self.series.get(key);
        let is_shown = series.is_some_and(|series| series.zero_since.is_none());
        (if is_shown { value } else { V::default() }, series.and_then(|series| series.start()))
    }

    /// The series that have been at zero for long enough and are not shown yet, with their starts.
    #[must_use]
    pub fn due(&self, now: BootTime, zero_for: Duration) -> Vec<(SeriesKey, Start)> {
        let due = self.series.iter().filter(|(_, series)| series.zero_since.is_some_and(|zero| zero + zero_for <= now));
        due.map(|(key, series)| (key.clone(), series.start())).collect()
    }

    /// The series of a group that are not shown yet and may have been shown before. Their starts are as they were: a later
    /// one would be a reset.
    #[must_use]
    pub fn unshown(&self, prefix: &str) -> Vec<(SeriesKey, Start)> {
        let unshown = self.series.iter().filter(|(key, series)| key.starts_with(prefix) && series.zero_since.is_some());
        unshown.map(|(key, series)| (key.clone(), series.start)).collect()
    }

    /// When the next series may be shown.
    #[must_use]
    pub fn next_due(&self, zero_for: Duration) -> Option<BootTime> {
        self.series.values().filter_map(|series| series.zero_since).min().map(|zero| zero + zero_for)
    }

    /// Shows series for good.
    pub fn show(&mut self, series: &[(SeriesKey, Start)]) {
        for (key, start) in series {
            self.series.insert(key.clone(), Series { zero_since: None, start: *start });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    const ZERO_FOR: Duration = Duration::from_secs(120);

    fn at(minutes: i64) -> Moment {
        let epoch = Moment { wall: DateTime::UNIX_EPOCH, boot: BootTime::default() };
        epoch.at_wall(DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes))
    }

    fn series(shown: bool, start: i64, now: i64) -> ZeroStarts {
        ZeroStarts::restored([("x".to_owned(), Some(at(start)), shown)], at(now).boot)
    }

    #[test]
    fn a_zero_start_that_was_cut_short_begins_again() {
        let start = at(0).boot;
        let mut created = ZeroStarts::default();
        created.create("x", Some(at(0)), start);
        assert_eq!(created.shown("x", 7).0, 0);
        assert!(created.due(start + ZERO_FOR / 2, ZERO_FOR).is_empty());
        assert_eq!(created.due(start + ZERO_FOR, ZERO_FOR), [("x".to_owned(), Some(at(0)))]);
        assert_eq!(series(true, 0, 10).shown("x", 7).0, 7);
        let mut restored = series(false, 0, 10);
        assert_eq!(restored.shown("x", 7).0, 0);
        assert!(restored.due(at(10).boot, ZERO_FOR).is_empty());
        assert_eq!(restored.next_due(ZERO_FOR), Some(at(10).boot + ZERO_FOR));
        restored.show(&restored.due(at(12).boot, ZERO_FOR));
        assert_eq!(restored.shown("x", 7), (7, Some(at(0))));
    }

    #[test]
    fn a_start_lies_at_most_30_minutes_before_what_is_served_first_and_never_moves_then() {
        // Crashed before anybody scraped it, and back hours later.
        let mut late = series(false, 0, 200);
        assert_eq!(late.shown("x", 7), (0, Some(at(170))));
        late.show(&late.due(at(202).boot, ZERO_FOR));
        assert_eq!(late.shown("x", 7), (7, Some(at(170))));
        // One that was shown, and one that may have been, keep theirs.
        assert_eq!(series(true, 0, 200).shown("x", 7), (7, Some(at(0))));
        let mut older = series(false, 0, 200);
        older.show(&older.unshown("x"));
        assert_eq!(older.shown("x", 7), (7, Some(at(0))));
        assert!(older.unshown("").is_empty());
    }
}
