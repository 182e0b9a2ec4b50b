//! The two vendors' APIs.
//!
//! Flows in: HTTP answers. Flows out: typed records, or one [`RequestError`] with exactly one [`Reason`].
//! Invariant: what leaves this module carries no personal field, no body, no query string and no secret; every answer
//! is checked in one place, `http`. This is the only home of reqwest and csv-core.
//!
//! ```text
//!  batchdata, rightfoot    one client per credential: which requests make up a report
//!  http (head)             waits for a permit (credential, date), sends (transport), checks status and headers
//!  balance, consumption,   parse the body
//!  cards, balances         (envelope, scalar, period; csv, timestamp)
//! ```

mod error;
mod parse_error;
mod records;
mod settings;
mod state;
mod credential;
mod date;
mod tls;
mod transport;
mod transport_error;
mod head;
mod http;
mod scalar;
mod envelope;
mod period;
mod balance;
mod consumption;
mod cards;
mod listing;
mod csv;
mod timestamp;
mod balances;
mod batchdata;
mod rightfoot;

pub use crate::names::{Operation, Source, Vendor};
pub use balances::ExportSummary;
pub use batchdata::BatchData;
pub use credential::Pause;
pub use error::{Reason, RequestError};
pub use period::Grain;
pub use records::{
    Balance, CardStatus, CardTransaction, CheckRow, CheckStatus, ConsumptionReport, DayConsumption, Flow, HourlyDebits,
    RowReject, RowSink, SubmittedVia,
};
pub use rightfoot::Rightfoot;
pub use settings::{BuildError, ClientSettings, Observe, RequestLimits, Unobserved};
pub use state::CredentialState;
pub use transport::{NoAnswer, Outgoing, Transport};

/// The readers of bodies without the transport, for fuzzing and for benches.
pub mod intake {
    pub use super::balance::read_balance;
    pub use super::balances::Export;
    pub use super::cards::{CardPage, read_card_page};
    pub use super::consumption::read_consumption;
    pub use super::parse_error::ParseError;
}
