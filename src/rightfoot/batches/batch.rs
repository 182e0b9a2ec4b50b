//! The life of a batch of balance checks.
//!
//! Flows in: what a look at the batch showed, and the time. Flows out: its state, and when to look next.
//! Invariant: a batch settles once, after two looks of this process at least five minutes apart agreed and it is old
//! enough or was said to be complete before both; nothing that happened before a restart counts as a look. Ages and
//! pauses are by the boot clock, the age of a row is by the vendor's.

use std::sync::Arc;
use std::time::Duration;
use strum::{EnumString, IntoStaticStr, VariantArray};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::tally::Tally;
use crate::clock::{BootTime, Moment, since};

/// Two looks that agree must be this far apart.
const AGREEMENT: Duration = Duration::from_secs(5 * 60);
/// A batch that does not change is looked at ever less often, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);
/// Without a row for this long a batch is abandoned.
const ABANDON_AFTER: Duration = Duration::from_secs(7 * 24 * 3_600);
/// An abandoned or refused batch is looked at no more after this.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30 * 24 * 3_600);
/// A refused id is asked for once more this soon: one stray answer must not cost it an hour.
const SECOND_LOOK: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What a settled batch showed is kept this long after it settled, and an id that never settled this long after it was
/// first seen, unless they are listed. That a batch has settled is kept for ever.
pub const REMEMBERED: Duration = Duration::from_secs(400 * 24 * 3_600);

/// How a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
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
    /// What a person should do about a batch in this state.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            BatchState::Failing => "The vendor cannot export this batch. Contact the vendor and give the id.",
            BatchState::Unavailable => {
                "The vendor refuses this id. Check that it is correct and belongs to the owner of the key."
            }
            BatchState::Abandoned => "No results arrived within 7 days. Check that the batch was submitted.",
            BatchState::Open | BatchState::Settled => "Nothing to do.",
        }
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
    pub first_seen: Moment,
    /// Whether its id came by the webhook: then it stays on the list by itself.
    pub by_webhook: bool,
    /// When a webhook first said that it is complete.
    pub completed_at: Option<Moment>,
    /// Whether the vendor has ever answered for it.
    pub confirmed: bool,
    /// Since when it has been refused.
    pub refused_since: Option<Moment>,
    /// What the last good look showed.
    pub tally: Option<Arc<Tally>>,
    /// When to look next; `None` for never.
    pub next_look: Option<BootTime>,
    /// The last look of this process, whatever it showed.
    pub last_look: Option<BootTime>,
    /// The first of this process's looks since which nothing has changed.
    unchanged_since: Option<BootTime>,
    /// The last look's pause.
    pause: Duration,
}

/// When batches count as complete, and how often they are looked at.
#[derive(Clone, Copy, Debug)]
pub struct BatchTiming {
    /// How often an open batch is looked at while it changes.
    pub interval: Duration,
    /// How old the newest row must be.
    pub settle_after: Duration,
}

impl Batch {
    /// An id that was not known before.
    #[must_use]
    pub fn new(id: Uuid, now: Moment) -> Batch {
        Batch {
            id,
            state: BatchState::Open,
            first_seen: now,
            by_webhook: false,
            completed_at: None,
            confirmed: false,
            refused_since: None,
            tally: None,
            next_look: Some(now.boot),
            last_look: None,
            unchanged_since: None,
            pause: Duration::ZERO,
        }
    }

    /// A webhook said that the batch is complete: looks from then on tell whether that is so. Saying it again changes
    /// nothing: whoever knows the webhook's secret must not be able to keep a batch from settling, or the vendor busy.
    pub fn completed(&mut self, now: Moment) {
        self.by_webhook = true;
        if self.state == BatchState::Settled || self.completed_at.is_some() {
            return;
        }
        self.completed_at = Some(now);
        self.unchanged_since = None;
        self.pause = Duration::ZERO;
        self.next_look = Some(now.boot);
        if self.state == BatchState::Abandoned {
            self.state = BatchState::Open;
        }
    }

    /// Whether it is due.
    #[must_use]
    pub fn is_due(&self, now: BootTime) -> bool {
        self.state != BatchState::Settled && self.next_look.is_some_and(|next| next <= now)
    }

    /// Whether it is asked for alone: it was refused, or its export held rows that name no batch.
    #[must_use]
    pub fn is_asked_alone(&self) -> bool {
        self.refused_since.is_some() || self.tally.as_ref().is_some_and(|tally| tally.has_unattributed_rows())
    }

    /// A good look; `vendor_now` is the vendor's time. Returns whether the batch settles by it.
    pub fn looked(&mut self, tally: Tally, now: BootTime, vendor_now: DateTime<Utc>, timing: BatchTiming) -> bool {
        let unchanged = self.unchanged_since.is_some() && !tally.incomplete && self.tally.as_deref() == Some(&tally);
        self.confirmed = true;
        self.refused_since = None;
        self.last_look = Some(now);
        let empty = tally.rows() == 0;
        let newest = tally.newest;
        self.tally = Some(Arc::new(tally));
        let agreed_since = if unchanged { self.unchanged_since } else { None };
        self.unchanged_since = Some(agreed_since.unwrap_or(now));
        self.pause = if unchanged {
            (self.pause * 2).clamp(timing.interval, LONGEST_PAUSE.max(timing.interval))
        } else {
            timing.interval
        };
        self.next_look = Some(now + self.pause);
        if empty {
            self.without_rows(now);
            return false;
        }
        self.state = BatchState::Open;
        let Some(agreed_since) = agreed_since else { return false };
        let agreed = now.since(agreed_since) >= AGREEMENT.min(timing.settle_after);
        // Rows whose time cannot be believed have no age; that nothing changed for so long says the same.
        let old = newest.is_some_and(|newest| since(vendor_now, newest) > timing.settle_after)
            || now.since(agreed_since) > timing.settle_after;
        let said = self.completed_at.is_some_and(|completed| completed.boot <= agreed_since);
        if agreed && (old || said) {
            self.state = BatchState::Settled;
            self.next_look = None;
            return true;
        }
        // The look that can settle it comes as soon as the rule allows, not when the pause is over.
        if !agreed && (old || said) {
            let earliest = agreed_since + AGREEMENT.min(timing.settle_after);
            self.next_look = self.next_look.map(|next| next.min(earliest.max(now)));
        }
        false
    }

    fn without_rows(&mut self, now: BootTime) {
        let age = now.since(self.first_seen.boot);
        if age >= ABANDON_AFTER {
            self.state = BatchState::Abandoned;
            self.next_look = (age < GIVE_UP_AFTER).then(|| now + DAY);
        } else {
            self.state = BatchState::Open;
        }
    }

    /// It alone was refused: one second look soon, then hourly for a day, then daily for thirty days.
    pub fn refused(&mut self, now: Moment, timing: BatchTiming) {
        let first = self.refused_since.is_none();
        let refused_since = *self.refused_since.get_or_insert(now);
        self.last_look = Some(now.boot);
        self.unchanged_since = None;
        if first {
            self.next_look = Some(now.boot + timing.interval.min(SECOND_LOOK));
            return;
        }
        self.state = BatchState::Unavailable;
        let refused = now.boot.since(refused_since.boot);
        self.next_look = match refused {
            _ if refused < DAY => Some(now.boot + HOUR),
            _ if refused < GIVE_UP_AFTER => Some(now.boot + DAY),
            _ => None,
        };
    }

    /// It alone failed otherwise: asked again ever less often.
    pub fn failed(&mut self, now: BootTime, timing: BatchTiming) {
        self.state = BatchState::Failing;
        self.unchanged_since = None;
        self.last_look = Some(now);
        self.pause = (self.pause * 2).clamp(timing.interval, LONGEST_PAUSE.max(timing.interval));
        self.next_look = Some(now + self.pause);
    }

    /// It was due and not asked for, or in vain: nothing is known, so nothing changes.
    pub fn missed(&mut self, now: BootTime, timing: BatchTiming) {
        self.next_look = Some(now + timing.interval);
    }

    /// A batch of the previous run. Looks from before do not count; an open batch is due at once, any other within a day.
    #[must_use]
    pub fn restored(mut self, now: BootTime) -> Batch {
        self.unchanged_since = None;
        self.last_look = None;
        self.pause = Duration::ZERO;
        self.next_look = match self.state {
            BatchState::Open | BatchState::Failing => Some(now),
            _ => self.next_look.map(|next| next.min(now + DAY)),
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rightfoot::{CheckStatus, SubmittedVia};

    const PACE: BatchTiming =
        BatchTiming { interval: Duration::from_secs(60), settle_after: Duration::from_secs(6 * 3_600) };

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::minutes(minutes)
    }

    fn boot(minutes: i64) -> BootTime {
        BootTime::from_nanos(minutes * 60_000_000_000)
    }

    fn moment(minutes: i64) -> Moment {
        Moment { wall: at(minutes), boot: boot(minutes) }
    }

    fn look(batch: &mut Batch, tally: Tally, minutes: i64) -> bool {
        batch.looked(tally, boot(minutes), at(minutes), PACE)
    }

    fn tally(rows: u64, newest: DateTime<Utc>) -> Tally {
        let mut tally = Tally { newest: Some(newest), ..Tally::default() };
        tally.all.insert((CheckStatus::Success, SubmittedVia::Api), rows);
        tally
    }

    #[test]
    fn settles_after_two_looks_that_agree_once_it_is_old() {
        let mut batch = Batch::new(Uuid::nil(), moment(0));
        assert!(!look(&mut batch, tally(3, at(-361)), 0));
        assert!(!look(&mut batch, tally(3, at(-361)), 4));
        assert!(look(&mut batch, tally(3, at(-361)), 5));
        assert!(!batch.is_due(boot(1_000_000)));
    }

    #[test]
    fn a_change_begins_anew() {
        let mut batch = Batch::new(Uuid::nil(), moment(0));
        assert!(!look(&mut batch, tally(3, at(-400)), 0));
        assert!(!look(&mut batch, tally(4, at(-400)), 6));
        assert!(!look(&mut batch, tally(4, at(-400)), 10));
        assert!(look(&mut batch, tally(4, at(-400)), 11));
    }

    #[test]
    fn young_rows_keep_it_open_unless_it_was_said_to_be_complete_before_both_looks() {
        let mut batch = Batch::new(Uuid::nil(), moment(0));
        assert!(!look(&mut batch, tally(3, at(-1)), 0));
        assert!(!look(&mut batch, tally(3, at(-1)), 30));
        batch.completed(moment(31));
        assert!(batch.is_due(boot(31)));
        assert!(!look(&mut batch, tally(3, at(-1)), 31), "the look before the webhook does not count");
        assert_eq!(batch.next_look, Some(boot(32)));
        assert!(!look(&mut batch, tally(3, at(-1)), 33));
        assert_eq!(batch.next_look, Some(boot(35)));
        assert!(look(&mut batch, tally(3, at(-1)), 36));
    }

    #[test]
    fn rejected_rows_that_may_be_its_own_keep_it_open_until_it_is_asked_for_alone() {
        let mut batch = Batch::new(Uuid::nil(), moment(0));
        let incomplete = Tally { incomplete: true, ..tally(3, at(-400)) };
        for minute in 0..20 {
            assert!(!look(&mut batch, incomplete.clone(), minute));
            assert!(batch.is_asked_alone());
        }
        assert!(!look(&mut batch, tally(3, at(-400)), 20));
        assert!(!batch.is_asked_alone());
        assert!(look(&mut batch, tally(3, at(-400)), 25));
    }

    #[test]
    fn a_day_of_downtime_settles_nothing_on_the_first_look() {
        let mut batch = Batch::new(Uuid::nil(), moment(0));
        assert!(!look(&mut batch, tally(3, at(-1)), 0));
        let mut batch = batch.restored(boot(1_440));
        assert!(!look(&mut batch, tally(3, at(-1)), 1_440));
        assert!(look(&mut batch, tally(3, at(-1)), 1_445));
    }

    #[test]
    fn without_rows_it_is_abandoned_and_then_forgotten_unless_one_comes() {
        let mut batch = Batch::new(Uuid::nil(), moment(0));
        let week = 7 * 24 * 60;
        assert!(!look(&mut batch, Tally::default(), week - 1));
        assert_eq!(batch.state, BatchState::Open);
        look(&mut batch, Tally::default(), week);
        assert_eq!((batch.state, batch.next_look), (BatchState::Abandoned, Some(boot(week + 24 * 60))));
        look(&mut batch, Tally::default(), 30 * 24 * 60);
        assert_eq!((batch.state, batch.next_look), (BatchState::Abandoned, None));
        batch.completed(moment(31 * 24 * 60));
        look(&mut batch, tally(1, at(0)), 31 * 24 * 60);
        assert_eq!(batch.state, BatchState::Open);
    }

    #[test]
    fn a_refused_id_is_asked_hourly_then_daily_then_no_more() {
        let mut batch = Batch::new(Uuid::nil(), moment(0));
        batch.refused(moment(0), PACE);
        assert_eq!(
            (batch.state, batch.next_look),
            (BatchState::Open, Some(boot(0) + SECOND_LOOK)),
            "it may be a stray"
        );
        batch.refused(moment(1), PACE);
        assert_eq!((batch.state, batch.next_look), (BatchState::Unavailable, Some(boot(61))));
        batch.refused(moment(24 * 60), PACE);
        assert_eq!(batch.next_look, Some(boot(48 * 60)));
        batch.refused(moment(30 * 24 * 60), PACE);
        assert_eq!(batch.next_look, None);
    }

    #[test]
    fn pauses_double_up_to_half_an_hour() {
        let mut batch = Batch::new(Uuid::nil(), moment(0));
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            // The rows are always young, so it stays open.
            look(&mut batch, tally(1, at(now)), now);
            let next = batch.next_look.unwrap().as_nanos() / 60_000_000_000;
            pauses.push(next - now);
            batch.tally = Some(Arc::new(tally(1, at(next))));
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn a_repeated_webhook_changes_nothing() {
        let mut batch = Batch::new(Uuid::nil(), moment(0));
        batch.completed(moment(0));
        assert!(!look(&mut batch, tally(3, at(-1)), 0));
        for minute in 1..5 {
            let before = batch.clone();
            batch.completed(moment(minute));
            assert_eq!(batch, before);
            assert!(!look(&mut batch, tally(3, at(-1)), minute));
        }
        batch.completed(moment(5));
        assert!(look(&mut batch, tally(3, at(-1)), 5));
        batch.completed(moment(6));
        assert_eq!(batch.state, BatchState::Settled);
    }

    #[test]
    fn rows_from_the_future_settle_once_nothing_changed_for_long_enough() {
        let mut batch = Batch::new(Uuid::nil(), moment(0));
        let odd = Tally { newest: None, ..tally(3, at(0)) };
        assert!(!look(&mut batch, odd.clone(), 0));
        assert!(!look(&mut batch, odd.clone(), 360));
        assert!(look(&mut batch, odd, 361));
    }
}
