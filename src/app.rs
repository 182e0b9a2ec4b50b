//! Wiring.
//!
//! Flows in: a checked configuration. Flows out: a running exporter, and its end in order. Invariant: parts know each
//! other only through what is handed to them here.

mod build;
mod check;
#[cfg(feature = "demo")]
mod demo;
mod once;
mod output;
mod serve;
mod signals;
#[cfg(feature = "demo")]
mod simulate;

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;

use crate::clock::{SharedClock, SystemClock};
use crate::config::ConfigErrors;
use crate::poll::account_storage::StorageWork;
use crate::store::{OpenError, StoreError};
use crate::vendor::{BuildError, RequestLimits, Transport};

pub use build::App;
pub use check::check;
#[cfg(feature = "demo")]
pub use demo::{Demo, DemoFlags, demo};
pub use once::{check_online, dump};
pub use output::print;
pub use serve::{Addresses, Running, serve};
#[cfg(feature = "demo")]
pub use simulate::{ScenarioName, SimulateFlags, VendorClock, simulate};

/// What the application depends on; tests put other things in.
#[derive(Clone)]
pub struct Dependencies {
    /// Time.
    pub clock: SharedClock,
    /// Sizes and durations that requests to the vendors may have.
    pub limits: RequestLimits,
    /// What sends the requests to the vendors; the network if absent.
    pub transport: Option<Arc<dyn Transport>>,
    /// Where work on the storage is done.
    pub storage_work: StorageWork,
    /// Certificates to trust beside the system's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Makes chance repeat, where it is set.
    pub seed: Option<u64>,
    /// How long open scrapes may go on at the end.
    pub drain: Duration,
}

impl Default for Dependencies {
    fn default() -> Dependencies {
        Dependencies {
            clock: SystemClock::shared(),
            limits: RequestLimits::default(),
            transport: None,
            storage_work: StorageWork::Threads,
            extra_roots: Vec::new(),
            seed: None,
            drain: Duration::from_secs(10),
        }
    }
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
    /// The storage cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A vendor's client cannot be built.
    #[error("{variable}: {source}")]
    Client {
        /// The variable to look at.
        variable: &'static str,
        /// What is wrong.
        source: BuildError,
    },
    /// A server cannot start.
    #[error(transparent)]
    Serve(#[from] crate::http::ServeError),
    /// Something that should run for ever has ended.
    #[error("{0} has ended unexpectedly; this is a defect of the program: please report it with the log")]
    Ended(&'static str),
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
            | AppError::Open(OpenError::Newer { .. } | OpenError::Planted { .. } | OpenError::Link(_))
            | AppError::Serve(crate::http::ServeError::Web(_) | crate::http::ServeError::Path(_)) => 64,
            _ => 1,
        }
    }
}
