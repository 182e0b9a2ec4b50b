//! CSV records out of chunks.
//!
//! Flows in: bytes, cut anywhere. Flows out: records as lists of fields, borrowed for the length of one call.
//! Invariant: the same bytes give the same records however they are cut, and the same as csv-core alone would give;
//! memory is bounded by the longest record that is accepted.
//!
//! Two ways lead through a record. Most hold no quote: their fields are slices of the line, found eight bytes at
//! a time, and nothing is copied. From the first quote on, csv-core reads the record from its start, because only its automaton
//! knows what a quote means where. Both treat `\n`, `\r` and `\r\n` as the end and skip empty lines.

use csv_core::{ReadRecordResult, Reader};
use memchr::memchr3;

use super::parse_error::ParseError;

/// Longest record, its line end not counted. The vendor's are about a hundred bytes.
const LONGEST_RECORD: usize = 1024 * 1024;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// A record is longer than [`LONGEST_RECORD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl From<TooLong> for ParseError {
    fn from(_: TooLong) -> ParseError {
        ParseError::decode(format!("a record is longer than {LONGEST_RECORD} bytes"))
    }
}

/// Where the column of this name stands in a header.
pub(crate) fn place_of(header: Fields<'_>, name: &str) -> Result<usize, ParseError> {
    let mut places =
        (0..header.len()).filter(|index| header.get(*index).is_some_and(|field| field.trim_ascii() == name.as_bytes()));
    match (places.next(), places.next()) {
        (Some(place), None) => Ok(place),
        (None, _) => Err(ParseError::decode(format!("the column {name} is missing"))),
        (Some(_), Some(_)) => Err(ParseError::decode(format!("the column {name} appears twice"))),
    }
}

/// Takes the records as they are found.
pub(crate) trait Records {
    /// A record; never empty.
    fn record(&mut self, fields: Fields<'_>);
}

/// The fields of one record.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    /// Where each field ends.
    ends: &'a [usize],
    /// Bytes between two fields: 1 in a line, 0 in what csv-core has written out.
    gap: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&'a [u8]> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            None => 0,
            Some(before) => *self.ends.get(before)? + self.gap,
        };
        self.bytes.get(start..end)
    }
}

/// Cuts a stream into records.
pub(crate) struct Splitter {
    /// Bytes of a BOM that were seen, as long as nothing else was.
    bom: Option<usize>,
    /// The start of a record without a quote so far, from earlier chunks.
    carry: Vec<u8>,
    ends: Vec<usize>,
    quoted: Option<Quoted>,
    reader: Reader,
    unquoted: Vec<u8>,
}

/// A record that csv-core is reading.
struct Quoted {
    /// Raw bytes taken.
    taken: usize,
    /// Bytes and fields written.
    written: usize,
    fields: usize,
}

impl Splitter {
    pub(crate) fn new() -> Splitter {
        // csv-core takes a BOM away from the first bytes that it ever sees. Those are the start of some quoted record,
        // where a BOM is text, so it sees an empty line before. For the same reason it is never reset: after a record
        // it stands at the start of the next one by itself.
        let mut reader = Reader::new();
        reader.read_record(b"\n", &mut [0; 1], &mut [0; 1]);
        Splitter {
            bom: Some(0),
            carry: Vec::new(),
            ends: Vec::with_capacity(32),
            quoted: None,
            reader,
            unquoted: Vec::new(),
        }
    }

    /// The bytes have ended, and with them the last record, which needs no line end. Returns whether that is so: within
    /// quotes a line end is text, and the record still open.
    pub(crate) fn finish(&mut self, records: &mut impl Records) -> Result<bool, TooLong> {
        self.push(b"\n", records)?;
        Ok(self.quoted.is_none())
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, mut chunk: &[u8], records: &mut impl Records) -> Result<(), TooLong> {
        if let Some(seen) = self.bom {
            chunk = self.skip_bom(seen, chunk);
        }
        while !chunk.is_empty() {
            chunk = match self.quoted.take() {
                Some(quoted) => self.quoted_record(quoted, chunk, records)?,
                None => self.plain_record(chunk, records)?,
            };
        }
        Ok(())
    }

    fn skip_bom<'c>(&mut self, mut seen: usize, mut chunk: &'c [u8]) -> &'c [u8] {
        while let (Some(expected), Some((first, rest))) = (BOM.get(seen), chunk.split_first()) {
            if first != expected {
                // No BOM: what looked like one belongs to the first field.
                self.bom = None;
                self.carry.extend(BOM.iter().take(seen));
                return chunk;
            }
            seen += 1;
            chunk = rest;
        }
        self.bom = (seen < BOM.len()).then_some(seen);
        chunk
    }

    fn plain_record<'c>(&mut self, chunk: &'c [u8], records: &mut impl Records) -> Result<&'c [u8], TooLong> {
        let found = memchr3(b'\n', b'\r', b'"', chunk);
        let length = found.unwrap_or(chunk.len());
        if self.carry.len() + length > LONGEST_RECORD {
            return Err(TooLong);
        }
        let (line, rest) = chunk.split_at_checked(length).unwrap_or((chunk, &[]));
        let Some((end, rest)) = rest.split_first() else {
            self.carry.extend_from_slice(line);
            return Ok(rest);
        };
        if *end == b'"' {
            let carry = std::mem::take(&mut self.carry);
            let quoted = Quoted { taken: 0, written: 0, fields: 0 };
            // The start of the record holds neither quote nor line end, so csv-core takes all of it.
            self.quoted_record(quoted, &carry, records)?;
            let quoted = self.quoted.take().unwrap_or(Quoted { taken: 0, written: 0, fields: 0 });
            self.carry = carry;
            self.carry.clear();
            return self.quoted_record(quoted, chunk, records);
        }
        if self.carry.is_empty() {
            emit(line, &mut self.ends, records);
        } else {
            self.carry.extend_from_slice(line);
            emit(&self.carry, &mut self.ends, records);
            self.carry.clear();
        }
        Ok(rest)
    }

    fn quoted_record<'c>(
        &mut self,
        mut quoted: Quoted,
        mut chunk: &'c [u8],
        records: &mut impl Records,
    ) -> Result<&'c [u8], TooLong> {
        while !chunk.is_empty() {
            if self.unquoted.len() == quoted.written {
                self.unquoted.resize((quoted.written * 2).max(1024), 0);
            }
            if self.ends.len() == quoted.fields {
                self.ends.resize((quoted.fields * 2).max(32), 0);
            }
            let output = self.unquoted.get_mut(quoted.written..).unwrap_or_default();
            let ends = self.ends.get_mut(quoted.fields..).unwrap_or_default();
            let (result, taken, written, fields) = self.reader.read_record(chunk, output, ends);
            chunk = chunk.get(taken..).unwrap_or_default();
            quoted.taken += taken;
            quoted.written += written;
            quoted.fields += fields;
            let ended = result == ReadRecordResult::Record;
            if quoted.taken - usize::from(ended) > LONGEST_RECORD {
                return Err(TooLong);
            }
            if ended {
                let bytes = self.unquoted.get(..quoted.written).unwrap_or_default();
                let ends = self.ends.get(..quoted.fields).unwrap_or_default();
                records.record(Fields { bytes, ends, gap: 0 });
                return Ok(chunk);
            }
        }
        self.quoted = Some(quoted);
        Ok(chunk)
    }
}

fn emit(line: &[u8], ends: &mut Vec<usize>, records: &mut impl Records) {
    // An empty line is no record: `\r\n` is the end of one and such a line.
    if line.is_empty() {
        return;
    }
    ends.clear();
    commas(line, ends);
    ends.push(line.len());
    records.record(Fields { bytes: line, ends, gap: 1 });
}

/// Where the commas are. Fields are so short that calling `memchr` for each costs more than it saves.
fn commas(line: &[u8], ends: &mut Vec<usize>) {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    const COMMAS: u64 = 0x2c2c_2c2c_2c2c_2c2c;
    let (blocks, rest) = line.as_chunks::<8>();
    let mut start = 0;
    for block in blocks {
        let differs = u64::from_le_bytes(*block) ^ COMMAS;
        // The high bit of each byte that does not differ; no carry runs from one byte into the next.
        let mut found = !(((differs & LOW) + LOW) | differs | LOW);
        while found != 0 {
            ends.push(start + found.trailing_zeros() as usize / 8);
            found &= found - 1;
        }
        start += 8;
    }
    ends.extend(rest.iter().enumerate().filter(|(_, byte)| **byte == b',').map(|(index, _)| start + index));
}
