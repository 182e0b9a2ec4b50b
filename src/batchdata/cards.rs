//! The credit-card transactions: from the listing to counters by state.
//!
//! Invariant: only what is counted has a field; the last four digits, reference and description have none.

pub mod book;
pub mod families;
pub(super) mod listing;
pub mod poll;
pub mod table;
pub(super) mod wire;

use chrono::{DateTime, Utc};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::money::Usd;

/// State of a card transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum CardStatus {
    /// 0: not ended yet.
    Pending,
    /// 1
    Paid,
    /// 2
    Failed,
    /// A number that is not documented, or none.
    Unknown,
}

/// One credit-card transaction on the wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardTransaction {
    /// The vendor's id; unique in the wallet.
    pub id: i64,
    /// Credits bought, in dollars; negative for a refund. `None` (null) only while the status is neither paid nor failed.
    pub credits: Option<Usd>,
    /// Sales tax, zero if the vendor gave none.
    pub sales_tax: Usd,
    /// The processor's fee, zero if the vendor gave none.
    pub processing_fee: Usd,
    /// As the vendor wrote it; empty if it gave none.
    pub card_brand: String,
    /// Where it stands.
    pub status: CardStatus,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}
