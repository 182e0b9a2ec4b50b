//! Amounts of dollars, against floats and against their own digits.

use serde_json::value::RawValue;
use wallet_exporter::money::{MoneyError, Usd};

use super::{ensure, prints};
use crate::engine::Outcome;

pub fn check(input: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(input);
    let float = text.parse::<f64>();
    match Usd::parse_bytes(input) {
        Ok(amount) => {
            let written = amount.to_string();
            prints(amount)?;
            ensure(Usd::parse(&written) == Ok(amount), || format!("{written} does not read back"))?;
            let float = float.map_err(|_| "an amount that is no number")?;
            let printed: f64 = written.parse().map_err(|_| "it prints no number")?;
            ensure((float - printed).abs() <= 1e-12 + float.abs() * 1e-15, || format!("{float} became {written}"))?;
            if let Some(digits) = exact(&text) {
                ensure(Some(&digits) == exact(&written).as_ref(), || format!("{text} became {written}"))?;
            }
            if !text.starts_with('-') {
                ensure(Usd::parse(&format!("-{text}")) == Ok(-amount), || format!("-{text} is not -{written}"))?;
            }
            Ok(format!("{:?} {}", amount.is_negative(), text.contains(['e', 'E'])))
        }
        Err(error) => {
            let huge = float.is_ok_and(|float| float.abs() >= 1e12);
            ensure(error != MoneyError::TooLarge || huge, || "too large, and is not".to_owned())?;
            let json = serde_json::from_slice::<&RawValue>(input).is_ok_and(|value| value.get().as_bytes() == input);
            let number = json && matches!(input, [b'-' | b'0'..=b'9', ..]);
            ensure(error != MoneyError::NotANumber || !number, || "a JSON number that is no amount".to_owned())?;
            Ok(error.to_string())
        }
    }
}

/// The sign and the digits that count, if all of them are kept.
fn exact(text: &str) -> Option<(bool, &str, &str)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (negative, whole) = whole.strip_prefix('-').map_or((false, whole), |whole| (true, whole));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let plain = fraction.len() <= 12 && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    plain.then_some((negative && !(whole.is_empty() && fraction.is_empty()), whole, fraction))
}
