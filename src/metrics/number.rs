//! Floats as text.
//!
//! Flows in: a finite `f64`. Flows out: the shortest decimal that reads back as the same `f64`. Invariant: nothing is
//! rounded; `+Inf`, `-Inf` and `NaN` never get here but as the last bound of a histogram, which is written as a literal.

use std::io::Write;

/// Below this, every integer and every number of four decimals scaled by 10,000 is exact and has at most 15 digits,
/// and two decimals of at most 15 digits are never the same `f64`.
const EXACT: f64 = 1e15;

/// Writes a sample's value. `value` must be finite.
#[expect(
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "exact comparison is the point: a short form is used only if it is the same number"
)]
pub(super) fn write_value(out: &mut Vec<u8>, value: f64) {
    let magnitude = value.abs();
    if magnitude < EXACT && magnitude.trunc() == magnitude {
        return write_integer(out, value < 0.0, magnitude as u64);
    }
    // Money has at most four decimals. The quotient of two exact numbers is rounded once, just as parsing the printed
    // decimal is, so equality means that the text reads back as `value`.
    let scaled = (magnitude * 10_000.0).round();
    if scaled < EXACT && scaled / 10_000.0 == magnitude {
        let scaled = scaled as u64;
        write_integer(out, value < 0.0, scaled / 10_000);
        let mut fraction = scaled % 10_000;
        let mut divisor = 1_000;
        out.push(b'.');
        while fraction > 0 {
            out.push(b'0' + (fraction / divisor) as u8);
            fraction %= divisor;
            divisor /= 10;
        }
        return;
    }
    // Writing to a vector cannot fail.
    let _ = if (1e-7..1e17).contains(&magnitude) { write!(out, "{value}") } else { write!(out, "{value:e}") };
}

/// Writes a histogram's bound: always as a float (`100.0`), in both formats, so that both make the same series.
#[expect(clippy::float_cmp, reason = "exact comparison is the point")]
pub(super) fn write_bound(out: &mut Vec<u8>, bound: f64) {
    write_value(out, bound);
    if bound.abs() < 1e17 && bound.trunc() == bound {
        out.extend_from_slice(b".0");
    }
}

fn write_integer(out: &mut Vec<u8>, negative: bool, magnitude: u64) {
    if negative {
        out.push(b'-');
    }
    write_count(out, magnitude);
}

/// Writes a count.
pub(super) fn write_count(out: &mut Vec<u8>, count: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
}
