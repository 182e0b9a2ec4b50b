//! Changes to the CSV of the balance checks, and to that of the wallet's transactions.
//!
//! Flows in: columns and rows as they should be. Flows out: the file with the changes, made while it is sent.
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

pub(crate) fn changed(mut table: Table, changes: &[CsvChange]) -> impl Iterator<Item = Bytes> + Send + use<> {
    let mut style = Style::default();
    for change in changes.iter().cloned() {
        apply(&mut table, change, &mut style);
    }
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

fn apply(table: &mut Table, change: CsvChange, style: &mut Style) {
    match change {
        CsvChange::Bom => style.bom = true,
        CsvChange::Crlf => style.crlf = true,
        CsvChange::NoFinalNewline => style.no_final_newline = true,
        CsvChange::OpenQuote(number) => style.open_quote = Some(number),
        CsvChange::Reverse => {
            table.columns.reverse();
            each_row(table, |_, row| row.reverse());
        }
        CsvChange::Drop(name) => {
            if let Some(place) = place(table, &name) {
                table.columns.remove(place);
                each_row(table, move |_, row| remove(row, place));
            }
        }
        CsvChange::Extra(name) => {
            table.columns.insert(0, name);
            each_row(table, |_, row| row.insert(0, b"extra".to_vec()));
        }
        CsvChange::Rename(name, other) => {
            if let Some(column) = table.columns.iter_mut().find(|column| **column == name) {
                *column = other;
            }
        }
        CsvChange::Set(name, text) => set(table, &name, None, text.into_bytes()),
        CsvChange::SetInRow(number, name, text) => set(table, &name, Some(number), text.into_bytes()),
        CsvChange::NotUtf8(name) => set(table, &name, None, NOT_UTF8.to_vec()),
        CsvChange::RaggedShort(number) => one_row(table, number, |row| remove(row, 0)),
        CsvChange::RaggedLong(number) => one_row(table, number, |row| row.push(b"more".to_vec())),
        CsvChange::HeaderOnly => table.rows = Box::new(std::iter::empty()),
        CsvChange::ForeignRows(count) => add_foreign(table, count),
    }
}

fn place(table: &Table, name: &str) -> Option<usize> {
    table.columns.iter().position(|column| column == name)
}

/// Changes each row; the row's number is given.
fn each_row(table: &mut Table, change: impl Fn(usize, &mut Vec<Vec<u8>>) + Send + 'static) {
    let rows = std::mem::replace(&mut table.rows, Box::new(std::iter::empty()));
    table.rows = Box::new(rows.enumerate().map(move |(number, mut row)| {
        change(number, &mut row);
        row
    }));
}

fn one_row(table: &mut Table, wanted: usize, change: impl Fn(&mut Vec<Vec<u8>>) + Send + 'static) {
    each_row(table, move |number, row| {
        if number == wanted {
            change(row);
        }
    });
}

/// Sets the field of a column, in the row of this number or in all.
fn set(table: &mut Table, name: &str, wanted: Option<usize>, text: Vec<u8>) {
    let Some(place) = place(table, name) else { return };
    each_row(table, move |number, row| {
        if wanted.is_none_or(|wanted| wanted == number)
            && let Some(field) = row.get_mut(place)
        {
            field.clone_from(&text);
        }
    });
}

fn remove(row: &mut Vec<Vec<u8>>, place: usize) {
    if place < row.len() {
        row.remove(place);
    }
}

/// Rows of a batch that was not requested.
fn add_foreign(table: &mut Table, count: usize) {
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
    let rows = std::mem::replace(&mut table.rows, Box::new(std::iter::empty()));
    table.rows = Box::new(rows.chain(std::iter::repeat_n(row, count)));
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
