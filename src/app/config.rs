//! The whole configuration: the process's own settings and the vendors' accounts.
//!
//! Flows in: flags and variables. Flows out: a checked [`Config`], or every error at once. Invariant: nothing else can
//! construct a `Config`.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;

use super::INTEGRATIONS;
use crate::config::accounts::{self, VendorFields};
use crate::config::{ConfigErrors, CountSince, Flags, Process, Variable, Variables, file};
use crate::integration::{AccountConfig, Configured};

/// A checked configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The process's own settings.
    pub process: Process,
    /// Accounts of vendors, at least one.
    pub accounts: Vec<ConfiguredAccount>,
    /// What to say of variables that only resemble ours.
    lookalikes: Vec<String>,
}

/// An account, and the labels that its operator gives it.
#[derive(Clone, Debug)]
pub struct ConfiguredAccount {
    /// What its vendor made of it.
    pub config: Arc<dyn AccountConfig>,
    /// Labels for `wallet_exporter_account_info`.
    pub labels: BTreeMap<String, String>,
}

/// A configuration as far as it could be read, for `check`, which looks for more errors than are in it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The process's own settings; a faulty one has its default.
    pub process: Process,
    /// The base lines that are configured.
    pub base_lines: Vec<CountSince>,
    /// What is wrong with it.
    pub errors: ConfigErrors,
    accounts: Vec<ConfiguredAccount>,
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
        let mut draft = Draft {
            process,
            base_lines: Vec::new(),
            errors: ConfigErrors::default(),
            accounts: Vec::new(),
            lookalikes: Vec::new(),
        };
        match draft.process.config_file.clone() {
            Some(file) => {
                draft.read_file(&file, &variables, now, &mut errors);
            }
            None => {
                for vendor in &INTEGRATIONS {
                    let configured = (vendor.configure)(&variables, now, &mut errors);
                    draft.take(configured, BTreeMap::new());
                }
            }
        }
        let Draft { process, base_lines, accounts, .. } = draft;
        if errors.is_empty() && accounts.is_empty() {
            errors.add(
                INTEGRATIONS.map(|vendor| vendor.vendor.secret_variable).join(", "),
                "set at least one of them or its _FILE; to try the program without credentials, run `wallet-exporter demo`",
            );
        }
        Draft { process, base_lines, errors, accounts, lookalikes: variables.lookalikes().to_vec() }
    }

    fn take(&mut self, configured: Configured, labels: BTreeMap<String, String>) {
        self.base_lines.extend(configured.base_line);
        self.accounts.extend(configured.account.map(|config| ConfiguredAccount { config, labels }));
    }

    /// Reads the accounts file.
    fn read_file(&mut self, file: &Path, variables: &Variables, now: DateTime<Utc>, errors: &mut ConfigErrors) {
        let fields = INTEGRATIONS.map(|vendor| VendorFields {
            name: vendor.vendor.name,
            prefix: vendor.prefix,
            variables: vendor.variables,
            secrets: vendor.secrets,
        });
        let mut base_urls = HashMap::new();
        for vendor in &fields {
            for (name, value) in variables.with_prefix(vendor.prefix) {
                if name == vendor.base_url() {
                    base_urls.insert(vendor.name, value);
                } else {
                    errors.add(name, "has no effect with --config.file: move it into the file, and unset it");
                }
            }
        }
        let before = errors.iter().count();
        let entries = accounts::read(file, self.process.secrets_directory.as_deref(), &fields, errors);
        if entries.is_empty() && errors.iter().count() == before {
            errors.add("--config.file", format!("{} has no account: write at least one", file.display()));
        }
        // Whoever used a secret first.
        let mut used: HashMap<String, String> = HashMap::new();
        for mut entry in entries {
            if let Some(url) = base_urls.get(entry.vendor.name) {
                entry.variables.set(entry.vendor.base_url(), (*url).to_owned());
            }
            let mut found = ConfigErrors::default();
            let Some(vendor) = INTEGRATIONS.iter().find(|vendor| vendor.vendor.name == entry.vendor.name) else {
                continue;
            };
            let secret = vendor.vendor.secret_variable;
            if !entry.names_secret(secret) {
                let field = secret.trim_start_matches(vendor.prefix).to_lowercase();
                entry.error(&format!("{field}_file"), "is missing: name the file that holds the secret", errors);
                continue;
            }
            let mut configured = (vendor.configure)(&entry.variables, now, &mut found);
            entry.take_over(&found, errors);
            let Some(account) = &configured.account else { continue };
            for secret in account.secrets() {
                let value = secret.current().expose_secret().to_owned();
                let is_credential = value == account.credential().current().expose_secret();
                if let Some(first) = used.insert(value, entry.name.clone()) {
                    let remedy = match is_credential {
                        true => {
                            format!(
                                "is also used by account {first}: the money would be counted twice; remove one of them"
                            )
                        }
                        false => format!("is also used by account {first}: give each its own"),
                    };
                    entry.error("secret", remedy, errors);
                }
            }
            if let Some(line) = &mut configured.base_line {
                line.account.clone_from(&entry.name);
            }
            self.take(configured, entry.labels);
        }
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
        self.accounts.iter().any(|account| account.config.opens_webhook())
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

    /// The accounts of a type.
    pub fn accounts_of<A: AccountConfig>(&self) -> impl Iterator<Item = &A> {
        self.accounts.iter().filter_map(|account| {
            let account: &dyn Any = account.config.as_ref();
            account.downcast_ref()
        })
    }

    /// The first account of a type.
    #[must_use]
    pub fn account<A: AccountConfig>(&self) -> Option<&A> {
        self.accounts_of().next()
    }

    /// What deserves a word although it is no error.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.lookalikes.clone();
        // What holds for many accounts is said once.
        let mut by_text: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for account in &self.accounts {
            for warning in account.config.warnings() {
                by_text.entry(warning).or_default().push(account.config.name());
            }
        }
        warnings.extend(by_text.into_iter().map(|(warning, accounts)| match accounts.as_slice() {
            _ if self.accounts.len() <= INTEGRATIONS.len() => warning,
            [account] => format!("account {account}: {warning}"),
            [first, more @ ..] => format!("account {first} and {} more: {warning}", more.len()),
            [] => warning,
        }));
        let secrets = self.accounts.iter().flat_map(|account| account.config.secrets());
        let private = secrets.filter_map(|secret| secret.file()).chain(self.process.storage.as_deref());
        warnings.extend(private.filter_map(file::exposure));
        warnings
    }
}
