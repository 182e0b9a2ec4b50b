//! The rule by which balance and report are compared.
//!
//! Flows in: polls and reports, each with the time that its request took, on the boot clock. Flows out: [`Compared`].
//! Invariants: a report that shows the wallet as it was within the allowed lag moves nothing; a difference that ends takes
//! the value back to where it was, exactly.
//!
//! The offset is the balance plus debits less credits since the base line: constant as long as each movement of the
//! balance is in the report. At a report it is known as a range: of each movement of the last hour the report may have all
//! or nothing, debits and credits for themselves, and more may have happened between two polls than they show: a top-up may
//! be up to twice the rise that is left of it. What is unreconciled stays while the offset may be where it was. If it has
//! moved, it returns to zero or to the value at which the offset was there before, or else moves by the least that is
//! possible.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::{BootTime, Moment};
use crate::money::Usd;

/// How far from each moment of the range, and from the report, a poll of the balance may be.
pub(in crate::batchdata) const NEAR: Duration = Duration::from_secs(5 * 60);

/// Between two polls no moment is further than [`NEAR`] from both.
const LONGEST_GAP: Duration = Duration::from_secs(10 * 60);

/// The balance when it was polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalancePoll {
    /// Counts the polls of an account.
    pub number: i64,
    /// When the answer came.
    pub at: BootTime,
    /// What it said.
    pub balance: Usd,
}

/// A consumption report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// When it was asked for.
    pub began: BootTime,
    /// When the answer was there.
    pub ended: Moment,
    /// Debits less credits of the base line's day and later days.
    pub net: Usd,
}

/// What the offset may be; both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The lowest.
    pub lowest: Usd,
    /// The highest, not below that.
    pub highest: Usd,
}

impl Offset {
    /// What is in both.
    fn intersection(self, other: Offset) -> Option<Offset> {
        let both = Offset { lowest: self.lowest.max(other.lowest), highest: self.highest.min(other.highest) };
        (both.lowest <= both.highest).then_some(both)
    }

    /// The least by which it moved to be in `other` now; zero if it may be where it was.
    fn moved_to(self, other: Offset) -> Usd {
        (other.lowest - self.highest).max(Usd::ZERO) + (other.highest - self.lowest).min(Usd::ZERO)
    }
}

/// What the offset is at one value of what is unreconciled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// What the wallet holds more than the report explains; negative if it holds less.
    pub unreconciled: Usd,
    /// The offset then.
    pub offset: Offset,
}

impl Level {
    /// The same with so much more unreconciled.
    #[must_use]
    pub fn moved(self, by: Usd) -> Level {
        let Level { unreconciled, offset } = self;
        let offset = Offset { lowest: offset.lowest + by, highest: offset.highest + by };
        Level { unreconciled: unreconciled + by, offset }
    }
}

/// Levels that are remembered, so that a report which was late while something is unreconciled leaves nothing.
const MOST_LEVELS: usize = 8;

/// What comparisons have shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Zero first, then those that may come back, and last the one that is shown.
    pub levels: Vec<Level>,
    /// The newest report compared; `None` if its age cannot be told.
    pub report: Option<Moment>,
}

impl Compared {
    fn first(offset: Offset, report: Moment) -> Compared {
        Compared { levels: vec![Level { unreconciled: Usd::ZERO, offset }], report: Some(report) }
    }

    /// What the wallet holds more than the report explains; negative if it holds less.
    #[must_use]
    pub fn unreconciled(&self) -> Usd {
        self.levels.last().map_or(Usd::ZERO, |shown| shown.unreconciled)
    }

    /// The offset is in this range now.
    fn next(&mut self, now: Offset, report: Moment) {
        self.report = Some(report);
        let [zero, others @ ..] = self.levels.as_slice() else { return };
        let (zero, count) = (zero.offset, others.len());
        // The shown one, zero, then the others from the newest on.
        let found = [count, 0].into_iter().chain((1..count).rev()).find_map(|place| {
            let narrowed = self.levels.get(place)?.offset.intersection(now)?;
            Some((place, narrowed))
        });
        match found {
            Some((place, narrowed)) => {
                self.levels.truncate(place + 1);
                if let Some(shown) = self.levels.last_mut() {
                    shown.offset = narrowed;
                }
            }
            None => {
                let moved = self.levels.last().map_or(Usd::ZERO, |shown| shown.offset.moved_to(now));
                self.levels.push(Level { unreconciled: self.unreconciled() + moved, offset: now });
                if self.levels.len() > MOST_LEVELS {
                    self.levels.remove(1);
                }
            }
        }
        // What is known of the offset now and at zero bounds their difference.
        if let Some(shown) = self.levels.iter_mut().skip(1).next_back() {
            let Offset { lowest, highest } = shown.offset;
            shown.unreconciled = shown.unreconciled.clamp(lowest - zero.highest, highest - zero.lowest);
        }
    }
}

/// Compares the balance of a wallet with its reports.
#[derive(Clone, Debug)]
pub struct Reconciliation {
    /// How late a report may be.
    lag: Duration,
    /// Oldest first.
    polls: VecDeque<BalancePoll>,
    /// The report that waits for the first poll after it.
    waiting: Option<Report>,
    compared: Option<Compared>,
}

impl Reconciliation {
    /// What the previous run knew: `polls` in the order in which they were made, `None` where the age cannot be told.
    /// `lag` is how late a report may be.
    #[must_use]
    pub fn restored(
        lag: Duration,
        polls: impl IntoIterator<Item = Option<BalancePoll>>,
        compared: Option<Compared>,
    ) -> Reconciliation {
        let mut known: VecDeque<BalancePoll> = VecDeque::new();
        for poll in polls {
            // A clock that was wrong then dates what came before it wrongly, too.
            if poll.is_none_or(|poll| known.back().is_some_and(|last| last.at > poll.at)) {
                known.clear();
            }
            known.extend(poll);
        }
        Reconciliation { lag, polls: known, waiting: None, compared }
    }

    /// A report came.
    pub fn report(&mut self, report: Report) {
        let before = self.polls.iter().rev().find(|poll| poll.at <= report.began);
        if before.is_some_and(|poll| report.began.since(poll.at) <= NEAR) {
            self.waiting = Some(report);
        }
    }

    /// The balance was asked for at `began`, and answered at `ended`.
    pub fn balance(&mut self, began: BootTime, ended: BootTime, balance: Usd) -> BalancePoll {
        let number = self.polls.back().map_or(0, |last| last.number + 1);
        let poll = BalancePoll { number, at: ended, balance };
        self.polls.push_back(poll);
        // A poll that began before the report was complete may show less than it.
        if let Some(report) = self.waiting.take_if(|report| began >= report.ended.boot)
            && began.since(report.ended.boot) <= NEAR
            && let Some(now) = self.offset(&report)
        {
            match &mut self.compared {
                Some(compared) => compared.next(now, report.ended),
                None => self.compared = Some(Compared::first(now, report.ended)),
            }
        }
        // A report that is being read now may have been asked for so long ago.
        let oldest = ended - self.lag - LONGEST_GAP;
        while self.polls.get(1).is_some_and(|second| second.at <= oldest) {
            self.polls.pop_front();
        }
        poll
    }

    /// The number of the oldest poll that is still of use.
    #[must_use]
    pub fn oldest(&self) -> i64 {
        self.polls.front().map_or(0, |poll| poll.number)
    }

    /// What comparisons have shown; `None` before the first.
    #[must_use]
    pub fn compared(&self) -> Option<&Compared> {
        self.compared.as_ref()
    }

    /// The offset by the newest balance, and by how it moved since the lag before the report: what of that the report does
    /// not have yet is taken back. `None` if the balance is not known throughout.
    fn offset(&self, report: &Report) -> Option<Offset> {
        let from = report.began - self.lag;
        let first = self.polls.iter().rposition(|poll| poll.at <= from)?;
        let within = || self.polls.iter().skip(first);
        let offset = self.polls.back()?.balance + report.net;
        let (mut lowest, mut highest) = (offset, offset);
        for (one, next) in within().zip(within().skip(1)) {
            if next.at.since(one.at) > LONGEST_GAP {
                return None;
            }
            let moved = next.balance - one.balance;
            // A rise may be what is left of a top-up of twice that and of debits, which the report may lack.
            let rise = moved.max(Usd::ZERO);
            lowest -= rise + rise;
            highest += moved.abs();
        }
        Some(Offset { lowest, highest })
    }
}

#[cfg(test)]
#[path = "rule/tests.rs"]
mod tests;
