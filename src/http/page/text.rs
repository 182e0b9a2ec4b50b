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

/// A source's state in words, and its style.
pub(super) fn words(state: SourceState) -> (&'static str, &'static str) {
    match state {
        SourceState::Waiting => ("Waiting for the first answer", "wait"),
        SourceState::Ok => ("Working", "good"),
        SourceState::Failing => ("Failing, last good values are shown", "bad"),
        SourceState::Stale => ("Failing, values are too old to be shown", "bad"),
    }
}

/// A rate in dollars, to the cent.
pub(super) fn rate_text(rate: &str) -> String {
    let cents =
        Decimal::from_str_exact(rate).map_or_else(|_| rate.to_owned(), |rate| format!("{:.2}", rate.round_dp(2)));
    dollars(&cents)
}

fn dollars(amount: &str) -> String {
    match amount.strip_prefix('-') {
        Some(debt) => format!("-${}", escape(debt)),
        None => format!("${}", escape(amount)),
    }
}

/// The balance and how it stands against the thresholds.
pub(super) fn balance(wallet: &WalletStatus) -> String {
    let Some(text) = &wallet.balance_usd else { return "unknown".to_owned() };
    let decimal = |text: &Option<String>| text.as_ref().and_then(|text| Decimal::from_str_exact(text).ok());
    let amount = decimal(&wallet.balance_usd);
    let below =
        |threshold: &Option<String>| amount.zip(decimal(threshold)).is_some_and(|(amount, least)| amount < least);
    let standing = if below(&wallet.critical_balance_usd) {
        " <span class=\"bad\">below the critical threshold</span>"
    } else if below(&wallet.warning_balance_usd) {
        " <span class=\"wait\">below the warning threshold</span>"
    } else {
        ""
    };
    format!("{}{standing}", dollars(text))
}
