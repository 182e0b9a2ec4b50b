//! Amounts as the wallet keeps them: whole ten-thousandths of a dollar.
//!
//! Flows in: dollars from who drives the simulator. Flows out: the vendor's three ways of writing an amount.
//! Invariant: everything is integer arithmetic, so what a test adds up itself must agree to the last digit.

use std::fmt;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// Ten-thousandths of a dollar.
pub(crate) type Units = i64;

/// One dollar.
pub(crate) const DOLLAR: Units = 10_000;

/// The nearest ten-thousandth: the wallet knows no smaller coin.
pub(crate) fn units(amount: impl Into<Decimal>) -> Units {
    (amount.into() * Decimal::from(DOLLAR)).round().to_i64().unwrap_or(0)
}

/// Back to dollars, exactly.
pub(crate) fn usd(units: Units) -> Decimal {
    Decimal::new(units, 4)
}

/// Four decimals, always: `42.5000`.
pub(crate) fn four(units: Units) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let size = units.unsigned_abs();
    format!("{sign}{}.{:04}", size / 10_000, size % 10_000)
}

/// No more decimals than needed: `0.45`, `0.135`, `0`.
pub(crate) fn short(units: Units) -> Short {
    Short(units)
}

/// An amount that is written with no more decimals than needed, without a text of its own: a report holds many.
pub(crate) struct Short(Units);

impl fmt::Display for Short {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.unsigned_abs();
        if self.0 < 0 {
            formatter.write_str("-")?;
        }
        write!(formatter, "{}", size / 10_000)?;
        let (mut fraction, mut places) = (size % 10_000, 4);
        if fraction == 0 {
            return Ok(());
        }
        while fraction % 10 == 0 {
            fraction /= 10;
            places -= 1;
        }
        write!(formatter, ".{fraction:0places$}")
    }
}

/// At least one decimal: `100.0`, `8.25`.
pub(crate) fn float(units: Units) -> String {
    let text = short(units).to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// Two decimals, as a bank account's balance: `2843.51`.
pub(crate) fn cents(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let size = cents.unsigned_abs();
    format!("{sign}{}.{:02}", size / 100, size % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_ways_of_writing_an_amount() {
        for (amount, all, least, one) in [
            (425_000, "42.5000", "42.5", "42.5"),
            (0, "0.0000", "0", "0.0"),
            (1_000_000, "100.0000", "100", "100.0"),
            (-1_350, "-0.1350", "-0.135", "-0.135"),
            (70, "0.0070", "0.007", "0.007"),
            (10_001, "1.0001", "1.0001", "1.0001"),
        ] {
            assert_eq!(
                (four(amount).as_str(), short(amount).to_string().as_str(), float(amount).as_str()),
                (all, least, one)
            );
        }
        assert_eq!((cents(284_351), cents(-5)), ("2843.51".to_owned(), "-0.05".to_owned()));
    }
}
