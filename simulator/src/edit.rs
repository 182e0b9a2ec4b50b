//! Changes members of a JSON text and keeps every other byte as it is.
//!
//! Flows in: JSON that the simulator has just written, so it is known to be well formed. Flows out: the same with members
//! replaced or taken away; the result may be broken JSON.
//! Invariant: numbers are never parsed, so what is not touched keeps its digits and its trailing zeros.

/// What becomes of a member.
pub(crate) enum Change {
    /// It stays, and is looked into.
    Keep,
    /// This text stands there instead.
    Replace(String),
    /// It is gone.
    Remove,
}

/// Applies a change to each member; it is given the member's path and its value's text.
pub(crate) fn edit(json: &str, change: &dyn Fn(&[&str], &str) -> Change) -> String {
    let mut editor = Editor { text: json, at: 0, path: Vec::new(), out: String::with_capacity(json.len()), change };
    editor.value();
    editor.out
}

/// Whether a path is the one that is meant: dotted, `*` standing for any name.
pub(crate) fn matches(pattern: &str, path: &[&str]) -> bool {
    let mut wanted = pattern.split('.');
    let mut same = path.iter().all(|name| wanted.next().is_some_and(|want| want == "*" || want == *name));
    same &= wanted.next().is_none();
    same
}

struct Editor<'a> {
    text: &'a str,
    at: usize,
    path: Vec<&'a str>,
    out: String,
    change: &'a dyn Fn(&[&str], &str) -> Change,
}

impl<'a> Editor<'a> {
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(b'}')
    }

    /// Copies a value, members changed.
    fn value(&mut self) {
        match self.byte() {
            b'{' => self.members(),
            b'[' => self.elements(),
            _ => {
                let raw = self.skip();
                self.out.push_str(raw);
            }
        }
    }

    fn elements(&mut self) {
        self.out.push('[');
        self.at += 1;
        while self.at < self.text.len() && self.byte() != b']' {
            if self.byte() == b',' {
                self.out.push(',');
                self.at += 1;
            }
            self.value();
        }
        self.out.push(']');
        self.at += 1;
    }

    fn members(&mut self) {
        self.out.push('{');
        self.at += 1;
        let mut first = true;
        while self.at < self.text.len() && self.byte() != b'}' {
            if self.byte() == b',' {
                self.at += 1;
            }
            let name = self.skip();
            // The colon.
            self.at += 1;
            let start = self.at;
            let raw = self.skip();
            self.path.push(name.trim_matches('"'));
            let change = (self.change)(&self.path, raw);
            if !matches!(change, Change::Remove) {
                if !first {
                    self.out.push(',');
                }
                first = false;
                self.out.push_str(name);
                self.out.push(':');
            }
            match change {
                Change::Keep => {
                    self.at = start;
                    self.value();
                }
                Change::Replace(text) => self.out.push_str(&text),
                Change::Remove => {}
            }
            self.path.pop();
        }
        self.out.push('}');
        self.at += 1;
    }

    /// Steps over a value and gives its text.
    fn skip(&mut self) -> &'a str {
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
        let mut length = rest.len();
        for (place, byte) in rest.iter().enumerate() {
            if quoted {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => quoted = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => quoted = true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 0 => depth -= 1,
                b',' | b':' | b'}' | b']' if depth == 0 => {
                    length = place;
                    break;
                }
                _ => {}
            }
        }
        self.at = start + length;
        self.text.get(start..self.at).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"results":{"data":[{"a":1.50,"b":{"x, \"y\"":[2,3]}},{"a":null,"b":{}}]},"a":4}"#;

    fn with(pattern: &'static str, value: Option<&'static str>) -> String {
        edit(TEXT, &|path, _| match (matches(pattern, path), value) {
            (false, _) => Change::Keep,
            (true, Some(text)) => Change::Replace(text.to_owned()),
            (true, None) => Change::Remove,
        })
    }

    #[test]
    fn what_is_not_meant_keeps_every_byte() {
        assert_eq!(with("results.nothing", None), TEXT);
    }

    #[test]
    fn members_are_replaced_and_removed_where_they_are_meant() {
        let expected = r#"{"results":{"data":[{"a":7,"b":{"x, \"y\"":[2,3]}},{"a":7,"b":{}}]},"a":4}"#;
        assert_eq!(with("results.data.a", Some("7")), expected);
        let expected = r#"{"results":{"data":[{"b":{"x, \"y\"":[2,3]}},{"b":{}}]},"a":4}"#;
        assert_eq!(with("results.data.a", None), expected);
        let expected = r#"{"results":{"data":[{"a":1.50,"b":{"x, \"y\"":[]}},{"a":null,"b":{}}]},"a":4}"#;
        assert_eq!(with("results.data.b.*", Some("[]")), expected);
        assert_eq!(with("results", Some("[]")), r#"{"results":[],"a":4}"#);
        assert_eq!(with("*", None), "{}");
    }
}
