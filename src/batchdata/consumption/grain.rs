//! The names of the report's periods.
//!
//! Flows in: `2026-05-01T14:00:00`, `2026-05-01`, `2026-W18`, `2026-05`. Flows out: a UTC date and an hour.
//! Invariant: a period of another grain than the one that was asked for is never taken for it.

use chrono::NaiveDate;

use crate::upstream::ParseError;
use crate::upstream::dates::{date, number};

/// The length of a report's periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// An hour.
    Hour,
    /// A UTC day.
    Day,
}

impl Grain {
    /// The value of `group_by`.
    pub(in crate::batchdata) fn as_str(self) -> &'static str {
        match self {
            Grain::Hour => "hour",
            Grain::Day => "day",
        }
    }
}

/// The date, and the hour (0 for a day).
pub(in crate::batchdata) fn read(text: &str, grain: Grain) -> Result<(NaiveDate, u32), ParseError> {
    let found = match text.as_bytes() {
        [_, _, _, _, b'-', _, _] | [_, _, _, _, b'-', b'W', _, _] => None,
        bytes => {
            let (day, rest) = bytes.split_at_checked(10).ok_or_else(unreadable)?;
            let date = date(day).ok_or_else(unreadable)?;
            match rest {
                [] => Some((Grain::Day, date, 0)),
                [b'T', tens, ones, b':', b'0', b'0', b':', b'0', b'0'] => {
                    let hour = number(&[*tens, *ones]).filter(|hour| *hour < 24).ok_or_else(unreadable)?;
                    Some((Grain::Hour, date, hour))
                }
                _ => return Err(unreadable()),
            }
        }
    };
    match found {
        Some((found, date, hour)) if found == grain => Ok((date, hour)),
        _ => Err(ParseError::implausible("a period is of another length than was asked for")),
    }
}

fn unreadable() -> ParseError {
    ParseError::decode("data[].period is not a period")
}
