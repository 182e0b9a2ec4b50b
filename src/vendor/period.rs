//! The names of the report's periods.
//!
//! Flows in: `2026-05-01T14:00:00`, `2026-05-01`, `2026-W18`, `2026-05`. Flows out: a UTC date and an hour.
//! Invariant: a period of another grain than the one that was asked for is never taken for it.

use chrono::NaiveDate;

use super::parse_error::ParseError;

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
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Grain::Hour => "hour",
            Grain::Day => "day",
        }
    }
}

/// The date, and the hour (0 for a day).
pub(super) fn read(text: &str, grain: Grain) -> Result<(NaiveDate, u32), ParseError> {
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

/// `YYYY-MM-DD`, digits only.
pub(super) fn date(text: &[u8]) -> Option<NaiveDate> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
    let year = i32::try_from(number(&[y1, y2, y3, y4])?).ok()?;
    NaiveDate::from_ymd_opt(year, number(&[m1, m2])?, number(&[d1, d2])?)
}

/// A few decimal digits.
pub(super) fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}
