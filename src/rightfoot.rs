//! Rightfoot: balance checks in batches.
//!
//! ```text
//!  config        variables -> a checked account (ids_file: more batch ids)
//!  sources       the vendor, its endpoint and what is polled
//!  client        one key's requests
//!  batch_list    which batches exist: variables, file, webhook
//!  webhook       what the vendor's events say
//!  batches       wire format, meaning, tables, poll, families
//!  view          what is known of an account (status: as the page and JSON show it)
//! ```
//!
//! Invariant: other folders know of this vendor only what [`INTEGRATION`] says.

pub mod batch_list;
pub mod batches;
mod client;
mod config;
pub mod ids_file;
mod sources;
mod start;
mod status;
mod view;
mod webhook;

use crate::integration::Integration;

pub use batches::{CheckRow, CheckStatus, RowReject, RowSink, SubmittedVia};
pub use client::Client;
pub use config::Config;
pub use sources::{BATCHES, VENDOR};
#[cfg(feature = "testing")]
pub use status::{BatchesStatus, details};
pub use view::{ChecksView, NewestBatch, RightfootView, WebhookView};
#[cfg(feature = "testing")]
pub use webhook::Event;

/// Tables of version 1 of the storage.
pub const SCHEMA_1: &str = include_str!("rightfoot/migrations/1.sql");
/// Changes of version 2 of the storage.
pub const SCHEMA_2: &str = include_str!("rightfoot/migrations/2.sql");
/// Changes of version 5 of the storage.
pub const SCHEMA_5: &str = include_str!("rightfoot/migrations/5.sql");

/// What the rest of the program knows of this vendor.
pub const INTEGRATION: Integration = Integration {
    vendor: VENDOR,
    prefix: config::PREFIX,
    variables: config::VARIABLES,
    lists: &[],
    secrets: &["RIGHTFOOT_API_KEY", "RIGHTFOOT_WEBHOOK_SECRET", "RIGHTFOOT_WEBHOOK_OLD_SECRET"],
    families: &[batches::families::FAMILIES],
    write_families: batches::families::write,
    configure: config::configure,
};

/// The readers of bodies without the transport, for fuzzing and for benches.
#[cfg(feature = "testing")]
pub mod intake {
    pub use super::batches::wire::Export;
}
