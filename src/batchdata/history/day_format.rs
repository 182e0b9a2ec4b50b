//! What a format of a day's file has to write.

use std::io::{self, Write};

use chrono::NaiveDate;

use super::sums::Sums;
use crate::batchdata::transactions::Transaction;
use crate::batchdata::{CardTransaction, DayConsumption};

/// What is known of a day beside its transactions.
pub struct KnownDay<'a> {
    /// The label `account`.
    pub account: &'a str,
    /// Which.
    pub date: NaiveDate,
    /// What the report says.
    pub report: &'a DayConsumption,
    /// Card transactions that were made on it and paid.
    pub cards: &'a [CardTransaction],
    /// What its transactions add up to.
    pub sums: &'a Sums,
}

/// How a day is written.
pub trait DayFormat: Send {
    /// The file's name.
    fn file_name(&self) -> &'static str;
    /// Whether it needs the card transactions.
    fn needs_cards(&self) -> bool {
        false
    }
    /// What stands before the first row.
    ///
    /// # Errors
    /// If it cannot be written.
    fn head(&self, out: &mut dyn Write) -> io::Result<()>;
    /// A transaction.
    ///
    /// # Errors
    /// If it cannot be written.
    fn row(&mut self, row: &Transaction<'_>, out: &mut dyn Write) -> io::Result<()>;
    /// What stands after the last.
    ///
    /// # Errors
    /// If it cannot be written.
    fn end(&mut self, day: &KnownDay<'_>, out: &mut dyn Write) -> io::Result<()>;
}
