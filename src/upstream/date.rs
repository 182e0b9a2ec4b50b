//! The vendor's clock, as its `Date` headers tell it.
//!
//! Flows in: `Date` headers, and which days the vendor accepted as the end of a report. Flows out: the vendor's time.
//! Invariant: a time that moved by more than an hour against the boot clock is believed only once a second answer, at
//! least a minute later, agrees and the vendor has accepted its day; until then the last believed time goes on.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::clock::{BootTime, Moment};

/// A larger difference needs a second answer.
const PLAUSIBLE: TimeDelta = TimeDelta::hours(1);
/// Two answers agree if they differ by no more: a `Date` is cut to the second, and answers take their time.
const AGREEMENT: TimeDelta = TimeDelta::minutes(2);
/// The second answer comes at least this much later: one cache or one bad server would agree with itself before.
const APART: Duration = Duration::from_secs(60);

/// A clock is what it showed when the boot clock stood at zero.
type Zero = DateTime<Utc>;

fn zero(time: DateTime<Utc>, boot: BootTime) -> Zero {
    time.checked_sub_signed(boot.minus(BootTime::default())).unwrap_or(time)
}

fn at(zero: Zero, boot: BootTime) -> DateTime<Utc> {
    zero.checked_add_signed(boot.minus(BootTime::default())).unwrap_or(zero)
}

/// A time that is not believed yet.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    zero: Zero,
    first: BootTime,
    agreed: bool,
}

/// Follows a vendor's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct VendorClock {
    believed: Option<Zero>,
    candidate: Option<Candidate>,
    /// Whether the vendor can be asked for a day; otherwise the second answer is enough.
    asked_for_days: bool,
}

impl VendorClock {
    pub(super) fn new(asked_for_days: bool) -> VendorClock {
        VendorClock { believed: None, candidate: None, asked_for_days }
    }

    /// The vendor's time: as last believed, before that ours.
    pub(super) fn at(&self, now: Moment) -> DateTime<Utc> {
        self.believed.map_or(now.wall, |zero| at(zero, now.boot))
    }

    /// The vendor's clock minus ours, if a `Date` was believed.
    pub(super) fn skew(&self, now: Moment) -> Option<TimeDelta> {
        self.believed.map(|zero| at(zero, now.boot) - now.wall)
    }

    /// Whether answers have shown a time that is not believed yet.
    pub(super) fn is_disputed(&self) -> bool {
        self.candidate.is_some()
    }

    /// Whether any `Date` was believed.
    pub(super) fn is_known(&self) -> bool {
        self.believed.is_some()
    }

    /// Whether the vendor's clock and ours agree.
    pub(super) fn is_confirmed(&self, now: Moment) -> bool {
        self.skew(now).is_some_and(|skew| skew.abs() <= PLAUSIBLE)
    }

    /// The day to ask the vendor for, because two answers agree on it.
    pub(super) fn candidate_day(&self, now: BootTime) -> Option<NaiveDate> {
        self.candidate.filter(|candidate| candidate.agreed).map(|candidate| at(candidate.zero, now).date_naive())
    }

    /// The `Date` of an answer that arrived now, to a request that was sent at `sent`. It was written somewhere between
    /// the two and is cut to the second: a clock that it can be reconciled with stays as it is, so that a slow answer
    /// does not set it back.
    pub(super) fn learn(&mut self, date: DateTime<Utc>, sent: BootTime, now: Moment) {
        let shown = zero(date, now.boot);
        if (date - self.at(now)).abs() <= PLAUSIBLE {
            let known = zero(self.at(now), now.boot);
            self.believed = Some(known.clamp(shown, zero(date, sent).max(shown)));
            self.candidate = None;
            return;
        }
        match &mut self.candidate {
            Some(candidate) if (shown - candidate.zero).abs() <= AGREEMENT => {
                if now.boot.since(candidate.first) >= APART {
                    candidate.agreed = true;
                    if !self.asked_for_days {
                        self.believe();
                    }
                }
            }
            _ => self.candidate = Some(Candidate { zero: shown, first: now.boot, agreed: false }),
        }
    }

    /// The vendor accepted `day` as the end of a report, so its own day is not before that.
    pub(super) fn accepted(&mut self, day: NaiveDate, now: BootTime) {
        // Around midnight the day may be seconds ahead of the `Date`.
        self.believed = self.believed.filter(|zero| (at(*zero, now) + AGREEMENT).date_naive() >= day);
        let Some(candidate) = self.candidate else { return };
        let shown = at(candidate.zero, now).date_naive();
        if shown < day {
            self.candidate = None;
        } else if shown == day && candidate.agreed {
            self.believe();
        }
    }

    /// The vendor refused the candidate's day.
    pub(super) fn refused(&mut self) {
        self.candidate = None;
    }

    fn believe(&mut self) {
        if let Some(candidate) = self.candidate.take() {
            self.believed = Some(candidate.zero);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;

    fn moment(seconds: i64) -> Moment {
        let wall = DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
        Moment { wall, boot: BootTime::from_nanos((1_000 + seconds) * 1_000_000_000) }
    }

    fn shown(clock: &VendorClock, seconds: i64) -> i64 {
        (clock.at(moment(seconds)) - moment(seconds).wall).num_seconds()
    }

    #[test]
    fn a_plausible_date_is_believed_at_once_and_goes_on_between_answers() {
        let mut clock = VendorClock::new(true);
        assert_eq!(shown(&clock, 0), 0, "without one, ours");
        clock.learn(moment(0).wall - TimeDelta::minutes(50), moment(0).boot, moment(0));
        assert_eq!(shown(&clock, 500), -50 * 60);
        // Ours is set: the vendor's stays.
        let stepped = Moment { wall: moment(600).wall + TimeDelta::days(3), ..moment(600) };
        assert_eq!(clock.at(stepped), moment(600).wall - TimeDelta::minutes(50));
        assert_eq!(clock.skew(stepped), Some(-TimeDelta::days(3) - TimeDelta::minutes(50)));
    }

    #[test]
    fn a_slow_answer_does_not_set_the_clock_back() {
        let mut clock = VendorClock::new(true);
        clock.learn(moment(0).wall - TimeDelta::seconds(90), moment(0).boot, moment(0));
        // Written at 10, sent at 8, arrived at 25.
        clock.learn(moment(10).wall - TimeDelta::seconds(90), moment(8).boot, moment(25));
        assert_eq!(shown(&clock, 25), -90);
        // What it cannot be reconciled with moves it, as little as possible.
        clock.learn(moment(30).wall - TimeDelta::seconds(50), moment(28).boot, moment(31));
        assert_eq!(shown(&clock, 31), -51);
        clock.learn(moment(40).wall - TimeDelta::seconds(70), moment(38).boot, moment(41));
        assert_eq!(shown(&clock, 41), -68);
    }

    #[test]
    fn a_date_that_jumps_needs_a_second_answer_and_its_day() {
        let jump = TimeDelta::days(2);
        let mut clock = VendorClock::new(true);
        clock.learn(moment(0).wall, moment(0).boot, moment(0));
        clock.learn(moment(1).wall + jump, moment(1).boot, moment(1));
        assert!(clock.is_disputed());
        assert_eq!(clock.candidate_day(moment(30).boot), None);
        clock.learn(moment(30).wall + jump, moment(30).boot, moment(30));
        assert_eq!(clock.candidate_day(moment(30).boot), None, "too soon after the first");
        clock.learn(moment(61).wall + jump, moment(61).boot, moment(61));
        let day = (moment(61).wall + jump).date_naive();
        assert_eq!(clock.candidate_day(moment(61).boot), Some(day));
        assert_eq!(shown(&clock, 61), 0);
        clock.accepted(day, moment(62).boot);
        assert_eq!(shown(&clock, 62), 2 * 24 * HOUR);
    }

    #[test]
    fn one_absurd_answer_changes_nothing() {
        let mut clock = VendorClock::new(true);
        clock.learn(moment(0).wall, moment(0).boot, moment(0));
        clock.learn(DateTime::UNIX_EPOCH, moment(10).boot, moment(10));
        clock.learn(moment(100).wall, moment(100).boot, moment(100));
        assert!(!clock.is_disputed());
        clock.learn(moment(110).wall + TimeDelta::days(900), moment(110).boot, moment(110));
        clock.learn(moment(190).wall + TimeDelta::days(900), moment(190).boot, moment(190));
        clock.refused();
        assert_eq!(shown(&clock, 200), 0);
    }

    #[test]
    fn a_day_that_was_accepted_refutes_a_clock_that_is_before_it() {
        let mut clock = VendorClock::new(true);
        clock.learn(moment(0).wall, moment(0).boot, moment(0));
        for second in [1, 90] {
            clock.learn(moment(second).wall - TimeDelta::days(2), moment(second).boot, moment(second));
        }
        clock.accepted(moment(91).wall.date_naive(), moment(91).boot);
        assert!(!clock.is_disputed());
        assert_eq!(shown(&clock, 92), 0);
    }

    #[test]
    fn a_day_that_was_accepted_ends_the_belief_in_a_clock_that_is_before_it() {
        let mut clock = VendorClock::new(true);
        clock.learn(moment(0).wall, moment(0).boot, moment(0));
        assert!(clock.is_confirmed(moment(1)));
        clock.accepted(moment(1).wall.date_naive(), moment(1).boot);
        assert!(clock.is_known());
        clock.accepted(moment(1).wall.date_naive() + TimeDelta::days(1), moment(1).boot);
        assert!(!clock.is_known() && !clock.is_confirmed(moment(1)));
    }

    #[test]
    fn where_no_day_can_be_asked_for_the_second_answer_is_enough() {
        let mut clock = VendorClock::new(false);
        clock.learn(moment(0).wall + TimeDelta::days(2), moment(0).boot, moment(0));
        assert!(!clock.is_known());
        clock.learn(moment(60).wall + TimeDelta::days(2), moment(60).boot, moment(60));
        assert_eq!(shown(&clock, 70), 2 * 24 * HOUR);
    }
}
