//! The balance-check batches and their rows.
//!
//! Flows in: batches, rows and their ends. Flows out: the rows of a batch, as they are at this moment.
//! Invariant: a row is small and holds no text of its own; personal data is the same constant in each row, so that a
//! test can look for it in whatever leaves the exporter.

use std::sync::Arc;

use super::chance::{Chance, ROW};

/// The bank account holder's telephone number in every row that has one.
pub const CANARY_PHONE: &str = "+15550137964";
/// The zip code in every row that has one.
pub const CANARY_ZIP: &str = "99950-7391";
/// The dashboard user in every row that was submitted there.
pub const CANARY_CREATOR: &str = "canary.creator@example.test";
/// What every authorizer's id begins with.
pub const CANARY_AUTHORIZER: &str = "authz-canary";
/// What every metadata value begins with.
pub const CANARY_META: &str = "meta-canary";
/// What every reference of a wallet transaction begins with.
pub const CANARY_REFERENCE: &str = "req_canary";
/// What every description of a wallet transaction begins with.
pub const CANARY_DESCRIPTION: &str = "Canary description";
/// The last four digits of every card. Apart from [`CANARIES`]: four digits may stand by chance in a number.
pub const CANARY_CARD_LAST4: &str = "9373";

/// What must never leave the exporter: one constant for each personal field of both vendors (but see
/// [`CANARY_CARD_LAST4`]).
pub const CANARIES: &[&str] =
    &[CANARY_PHONE, CANARY_ZIP, CANARY_CREATOR, CANARY_AUTHORIZER, CANARY_META, CANARY_REFERENCE, CANARY_DESCRIPTION];

/// The documented statuses.
pub const STATUSES: [&str; 7] = [
    "SUCCESS",
    "NO_MATCH",
    "ACCOUNT_CLOSED",
    "BANK_UNSUPPORTED",
    "RETRIEVAL_FAILED",
    "RETRY_LIMIT",
    "PROCESSING_ERROR",
];

/// The banks of the model; two of them are hard to quote.
pub(crate) const INSTITUTIONS: [&str; 12] = [
    "Bank of America",
    "Wells Fargo",
    "Chase",
    "Citibank",
    "Capital One",
    "U.S. Bank",
    "PNC Bank",
    "Truist",
    "Navy Federal Credit Union",
    "First, Last & \"Only\" Savings",
    "Golden Plains\nCredit Union",
    "Ally",
];

/// One balance check's result, as a test gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow {
    /// `SUCCESS`, or any other text.
    pub status: String,
    /// The bank; may hold commas, quotes and line ends.
    pub institution: String,
    /// In cents; empty when unavailable.
    pub balance_cents: Option<i64>,
    /// Submitted by a dashboard user, whose name is then in `Creator`.
    pub by_dashboard: bool,
    /// Seconds since 1970 (the simulator's own clock if absent).
    pub at: Option<i64>,
}

impl NewRow {
    /// A successful check, submitted through the API, now.
    #[must_use]
    pub fn success(institution: &str, balance_cents: i64) -> NewRow {
        NewRow {
            status: "SUCCESS".to_owned(),
            institution: institution.to_owned(),
            balance_cents: Some(balance_cents),
            by_dashboard: false,
            at: None,
        }
    }

    /// A check that ended in `status` without a balance, submitted through the API, now.
    #[must_use]
    pub fn failed(institution: &str, status: &str) -> NewRow {
        NewRow { status: status.to_owned(), balance_cents: None, ..NewRow::success(institution, 0) }
    }
}

#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) status: Arc<str>,
    pub(crate) institution: Arc<str>,
    pub(crate) balance_cents: Option<i64>,
    pub(crate) by_dashboard: bool,
    pub(crate) at: i64,
}

#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) id: String,
    /// Of another customer: asking for it is a 403.
    pub(crate) foreign: bool,
    pub(crate) complete: bool,
    pub(crate) rows: Arc<Vec<Row>>,
    /// The key of its metadata column, empty for none.
    pub(crate) meta_key: String,
    /// How many rows it will have (0: as many as it is given), and since when it fills.
    pub(crate) planned: u32,
    pub(crate) created: i64,
}

/// All batches, oldest first.
#[derive(Default)]
pub(crate) struct Batches {
    all: Vec<Batch>,
    /// Texts that rows share.
    texts: Vec<Arc<str>>,
}

impl Batches {
    /// Adds a batch (or returns without a change if the id is known).
    pub(crate) fn add(&mut self, batch: Batch) {
        if self.find(&batch.id).is_none() {
            self.all.push(batch);
        }
    }

    /// The batch of an id, in whichever case the id is written.
    pub(crate) fn find(&self, id: &str) -> Option<&Batch> {
        // Mostly one of the newest is meant.
        self.all.iter().rfind(|batch| batch.id.eq_ignore_ascii_case(id))
    }

    /// As [`Batches::find`], to change it.
    pub(crate) fn find_mut(&mut self, id: &str) -> Option<&mut Batch> {
        self.all.iter_mut().rfind(|batch| batch.id.eq_ignore_ascii_case(id))
    }

    pub(crate) fn all(&self) -> &[Batch] {
        &self.all
    }

    /// Adds rows to a batch; false if there is no such batch.
    pub(crate) fn add_rows(&mut self, id: &str, rows: impl IntoIterator<Item = NewRow>, now: i64) -> bool {
        let Some(place) = self.all.iter().rposition(|batch| batch.id.eq_ignore_ascii_case(id)) else {
            return false;
        };
        let rows: Vec<Row> = rows
            .into_iter()
            .map(|row| Row {
                status: self.share(&row.status),
                institution: self.share(&row.institution),
                balance_cents: row.balance_cents,
                by_dashboard: row.by_dashboard,
                at: row.at.unwrap_or(now),
            })
            .collect();
        if let Some(batch) = self.all.get_mut(place) {
            Arc::make_mut(&mut batch.rows).extend(rows);
        }
        true
    }

    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.iter().find(|known| known.as_ref() == text) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = Arc::from(text);
        // A driver that gives each row its own bank must not make this list slow.
        if self.texts.len() < 64 {
            self.texts.push(Arc::clone(&shared));
        }
        shared
    }
}

/// The believable result of one check, `place` being its number within the batch.
pub(crate) fn believable(seed: u64, created: i64, place: u32, at: i64) -> NewRow {
    const WEIGHTS: [(&str, u32); 7] = [
        ("SUCCESS", 720),
        ("NO_MATCH", 90),
        ("ACCOUNT_CLOSED", 50),
        ("BANK_UNSUPPORTED", 50),
        ("RETRIEVAL_FAILED", 40),
        ("RETRY_LIMIT", 30),
        ("PROCESSING_ERROR", 20),
    ];
    let mut chance = Chance::at(seed, ROW, created.wrapping_mul(100_003).wrapping_add(i64::from(place)));
    let status = chance.weighted(&WEIGHTS).copied().unwrap_or("SUCCESS");
    // The big banks are first, and asked for more often.
    let pick = chance.below(12).min(chance.below(12));
    let institution = INSTITUTIONS.get(usize::try_from(pick).unwrap_or(0)).copied().unwrap_or_default();
    // From overdrawn to rich, most of them in the hundreds and low thousands.
    let size = 10_i64.pow(chance.between(3, 6));
    let balance = i64::from(chance.between(100, 999)) * size / 1_000 + i64::from(chance.below(100));
    let balance = if chance.happens(40) { -balance / 20 } else { balance };
    NewRow {
        status: status.to_owned(),
        institution: institution.to_owned(),
        balance_cents: (status == "SUCCESS").then_some(balance),
        by_dashboard: chance.happens(150),
        at: Some(at),
    }
}
