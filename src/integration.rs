//! What a vendor's folder offers to the rest of the program.
//!
//! Flows in: the variables of the environment. Flows out: accounts that can be started, families, tables. Invariant: the
//! rest of the program knows a vendor by its [`Integration`] alone; the list of them is in `app`.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::catalog::FamilySpec;
use crate::config::secret::Secret;
use crate::config::{ConfigErrors, CountSince, ListField, Variable, Variables};
use crate::exposition::WriteFamilies;
use crate::names::Vendor;
use crate::poll::builder::{Builder, StartError};

/// A vendor that the exporter can poll.
#[derive(Clone, Copy)]
pub struct Integration {
    /// Its names.
    pub vendor: Vendor,
    /// Its variables all begin with this.
    pub prefix: &'static str,
    /// Its variables.
    pub variables: &'static [Variable],
    /// Fields of an accounts file that are lists of mappings.
    pub lists: &'static [ListField],
    /// Those of them that hold a secret.
    pub secrets: &'static [&'static str],
    /// Its families, in the order of the exposition.
    pub families: &'static [&'static [&'static FamilySpec]],
    /// Writes them.
    pub write_families: WriteFamilies,
    /// Checks its variables. Dates after the given time are errors.
    pub configure: fn(&Variables, DateTime<Utc>, &mut ConfigErrors) -> Configured,
}

/// What a vendor makes of its variables.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    /// From when on its account counts, as far as that could be read.
    pub base_line: Option<CountSince>,
    /// The account; `None` if the vendor is off or its variables have errors.
    pub account: Option<Arc<dyn AccountConfig>>,
}

/// A checked account.
pub trait AccountConfig: Any + fmt::Debug + Send + Sync {
    /// The label `account`.
    fn name(&self) -> &str;
    /// What its requests are authorised with.
    fn credential(&self) -> &Secret;
    /// All its secrets.
    fn secrets(&self) -> Vec<&Secret>;
    /// Whether it opens the webhook.
    fn opens_webhook(&self) -> bool {
        false
    }
    /// The same account for a check that looks twice, if it would wait between two looks.
    fn without_waiting(&self) -> Option<Arc<dyn AccountConfig>> {
        None
    }
    /// What deserves a word although it is no error.
    fn warnings(&self) -> Vec<String>;
    /// Wires its client, storage and polls. Nothing is fetched yet; what the previous run knew is in the snapshot after it.
    ///
    /// # Errors
    /// If the storage cannot be used or the client cannot be built.
    fn start(&self, builder: &mut Builder<'_>) -> Result<(), StartError>;
}
