//! New inputs out of known ones.
//!
//! Flows in: a pool of inputs, and the words of a format. Flows out: an input that resembles some of them.
//! Invariant: the same generator and the same pool give the same input.

use std::ops::Range;

use fastrand::Rng;

/// Longer inputs are cut, but for a few, which are to reach the limits of the parsers.
const USUAL: usize = 4 * 1024;
/// The length of those few: beyond the longest record of a CSV.
const EXTREME: usize = 1024 * 1024 + 1024;
/// One repetition in so many is extreme.
const EXTREMES: u32 = 20_000;

/// Bytes that mean something in one of the formats, or are wrong in all.
const BYTES: &[u8] = b"\"'\\/\n\r\t ,;:=#{}[]()<>-+.*?&!|%@`eE019aZ\0\x1f\x7f\x80\xbf\xc3\xed\xff";

/// What inputs are made with.
pub struct Words {
    format: Vec<String>,
    numbers: Vec<String>,
}

impl Words {
    /// The words of a format, one a line.
    pub fn new(text: &str) -> Words {
        let escaped = [("\\n", "\n"), ("\\r", "\r"), ("\\t", "\t")];
        let word = |line: &str| escaped.iter().fold(line.to_owned(), |word, (from, to)| word.replace(from, to));
        let list = |text: &str| text.lines().map(word).collect();
        Words { format: list(text), numbers: list(include_str!("../words/numbers")) }
    }
}

/// An input made of one of the pool by one to eight changes.
pub fn mutate(rng: &mut Rng, pool: &[Vec<u8>], words: &Words) -> Vec<u8> {
    let mut input = any(rng, pool).to_vec();
    let mut longest = USUAL;
    for _ in 0..1_u8 << rng.u8(..4) {
        let at = rng.usize(..=input.len());
        match rng.u8(..12) {
            0 => flip(rng, &mut input, at),
            1 => put(&mut input, at..at + 1, &[byte(rng)]),
            2 => put(&mut input, at..at, any(rng, &words.format)),
            3 => {
                let old = around(&input, at, |byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte));
                put(&mut input, old, any(rng, &words.format));
            }
            4 => put(&mut input, at..at + length(rng), b""),
            5 => copy(rng, &mut input, at),
            6 => cross(rng, &mut input, at, pool),
            7 => {
                let old = around(&input, at, |byte| byte.is_ascii_digit() || b"-.+eE".contains(&byte));
                put(&mut input, old, any(rng, &words.numbers));
            }
            8 => longest = longest.max(repeat(rng, &mut input, at)),
            9 => field(rng, &mut input, at),
            10 => put(&mut input, at..at, &[rng.u8(..)]),
            _ if rng.u8(..4) == 0 => input.truncate(at),
            _ => put(&mut input, at..at, &[byte(rng)]),
        }
        input.truncate(longest);
    }
    input
}

fn any<'l>(rng: &mut Rng, list: &'l [impl AsRef<[u8]>]) -> &'l [u8] {
    rng.choice(list).map_or(b"", AsRef::as_ref)
}

fn byte(rng: &mut Rng) -> u8 {
    rng.choice(BYTES).copied().unwrap_or(0)
}

/// Mostly short.
fn length(rng: &mut Rng) -> usize {
    let longest = 1 << rng.u8(..8);
    rng.usize(..=longest)
}

/// Replaces what of the range there is.
fn put(input: &mut Vec<u8>, range: Range<usize>, new: &[u8]) {
    let (start, end) = (range.start.min(input.len()), range.end.min(input.len()));
    input.splice(start..end, new.iter().copied());
}

fn flip(rng: &mut Rng, input: &mut [u8], at: usize) {
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << rng.u8(..8);
    }
}

/// The bytes around a place that are alike.
fn around(input: &[u8], at: usize, alike: impl Fn(u8) -> bool) -> Range<usize> {
    let (before, after) = input.split_at(at);
    let start = before.iter().rev().take_while(|byte| alike(**byte)).count();
    let end = after.iter().take_while(|byte| alike(**byte)).count();
    at - start..at + end
}

fn copy(rng: &mut Rng, input: &mut Vec<u8>, at: usize) {
    let end = (at + length(rng)).min(input.len());
    let piece = input[at..end].to_vec();
    let to = rng.usize(..=input.len());
    put(input, to..to, &piece);
}

/// The start of this input and the end of another.
fn cross(rng: &mut Rng, input: &mut Vec<u8>, at: usize, pool: &[Vec<u8>]) {
    let other = any(rng, pool);
    input.truncate(at);
    input.extend_from_slice(&other[rng.usize(..=other.len())..]);
}

/// Repeats a piece, and returns how long the input may be.
fn repeat(rng: &mut Rng, input: &mut Vec<u8>, at: usize) -> usize {
    let end = (at + length(rng)).min(input.len());
    let piece = input[at..end].to_vec();
    let extreme = rng.u32(..EXTREMES) == 0;
    let times = if extreme { EXTREME / piece.len().max(1) } else { 1 << rng.u8(..6) };
    put(input, at..at, &piece.repeat(times));
    if extreme { usize::MAX } else { USUAL }
}

/// Copies or moves a piece between two separators to the start of another.
fn field(rng: &mut Rng, input: &mut Vec<u8>, at: usize) {
    let separator = *rng.choice(b"\n\n,,;:").unwrap_or(&b'\n');
    let mut range = around(input, at, |byte| byte != separator);
    range.end = (range.end + 1).min(input.len());
    let piece = input[range.clone()].to_vec();
    if rng.bool() {
        put(input, range, b"");
    }
    let to = rng.usize(..=input.len());
    let to = around(input, to, |byte| byte != separator).start;
    put(input, to..to, &piece);
}
