//! Transactions as CSV and as JSON lines.
//!
//! Flows in: transactions. Flows out: one line each. Invariant: amounts have the vendor's digits; a personal field is
//! written only where it is included; no text cell of a CSV begins as a formula does.

use std::io::{self, Write};

use chrono::SecondsFormat;

use super::day_format::{DayFormat, KnownDay};
use crate::batchdata::transactions::{Transaction, TransactionType};
use crate::names::Label as _;

/// Which of the personal fields are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Include {
    /// `reference_id`
    pub reference_id: bool,
    /// `description`
    pub description: bool,
}

impl Include {
    /// Whether any is.
    #[must_use]
    pub fn any(self) -> bool {
        self.reference_id || self.description
    }
}

/// A row's type: `debit`, `credit`, or the vendor's own word.
fn kind<'a>(row: &'a Transaction<'_>) -> &'a str {
    if row.kind == TransactionType::Other { &row.kind_text } else { row.kind.as_str() }
}

/// The text fields after the amounts, with their names.
fn texts<'a>(row: &'a Transaction<'_>, include: Include) -> impl Iterator<Item = (&'static str, &'a str)> {
    let personal = &row.personal;
    [
        Some(("origin", row.origin.as_ref())),
        Some(("endpoint_name", row.endpoint_name.as_ref())),
        include.reference_id.then_some(("reference_id", personal.reference_id.as_ref())),
        include.description.then_some(("description", personal.description.as_ref())),
    ]
    .into_iter()
    .flatten()
}

/// CSV.
pub struct Csv(pub Include);

impl DayFormat for Csv {
    fn file_name(&self) -> &'static str {
        "transactions.csv"
    }

    fn head(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "date,type,amount_usd,balance_after_usd,origin,endpoint_name")?;
        for (included, name) in [(self.0.reference_id, "reference_id"), (self.0.description, "description")] {
            if included {
                write!(out, ",{name}")?;
            }
        }
        writeln!(out)
    }

    fn row(&mut self, row: &Transaction<'_>, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{},", row.at.to_rfc3339_opts(SecondsFormat::Secs, true))?;
        text_cell(out, kind(row))?;
        write!(out, ",{},", row.amount)?;
        if let Some(balance) = row.balance_after {
            write!(out, "{balance}")?;
        }
        for (_, text) in texts(row, self.0) {
            write!(out, ",")?;
            text_cell(out, text)?;
        }
        writeln!(out)
    }

    fn end(&mut self, _day: &KnownDay<'_>, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// JSON lines.
pub struct JsonLines(pub Include);

impl DayFormat for JsonLines {
    fn file_name(&self) -> &'static str {
        "transactions.jsonl"
    }

    fn head(&self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, row: &Transaction<'_>, out: &mut dyn Write) -> io::Result<()> {
        write!(out, r#"{{"date":"{}","type":"#, row.at.to_rfc3339_opts(SecondsFormat::Secs, true))?;
        serde_json::to_writer(&mut *out, kind(row))?;
        // Digits as numbers: they are valid JSON as they are, and no float is made of them here.
        write!(out, r#","amount_usd":{},"balance_after_usd":"#, row.amount)?;
        match row.balance_after {
            Some(balance) => write!(out, "{balance}")?,
            None => write!(out, "null")?,
        }
        for (name, text) in texts(row, self.0) {
            write!(out, r#","{name}":"#)?;
            serde_json::to_writer(&mut *out, text)?;
        }
        writeln!(out, "}}")
    }

    fn end(&mut self, _day: &KnownDay<'_>, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// A text as a cell. A spreadsheet takes what begins with one of these for a formula.
pub(super) fn text_cell(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if text.contains([',', '"', '\n', '\r']) {
        write!(out, "\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        write!(out, "{guard}{text}")
    }
}
