//! Amounts as the wallet keeps them: whole ten-thousandths of a dollar.
//!
//! Flows in: dollars from who drives the simulator. Flows out: the vendor's three ways of writing an amount.
//! Invariant: everything is integer arithmetic, so what a test adds up itself must agree to the last digit.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::money::Usd;

/// Ten-thousandths of a dollar.
pub(super) type Units = i64;

/// One dollar.
pub(super) const DOLLAR: Units = 10_000;

/// The nearest ten-thousandth: the wallet knows no smaller coin.
pub(super) fn units(amount: Usd) -> Units {
    (amount.decimal() * Decimal::from(DOLLAR)).round().to_i64().unwrap_or(0)
}

/// Back to dollars, exactly.
pub(super) fn usd(units: Units) -> Usd {
    Usd::from_ten_thousandths(units)
}

/// Four decimals, always: `42.5000`.
pub(super) fn four(units: Units) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let size = units.unsigned_abs();
    format!("{sign}{}.{:04}", size / 10_000, size % 10_000)
}

/// No more decimals than needed: `0.45`, `0.135`, `0`.
pub(super) fn short(units: Units) -> String {
    let text = four(units);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// At least one decimal: `100.0`, `8.25`.
pub(super) fn float(units: Units) -> String {
    let text = short(units);
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// Two decimals, as a bank account's balance: `2843.51`.
pub(super) fn cents(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let size = cents.unsigned_abs();
    format!("{sign}{}.{:02}", size / 100, size % 100)
}
