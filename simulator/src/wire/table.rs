//! A CSV file before it is written: its columns and its rows.
//!
//! Invariant: the rows are those of the moment of the request, however slowly they are taken.

use bytes::Bytes;

use super::csv_field;

/// Rows are sent about this many bytes at a time.
const CHUNK: usize = 16 * 1024;

/// The columns, and the rows one after the other as lists of fields.
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Box<dyn Iterator<Item = Vec<Vec<u8>>> + Send>,
}

impl Table {
    /// The file's bytes.
    pub(crate) fn written(self) -> impl Iterator<Item = Bytes> + Send + 'static {
        let header = Bytes::from(line(self.columns.iter().map(String::as_bytes), b"\n"));
        let mut rows = self.rows;
        let body = std::iter::from_fn(move || {
            let mut chunk = Vec::new();
            while chunk.len() < CHUNK {
                let Some(row) = rows.next() else { break };
                chunk.extend(line(row.iter().map(Vec::as_slice), b"\n"));
            }
            (!chunk.is_empty()).then(|| Bytes::from(chunk))
        });
        std::iter::once(header).chain(body)
    }
}

pub(crate) fn line<'a>(fields: impl Iterator<Item = &'a [u8]>, end: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(200);
    for (place, field) in fields.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        csv_field(&mut out, field);
    }
    out.extend_from_slice(end);
    out
}
