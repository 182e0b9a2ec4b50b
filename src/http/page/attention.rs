//! What needs attention at an account.
//!
//! Flows in: the account. Flows out: a list that says what to do, the money first. Invariant: every source that fails is in it.

use std::fmt::Write as _;

use super::show;
use super::text::{escape, time, words};
use crate::snapshot::{AccountStatus, Attention, Piece, SourceState, SourceStatus, Status};

pub(super) fn write(out: &mut String, status: &Status, account: &AccountStatus) {
    let failing = |source: &&SourceStatus| matches!(source.state, SourceState::Failing | SourceState::Stale);
    let notes = account.details.notes.iter().map(|note| note.iter().map(|piece: &Piece| show(status, piece)).collect());
    let sources = account.sources.iter().filter(failing).map(|source| of_source(status, source));
    let single = account.details.attention.iter().map(|item| of_one(status, item));
    let items: Vec<String> = notes.chain(sources).chain(single).collect();
    if items.is_empty() {
        return;
    }
    out.push_str("<h3>Needs attention</h3>\n<ul>\n");
    for item in items {
        let _ = writeln!(out, "<li>{item}</li>");
    }
    out.push_str("</ul>\n");
}

fn of_source(status: &Status, source: &SourceStatus) -> String {
    let (word, class) = words(source.state, source.last_success.is_some());
    let mut text = format!("Source <code>{}</code>: <span class=\"{class}\">{word}</span>", escape(&source.source));
    if let Some(failure) = &source.last_failure {
        let _ = write!(text, ", <code>{}</code> {}. ", escape(&failure.reason), time(status.now, failure.at));
        match &failure.advice {
            Some(advice) => {
                // It follows a colon elsewhere.
                let mut rest = advice.chars();
                let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
                let _ = write!(text, "<strong>{}</strong>", escape(&(first + rest.as_str())));
            }
            None => text.push_str("The exporter tries again by itself."),
        }
    }
    text
}

fn of_one(status: &Status, item: &Attention) -> String {
    format!(
        "{} <code>{}</code> is <strong>{}</strong>, first seen {}. {}",
        escape(item.kind),
        escape(&item.id),
        escape(item.state),
        time(status.now, item.first_seen),
        escape(item.advice)
    )
}
