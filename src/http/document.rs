//! The documentation of this version as pages.
//!
//! Flows in: the Markdown that is shipped with the program. Flows out: HTML that needs no script and no other address.
//! Invariant: each heading has an anchor, its text in lower case with hyphens for what is not a letter or a digit, so
//! that an alert can link to its section.

use std::fmt::Write as _;

use axum::response::Response;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use super::page;

/// Every metric, variable and flag.
pub(super) const README: &str = include_str!("../../README.md");
/// A section for each alert.
pub(super) const RUNBOOKS: &str = include_str!("../../deploy/prometheus/runbooks.md");

/// A document as an answer.
pub(super) fn answer(title: &str, markdown: &str) -> Response {
    let mut out = page::head(title, "");
    out.push_str("<main class=\"document\">\n");
    html::push_html(&mut out, with_anchors(markdown).into_iter());
    // Writing to a string cannot fail.
    let _ = writeln!(out, "</main>\n<footer>\n<p><a href=\"/\">wallet-exporter</a></p>\n</footer>\n</body>\n</html>");
    page::respond(out)
}

fn with_anchors(markdown: &str) -> Vec<Event<'_>> {
    // HTML in Markdown is only comments, for tools that write its tables.
    let is_shown = |event: &Event<'_>| !matches!(event, Event::Html(_) | Event::InlineHtml(_));
    let mut events: Vec<Event<'_>> = Parser::new_ext(markdown, Options::ENABLE_TABLES).filter(is_shown).collect();
    let mut text = String::new();
    for event in events.iter_mut().rev() {
        match event {
            Event::Start(Tag::Heading { id, .. }) => {
                *id = Some(CowStr::from(anchor(&text)));
                text.clear();
            }
            Event::End(TagEnd::Heading(_)) => text.clear(),
            Event::Text(piece) | Event::Code(piece) => text.insert_str(0, piece),
            _ => {}
        }
    }
    events
}

fn anchor(heading: &str) -> String {
    let words = heading.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}
