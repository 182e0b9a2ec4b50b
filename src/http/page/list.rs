//! Which accounts the page shows, and the list of many.
//!
//! Flows in: all accounts, the worst first, and what is asked for. Flows out: sections of a few, or rows of a table.
//! Invariant: a row takes less than 300 bytes.

use std::fmt::Write as _;

use super::text::escape;
use super::{MOST_SECTIONS, PageQuery, class, section, show};
use crate::snapshot::{AccountStatus, Severity, Status};

/// The accounts that are shown.
pub(super) struct Chosen<'a> {
    accounts: Vec<&'a AccountStatus>,
    /// The name or the part of it that was asked for, and whether it is a name.
    asked: Option<(&'a str, bool)>,
    /// How many more have that in their names.
    others: usize,
}

impl<'a> Chosen<'a> {
    /// Those of the name that is asked for. If there is none, and in a search, those that have it in their names.
    pub(super) fn new(status: &'a Status, query: &'a PageQuery) -> Chosen<'a> {
        let all = || status.accounts.iter();
        let text = query.account.as_deref().or(query.search.as_deref());
        let Some(text) = text else { return Chosen { accounts: all().collect(), asked: None, others: 0 } };
        let lower = text.trim().to_lowercase();
        let similar: Vec<_> = all().filter(|account| account.account.contains(&lower)).collect();
        let named: Vec<_> = all().filter(|account| query.account.as_ref() == Some(&account.account)).collect();
        if named.is_empty() {
            return Chosen { accounts: similar, asked: Some((text, false)), others: 0 };
        }
        let others = similar.len() - named.len();
        Chosen { accounts: named, asked: Some((text, true)), others }
    }

    /// Whether what is asked for is not there.
    pub(super) fn is_missing(&self) -> bool {
        self.asked.is_some() && self.accounts.is_empty()
    }
}

// Writing to a string cannot fail.
pub(super) fn write(out: &mut String, status: &Status, chosen: &Chosen<'_>) {
    if let Some((text, is_name)) = chosen.asked {
        let text = escape(text);
        let _ = write!(out, "<p><a href=\"/\">All accounts</a>");
        let _ = match (is_name, chosen.accounts.len(), chosen.others) {
            (false, 0, _) => writeln!(out, "</p>\n<section><p>No account has {text} in its name.</p></section>"),
            (false, ..) => writeln!(out, ". Those with {text} in their names:</p>"),
            (true, _, 0) => writeln!(out, "</p>"),
            (true, _, others) => {
                writeln!(out, ". <a href=\"/?search={text}\">{others} more</a> with {text} in their names</p>")
            }
        };
    }
    if chosen.accounts.len() > MOST_SECTIONS {
        overview(out, status, &chosen.accounts);
    } else {
        for account in &chosen.accounts {
            section(out, status, account);
        }
    }
    if status.accounts.is_empty() {
        out.push_str("<section><h2>Accounts</h2><p>No vendor account is configured.</p></section>\n");
    }
}

/// A row for each account.
fn overview(out: &mut String, status: &Status, accounts: &[&AccountStatus]) {
    let standings: Vec<_> = accounts.iter().map(|account| account.standing()).collect();
    let count = |severity| standings.iter().filter(|(found, _)| *found == severity).count();
    let _ = writeln!(
        out,
        "<section aria-labelledby=\"accounts\">\n<h2 id=\"accounts\">{} accounts</h2>\n\
         <p>{} critical, {} with a warning, {} working. The worst are first.</p>\n\
         <form action=\"/\"><label>Part of the name <input name=\"search\"></label> <button>Search</button></form>\n\
         <table class=\"list\"><thead><tr><th scope=\"col\">Account</th><th scope=\"col\">State</th><th scope=\"col\"></th>\
         <th scope=\"col\">Time to empty, by the spend rate of</th></tr></thead><tbody>",
        accounts.len(),
        count(Some(Severity::Critical)),
        count(Some(Severity::Warning)),
        count(None)
    );
    for (account, (severity, words)) in accounts.iter().zip(standings) {
        let name = escape(&account.account);
        let row = account.details.rows.first();
        let first = row.and_then(|row| Some((row.term, row.lines.first()?.first()?)));
        let first = first.map(|(term, piece)| format!("{term} {}", show(status, piece))).unwrap_or_default();
        // The line ends before the row: its last cell must be empty where nothing is in it.
        let _ = write!(
            out,
            "\n<tr><td><a href=\"/?account={name}\">{name}</a> {}<td class={}>{words}<td>{first}<td>{}",
            escape(&account.title),
            class(severity),
            escape(account.details.lasts.as_deref().unwrap_or_default())
        );
    }
    out.push_str("\n</tbody></table>\n</section>\n");
}
