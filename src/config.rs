//! Configuration.
//!
//! Flows in: flags and the environment, as text. Flows out: a checked [`Config`], or every error at once.
//! Invariant: only this module reads the environment or constructs a `Config`, and no message holds a secret. This is the
//! only home of envy, which merely fills flat structs of strings: judging them is done here.

mod batchdata;
mod errors;
pub(crate) mod file;
pub mod ids_file;
mod process;
mod proxy;
mod rightfoot;
pub mod secret;
mod section;
mod values;
mod variables;

use std::collections::BTreeMap;
use std::ffi::OsString;

use chrono::{DateTime, Utc};

pub use batchdata::BatchData;
pub use errors::ConfigErrors;
pub use file::FileError;
pub(crate) use process::is_telemetry_path;
pub use process::{Flags, LogFormat, Process};
pub use rightfoot::Rightfoot;
pub(crate) use values::duration;
pub use variables::{VARIABLES, Variable};

use crate::names::Vendor;
use secret::Secret;

/// A checked configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The process's own settings.
    pub process: Process,
    /// The BatchData wallet, if it is on.
    pub batchdata: Option<BatchData>,
    /// The Rightfoot account, if it is on.
    pub rightfoot: Option<Rightfoot>,
    /// Variables that are not ours and whose names look as if they were meant to be.
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
    batchdata: Option<BatchData>,
    rightfoot: Option<Rightfoot>,
    lookalikes: Vec<String>,
}

/// From when on an account's counters are to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseLine {
    /// `BATCHDATA_COUNT_SINCE` or `RIGHTFOOT_COUNT_SINCE`.
    pub variable: &'static str,
    /// Whose.
    pub vendor: Vendor,
    /// The label `account`.
    pub account: String,
    /// What it says, as the storage keeps it.
    pub since: String,
}

/// The environment as it is, for [`Config::load`].
#[must_use]
pub fn environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

impl Process {
    /// Checks the process's own settings alone, for commands that call no vendor.
    ///
    /// # Errors
    /// All errors together.
    pub fn load(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Process, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let (known, _) = strings(variables, &mut errors);
        let process = process::check(flags, section(&known, "", &mut errors), &mut errors);
        if errors.is_empty() { Ok(process) } else { Err(errors) }
    }
}

impl Draft {
    /// Checks flags and variables. Dates after `now` are errors.
    #[must_use]
    pub fn read(flags: &Flags, variables: impl IntoIterator<Item = (OsString, OsString)>, now: DateTime<Utc>) -> Draft {
        let mut errors = ConfigErrors::default();
        let (known, lookalikes) = strings(variables, &mut errors);
        let process = process::check(flags, section(&known, "", &mut errors), &mut errors);
        let wallet: batchdata::RawBatchData = section(&known, BATCHDATA, &mut errors);
        let account: rightfoot::RawRightfoot = section(&known, RIGHTFOOT, &mut errors);
        let base_lines = wallet.base_line().into_iter().chain(account.base_line()).collect();
        let batchdata = batchdata::check(wallet, now.date_naive(), &mut errors);
        let rightfoot = rightfoot::check(account, now, &mut errors);
        orphans(&known, BATCHDATA, "BATCHDATA_API_TOKEN", &mut errors);
        orphans(&known, RIGHTFOOT, "RIGHTFOOT_API_KEY", &mut errors);
        if errors.is_empty() && batchdata.is_none() && rightfoot.is_none() {
            errors.add(
                "BATCHDATA_API_TOKEN, RIGHTFOOT_API_KEY",
                "set at least one of them or its _FILE; to try the program without credentials, run `wallet-exporter demo`",
            );
        }
        Draft { process, base_lines, errors, batchdata, rightfoot, lookalikes }
    }

    /// Whether the webhook is opened, as far as the configuration could be read.
    #[must_use]
    pub fn opens_webhook(&self) -> bool {
        self.rightfoot.as_ref().is_some_and(|account| account.webhook_secret.is_some())
    }

    /// The configuration, if it has no error.
    ///
    /// # Errors
    /// All errors together.
    pub fn finish(self) -> Result<Config, ConfigErrors> {
        let Draft { process, errors, batchdata, rightfoot, lookalikes, .. } = self;
        if errors.is_empty() { Ok(Config { process, batchdata, rightfoot, lookalikes }) } else { Err(errors) }
    }
}

impl Config {
    /// Checks flags and variables. Dates after `now` are errors.
    ///
    /// # Errors
    /// All errors together.
    pub fn load(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        now: DateTime<Utc>,
    ) -> Result<Config, ConfigErrors> {
        Draft::read(flags, variables, now).finish()
    }

    fn secrets(&self) -> Vec<&Secret> {
        let wallet = self.batchdata.iter().map(|wallet| &wallet.token);
        let rightfoot = self.rightfoot.iter().flat_map(|account| {
            [Some(&account.key), account.webhook_secret.as_ref(), account.old_webhook_secret.as_ref()]
        });
        wallet.chain(rightfoot.flatten()).collect()
    }

    /// What deserves a word although it is no error.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.lookalikes.clone();
        if let Some(wallet) = &self.batchdata
            && wallet.warning_balance.is_none()
            && wallet.critical_balance.is_none()
        {
            warnings.push(
                "no balance threshold is set: the alerts on a low balance stay silent until \
                 BATCHDATA_WARNING_BALANCE_USD or BATCHDATA_CRITICAL_BALANCE_USD is set"
                    .to_owned(),
            );
        }
        if let Some(account) = &self.rightfoot
            && account.batch_ids.is_empty()
            && account.batch_ids_file.is_none()
            && account.webhook_secret.is_none()
        {
            warnings.push(
                "no source of batch ids is set: no balance check is followed until RIGHTFOOT_BATCH_IDS, \
                 RIGHTFOOT_BATCH_IDS_FILE or RIGHTFOOT_WEBHOOK_SECRET is set"
                    .to_owned(),
            );
        }
        warnings.extend(self.rightfoot.as_ref().and_then(|account| account.batch_ids_warning.clone()));
        let secrets = self.secrets();
        let private = secrets.iter().filter_map(|secret| secret.file()).chain(self.process.storage.as_deref());
        warnings.extend(private.filter_map(file::exposure));
        warnings
    }
}

const BATCHDATA: &str = "BATCHDATA_";
const RIGHTFOOT: &str = "RIGHTFOOT_";

/// So many slips of the pen make a name that resembles ours. Longer names leave room for more.
const SLIPS: usize = 2;

/// Keeps the variables that are ours and not empty. A name with one of our prefixes that is not ours is an error; another
/// that only resembles ours may be another program's, so it is a warning.
fn strings(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    errors: &mut ConfigErrors,
) -> (BTreeMap<String, String>, Vec<String>) {
    let mut known = BTreeMap::new();
    let mut lookalikes = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        if proxy::VARIABLES.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            if let Err(remedy) = proxy::check(&value) {
                errors.add(name, remedy);
            }
            continue;
        }
        let ours = VARIABLES.iter().any(|variable| variable.name == name);
        if !ours {
            let prefixed = name.starts_with(BATCHDATA) || name.starts_with(RIGHTFOOT);
            if prefixed && !is_service_link(name) {
                let remedy = match variables::nearest(name, name.len() / 3) {
                    Some(nearest) => format!("is not a variable of this program: did you mean {nearest}?"),
                    None => "is not a variable of this program: see --help for their names, or unset it".to_owned(),
                };
                errors.add(name, remedy);
            } else if !prefixed && let Some(nearest) = variables::nearest(name, SLIPS) {
                lookalikes.push(format!(
                    "{name} is not a variable of this program and has no effect: did you mean {nearest}?"
                ));
            }
            continue;
        }
        match value.to_str() {
            Some("") => {}
            Some(value) => {
                known.insert(name.to_owned(), value.to_owned());
            }
            None => errors.add(name, "is not UTF-8: write plain text"),
        }
    }
    (known, lookalikes)
}

/// Kubernetes describes every service of a namespace in variables of its own; one may be called `batchdata-proxy`.
fn is_service_link(name: &str) -> bool {
    let rest = name.strip_prefix(BATCHDATA).or_else(|| name.strip_prefix(RIGHTFOOT)).unwrap_or(name);
    let link = format!("_{rest}");
    if link.ends_with("_SERVICE_HOST") || link.ends_with("_PORT") || link.contains("_SERVICE_PORT") {
        return true;
    }
    // _PORT_443_TCP, _PORT_443_TCP_ADDR and the like
    link.split("_PORT_").nth(1).is_some_and(|tail| tail.bytes().next().is_some_and(|byte| byte.is_ascii_digit()))
}

/// Fills a flat struct of strings. It cannot fail on strings; if it does, the name of the section says where.
fn section<T: serde::de::DeserializeOwned + Default>(
    known: &BTreeMap<String, String>,
    prefix: &str,
    errors: &mut ConfigErrors,
) -> T {
    let pairs = known.clone();
    envy::prefixed(prefix).from_iter(pairs).unwrap_or_else(|_| {
        errors.add(format!("{prefix}*"), "cannot be read");
        T::default()
    })
}

/// A vendor's variable without its secret would be ignored silently.
fn orphans(known: &BTreeMap<String, String>, prefix: &str, secret: &str, errors: &mut ConfigErrors) {
    if known.contains_key(secret) || known.contains_key(&format!("{secret}_FILE")) {
        return;
    }
    for name in known.keys().filter(|name| name.starts_with(prefix)) {
        errors.add(name.as_str(), format!("has no effect without {secret} or {secret}_FILE: set one, or unset it"));
    }
}
