//! One page of the credit-card transactions.
//!
//! Flows in: a page's answer. Flows out: its rows and its `meta`. Invariant: the last four digits, the only personal
//! field, are never read; a row that is paid or failed has an amount.

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::batchdata::envelope::{self, ReadResults, Reading};
use crate::batchdata::{CardStatus, CardTransaction, scalar};
use crate::money::Usd;
use crate::upstream::ParseError;

/// Most rows that are taken from a page. It is asked for 100 at most.
const MOST_ROWS: usize = 1_000;

/// Longest name of a card brand that is kept, in characters; longer ones are cut.
const LONGEST_BRAND: usize = 64;

/// A page of the listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardPage {
    /// The rows, in the vendor's order.
    pub rows: Vec<CardTransaction>,
    /// Which page the vendor says this is.
    pub current: u32,
    /// How many pages there are.
    pub last: u32,
    /// How many rows there are on all pages.
    pub total: u64,
}

/// Reads a page.
///
/// # Errors
/// A [`ParseError`] of class `refused`, `decode`, `truncated` or `implausible`.
pub fn read_card_page(body: &[u8]) -> Result<CardPage, ParseError> {
    let Listing { data, meta } = envelope::read(body, Results)?;
    if data.as_ref().is_some_and(|rows| rows.len() > MOST_ROWS) {
        return Err(ParseError::too_large(format!("the page has more than {MOST_ROWS} transactions")));
    }
    let data = data.ok_or_else(|| ParseError::decode("results.data is missing or null"))?;
    let meta = meta.ok_or_else(|| ParseError::decode("results.meta is missing or null"))?;
    Ok(CardPage {
        rows: data.into_iter().map(CardRow::read).collect::<Result<_, _>>()?,
        current: count(meta.current_page, "meta.current_page")?,
        last: count(meta.last_page, "meta.last_page")?,
        total: count(meta.total, "meta.total")?,
    })
}

fn count<N: TryFrom<i64>>(raw: Option<&RawValue>, field: &'static str) -> Result<N, ParseError> {
    let raw = raw.ok_or_else(|| ParseError::decode(format!("{field} is missing or null")))?;
    N::try_from(scalar::integer(raw.get(), field)?)
        .map_err(|_| ParseError::implausible(format!("{field} is out of range")))
}

#[derive(Deserialize)]
struct Listing<'a> {
    #[serde(borrow, default, deserialize_with = "rows")]
    data: Option<Vec<CardRow<'a>>>,
    #[serde(borrow)]
    meta: Option<Meta<'a>>,
}

/// The rows, of which one more than [`MOST_ROWS`] is kept.
fn rows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<CardRow<'de>>>, D::Error> {
    struct CardRows;
    impl<'de> Visitor<'de> for CardRows {
        type Value = Option<Vec<CardRow<'de>>>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list of transactions")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut rows = Vec::new();
            while rows.len() <= MOST_ROWS {
                match list.next_element()? {
                    Some(row) => rows.push(row),
                    None => return Ok(Some(rows)),
                }
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Some(rows))
        }
    }
    deserializer.deserialize_any(CardRows)
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow)]
    current_page: Option<&'a RawValue>,
    #[serde(borrow)]
    last_page: Option<&'a RawValue>,
    #[serde(borrow)]
    total: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CardRow<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    credits: Option<&'a RawValue>,
    #[serde(borrow)]
    sales_tax_charge: Option<&'a RawValue>,
    #[serde(borrow)]
    card_processing_fee: Option<&'a RawValue>,
    #[serde(borrow)]
    card_brand: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    created_at: Option<&'a RawValue>,
}

impl CardRow<'_> {
    fn read(self) -> Result<CardTransaction, ParseError> {
        let money = |raw: Option<&RawValue>, field| raw.map(|raw| scalar::amount(raw.get(), field)).transpose();
        let id = self.id.ok_or_else(|| ParseError::decode("data[].id is missing or null"))?;
        let created_at = self.created_at.ok_or_else(|| ParseError::decode("data[].created_at is missing or null"))?;
        let status = self.status.map_or(Ok(CardStatus::Unknown), |raw| status(raw.get()))?;
        let credits = money(self.credits, "data[].credits")?;
        if credits.is_none() && matches!(status, CardStatus::Paid | CardStatus::Failed) {
            return Err(ParseError::decode("data[].credits is missing or null although the transaction has ended"));
        }
        Ok(CardTransaction {
            id: scalar::integer(id.get(), "data[].id")?,
            credits,
            sales_tax: money(self.sales_tax_charge, "data[].sales_tax_charge")?.unwrap_or(Usd::ZERO),
            processing_fee: money(self.card_processing_fee, "data[].card_processing_fee")?.unwrap_or(Usd::ZERO),
            card_brand: match self.card_brand {
                Some(raw) => scalar::text(raw.get(), "data[].card_brand")?.chars().take(LONGEST_BRAND).collect(),
                None => String::new(),
            },
            status,
            created_at: scalar::time(created_at.get(), "data[].created_at")?,
        })
    }
}

/// A number or a text is a status, if only an unknown one; anything else is another shape.
fn status(raw: &str) -> Result<CardStatus, ParseError> {
    match raw.trim_matches('"') {
        "0" => Ok(CardStatus::Pending),
        "1" => Ok(CardStatus::Paid),
        "2" => Ok(CardStatus::Failed),
        _ if raw.starts_with(['"', '-']) || raw.starts_with(|first: char| first.is_ascii_digit()) => {
            Ok(CardStatus::Unknown)
        }
        _ => Err(ParseError::decode("data[].status is neither a number nor a text")),
    }
}

struct Results;

impl<'de> ReadResults<'de> for Results {
    type Value = Listing<'de>;
    fn read<D: Deserializer<'de>>(self, _reading: &Reading, deserializer: D) -> Result<Listing<'de>, D::Error> {
        Listing::deserialize(deserializer)
    }
}
