//! Applies those faults that change what is answered; `transmit` applies those that change how it is sent.
//!
//! Flows in: a request, its fault, and how to make the right answer. Flows out: the answer to send.
//! Invariant: where a fault changes the right answer, the right answer is made first: a wrong token is still a 401.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::State;
use super::amount::DOLLAR;
use super::cards::{Card, PAID};
use super::edit::{Change, edit, matches};
use super::fault::{ErrorBody, Fault};
use super::wire::table::Table;
use super::wire::{Body, Operation, Reply, Request, Vendor, cards, reason};
use super::wire::{balances_csv, consumption, transactions_csv};
use super::{inject_csv, wire};

/// A page for people.
const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Something went wrong</title></head><body><h1>Something went wrong</h1></body></html>\n";

/// Every amount of the wallet's answers.
const AMOUNTS: [&str; 11] = [
    "results.balance",
    "results.summary.total_debit",
    "results.summary.total_credit",
    "results.summary.net_change",
    "results.data.debit",
    "results.data.credit",
    "results.data.by_origin.*.*",
    "results.data.by_endpoint.*",
    "results.data.credits",
    "results.data.sales_tax_charge",
    "results.data.card_processing_fee",
];

/// Bodies without an end are made in pieces of this size.
const PIECE: usize = 64 * 1024;

/// The answer with the fault in it.
pub(crate) fn apply(
    state: &mut State,
    operation: Operation,
    request: &Request,
    fault: Option<&Fault>,
    now: DateTime<Utc>,
    right: impl FnOnce(&mut State) -> Reply,
) -> Reply {
    let Some(fault) = fault else { return right(state) };
    applied(state, operation, request, fault, now, right).unwrap_or_else(|refusal| refusal)
}

/// The only list of what is wrong in the content. An error is a refusal that the fault has nothing to change in.
fn applied(
    state: &mut State,
    operation: Operation,
    request: &Request,
    fault: &Fault,
    now: DateTime<Utc>,
    right: impl FnOnce(&mut State) -> Reply,
) -> Result<Reply, Reply> {
    let right_if_ok = |state: &mut State| {
        let reply = right(state);
        if reply.status == 200 { Ok(reply) } else { Err(reply) }
    };
    Ok(match fault {
        Fault::Status { code, body, retry_after } => {
            status(operation, *code, *body, retry_after.clone().map(|value| ("Retry-After", value)))
        }
        Fault::Redirect { code, location } => {
            status(operation, *code, ErrorBody::Html, Some(("Location", location.clone())))
        }
        Fault::Envelope { code } => envelope(*code),
        Fault::Html => Reply::new(200, "text/html; charset=UTF-8", PAGE),
        Fault::EmptyBody => Reply::new(200, content_type(operation), ""),
        Fault::Body { content_type, text } => Reply::new(200, content_type, text.clone()),
        Fault::PageDrift { remove } => {
            drift(state, *remove, now);
            right_if_ok(state)?
        }
        Fault::ContentType { content_type } => {
            let mut reply = right_if_ok(state)?;
            reply.headers.retain(|(name, _)| *name != "Content-Type");
            reply.headers.push(("Content-Type", content_type.clone()));
            reply
        }
        Fault::MalformedJson => {
            let reply = right_if_ok(state)?;
            let body = reply.body.whole();
            Reply { body: Body::Whole(body.slice(..body.len() / 2)), ..reply }
        }
        Fault::Edit { members } => edited(right_if_ok(state)?, &|path, _| member(members, path)),
        Fault::AmountsAsStrings => edited(right_if_ok(state)?, &|path, raw| amount(path, || format!("\"{raw}\""))),
        Fault::Amounts { json } => edited(right_if_ok(state)?, &|path, _| amount(path, || json.clone())),
        Fault::EndlessPages => {
            let reply = right_if_ok(state)?;
            if operation == Operation::CreditCardTransactions { endless_page(request, now) } else { reply }
        }
        Fault::Flood { bytes } => right_if_ok(state).map(|_| flood(operation, *bytes, now))?,
        Fault::Csv { changes } => match (right_if_ok(state)?, table(state, operation, request, now)?) {
            (_, Some(table)) => download(operation, inject_csv::changed(table, changes), now),
            (reply, None) => reply,
        },
        Fault::Repeat { bytes } => match (right_if_ok(state)?, table(state, operation, request, now)?) {
            (_, Some(table)) => download(operation, inject_csv::repeated(table, *bytes), now),
            (reply, None) => reply,
        },
        // How an answer is delivered is no matter of its content.
        Fault::Hang
        | Fault::NoReply
        | Fault::ResetAtOnce
        | Fault::Drip { .. }
        | Fault::ResetMidBody
        | Fault::ShortContentLength
        | Fault::AbortedChunk
        | Fault::CutInRecord
        | Fault::CutAtLineEnd
        | Fault::Unframed => right_if_ok(state)?,
    })
}

/// HTTP 200 with a body that says no.
fn envelope(code: u16) -> Reply {
    let status = serde_json::json!({"code": code, "text": reason(code), "message": "The request was refused."});
    Reply::json(200, serde_json::json!({"status": status}).to_string())
}

fn content_type(operation: Operation) -> &'static str {
    match operation {
        Operation::BalancesCsv | Operation::ConsumptionCsv => "text/csv; charset=utf-8",
        Operation::Balance | Operation::ConsumptionReport | Operation::CreditCardTransactions => "application/json",
    }
}

/// The rows of the answer; none if it is JSON.
fn table(
    state: &mut State,
    operation: Operation,
    request: &Request,
    now: DateTime<Utc>,
) -> Result<Option<Table>, Reply> {
    match operation {
        Operation::BalancesCsv => balances_csv::table(&state.world, request).map(Some),
        Operation::ConsumptionCsv => consumption::table(&mut state.world, request, now.date_naive()).map(Some),
        Operation::Balance | Operation::ConsumptionReport | Operation::CreditCardTransactions => Ok(None),
    }
}

/// The answer around a body that is made while it is sent.
fn download(operation: Operation, body: impl Iterator<Item = Bytes> + Send + 'static, now: DateTime<Utc>) -> Reply {
    match operation {
        Operation::BalancesCsv => balances_csv::download(body, now.timestamp()),
        Operation::ConsumptionCsv => transactions_csv::download(body),
        Operation::Balance | Operation::ConsumptionReport | Operation::CreditCardTransactions => {
            Reply { body: Body::Stream(Box::new(body)), ..Reply::json(200, "") }
        }
    }
}

fn status(operation: Operation, code: u16, body: ErrorBody, header: Option<(&'static str, String)>) -> Reply {
    let mut reply = match body {
        ErrorBody::Html => Reply::new(code, "text/html; charset=UTF-8", PAGE),
        ErrorBody::Empty => Reply { status: code, headers: Vec::new(), body: Body::Whole(Bytes::new()) },
        ErrorBody::Json => match operation.vendor() {
            Vendor::BatchData if code == 429 => Reply::throttled(),
            Vendor::BatchData if code == 422 => {
                let mut invalid = wire::Invalid::default();
                invalid.push("end_date", "The end date field must be a date before or equal to today.");
                invalid.reply().unwrap_or_else(|| Reply::refused(code, reason(code)))
            }
            vendor => vendor.refused(code, reason(code)),
        },
    };
    reply.headers.extend(header);
    reply
}

/// What becomes of the member at this path.
fn member(members: &[(String, Option<String>)], path: &[&str]) -> Change {
    match members.iter().find(|(pattern, _)| matches(pattern, path)) {
        None => Change::Keep,
        Some((_, None)) => Change::Remove,
        Some((_, Some(text))) => Change::Replace(text.clone()),
    }
}

fn edited(reply: Reply, change: &dyn Fn(&[&str], &str) -> Change) -> Reply {
    let body = reply.body.whole();
    let text = String::from_utf8_lossy(&body);
    // A CSV has no members.
    let body = if text.starts_with('{') { Bytes::from(edit(&text, change)) } else { body.clone() };
    Reply { body: Body::Whole(body), ..reply }
}

fn amount(path: &[&str], text: impl FnOnce() -> String) -> Change {
    if AMOUNTS.iter().any(|pattern| matches(pattern, path)) { Change::Replace(text()) } else { Change::Keep }
}

/// Pages shift because the listing grows or shrinks at its beginning.
fn drift(state: &mut State, remove: bool, now: DateTime<Utc>) {
    if remove {
        state.world.cards.remove_newest();
    } else {
        state.world.add_card(card(0, now), now.timestamp());
    }
}

fn card(id: i64, now: DateTime<Utc>) -> Card {
    Card {
        id,
        credits: 10 * DOLLAR,
        tax: 0,
        fee: 0,
        brand: "visa".to_owned(),
        status: Some(PAID),
        created: now.timestamp_micros(),
    }
}

/// A full page of rows that no other page has, and one more page to come.
fn endless_page(request: &Request, now: DateTime<Utc>) -> Reply {
    let number = |name: &str, default: i64| {
        request.parameter(name).and_then(|text| text.parse::<i64>().ok()).unwrap_or(default).clamp(1, 1_000_000)
    };
    let (page, per_page) = (number("page", 1), number("per_page", 15));
    let first = 1_000_000_000 - page * per_page;
    let rows: Vec<String> = (0..per_page).rev().map(|place| cards::row(&card(first + place, now))).collect();
    let (last, total) = (page + 1, (page + 1) * per_page);
    Reply::results(&format!(
        r#"{{"data":[{}],"meta":{{"current_page":{page},"last_page":{last},"per_page":{per_page},"total":{total}}}}}"#,
        rows.join(",")
    ))
}

/// A body of so many bytes in which one text does not end until the last; never in memory as a whole.
fn flood(operation: Operation, bytes: u64, now: DateTime<Utc>) -> Reply {
    let head = match operation {
        Operation::BalancesCsv => format!("{}\nauthz", balances_csv::COLUMNS.join(",")),
        Operation::ConsumptionCsv => format!("{}\n2026", transactions_csv::COLUMNS.join(",")),
        Operation::Balance | Operation::ConsumptionReport | Operation::CreditCardTransactions => {
            r#"{"results":{"data":[],"padding":""#.to_owned()
        }
    };
    let mut left = bytes.saturating_sub(u64::try_from(head.len()).unwrap_or(0));
    let piece = Bytes::from(vec![b'a'; PIECE]);
    let pieces = std::iter::from_fn(move || {
        let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        left -= u64::try_from(size).unwrap_or(0);
        (size > 0).then(|| piece.slice(..size))
    });
    download(operation, std::iter::once(Bytes::from(head)).chain(pieces), now)
}
