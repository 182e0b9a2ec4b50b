//! The wallet's balance: from the answer to the gauges.

pub mod families;
pub mod poll;
pub mod same_wallet;
pub(super) mod wire;

use chrono::{DateTime, Utc};

use crate::money::Usd;

/// The wallet's balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// What is left; may be negative.
    pub amount: Usd,
    /// When the vendor computed it.
    pub as_of: DateTime<Utc>,
}
