//! Words, times and amounts of the page.
//!
//! Flows in: values of the state. Flows out: pieces of HTML. Invariant: every piece is safe to stand in an element or
//! in a quoted attribute.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use rust_decimal::Decimal;

use crate::snapshot::{SourceState, WalletStatus};

/// The text with the five characters replaced that mean something in HTML.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// A time, relative, with the exact one for machines and for a pointer that rests on it.
pub(super) fn time(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    let exact = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    format!("<time datetime=\"{exact}\" title=\"{exact}\">{}</time>", relative(now, at))
}

fn relative(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    let size = seconds.unsigned_abs();
    let amount = match size {
        0 => return "now".to_owned(),
        1..120 => format!("{size} s"),
        120..7_200 => format!("{} min", size / 60),
        7_200..172_800 => format!("{} h", size / 3_600),
        _ => format!("{} days", size / 86_400),
    };
    if seconds > 0 { format!("{amount} ago") } else { format!("in {amount}") }
}

/// A source's state in words, and its style; `answered` if there was a success.
pub(super) fn words(state: SourceState, answered: bool) -> (&'static str, &'static str) {
    match state {
        SourceState::Failing if !answered => ("Failing, never answered yet", "bad"),
        SourceState::Waiting => ("Waiting for the first answer", "wait"),
        SourceState::Ok => ("Working", "good"),
        SourceState::Failing => ("Failing, last good values are shown", "bad"),
        SourceState::Stale => ("Failing, values are too old to be shown", "bad"),
    }
}

/// A rate in dollars, to the cent.
pub(super) fn rate(text: &str) -> String {
    match Decimal::from_str_exact(text) {
        Ok(rate) => dollars(&rate.round_dp(2).to_string()),
        Err(_) => dollars(text),
    }
}

/// An amount as people write it: `-$1,234.50`. Digits beyond the cent are shown where they are not zero.
pub(super) fn dollars(text: &str) -> String {
    let Ok(amount) = Decimal::from_str_exact(text) else { return escape(text).into_owned() };
    let mut exact = amount.abs().normalize();
    exact.rescale(exact.scale().max(2));
    let text = exact.to_string();
    let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if amount.is_sign_negative() && !amount.is_zero() { "-" } else { "" };
    format!("{sign}${grouped}.{cents}")
}

/// How a balance stands, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Below the warning threshold.
    Warning,
    /// Below the critical threshold.
    Critical,
    /// Nothing is left.
    Empty,
}

/// How the balance stands, if it is known and not above all.
pub(super) fn standing(wallet: &WalletStatus) -> Option<Standing> {
    let decimal = |text: &Option<String>| text.as_ref().and_then(|text| Decimal::from_str_exact(text).ok());
    let amount = decimal(&wallet.balance_usd)?;
    let below = |threshold: &Option<String>| decimal(threshold).is_some_and(|least| amount < least);
    if amount <= Decimal::ZERO {
        return Some(Standing::Empty);
    }
    if below(&wallet.critical_balance_usd) {
        return Some(Standing::Critical);
    }
    below(&wallet.warning_balance_usd).then_some(Standing::Warning)
}

/// The balance and how it stands against the thresholds.
pub(super) fn balance(wallet: &WalletStatus) -> String {
    let Some(text) = &wallet.balance_usd else { return "unknown".to_owned() };
    let standing = match standing(wallet) {
        Some(Standing::Empty) => " <span class=\"bad\">nothing is left</span>",
        Some(Standing::Critical) => " <span class=\"bad\">below the critical threshold</span>",
        Some(Standing::Warning) => " <span class=\"wait\">below the warning threshold</span>",
        None => "",
    };
    format!("{}{standing}", dollars(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_people_write_them() {
        for (text, shown) in [
            ("40.0000", "$40.00"),
            ("-21.25", "-$21.25"),
            ("0", "$0.00"),
            ("-0.00", "$0.00"),
            ("0.0042", "$0.0042"),
            ("999.9", "$999.90"),
            ("1234567.891", "$1,234,567.891"),
            ("-100000", "-$100,000.00"),
        ] {
            assert_eq!(dollars(text), shown, "{text}");
        }
        assert_eq!(rate("12.345678"), "$12.35");
        assert_eq!(rate("6"), "$6.00");
    }
}
