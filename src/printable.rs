//! Text from elsewhere (paths, names, a vendor's words) on a terminal and in a log.
//!
//! Flows in: any text. Flows out: the same with control characters written out. Invariant: nothing moves a terminal's
//! cursor, and nothing begins a line that is not ours.

use std::borrow::Cow;
use std::io;

/// The text with its control characters escaped, as in `\n` and `\u{1b}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character.is_control() {
            true => out.extend(character.escape_default()),
            false => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// Writes each log line with its control characters escaped. It is given whole lines.
#[derive(Debug)]
pub struct Lines<W>(pub W);

impl<W: io::Write> io::Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        let safe = printable(line.strip_suffix('\n').unwrap_or(&line));
        self.0.write_all(format!("{safe}\n").as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_line_stays_one_line_and_moves_no_cursor() {
        let mut out = Vec::new();
        Lines(&mut out).write_all("a path/\u{1b}[2Jx\nWARN forged\r\u{9b}1A\u{7f} \u{e9}\n".as_bytes()).unwrap();
        let line = String::from_utf8(out).unwrap();
        assert_eq!(line, "a path/\\u{1b}[2Jx\\nWARN forged\\r\\u{9b}1A\\u{7f} \u{e9}\n");
    }
}
