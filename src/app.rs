//! Wiring.
//!
//! Flows in: a checked configuration. Flows out: a running exporter, and its orderly shutdown. Invariant: parts know each
//! other only through what is handed to them here.

mod accounts;
mod build;
mod check;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod export;
mod gate;
mod ledger;
mod once;
mod output;
mod serve;
mod signals;
mod supervisor;
#[cfg(feature = "demo")]
mod simulate;

use crate::catalog::{self, FamilySpec};
use crate::config::ConfigErrors;
use crate::integration::Integration;
use crate::poll::builder::StartError;
use crate::store::{OpenError, Schema};
use crate::{batchdata, rightfoot, store};

pub use crate::poll::builder::Dependencies;
pub use accounts::{accounts_file, accounts_schema};
pub use build::App;
pub use check::check;
pub use config::{Config, Draft, variables};
#[cfg(feature = "demo")]
pub use demo::{Demo, DemoFlags, demo};
pub use export::{ExportFlags, ReportFlags, export, report};
pub use gate::{GateFlags, gate};
pub use ledger::{AccountFlags, LedgerCommand, ledger};
pub use once::{check_online, dump};
pub use output::print;
pub use serve::{Addresses, Running, serve};
#[cfg(feature = "demo")]
pub use simulate::{ScenarioName, SimulateFlags, SimulatorClock, simulate};
#[cfg(feature = "testing")]
pub use supervisor::Supervisor;

/// Every vendor. A new one is added here, and to [`SCHEMA`] if it has tables.
pub const INTEGRATIONS: [Integration; 2] = [batchdata::INTEGRATION, rightfoot::INTEGRATION];

/// The versions of the storage, each with the parts of those who have tables. A step that was released is never changed.
pub const SCHEMA: Schema = Schema(&[
    &[store::SCHEMA_1, batchdata::SCHEMA_1, rightfoot::SCHEMA_1],
    &[store::SCHEMA_2, batchdata::SCHEMA_2, rightfoot::SCHEMA_2],
    &[store::SCHEMA_3],
    &[store::SCHEMA_4, batchdata::SCHEMA_4],
    &[store::SCHEMA_5, rightfoot::SCHEMA_5],
    &[batchdata::SCHEMA_6],
    &[batchdata::SCHEMA_7],
    &[batchdata::SCHEMA_8],
    &[batchdata::SCHEMA_9],
    &[batchdata::SCHEMA_10],
]);

/// Every metric family, in the order of the exposition.
pub fn families() -> impl Iterator<Item = &'static FamilySpec> {
    let of_vendors = INTEGRATIONS.iter().flat_map(|vendor| vendor.families).copied().flatten().copied();
    of_vendors.chain(catalog::of_exporter())
}

/// Why the application did not start or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The storage cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An account cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Accounts are not served from this storage.
    #[error("{}", .0.join("\n"))]
    Elsewhere(Vec<String>),
    /// A server cannot start.
    #[error(transparent)]
    Serve(#[from] crate::http::ServeError),
    /// Another program listens there.
    #[error(
        "cannot listen on {address}: the address is in use; stop the program that listens there, or name another address with {flag}"
    )]
    Taken {
        /// As it is configured.
        address: String,
        /// The flag that sets it.
        flag: &'static str,
    },
    /// Something that should run for ever has ended.
    #[error("{0} has ended unexpectedly; this is a defect of the program: please report it with the log")]
    Ended(&'static str),
    /// What is asked for makes no sense, or a running exporter refuses it.
    #[error("{0}")]
    Refused(String),
    /// A running exporter does not answer.
    #[error("{0}")]
    NoAnswer(String),
    /// A system call failed.
    #[error("{0}")]
    System(String),
}

impl AppError {
    /// The exit code that goes with it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            AppError::Config(_)
            | AppError::Refused(_)
            | AppError::Serve(crate::http::ServeError::Web(_) | crate::http::ServeError::Path(_)) => 64,
            AppError::Open(error) if error.is_refusal() => 64,
            AppError::Open(_)
            | AppError::Start(_)
            | AppError::Elsewhere(_)
            | AppError::Serve(crate::http::ServeError::Bind(_))
            | AppError::Taken { .. }
            | AppError::Ended(_)
            | AppError::NoAnswer(_)
            | AppError::System(_) => 1,
        }
    }
}
