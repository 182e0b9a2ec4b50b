//! US dollars, exact.
//!
//! Flows in: the vendor's digits, as text. Flows out: sums and comparisons without rounding, and the same digits again.
//! Invariant: no amount ever passes through a float on its way in; only `metrics` turns one into a float, once, at the
//! encoder. An amount has at most 12 decimals and 28 digits in all, so that sums below 10^16 dollars are exact.
#![deny(clippy::float_arithmetic)]

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};

use rust_decimal::Decimal;
use rust_decimal::RoundingStrategy;

/// Decimals that are kept. A vendor that computes in floats may print `0.30000000000000004`: what stands beyond the
/// twelfth decimal is the float's noise, and is rounded half to even.
const MAX_SCALE: u32 = 12;

/// The largest amount that is believed, in dollars (10^12).
const MAX_DOLLARS: i64 = 1_000_000_000_000;

/// An exact amount of US dollars; may be negative.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(Decimal);

/// Why a text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is not a decimal number.
    #[error("not a decimal number")]
    NotANumber,
    /// The amount is beyond 10^12 dollars.
    #[error("beyond 1e12 dollars")]
    TooLarge,
}

impl Usd {
    /// No money.
    pub const ZERO: Usd = Usd(Decimal::ZERO);

    /// An amount of whole cents.
    #[must_use]
    pub fn from_cents(cents: i64) -> Usd {
        Usd(Decimal::new(cents, 2))
    }

    /// An amount of ten-thousandths of a dollar, the wallet's own unit.
    #[must_use]
    pub fn from_ten_thousandths(units: i64) -> Usd {
        Usd(Decimal::new(units, 4))
    }

    /// Reads a decimal number as JSON and CSV write them: optional sign, digits, optional fraction, optional exponent.
    ///
    /// # Errors
    /// [`MoneyError::NotANumber`] for anything else (`NaN`, `inf`, the empty text, digit separators, spaces), and
    /// [`MoneyError::TooLarge`] beyond 10^12 dollars.
    pub fn parse(text: &str) -> Result<Usd, MoneyError> {
        Usd::parse_bytes(text.as_bytes())
    }

    /// As [`Usd::parse`], for text that has not been checked to be UTF-8.
    ///
    /// # Errors
    /// As [`Usd::parse`].
    pub fn parse_bytes(text: &[u8]) -> Result<Usd, MoneyError> {
        match plain(text) {
            Some(value) => value.bounded(),
            None => slow(text),
        }
    }

    /// Reads back what [`Usd`]'s `Display` wrote. A sum may be larger than any amount that a vendor is believed.
    #[must_use]
    pub fn stored(text: &str) -> Option<Usd> {
        Decimal::from_str_exact(text).ok().map(Usd)
    }

    /// The amount without its sign.
    #[must_use]
    pub fn abs(self) -> Usd {
        Usd(self.0.abs())
    }

    /// Below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.0 < Decimal::ZERO
    }

    /// Exactly zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The exact decimal, for the encoder.
    #[must_use]
    pub fn decimal(self) -> Decimal {
        self.0
    }

    fn bounded(self) -> Result<Usd, MoneyError> {
        if self.0.abs() > Decimal::from(MAX_DOLLARS) { Err(MoneyError::TooLarge) } else { Ok(self) }
    }
}

/// The common case, digits and at most one point: no allocation, one pass.
fn plain(text: &[u8]) -> Option<Usd> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    // 18 digits fit an i64 whatever they are.
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let mut mantissa: i64 = 0;
    let mut seen: u32 = 0;
    let mut scale: Option<u32> = None;
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
                seen += 1;
                if let Some(places) = scale.as_mut() {
                    *places += 1;
                }
            }
            b'.' if scale.is_none() && seen > 0 => scale = Some(0),
            _ => return None,
        }
    }
    let places = scale.unwrap_or(0);
    // `1.` is not a number in JSON; more decimals than are kept need rounding.
    if scale == Some(0) || places > MAX_SCALE {
        return None;
    }
    Some(Usd(Decimal::new(if negative { -mantissa } else { mantissa }, places)))
}

/// Long and scientific numbers. The grammar is checked here, because `Decimal` accepts more than JSON does.
fn slow(text: &[u8]) -> Result<Usd, MoneyError> {
    let text = std::str::from_utf8(text).map_err(|_| MoneyError::NotANumber)?;
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || fraction.is_some_and(|part| !digits(part)) {
        return Err(MoneyError::NotANumber);
    }
    let shift: i32 = match exponent {
        None => 0,
        Some(exponent) => {
            let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if !digits(unsigned) {
                return Err(MoneyError::NotANumber);
            }
            // An exponent that does not fit is either a huge number or nothing at all.
            exponent.parse().unwrap_or(if exponent.starts_with('-') { -10_000 } else { 10_000 })
        }
    };
    let fraction = fraction.unwrap_or("");
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    if significant.is_empty() {
        return Ok(Usd::ZERO);
    }
    // The number is 0.d1d2d3... x 10^magnitude.
    let leading_zeros = i32::try_from(all.len() - significant.len()).map_err(|_| MoneyError::NotANumber)?;
    let magnitude = i32::try_from(whole.len()).map_err(|_| MoneyError::TooLarge)? - leading_zeros;
    let magnitude = magnitude.saturating_add(shift);
    if magnitude > 13 {
        return Err(MoneyError::TooLarge);
    }
    if magnitude < -(i32::try_from(MAX_SCALE).unwrap_or(0) + 1) {
        return Ok(Usd::ZERO);
    }
    // At most 13 whole digits, 12 decimals and one digit more to round by: 26 digits fit a Decimal.
    let keep = usize::try_from(magnitude + 13).unwrap_or(0).min(significant.len());
    let (kept, cut) = significant.split_at(keep);
    let mut mantissa: i128 = if kept.is_empty() { 0 } else { kept.parse().map_err(|_| MoneyError::NotANumber)? };
    let mut scale = i32::try_from(kept.len()).map_err(|_| MoneyError::NotANumber)? - magnitude;
    if cut.bytes().any(|byte| byte != b'0') {
        // A sticky digit: exactly half and more than half must round differently.
        mantissa = mantissa * 10 + 1;
        scale += 1;
    }
    while scale < 0 {
        mantissa *= 10;
        scale += 1;
    }
    let scale = u32::try_from(scale).map_err(|_| MoneyError::NotANumber)?;
    let value = Decimal::try_from_i128_with_scale(mantissa, scale).map_err(|_| MoneyError::TooLarge)?;
    let value = value.round_dp_with_strategy(MAX_SCALE, RoundingStrategy::MidpointNearestEven);
    Usd(if text.starts_with('-') { -value } else { value }).bounded()
}

impl fmt::Display for Usd {
    /// Plain decimal digits; trailing zeros as they came.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl From<Usd> for Decimal {
    fn from(amount: Usd) -> Decimal {
        amount.0
    }
}

impl fmt::Debug for Usd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "${}", self.0)
    }
}

impl Add for Usd {
    type Output = Usd;
    fn add(self, other: Usd) -> Usd {
        Usd(self.0 + other.0)
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Usd) {
        self.0 += other.0;
    }
}

impl Sub for Usd {
    type Output = Usd;
    fn sub(self, other: Usd) -> Usd {
        Usd(self.0 - other.0)
    }
}

impl SubAssign for Usd {
    fn sub_assign(&mut self, other: Usd) {
        self.0 -= other.0;
    }
}

impl Mul<u64> for Usd {
    type Output = Usd;
    fn mul(self, times: u64) -> Usd {
        Usd(self.0 * Decimal::from(times))
    }
}

impl Neg for Usd {
    type Output = Usd;
    fn neg(self) -> Usd {
        Usd(-self.0)
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Usd>>(amounts: I) -> Usd {
        amounts.fold(Usd::ZERO, Add::add)
    }
}

/// The exact digits, at least two of them after the point.
#[must_use]
pub fn with_cents(amount: Decimal) -> Decimal {
    let mut exact = amount.normalize();
    exact.rescale(exact.scale().max(2));
    exact
}

/// An amount as people write it: `-$1,234.50`. Digits beyond the cent are shown where they are not zero.
#[must_use]
pub fn dollars(amount: Decimal) -> String {
    let text = with_cents(amount.abs()).to_string();
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_vendors_digits_come_back() {
        for text in ["42.5000", "0", "-3.75", "0.0001", "999999999999.9999", "2843.51"] {
            assert_eq!(Usd::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_tenth_added_ten_times_is_one() {
        let sum: Usd = std::iter::repeat_n(Usd::parse("0.1").unwrap(), 10).sum();
        assert_eq!(sum, Usd::from_cents(100));
    }

    #[test]
    fn other_notations() {
        for (text, same) in [
            ("1e2", "100"),
            ("1E+2", "100"),
            ("5e-05", "0.00005"),
            ("1.5e3", "1500"),
            ("0.30000000000000004", "0.3"),
            ("0.0000000000005", "0"),
            ("0.0000000000015", "0.000000000002"),
            ("0.00000000000050000000000000000000000000000001", "0.000000000001"),
            ("1e-999999999999", "0"),
            ("000000000000000000000000000001.50", "1.5"),
        ] {
            assert_eq!(Usd::parse(text).unwrap(), Usd::parse(same).unwrap(), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_amount() {
        for text in
            ["", "-", ".", "1.", ".5", "+1", "NaN", "inf", "Infinity", "1_000", "1,5", " 1", "0x10", "1e", "--1"]
        {
            assert_eq!(Usd::parse(text), Err(MoneyError::NotANumber), "{text:?}");
        }
        for text in ["1e13", "1000000000001", "-1000000000000.01", "1e999999999999", "99999999999999999999999999999999"]
        {
            assert_eq!(Usd::parse(text), Err(MoneyError::TooLarge), "{text:?}");
        }
        assert!(Usd::parse("1000000000000").is_ok());
    }

    proptest! {
        #[test]
        fn sums_equal_integer_arithmetic(units in prop::collection::vec(-10_000_000_000_i64..10_000_000_000, 0..3_000)) {
            let sum: Usd = units
                .iter()
                .map(|unit| {
                    let sign = if *unit < 0 { "-" } else { "" };
                    Usd::parse(&format!("{sign}{}.{:04}", unit.abs() / 10_000, unit.abs() % 10_000)).unwrap()
                })
                .sum();
            let exact: i128 = units.iter().map(|unit| i128::from(*unit)).sum();
            prop_assert_eq!(sum.decimal(), Decimal::from_i128_with_scale(exact, 4));
        }

        #[test]
        fn any_bytes_are_judged_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Usd::parse_bytes(&bytes);
        }

        #[test]
        fn the_quick_way_and_the_slow_way_agree(whole in 0_u64..1_000_000_000_000, fraction in "[0-9]{1,6}") {
            let text = format!("{whole}.{fraction}");
            prop_assert_eq!(Usd::parse(&text), slow(text.as_bytes()));
        }
    }

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
            assert_eq!(dollars(text.parse().unwrap()), shown, "{text}");
        }
    }
}
