//! Words and times of the page.
//!
//! Flows in: values of the state. Flows out: pieces of HTML. Invariant: every piece is safe to stand in an element or
//! in a quoted attribute.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::snapshot::SourceState;

/// The text with the five characters replaced that mean something in HTML.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// A time, relative, with the exact one for machines and for a pointer that rests on it.
pub(super) fn time(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    let exact = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    format!("<time datetime=\"{exact}\" title=\"{exact}\">{}</time>", relative(now, at))
}

fn relative(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    let size = seconds.unsigned_abs();
    let amount = match size {
        0 => return "now".to_owned(),
        1..120 => format!("{size} s"),
        120..7_200 => format!("{} min", size / 60),
        7_200..172_800 => format!("{} h", size / 3_600),
        _ => format!("{} days", size / 86_400),
    };
    if seconds > 0 { format!("{amount} ago") } else { format!("in {amount}") }
}

/// A source's state in words, and its style; `answered` if there was a success.
pub(super) fn words(state: SourceState, answered: bool) -> (&'static str, &'static str) {
    match state {
        SourceState::Failing if !answered => ("Failing, never answered yet", "bad"),
        SourceState::Waiting => ("Waiting for the first answer", "wait"),
        SourceState::Ok => ("Working", "good"),
        SourceState::Failing => ("Failing, last good values are shown", "bad"),
        SourceState::Stale => ("Failing, values are too old to be shown", "bad"),
    }
}
