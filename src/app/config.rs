//! The whole configuration: the process's own settings and the vendors' accounts.
//!
//! Flows in: flags and variables. Flows out: a checked [`Config`], or every error at once. Invariant: nothing else can
//! construct a `Config`.

use std::any::Any;
use std::ffi::OsString;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::INTEGRATIONS;
use crate::config::{BaseLine, ConfigErrors, Flags, Process, Variable, Variables, file};
use crate::integration::AccountConfig;
use crate::rightfoot;

/// A checked configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The process's own settings.
    pub process: Process,
    /// Accounts of vendors, at least one.
    pub accounts: Vec<Arc<dyn AccountConfig>>,
    /// What to say of variables that only resemble ours.
    lookalikes: Vec<String>,
}

/// A configuration as far as it could be read, for `check`, which looks for more errors than are in it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The process's own settings; a faulty one has its default.
    pub process: Process,
    /// The base lines that are configured.
    pub base_lines: Vec<BaseLine>,
    /// What is wrong with it.
    pub errors: ConfigErrors,
    accounts: Vec<Arc<dyn AccountConfig>>,
    lookalikes: Vec<String>,
}

/// Every variable, in the order of the documentation.
pub fn variables() -> impl Iterator<Item = &'static Variable> {
    crate::config::VARIABLES.iter().chain(INTEGRATIONS.iter().flat_map(|vendor| vendor.variables))
}

impl Draft {
    /// Checks flags and variables. Dates after `now` are errors.
    #[must_use]
    pub fn read(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        now: DateTime<Utc>,
    ) -> Draft {
        let mut errors = ConfigErrors::default();
        let vendors = INTEGRATIONS.map(|vendor| (vendor.prefix, vendor.variables));
        let variables = Variables::read(environment, &vendors, &mut errors);
        let process = Process::read(flags, &variables, &mut errors);
        let (mut base_lines, mut accounts) = (Vec::new(), Vec::new());
        for vendor in &INTEGRATIONS {
            let configured = (vendor.configure)(&variables, now, &mut errors);
            base_lines.extend(configured.base_line);
            accounts.extend(configured.account);
        }
        if errors.is_empty() && accounts.is_empty() {
            errors.add(
                INTEGRATIONS.map(|vendor| vendor.vendor.secret_variable).join(", "),
                "set at least one of them or its _FILE; to try the program without credentials, run `wallet-exporter demo`",
            );
        }
        Draft { process, base_lines, errors, accounts, lookalikes: variables.lookalikes().to_vec() }
    }

    /// The configuration, if it has no error.
    ///
    /// # Errors
    /// All errors together.
    pub fn finish(self) -> Result<Config, ConfigErrors> {
        let Draft { process, errors, accounts, lookalikes, .. } = self;
        if errors.is_empty() { Ok(Config { process, accounts, lookalikes }) } else { Err(errors) }
    }

    /// Whether the webhook is opened, as far as the configuration could be read.
    #[must_use]
    pub fn opens_webhook(&self) -> bool {
        self.accounts.iter().any(|account| {
            let account: &dyn Any = account.as_ref();
            account.downcast_ref::<rightfoot::Config>().is_some_and(|account| account.webhook_secret.is_some())
        })
    }
}

impl Config {
    /// Checks flags and variables. Dates after `now` are errors.
    ///
    /// # Errors
    /// All errors together.
    pub fn load(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        now: DateTime<Utc>,
    ) -> Result<Config, ConfigErrors> {
        Draft::read(flags, environment, now).finish()
    }

    /// The first account of a type.
    #[must_use]
    pub fn account<A: AccountConfig>(&self) -> Option<&A> {
        self.accounts.iter().find_map(|account| {
            let account: &dyn Any = account.as_ref();
            account.downcast_ref()
        })
    }

    /// What deserves a word although it is no error.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.lookalikes.clone();
        warnings.extend(self.accounts.iter().flat_map(|account| account.warnings()));
        let secrets = self.accounts.iter().flat_map(|account| account.secrets());
        let private = secrets.filter_map(|secret| secret.file()).chain(self.process.storage.as_deref());
        warnings.extend(private.filter_map(file::exposure));
        warnings
    }
}
