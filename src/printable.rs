//! Text from elsewhere (paths, names, a vendor's words) on a terminal and in a log.
//!
//! Flows in: any text. Flows out: the same with control characters written out. Invariant: nothing moves a terminal's
//! cursor, and nothing begins a line that is not ours.

use std::borrow::Cow;
use std::io;

/// The text with its control characters escaped, as in `\n` and `\u{1b}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |character| character.escape_default().to_string())
}

/// The same within JSON, whose only escapes are its own, as in `\u007f`.
#[must_use]
pub fn printable_json(text: &str) -> Cow<'_, str> {
    escaped(text, |character| format!("\\u{:04x}", u32::from(character)))
}

fn escaped(text: &str, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character.is_control() {
            true => out.push_str(&escape(character)),
            false => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// Writes each log line with its control characters escaped. It is given whole lines.
#[derive(Debug)]
pub struct Lines<W> {
    to: W,
    escape: fn(&str) -> Cow<'_, str>,
}

impl<W> Lines<W> {
    /// Lines of plain text.
    pub fn text(to: W) -> Lines<W> {
        Lines { to, escape: printable }
    }

    /// Lines of JSON.
    pub fn json(to: W) -> Lines<W> {
        Lines { to, escape: printable_json }
    }
}

impl<W: io::Write> io::Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        let safe = (self.escape)(line.strip_suffix('\n').unwrap_or(&line));
        self.to.write_all(format!("{safe}\n").as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_line_stays_one_line_and_moves_no_cursor() {
        let mut out = Vec::new();
        Lines::text(&mut out).write_all("a path/\u{1b}[2Jx\nWARN forged\r\u{9b}1A\u{7f} \u{e9}\n".as_bytes()).unwrap();
        let line = String::from_utf8(out).unwrap();
        assert_eq!(line, "a path/\\u{1b}[2Jx\\nWARN forged\\r\\u{9b}1A\\u{7f} \u{e9}\n");
    }

    #[test]
    fn a_line_of_json_stays_json() {
        let path = "a\u{7f}\u{9b}1A\u{85}\n\u{e9}";
        let mut out = Vec::new();
        Lines::json(&mut out).write_all(format!("{}\n", serde_json::json!({ "path": path })).as_bytes()).unwrap();
        let line = String::from_utf8(out).unwrap();
        assert_eq!(line, "{\"path\":\"a\\u007f\\u009b1A\\u0085\\n\u{e9}\"}\n");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["path"], path);
    }
}
