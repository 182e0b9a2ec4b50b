//! The documentation of this version as pages.
//!
//! Flows in: the Markdown that is shipped with the program. Flows out: HTML that needs no script and no other address.
//! Invariant: each heading has an anchor, its text in lower case with hyphens for what is not a letter or a digit, so
//! that an alert can link to its section. A link leads to a page of this server or to the web, never to a file.

use std::fmt::Write as _;

use axum::response::Response;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use super::page;
use crate::config::paths;

/// A Markdown file: its path in the repository, and its text.
pub(super) type Document = (&'static str, &'static str);

/// What a user of the program reads, as one page.
pub(super) const DOCUMENTATION: &[Document] = &[
    ("README.md", include_str!("../../README.md")),
    ("docs/metrics.md", include_str!("../../docs/metrics.md")),
    ("docs/configuration.md", include_str!("../../docs/configuration.md")),
    ("docs/accounts.md", include_str!("../../docs/accounts.md")),
    ("docs/counters.md", include_str!("../../docs/counters.md")),
    ("docs/history.md", include_str!("../../docs/history.md")),
    ("docs/storage.md", include_str!("../../docs/storage.md")),
    ("docs/http-api.md", include_str!("../../docs/http-api.md")),
    ("docs/security.md", include_str!("../../docs/security.md")),
];
/// A section for each alert.
pub(super) const RUNBOOKS: &[Document] = &[(RUNBOOKS_PATH, include_str!("../../deploy/prometheus/runbooks.md"))];
const RUNBOOKS_PATH: &str = "deploy/prometheus/runbooks.md";

/// Documents as an answer.
pub(super) fn answer(title: &str, documents: &[Document]) -> Response {
    let mut out = page::head(title, "");
    out.push_str("<main class=\"document\">\n");
    for (_, markdown) in documents {
        html::push_html(&mut out, with_anchors(markdown).into_iter());
    }
    // Writing to a string cannot fail.
    let _ = writeln!(out, "</main>\n<footer>\n<p><a href=\"/\">wallet-exporter</a></p>\n</footer>\n</body>\n</html>");
    page::respond(out)
}

fn with_anchors(markdown: &str) -> Vec<Event<'_>> {
    let mut events = served(markdown);
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

/// The document without what is not served: comments for tools, pictures, and links to other files, whose text stays.
fn served(markdown: &str) -> Vec<Event<'_>> {
    let mut events = Vec::new();
    let (mut in_link, mut in_picture) = (false, false);
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        match event {
            Event::Html(_) | Event::InlineHtml(_) => {}
            Event::Start(Tag::Image { .. }) => in_picture = true,
            Event::End(TagEnd::Image) => in_picture = false,
            _ if in_picture => {}
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                if let Some(dest_url) = target(&dest_url) {
                    in_link = true;
                    events.push(Event::Start(Tag::Link { link_type, dest_url: dest_url.into(), title, id }));
                }
            }
            Event::End(TagEnd::Link) if !std::mem::take(&mut in_link) => {}
            other => events.push(other),
        }
    }
    events
}

/// Where a link leads on this server, if it leads anywhere.
fn target(link: &str) -> Option<String> {
    if link.starts_with("http://") || link.starts_with("https://") || link.starts_with('#') {
        return Some(link.to_owned());
    }
    let (path, place) = link.split_once('#').unwrap_or((link, ""));
    let is_at = |found: &str| found == path || found.strip_prefix("docs/") == Some(path);
    if path == RUNBOOKS_PATH {
        return Some(if place.is_empty() {
            paths::RUNBOOKS.to_owned()
        } else {
            format!("{}#{place}", paths::RUNBOOKS)
        });
    }
    let (_, text) = DOCUMENTATION.iter().find(|(found, _)| is_at(found))?;
    let title = text.lines().next()?.trim_start_matches("# ");
    Some(format!("{}#{}", paths::DOCUMENTATION, if place.is_empty() { anchor(title) } else { place.to_owned() }))
}

fn anchor(heading: &str) -> String {
    let words = heading.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}
