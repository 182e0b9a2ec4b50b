//! The export's timestamps.
//!
//! Flows in: `2026-05-17T19:24:12+00:00`, millions of times. Flows out: a time.
//! Invariant: the quick way accepts only what the slow way accepts, with the same result.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use crate::upstream::dates::{date, number};

/// Reads timestamps and remembers the last date: results come in runs of one day.
#[derive(Default)]
pub(super) struct Timestamps {
    last: Option<([u8; 10], NaiveDate)>,
}

impl Timestamps {
    /// A time with its offset, or without one in UTC.
    pub(super) fn read(&mut self, text: &[u8]) -> Option<DateTime<Utc>> {
        self.quick(text).or_else(|| slow(text))
    }

    fn quick(&mut self, text: &[u8]) -> Option<DateTime<Utc>> {
        let (day, rest) = text.split_first_chunk::<10>()?;
        let [b'T', h1, h2, b':', m1, m2, b':', s1, s2, offset @ ..] = rest else { return None };
        if !matches!(offset, b"+00:00" | b"Z") {
            return None;
        }
        let date = match self.last {
            Some((last, date)) if last == *day => date,
            _ => {
                let date = date(day)?;
                self.last = Some((*day, date));
                date
            }
        };
        Some(date.and_hms_opt(number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?)?.and_utc())
    }
}

fn slow(text: &[u8]) -> Option<DateTime<Utc>> {
    let text = std::str::from_utf8(text).ok()?;
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Some(time.to_utc()),
        Err(_) => Some(NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?.and_utc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_that_are_times() {
        let mut timestamps = Timestamps::default();
        for text in [
            "2026-05-17T19:24:12+00:00",
            "2026-05-17T19:24:12Z",
            "2026-05-17T21:24:12+02:00",
            "2026-05-17T19:24:12.000000Z",
            "2026-05-17T19:24:12",
        ] {
            let time = timestamps.read(text.as_bytes()).unwrap();
            assert_eq!(time.to_rfc3339(), "2026-05-17T19:24:12+00:00", "{text}");
        }
    }

    #[test]
    fn forms_that_are_not() {
        let mut timestamps = Timestamps::default();
        for text in ["", "2026-05-17", "2026-02-30T00:00:00Z", "2026-05-17T24:00:00Z", "17.05.2026 19:24", "\u{661}"] {
            assert_eq!(timestamps.read(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_quick_way_and_the_slow_way_agree(text in "20[0-9]{2}-[0-3][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](Z|\\+00:00)") {
            let mut timestamps = Timestamps::default();
            // A leap second exists in the slow way alone.
            if let Some(quick) = timestamps.quick(text.as_bytes()) {
                prop_assert_eq!(Some(quick), slow(text.as_bytes()));
            }
        }
    }
}
