//! The page for people.
//!
//! Flows in: the state. Flows out: HTML that needs no script. Invariants: whatever is not ours is escaped; every state
//! is said in words, colour only repeats it; every time is relative with the exact one beside it.

mod attention;
mod list;
mod text;

use std::fmt::Write;
use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderValue, X_FRAME_OPTIONS};
use axum::response::{Html, IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use self::text::{escape, time, words};
use crate::config::paths::{DOCUMENTATION, HEALTHY, READY, RUNBOOKS, STATUS};
use crate::snapshot::{AccountStatus, DetailRow, Piece, Severity, SourceState, SourceStatus, Status};

const STYLE: &str = include_str!("page/style.css");

/// Nothing from elsewhere, and of our own only the style, known by its digest.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// How often the page loads itself again.
const REFRESH_SECONDS: u32 = 15;

/// With more accounts than this the page lists them, and shows one at a time.
const MOST_SECTIONS: usize = 10;

/// More warnings than this are counted.
const MOST_WARNINGS: usize = 20;

/// What is asked for.
#[derive(Debug, Default)]
pub(super) struct PageQuery {
    /// Without the refresh.
    pub(super) still: bool,
    /// One account name.
    pub(super) account: Option<String>,
    /// A part of account names.
    pub(super) search: Option<String>,
}

impl PageQuery {
    /// The address of the same page, with the refresh or without.
    fn address(&self, still: bool) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("account", &self.account), ("search", &self.search)] {
            query.extend_pairs(value.iter().map(|value| (name, value)));
        }
        query.extend_pairs(still.then_some(("refresh", "off")));
        let query = query.finish();
        if query.is_empty() { "/".to_owned() } else { format!("/?{query}") }
    }
}

/// The page as an answer, the worst account first.
pub(super) fn answer(mut status: Status, telemetry_path: &str, query: &PageQuery) -> Response {
    status.sort_worst_first();
    let chosen = list::Chosen::new(&status, query);
    let code = if chosen.is_missing() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    (code, respond(render(&status, telemetry_path, query, &chosen))).into_response()
}

/// HTML as an answer.
pub(super) fn respond(html: String) -> Response {
    let headers = [(CONTENT_SECURITY_POLICY, POLICY.clone()), (X_FRAME_OPTIONS, HeaderValue::from_static("DENY"))];
    (headers, Html(html)).into_response()
}

/// The head of a page, up to where its body begins; `title` is not escaped.
pub(super) fn head(title: &str, meta: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n{meta}\
         <title>{title} - wallet-exporter</title>\n<link rel=\"icon\" href=\"data:,\">\n\
         <style>{STYLE}</style>\n</head>\n<body>\n"
    )
}

// Writing to a string cannot fail, so the results below are dropped.
fn render(status: &Status, telemetry_path: &str, query: &PageQuery, chosen: &list::Chosen<'_>) -> String {
    let (word, class) = overall(status);
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"{REFRESH_SECONDS}\">\n");
    let mut out = head(word, if query.still { "" } else { &refresh });
    out.push_str("<header>\n<h1>wallet-exporter</h1>\n");
    let _ = writeln!(out, "<p class=\"lead\"><span class=\"{class}\">{word}</span></p>");
    let _ = writeln!(
        out,
        "<nav aria-label=\"Endpoints\"><ul>\n<li><a href=\"{}\">Metrics</a></li>\n\
         <li><a href=\"{STATUS}\">Status as JSON</a></li>\n<li><a href=\"{HEALTHY}\">Health</a></li>\n\
         <li><a href=\"{READY}\">Readiness</a></li>\n<li><a href=\"{DOCUMENTATION}\">Documentation</a></li>\n\
         <li><a href=\"{RUNBOOKS}\">Runbooks</a></li>\n</ul></nav>\n</header>\n<main>",
        escape(telemetry_path)
    );
    warnings(&mut out, status);
    list::write(&mut out, status, chosen);
    storage(&mut out, status);
    out.push_str("</main>\n<footer>\n");
    let refresh = query.address(!query.still);
    let refresh = escape(&refresh);
    let _ = writeln!(
        out,
        "<p>Version {} (revision {}), started {}. As of {}. {}</p>",
        escape(&status.version),
        escape(&status.revision),
        time(status.now, status.started_at),
        time(status.now, status.now),
        if query.still {
            format!("<a href=\"{refresh}\">Refresh every {REFRESH_SECONDS} s</a>")
        } else {
            format!("Refreshes every {REFRESH_SECONDS} s; <a href=\"{refresh}\">stop refreshing</a>.")
        }
    );
    let _ = writeln!(
        out,
        "<p>The <a href=\"{DOCUMENTATION}\">documentation</a> of this version lists every metric and variable; \
         <code>wallet-exporter --help</code> lists the flags.</p>\n</footer>\n</body>\n</html>"
    );
    out
}

/// The state of the whole in a few words.
fn overall(status: &Status) -> (&'static str, &'static str) {
    let sources = || status.accounts.iter().flat_map(|account| &account.sources);
    let worst = status.accounts.iter().filter_map(|account| account.details.headline.as_ref()).max();
    if let Some(headline) = worst.filter(|headline| headline.severity == Severity::Critical) {
        return (headline.text, "bad");
    }
    if sources().any(|source| matches!(source.state, SourceState::Failing | SourceState::Stale)) {
        return ("Some sources are failing", "bad");
    }
    if !status.storage.up && status.storage.durable {
        return ("The storage is failing", "bad");
    }
    if let Some(headline) = worst {
        return (headline.text, "wait");
    }
    if !status.ready {
        return ("Not ready yet", "wait");
    }
    if sources().any(|source| source.state == SourceState::Waiting) {
        return ("Waiting for first answers", "wait");
    }
    ("All sources are working", "good")
}

fn warnings(out: &mut String, status: &Status) {
    if status.warnings.is_empty() {
        return;
    }
    out.push_str("<section class=\"care\" aria-labelledby=\"warnings\">\n<h2 id=\"warnings\">Warnings</h2>\n<ul>\n");
    for warning in status.warnings.iter().take(MOST_WARNINGS) {
        let _ = writeln!(out, "<li>{}</li>", escape(warning));
    }
    if let more @ 1.. = status.warnings.len().saturating_sub(MOST_WARNINGS) {
        let _ = writeln!(out, "<li>and {more} more, in the <a href=\"{STATUS}\">status as JSON</a></li>");
    }
    out.push_str("</ul>\n</section>\n");
}

fn class(severity: Option<Severity>) -> &'static str {
    match severity {
        None => "good",
        Some(Severity::Warning) => "wait",
        Some(Severity::Critical) => "bad",
    }
}

fn show(status: &Status, piece: &Piece) -> String {
    match piece {
        Piece::Text(text) => escape(text).into_owned(),
        Piece::Time(at) => time(status.now, *at),
        Piece::Marked(severity, text) => {
            format!("<span class=\"{}\">{}</span>", class(Some(*severity)), escape(text))
        }
    }
}

fn section(out: &mut String, status: &Status, account: &AccountStatus) {
    let id = format!("{}-{}", escape(&account.vendor), escape(&account.account));
    let _ = writeln!(
        out,
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{} <span class=\"quiet\">account {}</span></h2>\n<dl>",
        escape(&account.title),
        escape(&account.account)
    );
    rows(out, status, &account.details.rows);
    out.push_str("</dl>\n");
    attention::write(out, status, account);
    out.push_str("<dl>\n");
    rows(out, status, &account.details.more);
    let since = account.details.count_since;
    let since = since.map_or_else(|| "the first successful poll".to_owned(), |at| time(status.now, at));
    let _ = writeln!(out, "<dt>Counters count since</dt><dd>{since}</dd>\n</dl>");
    sources(out, status, &account.sources);
    out.push_str("</section>\n");
}

fn rows(out: &mut String, status: &Status, rows: &[DetailRow]) {
    for row in rows {
        let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escape(row.term), lines(status, row));
    }
}

fn lines(status: &Status, row: &DetailRow) -> String {
    let lines = row.lines.iter().map(|pieces| pieces.iter().map(|piece| show(status, piece)).collect());
    lines.collect::<Vec<String>>().join("<br>")
}

// The roles repeat what the elements mean: on a narrow screen the style turns the table into blocks, which takes the
// meaning from them in some browsers.
fn sources(out: &mut String, status: &Status, sources: &[SourceStatus]) {
    out.push_str(
        "<table role=\"table\">\n<caption>Sources</caption>\n<thead role=\"rowgroup\"><tr role=\"row\">\
         <th role=\"columnheader\" scope=\"col\">Source</th><th role=\"columnheader\" scope=\"col\">State</th>\
         <th role=\"columnheader\" scope=\"col\">Last success</th><th role=\"columnheader\" scope=\"col\">Next poll</th>\
         <th role=\"columnheader\" scope=\"col\">Last failure</th></tr></thead>\n<tbody role=\"rowgroup\">\n",
    );
    let when = |at: Option<_>, never: &str| at.map_or_else(|| never.to_owned(), |at| time(status.now, at));
    for source in sources {
        let (word, class) = words(source.state, source.last_success.is_some());
        let row = match source.consecutive_failures {
            0 => String::new(),
            1 => "<p>1 failure</p>".to_owned(),
            many => format!("<p>{many} failures in a row</p>"),
        };
        let paused = match source.paused_until {
            Some(_) => "<p>paused: the vendor asked for fewer requests (HTTP 429)</p>",
            None => "",
        };
        let failure = source.last_failure.as_ref().map_or_else(
            || "none".to_owned(),
            |failure| {
                // The message ends with the advice, which stands above the table while it is needed.
                let advice = failure.advice.as_deref().unwrap_or_default();
                let message = failure.message.strip_suffix(advice).unwrap_or(&failure.message).trim_end_matches("; ");
                format!(
                    "<p>{}: <code>{}</code></p><p>{}</p>",
                    time(status.now, failure.at),
                    escape(&failure.reason),
                    escape(message),
                )
            },
        );
        let _ = writeln!(
            out,
            "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}</th>\
             <td role=\"cell\" data-label=\"State\"><span class=\"{class}\">{word}</span>{row}</td>\
             <td role=\"cell\" data-label=\"Last success\">{}</td><td role=\"cell\" data-label=\"Next poll\">{}</td>\
             <td role=\"cell\" data-label=\"Last failure\">{failure}</td></tr>",
            escape(&source.source),
            when(source.last_success, "never"),
            when(source.next_attempt.filter(|at| *at > status.now), "under way") + paused,
        );
    }
    out.push_str("</tbody>\n</table>\n");
}

fn storage(out: &mut String, status: &Status) {
    let (word, class) = match (status.storage.durable, status.storage.up) {
        (false, _) => ("Nothing is kept on disk: counters start from zero at every start", "wait"),
        (true, true) => ("Working", "good"),
        (true, false) => ("Failing: counters do not increase until a write succeeds", "bad"),
    };
    out.push_str("<section aria-labelledby=\"storage\">\n<h2 id=\"storage\">Storage</h2>\n");
    let _ = writeln!(out, "<p><span class=\"{class}\">{word}</span></p>");
    if let Some(error) = &status.storage.last_error {
        let _ = writeln!(out, "<p>Last error: {}</p>", escape(error));
    }
    out.push_str("</section>\n");
}
