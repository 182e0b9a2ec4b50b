//! The walk through all pages of the card transactions.
//!
//! Flows in: pages that may shift while they are read. Flows out: every row once, sorted by id, or an error.
//! Invariant: an incomplete listing is never taken. It is complete if as many different ids were seen as the vendor's
//! newest `total` says, on a walk during which `total` stood still; after three walks, the first half alone must hold.
//!
//! A vendor may also list a row twice and count it twice. Then a walk brings as many rows as `total` says, but not as many
//! ids. So does one on which a row slipped away to a page that was read before, or whose rows have no fixed order from
//! page to page: there a row was lost for the one that came twice. What tells the two apart is another walk with pages of
//! another size, whose borders lie elsewhere: only where both bring the same ids, nothing was lost.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::wire::{CardPage, read_card_page};
use crate::batchdata::{CARD_TRANSACTIONS, CardTransaction};
use crate::upstream::{HttpClient, ParseError, Reason, RequestError};

/// The vendor's largest page, for the first walk; each further one is a row smaller.
const PER_PAGE: u32 = 100;

/// How often the listing is walked before it is given up.
const WALKS: u32 = 3;

/// The most transactions of a listing, about 10 MB in memory: 54 a day over the 366 days that the vendor answers for.
const MOST_ROWS: usize = 20_000;

/// How a walk went.
struct Walk {
    /// The ids that it saw.
    ids: BTreeSet<i64>,
    /// How many rows it saw, those that came twice counted twice.
    listed: u64,
    /// `total` as the last page told it.
    total: u64,
    /// `total` changed on the way.
    shifted: bool,
    /// A page before the last was empty.
    gap: bool,
    /// Every page before the last was as long as it was asked to be.
    full: bool,
}

impl Walk {
    /// Whether nothing is missing unless a row that came twice took its place.
    fn adds_up(&self) -> bool {
        !self.shifted && self.full && self.listed >= self.total
    }
}

/// All rows made between two dates, both included.
pub(in crate::batchdata) async fn walk(
    client: &HttpClient,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
) -> Result<Vec<CardTransaction>, RequestError> {
    let mut rows = BTreeMap::new();
    let mut before: Option<Walk> = None;
    let mut changed = false;
    for attempt in 1..=WALKS {
        let walk = once(client, from, to, PER_PAGE + 1 - attempt, &mut rows).await?;
        let seen = u64::try_from(rows.len()).is_ok_and(|seen| seen >= walk.total) && !walk.gap;
        let same = before.as_ref().is_none_or(|before| before.ids == walk.ids);
        let twice = same && walk.adds_up() && before.as_ref().is_some_and(Walk::adds_up);
        if twice || seen && (!walk.shifted || attempt == WALKS) {
            return Ok(rows.into_values().collect());
        }
        changed |= walk.shifted || !same;
        before = Some(walk);
    }
    let total = before.map_or(0, |walk| walk.total);
    let (reason, words) = if changed {
        let seen = rows.len();
        let words =
            format!("the listing changed while it was read: {seen} of {total} transactions seen in {WALKS} attempts");
        (Reason::Truncated, words)
    } else {
        (Reason::Implausible, format!("after {WALKS} attempts the pages still do not add up to meta.total"))
    };
    Err(RequestError { status: Some(200), ..RequestError::new(CARD_TRANSACTIONS.operation, reason, words) })
}

async fn once(
    client: &HttpClient,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    per_page: u32,
    rows: &mut BTreeMap<i64, CardTransaction>,
) -> Result<Walk, RequestError> {
    let mut walk = Walk { ids: BTreeSet::new(), listed: 0, total: 0, shifted: false, gap: false, full: true };
    let mut number = 1;
    loop {
        let page = fetch(client, from, to, number, per_page).await?;
        let length = page.rows.len();
        walk.shifted |= number > 1 && walk.total != page.total;
        walk.total = page.total;
        walk.listed += length as u64;
        walk.gap = length == 0 && number < page.last;
        walk.full &= number >= page.last || u32::try_from(length) == Ok(per_page);
        walk.ids.extend(page.rows.iter().map(|row| row.id));
        // A row seen again is the newer one: its status may have moved on.
        rows.extend(page.rows.into_iter().map(|row| (row.id, row)));
        if rows.len() > MOST_ROWS {
            let words = format!("the listing has more than {MOST_ROWS} transactions");
            return Err(RequestError::new(CARD_TRANSACTIONS.operation, Reason::TooLarge, words));
        }
        if walk.gap || number >= page.last {
            return Ok(walk);
        }
        number += 1;
    }
}

async fn fetch(
    client: &HttpClient,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    number: u32,
    per_page: u32,
) -> Result<CardPage, RequestError> {
    let mut query = vec![("page", number.to_string()), ("per_page", per_page.to_string())];
    query.extend(from.map(|date| ("start_date", date.to_string())));
    query.extend(to.map(|date| ("end_date", date.to_string())));
    let whole = client.json(CARD_TRANSACTIONS.operation, &query).await?;
    let page = read_card_page(&whole.body).map_err(|error| whole.about.invalid(error))?;
    let most = client.limits().pages;
    if page.last > most {
        let detail = format!("the listing says it has more than {most} pages");
        return Err(whole.about.invalid(ParseError::too_large(detail)));
    }
    if page.current != number {
        return Err(whole
            .about
            .invalid(ParseError::implausible("meta.current_page is not the page that was asked for")));
    }
    Ok(page)
}
