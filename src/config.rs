//! Configuration: the process's own settings, and what the vendors' sections are read with.
//!
//! Flows in: flags and the environment, as text. Flows out: checked values, or every error at once.
//! Invariant: only this module reads the environment, and no message holds a secret. This is the only home of envy, which
//! merely fills flat structs of strings: the module that knows their meaning checks them.

pub mod accounts;
mod errors;
pub(crate) mod file;
pub(crate) mod paths;
mod process;
mod proxy;
pub mod secret;
pub mod section;
mod shard;
pub mod values;
mod variables;

use std::collections::BTreeMap;
use std::ffi::OsString;

pub use errors::ConfigErrors;
pub(crate) use errors::refused;
pub use file::FileError;
pub(crate) use process::is_telemetry_path;
pub use process::{Flags, LogFormat, Process};
pub use shard::Shard;
pub use variables::{ItemField, ListField, VARIABLES, Variable, default_of, variable};

use crate::names::{Source, Vendor};

/// How the error about a variable begins whose secret is missing.
const WITHOUT_SECRET: &str = "has no effect without";

/// From when on an account's counters are to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountSince {
    /// The variable that says so.
    pub variable: &'static str,
    /// Whose.
    pub vendor: Vendor,
    /// The label `account`.
    pub account: String,
    /// The sources that it holds for.
    pub sources: &'static [Source],
    /// What it says, as the storage keeps it.
    pub since: String,
    /// What to say, where nothing has been counted yet, if it is earlier than what the vendor keeps.
    pub out_of_reach: Option<String>,
}

/// The environment as it is.
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
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Process, ConfigErrors> {
        Process::load_with_warnings(flags, environment).map(|(process, _)| process)
    }

    /// The same, and what to say of variables whose names only resemble ours.
    ///
    /// # Errors
    /// All errors together, with the warnings.
    pub fn load_with_warnings(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Process, Vec<String>), ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let variables = Variables::read(environment, &[], &mut errors);
        let process = Process::read(flags, &variables, &mut errors);
        if errors.is_empty() {
            return Ok((process, variables.lookalikes));
        }
        errors.warn(variables.lookalikes);
        Err(errors)
    }

    /// Checks the process's own settings.
    #[must_use]
    pub fn read(flags: &Flags, variables: &Variables, errors: &mut ConfigErrors) -> Process {
        process::check(flags, variables.section("", errors), errors)
    }
}

/// The variables of the environment that are ours and not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    known: BTreeMap<String, String>,
    /// What to say of names that are not ours and look as if they were meant to be.
    lookalikes: Vec<String>,
}

/// So many slips of the pen make a name that resembles ours.
const SLIPS: usize = 2;

impl Variables {
    /// Keeps what is ours: the process's variables and those of the vendors, by prefix. A name that has a vendor's prefix
    /// and is none of its variables is an error; another that only resembles ours may be another program's, so it is a
    /// warning.
    pub fn read(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        vendors: &[(&str, &[Variable])],
        errors: &mut ConfigErrors,
    ) -> Variables {
        let (mut known, mut lookalikes) = (BTreeMap::new(), Vec::new());
        for (name, value) in environment {
            let Some(name) = name.to_str() else { continue };
            if proxy::VARIABLES.iter().any(|known| name.eq_ignore_ascii_case(known)) {
                if let Err(remedy) = proxy::check(&value) {
                    errors.add(name, remedy);
                }
                continue;
            }
            let all = || VARIABLES.iter().chain(vendors.iter().flat_map(|(_, variables)| *variables));
            if !all().any(|variable| variable.name == name) {
                let nearest = |most| variables::nearest(name, most, all().map(|variable| variable.name));
                match vendors.iter().find_map(|(prefix, _)| name.strip_prefix(prefix)) {
                    Some(rest) if is_service_link(rest) => {}
                    Some(_) => {
                        // Longer names leave room for more.
                        let remedy = match nearest(name.len() / 3) {
                            Some(nearest) => format!("is not a variable of this program: did you mean {nearest}?"),
                            None => {
                                "is not a variable of this program: see --help for their names, or unset it".to_owned()
                            }
                        };
                        errors.add(name, remedy);
                    }
                    None => lookalikes.extend(nearest(SLIPS).map(|nearest| {
                        format!("{name} is not a variable of this program and has no effect: did you mean {nearest}?")
                    })),
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
        Variables { known, lookalikes }
    }

    /// What to say of names that only resemble ours.
    #[must_use]
    pub fn lookalikes(&self) -> &[String] {
        &self.lookalikes
    }

    /// Sets a variable.
    pub fn set(&mut self, name: String, value: String) {
        self.known.insert(name, value);
    }

    /// The names that begin with `prefix`.
    pub fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        let variables = self.known.iter().filter(move |(name, _)| name.starts_with(prefix));
        variables.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Fills a flat struct of strings. It cannot fail on strings; if it does, the name of the section says where.
    pub fn section<T: serde::de::DeserializeOwned + Default>(&self, prefix: &str, errors: &mut ConfigErrors) -> T {
        envy::prefixed(prefix).from_iter(self.known.clone()).unwrap_or_else(|_| {
            errors.add(format!("{prefix}*"), "cannot be read");
            T::default()
        })
    }

    /// Finds variables of a section whose secret is missing: they would be ignored silently.
    pub fn refuse_without(&self, secret: &str, prefix: &str, errors: &mut ConfigErrors) {
        if self.known.contains_key(secret) || self.known.contains_key(&format!("{secret}_FILE")) {
            return;
        }
        for name in self.known.keys().filter(|name| name.starts_with(prefix)) {
            let remedy = format!("{WITHOUT_SECRET} {secret} or {secret}_FILE: set one, or unset it");
            errors.add(name.as_str(), remedy);
        }
    }
}

/// Kubernetes describes every service of a namespace in variables of its own, and one may be called like a vendor's
/// proxy. `rest` is the name without the vendor's prefix.
fn is_service_link(rest: &str) -> bool {
    let link = format!("_{rest}");
    if link.ends_with("_SERVICE_HOST") || link.ends_with("_PORT") || link.contains("_SERVICE_PORT") {
        return true;
    }
    // _PORT_443_TCP, _PORT_443_TCP_ADDR and the like
    link.split("_PORT_").nth(1).is_some_and(|tail| tail.bytes().next().is_some_and(|byte| byte.is_ascii_digit()))
}
