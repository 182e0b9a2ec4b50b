//! Everything that is wrong with a configuration, collected.
//!
//! Flows in: one finding at a time. Flows out: all of them at once. Invariant: a finding names the variable or flag and
//! what to write instead. It repeats a refused value only if that cannot be a secret: see [`quoted`].

use std::fmt;
use std::path::Path;

use crate::printable::printable;

/// The errors of a configuration, at least one, and what deserves a word beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors {
    found: Vec<(String, String)>,
    warnings: Vec<String>,
}

impl ConfigErrors {
    /// Notes that `name` has to be changed, and how.
    pub fn add(&mut self, name: impl Into<String>, remedy: impl Into<String>) {
        let (name, remedy) = (name.into(), remedy.into());
        self.found.push((printable(&name).into_owned(), printable(&remedy).into_owned()));
    }

    /// Takes over all that another list has.
    pub fn extend(&mut self, other: ConfigErrors) {
        self.found.extend(other.found);
        self.warnings.extend(other.warnings);
    }

    /// Notes what is no error, and may be the cause of one.
    pub fn warn(&mut self, warnings: impl IntoIterator<Item = String>) {
        self.warnings.extend(warnings.into_iter().map(|text| printable(&text).into_owned()));
    }

    /// Compares a `*_COUNT_SINCE` with the one that a source of the storage has counted from, if it has succeeded before:
    /// a base line that moved would make its counters lie.
    pub fn check_since(&mut self, name: &str, configured: Option<&str>, stored: Option<Option<&str>>) {
        let (Some(configured), Some(kept)) = (configured, stored) else { return };
        if kept == Some(configured) || self.names().any(|found| found == name) {
            return;
        }
        let kept = match kept {
            Some(kept) => format!("set it back to {kept}, or unset it"),
            None => "unset it".to_owned(),
        };
        let remedy = format!(
            "the storage has a different count start: {kept}; to count again from the start, use a new --storage.path"
        );
        self.add(name, remedy);
    }

    /// What was found: what has to be changed, and how.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.found.iter().map(|(name, remedy)| (name.as_str(), remedy.as_str()))
    }

    /// Says whose account the errors after the first `from` are about.
    pub fn name_account(&mut self, from: usize, account: &str) {
        for (name, _) in self.found.iter_mut().skip(from) {
            *name = format!("{name} (account {account})");
        }
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The variables and flags that were named, in the order in which they were found.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.found.iter().map(|(name, _)| name.as_str())
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.found.len();
        write!(formatter, "the configuration has {count} error{}:", if count == 1 { "" } else { "s" })?;
        for (name, remedy) in &self.found {
            write!(formatter, "\n  {name}: {remedy}")?;
        }
        for warning in &self.warnings {
            write!(formatter, "\nwarning: {warning}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Shorter than the vendors' credentials and than a webhook's secret.
const SHORT: usize = 24;

/// Longer than any address that is configured here.
const LONGEST_URL: usize = 100;

/// A value that begins so may be a key, however short it is.
const KEY_PREFIX: &str = "rf_";

/// A refused value in quotes. `None` if it may be a secret that was put into the wrong variable: if it is long, unless it
/// is a URL without credentials, or if it begins as keys do.
pub(super) fn quoted(value: &str) -> Option<String> {
    let is_plain_url = value.contains("://") && !value.contains(['@', '?', '#']) && value.len() <= LONGEST_URL;
    let may_be_secret = value.starts_with(KEY_PREFIX) || value.len() > SHORT && !is_plain_url;
    (!may_be_secret).then(|| format!("{value:?}"))
}

/// Whether the part of a path that does not exist can be shown: no name in it may be a secret, and where all of it is long,
/// as one with slashes is, it is written in lower case.
pub(super) fn is_path(missing: &Path) -> bool {
    let missing = missing.to_string_lossy();
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/');
    missing.split('/').all(|name| quoted(name).is_some() && !name.contains(' '))
        && (missing.len() <= SHORT || missing.bytes().all(plain))
}

/// What to say of a refused value.
pub(crate) fn refused(value: &str, remedy: &str) -> String {
    match quoted(value) {
        Some(value) => format!("{value} is not valid: {remedy}"),
        None => remedy.to_owned(),
    }
}
