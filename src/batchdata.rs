//! BatchData: a prepaid wallet.
//!
//! ```text
//!  config        variables -> a checked account
//!  budget        what may be spent in a period
//!  sources       the vendor, its endpoints and reports
//!  client        one token's requests (envelope, scalar: how the vendor writes JSON)
//!  balance       \
//!  consumption   | one report each: wire format, meaning, tables, poll, families; the transactions are the
//!  cards         | consumption report's rows, as CSV
//!  transactions  /
//!  reconciliation  whether balance and consumption agree
//!  history       the past as files: export, report
//!  view          what is known of a wallet (status: as the page and JSON show it)
//! ```
//!
//! Invariant: other folders know of this vendor only what [`INTEGRATION`] says.

pub mod balance;
pub mod budget;
pub mod cards;
mod client;
mod config;
pub mod consumption;
mod envelope;
pub mod history;
pub mod reconciliation;
mod scalar;
mod sources;
mod start;
mod status;
pub mod transactions;
mod view;

use crate::catalog::FamilySpec;
use crate::clock::Moment;
use crate::exposition::Encoder;
use crate::integration::Integration;
use crate::snapshot::Snapshot;

pub use balance::Balance;
pub use cards::{CardStatus, CardTransaction};
pub use client::Client;
pub use config::Config;
pub use consumption::grain::Grain;
pub use consumption::{ConsumptionReport, DayConsumption, Flow, HourlyDebits};
pub use sources::{BALANCE, CARD_TRANSACTIONS, CONSUMPTION, CONSUMPTION_CSV, TRANSACTIONS, VENDOR, WalletReport};
pub use status::BUDGETS;
#[cfg(feature = "testing")]
pub use status::{BudgetStatus, BurnStatus, EmptyState, TimeToEmpty, WalletStatus, details};
pub use view::{BurnView, CardsView, ConsumptionView, Periods, TransactionsView, WalletView};

/// Tables of version 1 of the storage.
pub const SCHEMA_1: &str = include_str!("batchdata/migrations/1.sql");
/// Changes of version 2 of the storage.
pub const SCHEMA_2: &str = include_str!("batchdata/migrations/2.sql");
/// What version 4 of the storage adds.
pub const SCHEMA_4: &str = include_str!("batchdata/migrations/4.sql");

/// What version 6 of the storage adds.
pub const SCHEMA_6: &str = include_str!("batchdata/migrations/6.sql");
/// What version 7 of the storage adds.
pub const SCHEMA_7: &str = include_str!("batchdata/migrations/7.sql");
/// What version 8 of the storage adds.
pub const SCHEMA_8: &str = include_str!("batchdata/migrations/8.sql");
/// The reconciliation remembers at which values it stood.
pub const SCHEMA_9: &str = include_str!("batchdata/migrations/9.sql");
/// Downloads that failed are remembered.
pub const SCHEMA_10: &str = include_str!("batchdata/migrations/10.sql");

/// What the rest of the program knows of this vendor.
pub const INTEGRATION: Integration = Integration {
    vendor: VENDOR,
    prefix: config::PREFIX,
    variables: config::VARIABLES,
    lists: config::LISTS,
    secrets: &["BATCHDATA_API_TOKEN"],
    families: &FAMILIES,
    write_families,
    configure: config::configure,
};

static FAMILIES: [&[&FamilySpec]; 5] = [
    balance::families::FAMILIES,
    consumption::families::FAMILIES,
    reconciliation::families::FAMILIES,
    cards::families::FAMILIES,
    transactions::families::FAMILIES,
];

fn write_families(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    balance::families::write(out, snapshot, now);
    consumption::families::write(out, snapshot, now);
    reconciliation::families::write(out, snapshot, now);
    cards::families::write(out, snapshot, now);
    transactions::families::write(out, snapshot, now);
}

/// The readers of bodies without the transport, for fuzzing and for benches.
#[cfg(feature = "testing")]
pub mod intake {
    pub use super::balance::wire::read_balance;
    pub use super::cards::wire::read_card_page;
    pub use super::consumption::wire::read_consumption;
    pub use super::transactions::wire::Transactions;
}
