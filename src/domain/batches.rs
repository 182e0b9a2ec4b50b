//! The life of a batch of balance checks.
//!
//! Flows in: what a look at the batch showed, and the time. Flows out: its state, and when to look next.
//! Invariant: a batch settles once, after two looks of this process at least five minutes apart agreed and it is old
//! enough or was said to be complete before both; nothing that happened before a restart counts as a look.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::tally::Tally;
use crate::clock::{delta, since};

/// Two looks that agree must be this far apart.
const AGREEMENT: Duration = Duration::from_secs(5 * 60);
/// A batch that does not change is looked at ever less often, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);
/// Without a row for this long a batch is abandoned.
const ABANDON_AFTER: Duration = Duration::from_secs(7 * 24 * 3_600);
/// An abandoned or refused batch is looked at no more after this.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30 * 24 * 3_600);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Ids of settled and given-up batches are remembered this long.
pub const REMEMBERED: Duration = Duration::from_secs(400 * 24 * 3_600);

/// How a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BatchState {
    /// Results may still come or change.
    Open,
    /// It alone keeps failing.
    Failing,
    /// It alone is refused.
    Unavailable,
    /// It never had a row.
    Abandoned,
    /// Counted; never downloaded again.
    Settled,
}

impl BatchState {
    /// All of them.
    pub const ALL: [BatchState; 5] =
        [BatchState::Open, BatchState::Failing, BatchState::Unavailable, BatchState::Abandoned, BatchState::Settled];

    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            BatchState::Open => "open",
            BatchState::Failing => "failing",
            BatchState::Unavailable => "unavailable",
            BatchState::Abandoned => "abandoned",
            BatchState::Settled => "settled",
        }
    }

    /// What a person should do about a batch in this state.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            BatchState::Failing => "the vendor cannot export this batch: ask the vendor, with its id",
            BatchState::Unavailable => {
                "the vendor refuses this id: check that it is right and belongs to the key's owner"
            }
            BatchState::Abandoned => "no result came within 7 days: check that the batch was really submitted",
            BatchState::Open | BatchState::Settled => "nothing to do",
        }
    }

    /// The label value back to the state.
    #[must_use]
    pub fn from_label(label: &str) -> Option<BatchState> {
        BatchState::ALL.into_iter().find(|state| state.as_str() == label)
    }
}

/// A batch that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The vendor's id.
    pub id: Uuid,
    /// How it stands.
    pub state: BatchState,
    /// When its id was first seen.
    pub first_seen: DateTime<Utc>,
    /// Whether its id came by the webhook: then it stays on the list by itself.
    pub by_webhook: bool,
    /// When a webhook said that it is complete.
    pub completed_at: Option<DateTime<Utc>>,
    /// Whether the vendor has ever answered for it.
    pub confirmed: bool,
    /// Since when it has been refused.
    pub refused_since: Option<DateTime<Utc>>,
    /// What the last good look showed.
    pub tally: Option<Tally>,
    /// When to look next; `None` for never.
    pub next_look: Option<DateTime<Utc>>,
    /// The first of this process's looks since which nothing has changed.
    unchanged_since: Option<DateTime<Utc>>,
    /// The last look's pause.
    pause: Duration,
}

/// When batches count as complete, and how often they are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How often an open batch is looked at while it changes.
    pub interval: Duration,
    /// How old the newest row must be.
    pub settle_after: Duration,
}

impl Batch {
    /// An id that was not known before.
    #[must_use]
    pub fn new(id: Uuid, now: DateTime<Utc>) -> Batch {
        Batch {
            id,
            state: BatchState::Open,
            first_seen: now,
            by_webhook: false,
            completed_at: None,
            confirmed: false,
            refused_since: None,
            tally: None,
            next_look: Some(now),
            unchanged_since: None,
            pause: Duration::ZERO,
        }
    }

    /// A webhook said that the batch is complete: looks from now on tell whether that is so.
    pub fn completed(&mut self, now: DateTime<Utc>) {
        self.by_webhook = true;
        if self.state == BatchState::Settled {
            return;
        }
        self.completed_at = Some(self.completed_at.unwrap_or(now));
        self.unchanged_since = None;
        self.pause = Duration::ZERO;
        self.next_look = Some(now);
        if self.state == BatchState::Abandoned {
            self.state = BatchState::Open;
        }
    }

    /// Whether it is due.
    #[must_use]
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.state != BatchState::Settled && self.next_look.is_some_and(|next| next <= now)
    }

    /// A good look. Returns whether the batch settles by it.
    pub fn looked(&mut self, tally: Tally, now: DateTime<Utc>, pace: Pace) -> bool {
        let unchanged = self.unchanged_since.is_some() && self.tally.as_ref() == Some(&tally);
        self.confirmed = true;
        self.refused_since = None;
        let empty = tally.rows() == 0;
        let newest = tally.newest;
        self.tally = Some(tally);
        let agreed_since = if unchanged { self.unchanged_since } else { None };
        self.unchanged_since = Some(agreed_since.unwrap_or(now));
        self.pause = if unchanged {
            (self.pause * 2).clamp(pace.interval, LONGEST_PAUSE.max(pace.interval))
        } else {
            pace.interval
        };
        self.next_look = Some(now + delta(self.pause));
        if empty {
            self.without_rows(now);
            return false;
        }
        self.state = BatchState::Open;
        let Some(agreed_since) = agreed_since else { return false };
        let agreed = since(now, agreed_since) >= AGREEMENT.min(pace.settle_after);
        let old = newest.is_some_and(|newest| since(now, newest) > pace.settle_after);
        let said = self.completed_at.is_some_and(|completed| completed <= agreed_since);
        if agreed && (old || said) {
            self.state = BatchState::Settled;
            self.next_look = None;
            return true;
        }
        // The look that can settle it comes as soon as the rule allows, not when the pause is over.
        if !agreed && (old || said) {
            let earliest = agreed_since + delta(AGREEMENT.min(pace.settle_after));
            self.next_look = self.next_look.map(|next| next.min(earliest.max(now)));
        }
        false
    }

    fn without_rows(&mut self, now: DateTime<Utc>) {
        let age = since(now, self.first_seen);
        if age >= ABANDON_AFTER {
            self.state = BatchState::Abandoned;
            self.next_look = (age < GIVE_UP_AFTER).then(|| now + delta(DAY));
        } else {
            self.state = BatchState::Open;
        }
    }

    /// It alone was refused: asked again hourly for a day, then daily for thirty days.
    pub fn refused(&mut self, now: DateTime<Utc>) {
        let refused_since = *self.refused_since.get_or_insert(now);
        self.state = BatchState::Unavailable;
        self.unchanged_since = None;
        let refused = since(now, refused_since);
        self.next_look = match refused {
            _ if refused < DAY => Some(now + delta(HOUR)),
            _ if refused < GIVE_UP_AFTER => Some(now + delta(DAY)),
            _ => None,
        };
    }

    /// It alone failed otherwise: asked again ever less often.
    pub fn failed(&mut self, now: DateTime<Utc>, pace: Pace) {
        self.state = BatchState::Failing;
        self.unchanged_since = None;
        self.pause = (self.pause * 2).clamp(pace.interval, LONGEST_PAUSE.max(pace.interval));
        self.next_look = Some(now + delta(self.pause));
    }

    /// It was asked for in vain, with others or while the vendor was down: nothing is known, so nothing changes.
    pub fn missed(&mut self, now: DateTime<Utc>, pace: Pace) {
        self.next_look = Some(now + delta(pace.interval));
    }

    /// A batch of an earlier life. Looks from before do not count, and an open batch is due at once.
    #[must_use]
    pub fn restored(mut self, now: DateTime<Utc>) -> Batch {
        self.unchanged_since = None;
        self.pause = Duration::ZERO;
        if matches!(self.state, BatchState::Open | BatchState::Failing) {
            self.next_look = Some(now);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendor::{CheckStatus, SubmittedVia};

    const PACE: Pace = Pace { interval: Duration::from_secs(60), settle_after: Duration::from_secs(6 * 3_600) };

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::minutes(minutes)
    }

    fn tally(rows: u64, newest: DateTime<Utc>) -> Tally {
        let mut tally = Tally { newest: Some(newest), ..Tally::default() };
        tally.all.insert((CheckStatus::Success, SubmittedVia::Api), rows);
        tally
    }

    #[test]
    fn settles_after_two_looks_that_agree_once_it_is_old() {
        let mut batch = Batch::new(Uuid::nil(), at(0));
        assert!(!batch.looked(tally(3, at(-361)), at(0), PACE));
        assert!(!batch.looked(tally(3, at(-361)), at(4), PACE));
        assert!(batch.looked(tally(3, at(-361)), at(5), PACE));
        assert!(!batch.is_due(at(1_000_000)));
    }

    #[test]
    fn a_change_begins_anew() {
        let mut batch = Batch::new(Uuid::nil(), at(0));
        assert!(!batch.looked(tally(3, at(-400)), at(0), PACE));
        assert!(!batch.looked(tally(4, at(-400)), at(6), PACE));
        assert!(!batch.looked(tally(4, at(-400)), at(10), PACE));
        assert!(batch.looked(tally(4, at(-400)), at(11), PACE));
    }

    #[test]
    fn young_rows_keep_it_open_unless_it_was_said_to_be_complete_before_both_looks() {
        let mut batch = Batch::new(Uuid::nil(), at(0));
        assert!(!batch.looked(tally(3, at(-1)), at(0), PACE));
        assert!(!batch.looked(tally(3, at(-1)), at(30), PACE));
        batch.completed(at(31));
        assert!(batch.is_due(at(31)));
        assert!(!batch.looked(tally(3, at(-1)), at(31), PACE), "the look before the webhook does not count");
        assert_eq!(batch.next_look, Some(at(32)));
        assert!(!batch.looked(tally(3, at(-1)), at(33), PACE));
        assert_eq!(batch.next_look, Some(at(35)));
        assert!(batch.looked(tally(3, at(-1)), at(36), PACE));
    }

    #[test]
    fn a_day_of_downtime_settles_nothing_on_the_first_look() {
        let mut batch = Batch::new(Uuid::nil(), at(0));
        assert!(!batch.looked(tally(3, at(-1)), at(0), PACE));
        let mut batch = batch.restored(at(1_440));
        assert!(!batch.looked(tally(3, at(-1)), at(1_440), PACE));
        assert!(batch.looked(tally(3, at(-1)), at(1_445), PACE));
    }

    #[test]
    fn without_rows_it_is_abandoned_and_then_forgotten_unless_one_comes() {
        let mut batch = Batch::new(Uuid::nil(), at(0));
        let week = 7 * 24 * 60;
        assert!(!batch.looked(Tally::default(), at(week - 1), PACE));
        assert_eq!(batch.state, BatchState::Open);
        batch.looked(Tally::default(), at(week), PACE);
        assert_eq!((batch.state, batch.next_look), (BatchState::Abandoned, Some(at(week + 24 * 60))));
        batch.looked(Tally::default(), at(30 * 24 * 60), PACE);
        assert_eq!((batch.state, batch.next_look), (BatchState::Abandoned, None));
        batch.completed(at(31 * 24 * 60));
        batch.looked(tally(1, at(0)), at(31 * 24 * 60), PACE);
        assert_eq!(batch.state, BatchState::Open);
    }

    #[test]
    fn a_refused_id_is_asked_hourly_then_daily_then_no_more() {
        let mut batch = Batch::new(Uuid::nil(), at(0));
        batch.refused(at(0));
        assert_eq!(batch.next_look, Some(at(60)));
        batch.refused(at(24 * 60));
        assert_eq!(batch.next_look, Some(at(48 * 60)));
        batch.refused(at(30 * 24 * 60));
        assert_eq!(batch.next_look, None);
    }

    #[test]
    fn pauses_double_up_to_half_an_hour() {
        let mut batch = Batch::new(Uuid::nil(), at(0));
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            batch.looked(tally(1, now), now, PACE);
            batch.tally = Some(tally(1, now));
            let next = batch.next_look.unwrap();
            pauses.push((next - now).num_minutes());
            batch.tally = Some(tally(1, next));
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    }
}
