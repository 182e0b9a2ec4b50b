//! The walk through all pages of the card transactions.
//!
//! Flows in: pages that may shift while they are read. Flows out: every row once, sorted by id, or a fault.
//! Invariant: a listing is complete only if as many different ids were seen as the vendor's newest `total` says, on a
//! walk during which `total` stood still; after three walks, the first half alone must hold.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::cards::{CardPage, read_card_page};
use super::fault::{Fault, Reason};
use super::flaw::Flaw;
use super::http::Judge;
use super::records::CardTransaction;
use crate::names::Operation;

/// The vendor's largest page.
const PER_PAGE: u32 = 100;

/// How often the listing is walked before it is given up.
const WALKS: u32 = 3;

/// How a walk went.
struct Walk {
    /// `total` as the last page told it.
    total: u64,
    /// `total` changed on the way.
    shifted: bool,
    /// A page before the last was empty.
    gap: bool,
}

/// All rows made between two dates, both included.
pub(super) async fn walk(
    judge: &Judge,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
) -> Result<Vec<CardTransaction>, Fault> {
    let mut rows = BTreeMap::new();
    for attempt in 1..=WALKS {
        let walk = once(judge, from, to, &mut rows).await?;
        let complete = u64::try_from(rows.len()).is_ok_and(|seen| seen >= walk.total) && !walk.gap;
        if complete && (!walk.shifted || attempt == WALKS) {
            return Ok(rows.into_values().collect());
        }
    }
    let words = format!("after {WALKS} walks the pages still do not hold what meta.total says");
    Err(Fault { status: Some(200), ..Fault::new(Operation::CreditCardTransactions, Reason::Implausible, words) })
}

async fn once(
    judge: &Judge,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    rows: &mut BTreeMap<i64, CardTransaction>,
) -> Result<Walk, Fault> {
    let mut first_total = None;
    let mut shifted = false;
    let mut number = 1;
    loop {
        let page = fetch(judge, from, to, number).await?;
        shifted |= *first_total.get_or_insert(page.total) != page.total;
        let gap = page.rows.is_empty() && number < page.last;
        // A row seen again is the newer one: its status may have moved on.
        rows.extend(page.rows.into_iter().map(|row| (row.id, row)));
        if gap || number >= page.last {
            return Ok(Walk { total: page.total, shifted, gap });
        }
        number += 1;
    }
}

async fn fetch(judge: &Judge, from: Option<NaiveDate>, to: Option<NaiveDate>, number: u32) -> Result<CardPage, Fault> {
    let mut query = vec![("page", number.to_string()), ("per_page", PER_PAGE.to_string())];
    query.extend(from.map(|date| ("start_date", date.to_string())));
    query.extend(to.map(|date| ("end_date", date.to_string())));
    let whole = judge.json(Operation::CreditCardTransactions, &query).await?;
    let page = read_card_page(&whole.body).map_err(|flaw| whole.about.flawed(flaw))?;
    let most = judge.limits().pages;
    if page.last > most {
        let detail = format!("the listing says it has more than {most} pages");
        return Err(whole.about.flawed(Flaw { reason: Reason::TooLarge, detail }));
    }
    if page.current != number {
        return Err(whole.about.flawed(Flaw::implausible("meta.current_page is not the page that was asked for")));
    }
    Ok(page)
}
