//! Balances out of transactions.
//!
//! Flows in: transactions of a span, oldest or newest first. Flows out: the balance before the first, and after the last
//! up to each moment of a grid. Invariant: of several transactions of one second, the last is the one that the vendor
//! lists nearer to its newest.

use crate::batchdata::transactions::{Transaction, TransactionSink};
use crate::money::Usd;

/// Two candidates of one second: the one listed first, and the one listed last.
#[derive(Clone, Copy)]
struct Second<T = Usd> {
    at: i64,
    first: T,
    last: T,
}

/// Balances on a grid.
pub struct Balances {
    /// The span's first moment, in seconds since 1970.
    from: i64,
    /// Seconds between two moments of the grid.
    step: i64,
    slots: Vec<Option<Second>>,
    earliest: Option<Second<Option<Usd>>>,
    latest: Option<Second<Option<Usd>>>,
    /// The times of the row listed first and of the one listed last.
    listed: Option<(i64, i64)>,
}

impl Balances {
    /// A grid of moments from `from` on, `step` seconds apart; of the last, what comes after it counts, too.
    #[must_use]
    pub fn new(from: i64, step: i64, moments: usize) -> Balances {
        Balances { from, step, slots: vec![None; moments], earliest: None, latest: None, listed: None }
    }

    fn newest_first(&self) -> bool {
        self.listed.is_some_and(|(first, last)| first > last)
    }

    /// The balance before the first transaction, unless that is neither a debit nor a credit.
    #[must_use]
    pub fn before(&self) -> Option<Usd> {
        let earliest = self.earliest?;
        if self.newest_first() { earliest.last } else { earliest.first }
    }

    /// The balance after the last transaction, if that has one.
    #[must_use]
    pub fn last(&self) -> Option<Usd> {
        let latest = self.latest?;
        if self.newest_first() { latest.first } else { latest.last }
    }

    /// Whether there is no transaction.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.earliest.is_none()
    }

    /// The balance after the last transaction up to each moment; `None` where there is no transaction since the moment
    /// before.
    pub fn after(&self) -> impl Iterator<Item = Option<Usd>> {
        let newest_first = self.newest_first();
        self.slots.iter().map(move |slot| slot.map(|slot| if newest_first { slot.first } else { slot.last }))
    }
}

impl TransactionSink for Balances {
    fn row(&mut self, row: &Transaction<'_>) {
        let at = row.at.timestamp();
        self.listed = Some((self.listed.map_or(at, |(first, _)| first), at));
        let before = row.balance_before();
        self.earliest = Some(match self.earliest {
            Some(known) if known.at < at => known,
            Some(known) if known.at == at => Second { last: before, ..known },
            _ => Second { at, first: before, last: before },
        });
        self.latest = Some(match self.latest {
            Some(known) if known.at > at => known,
            Some(known) if known.at == at => Second { last: row.balance_after, ..known },
            _ => Second { at, first: row.balance_after, last: row.balance_after },
        });
        let Some(after) = row.balance_after else { return };
        // The first moment that is not before it.
        let place = ((at - self.from).max(0) + self.step - 1) / self.step;
        let most = self.slots.len().saturating_sub(1);
        let Some(slot) = self.slots.get_mut(usize::try_from(place).unwrap_or(most).min(most)) else { return };
        *slot = Some(match *slot {
            Some(known) if known.at > at => known,
            Some(known) if known.at == at => Second { last: after, ..known },
            _ => Second { at, first: after, last: after },
        });
    }
}
