//! The credit-card transactions of the wallet: top-ups, refunds, and those that failed.
//!
//! Invariant: ids grow and are never used twice; a row changes only its status.

use super::amount::Units;

/// A card transaction's state, by the vendor's integers; any other integer is not documented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Card {
    pub(crate) id: i64,
    pub(crate) credits: Units,
    pub(crate) tax: Units,
    pub(crate) fee: Units,
    pub(crate) brand: String,
    pub(crate) status: Option<i64>,
    /// Microseconds since 1970.
    pub(crate) created: i64,
}

pub(crate) const PENDING: i64 = 0;
pub(crate) const PAID: i64 = 1;
pub(crate) const FAILED: i64 = 2;

/// The first id: as high as a vendor that has been in business for a while.
const FIRST_ID: i64 = 12_345;

pub(crate) struct Cards {
    rows: Vec<Card>,
    next: i64,
}

impl Default for Cards {
    fn default() -> Cards {
        Cards { rows: Vec::new(), next: FIRST_ID }
    }
}

impl Cards {
    /// Adds a row; the id is given here.
    pub(crate) fn add(&mut self, card: Card) -> i64 {
        let id = self.next;
        self.next += 1;
        self.rows.push(Card { id, ..card });
        id
    }

    /// Changes a row's status and returns the row as it was.
    pub(crate) fn set_status(&mut self, id: i64, status: Option<i64>) -> Option<Card> {
        let row = self.rows.iter_mut().find(|row| row.id == id)?;
        let before = row.clone();
        row.status = status;
        Some(before)
    }

    /// Takes the newest row away, as if it had never been.
    pub(crate) fn remove_newest(&mut self) -> Option<Card> {
        self.rows.pop()
    }

    /// Newest first, as a list for people is sorted.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Card> {
        self.rows.iter().rev()
    }
}

/// The processor's fee: 2.9 % and 30 cents, to the cent.
pub(crate) fn processing_fee(credits: Units) -> Units {
    cents(credits * 29 / 1_000) + 3_000
}

/// Sales tax: 8.25 %, to the cent.
pub(crate) fn sales_tax(credits: Units) -> Units {
    cents(credits * 825 / 10_000)
}

fn cents(amount: Units) -> Units {
    amount - amount % 100
}
