//! The file of batch ids.
//!
//! Flows in: a text file, one UUID a line, `#` comments. Flows out: the ids, and the numbers of the lines that are not
//! ids. Invariant: one bad line costs that line alone; no message repeats what stands in it.

use std::path::Path;

use uuid::Uuid;

use crate::config::file::{self, FileError};

/// Enough for a million ids; a larger file is some other file.
const LARGEST_KIB: u64 = 40 * 1024;

/// What a file of ids holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchIds {
    /// The ids, in the order of the file, each once.
    pub ids: Vec<Uuid>,
    /// Numbers of the lines that are neither an id nor a comment, from 1.
    pub bad_lines: Vec<usize>,
}

impl BatchIds {
    /// What is wrong with the file, if something is.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let shown: Vec<String> = self.bad_lines.iter().take(20).map(ToString::to_string).collect();
        let more = self.bad_lines.len() - shown.len();
        let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
        let lines = shown.join(", ");
        match self.bad_lines.len() {
            0 => None,
            1 => Some(format!("RIGHTFOOT_BATCH_IDS_FILE: line {lines} is not a batch id and is skipped")),
            _ => Some(format!("RIGHTFOOT_BATCH_IDS_FILE: lines {lines}{rest} are not batch ids and are skipped")),
        }
    }
}

/// Reads the file.
///
/// # Errors
/// If it cannot be read as a whole; a line that is not an id is no error.
pub fn read(path: &Path) -> Result<BatchIds, FileError> {
    Ok(parse(&file::read(path, LARGEST_KIB)?))
}

/// Reads what such a file holds; any bytes do.
#[must_use]
pub fn parse(bytes: &[u8]) -> BatchIds {
    let mut found = BatchIds::default();
    let mut seen = std::collections::HashSet::new();
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        if line.is_empty() {
            continue;
        }
        match Uuid::try_parse_ascii(line) {
            Ok(id) if seen.insert(id) => found.ids.push(id),
            Ok(_) => {}
            Err(_) => found.bad_lines.push(index + 1),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_line_costs_that_line_alone() {
        let text = b"# ours\r\n8ac1f4a6-1234-4abc-9d3e-001122334455 # first\r\nnot-an-id\n\n\xff\xfe\n8AC1F4A6-1234-4ABC-9D3E-001122334455\n5d3c6bbb-fc1a-46a4-93da-1ce4a54b0d83";
        let found = parse(text);
        assert_eq!(found.ids.len(), 2);
        assert_eq!(found.bad_lines, [3, 5]);
    }
}
