//! Changes to the CSV of the balance checks, and to that of the wallet's transactions.
//!
//! Flows in: columns and rows as they should be. Flows out: the file with the ordered changes, made while it is sent.
//! Invariant: changes are applied in their order, each to what the one before has left.

use bytes::Bytes;

use super::fault::CsvChange;
use super::wire::table::{Table, line};

/// A batch without an owner.
const FOREIGN: &str = "f0f0f0f0-0000-4000-8000-00000000f0f0";

/// Bytes that stand in no UTF-8 text.
const NOT_UTF8: &[u8] = &[b'B', 0xFF, 0xFE, b'k'];

/// How the file's lines are written, beside the fields.
#[derive(Default)]
struct Style {
    bom: bool,
    crlf: bool,
    no_final_newline: bool,
    open_quote: Option<usize>,
}

/// The table with the changes.
pub(crate) fn changed(table: Table, changes: &[CsvChange]) -> impl Iterator<Item = Bytes> + Send + use<> {
    let mut style = Style::default();
    let table = changes.iter().fold(table, |table, change| change_once(table, change, &mut style));
    let end: &[u8] = if style.crlf { b"\r\n" } else { b"\n" };
    let mut header = if style.bom { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
    header.extend(line(table.columns.iter().map(String::as_bytes), end));
    let written = table.rows.enumerate().map(move |(number, row)| {
        let mut text = line(row.iter().map(Vec::as_slice), end);
        if style.open_quote == Some(number) {
            text.insert(0, b'"');
        }
        text
    });
    let mut rows = written.peekable();
    let lines = std::iter::from_fn(move || {
        let mut text = rows.next()?;
        if style.no_final_newline && rows.peek().is_none() {
            text.truncate(text.len() - end.len());
        }
        Some(Bytes::from(text))
    });
    std::iter::once(Bytes::from(header)).chain(lines)
}

fn change_once(table: Table, change: &CsvChange, style: &mut Style) -> Table {
    let place = |name: &String| table.columns.iter().position(|column| column == name);
    match change.clone() {
        CsvChange::Bom => style.bom = true,
        CsvChange::Crlf => style.crlf = true,
        CsvChange::NoFinalNewline => style.no_final_newline = true,
        CsvChange::Reverse => return fields(table, |columns| columns.reverse(), |_, row| row.reverse()),
        CsvChange::Drop(name) => {
            let Some(place) = place(&name) else { return table };
            return fields(table, |columns| drop(columns.remove(place)), move |_, row| remove(row, place));
        }
        CsvChange::Extra(name) => {
            return fields(table, |columns| columns.insert(0, name), |_, row| row.insert(0, b"extra".to_vec()));
        }
        CsvChange::Rename(name, other) => {
            let Some(place) = place(&name) else { return table };
            let rename = |columns: &mut Vec<String>| {
                if let Some(column) = columns.get_mut(place) {
                    *column = other;
                }
            };
            return fields(table, rename, |_, _| ());
        }
        CsvChange::Set(name, text) => {
            let Some(place) = place(&name) else { return table };
            return fields(table, |_| (), move |_, row| set(row, place, text.as_bytes()));
        }
        CsvChange::SetInRow(number, name, text) => {
            let Some(place) = place(&name) else { return table };
            return fields(
                table,
                |_| (),
                move |at, row| {
                    if at == number {
                        set(row, place, text.as_bytes())
                    }
                },
            );
        }
        CsvChange::NotUtf8(name) => {
            let Some(place) = place(&name) else { return table };
            return fields(table, |_| (), move |_, row| set(row, place, NOT_UTF8));
        }
        CsvChange::RaggedShort(number) => {
            return fields(
                table,
                |_| (),
                move |at, row| {
                    if at == number {
                        remove(row, 0)
                    }
                },
            );
        }
        CsvChange::RaggedLong(number) => {
            return fields(
                table,
                |_| (),
                move |at, row| {
                    if at == number {
                        row.push(b"more".to_vec())
                    }
                },
            );
        }
        CsvChange::HeaderOnly => return Table { rows: Box::new(std::iter::empty()), ..table },
        CsvChange::ForeignRows(count) => return foreign(table, count),
        CsvChange::OpenQuote(number) => style.open_quote = Some(number),
    }
    table
}

/// The table with other columns, and each row changed; the row's number is given.
fn fields(
    mut table: Table,
    columns: impl FnOnce(&mut Vec<String>),
    row: impl Fn(usize, &mut Vec<Vec<u8>>) + Send + 'static,
) -> Table {
    columns(&mut table.columns);
    let rows = table.rows.enumerate().map(move |(number, mut fields)| {
        row(number, &mut fields);
        fields
    });
    Table { columns: table.columns, rows: Box::new(rows) }
}

fn set(row: &mut [Vec<u8>], place: usize, text: &[u8]) {
    if let Some(field) = row.get_mut(place) {
        *field = text.to_vec();
    }
}

fn remove(row: &mut Vec<Vec<u8>>, place: usize) {
    if place < row.len() {
        row.remove(place);
    }
}

/// Rows of a batch that was not requested.
fn foreign(table: Table, count: usize) -> Table {
    let row: Vec<Vec<u8>> = table
        .columns
        .iter()
        .map(|column| match column.as_str() {
            "Authorizer ID" => "authz-canary-foreign",
            "Batch ID" => FOREIGN,
            "Institution" => "Chase",
            "Balance" => "1000.00",
            "Status" => "SUCCESS",
            "Timestamp" => "2026-05-17T19:24:12+00:00",
            _ => "",
        })
        .map(|field| field.as_bytes().to_vec())
        .collect();
    Table { columns: table.columns, rows: Box::new(table.rows.chain(std::iter::repeat_n(row, count))) }
}

/// The table's rows again and again, until the file has so many bytes; the rows are in memory once.
pub(crate) fn repeated(table: Table, bytes: u64) -> impl Iterator<Item = Bytes> + Send + use<> {
    let header = Bytes::from(line(table.columns.iter().map(String::as_bytes), b"\n"));
    let mut all = Vec::new();
    for row in table.rows {
        all.extend(line(row.iter().map(Vec::as_slice), b"\n"));
    }
    let rows = Bytes::from(all);
    let length = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    // Without rows there is nothing to repeat.
    let times = if length == 0 { 0 } else { bytes.div_ceil(length) };
    let times = usize::try_from(times).unwrap_or(usize::MAX);
    std::iter::once(header).chain(std::iter::repeat_n(rows, times))
}
