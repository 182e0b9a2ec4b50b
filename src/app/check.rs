//! What `check` says: the errors that `serve` would find in one step after the other, at once.
//!
//! Flows in: flags and variables, the files that they name, the storage, the ports. Flows out: a configuration and
//! warnings, or all errors with the warnings. Invariant: nothing is written, and a port and the storage's lock are given back
//! at once.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;

use super::config::out_of_reach;
use super::{Config, Dependencies, Draft, SCHEMA};
use crate::config::{ConfigErrors, CountSince, Flags, Process};
use crate::healthcheck;
use crate::http::{Web, bind};
use crate::store::{OpenError, StoredSince, configured_since, elsewhere, has_file, unused, writable};

/// Who has to be changed: the flag if it was given, else its variable.
fn named(flag: &Option<String>, name: &str) -> String {
    if flag.is_some() { format!("--{name}") } else { name.to_uppercase().replace(['.', '-'], "_") }
}

/// Checks the configuration, the web configuration, the addresses, and the storage: whether it can be written and is free,
/// its base lines, and whether it serves the accounts.
///
/// # Errors
/// All errors together.
pub async fn check(
    flags: &Flags,
    environment: Vec<(OsString, OsString)>,
    dependencies: &Dependencies,
) -> Result<(Config, Vec<String>), ConfigErrors> {
    let mut draft = Draft::read(flags, environment, dependencies.clock.now());
    let mut warnings = Vec::new();
    for (file, load, flag, name) in [
        (&draft.process.web_config, Web::load as fn(_) -> _, &flags.web_config_file, "web.config.file"),
        (&draft.process.webhook_config, Web::load_for_webhook, &flags.webhook_config_file, "webhook.config.file"),
    ] {
        match load(file.as_deref()) {
            Ok(web) => warnings.extend(web.warnings()),
            Err(error) => error.each().for_each(|error| draft.errors.add(named(flag, name), error)),
        }
    }
    addresses(flags, &mut draft, &mut warnings).await;
    let stored = match draft.process.storage.clone() {
        Some(directory) => {
            usable(&directory, &mut draft, &mut warnings);
            contents(&directory, &mut draft, &mut warnings)
        }
        None => Some(Vec::new()),
    };
    if let Some(stored) = stored {
        let new = draft.base_lines.iter().filter(|line| !stored.iter().any(|source| is_of(source, line)));
        warnings.extend(new.filter_map(|line| out_of_reach(line, draft.process.config_file.is_some())));
    }
    match draft.finish() {
        Ok(config) => {
            warnings.extend(config.warnings());
            Ok((config, warnings))
        }
        Err(mut errors) => {
            errors.warn(warnings);
            Err(errors)
        }
    }
}

/// Whether the exporter that these settings are for runs already.
fn runs(process: &Process) -> bool {
    process.storage.as_deref().is_some_and(|directory| unused(directory).is_err()) && healthcheck::ask(process).is_ok()
}

/// What is wrong with the storage, without the flag that every such error begins with.
fn words(error: &OpenError) -> String {
    error.to_string().trim_start_matches("--storage.path: ").to_owned()
}

/// Whether the storage can be written, and whether another exporter has it.
fn usable(directory: &Path, draft: &mut Draft, warnings: &mut Vec<String>) {
    if let Err(error) = writable(directory) {
        let text = words(&error);
        match has_file(directory) {
            // The exporter starts with what it can read, and writes once it can.
            true => warnings.push(format!("--storage.path: {text}; until then counters do not increase")),
            false => draft.errors.add("--storage.path", text),
        }
    }
    if let Err(error) = unused(directory) {
        // The usual case: the configuration is checked beside the exporter that it is for.
        if healthcheck::ask(&draft.process).is_ok() {
            let directory = directory.display();
            warnings.push(format!("--storage.path: {directory} is in use, and an exporter runs here already"));
        } else {
            draft.errors.add("--storage.path", words(&error));
        }
    }
}

/// Whether what is in the storage goes with the configuration. Returns from when on its sources count, if it can be read.
fn contents(directory: &Path, draft: &mut Draft, warnings: &mut Vec<String>) -> Option<Vec<StoredSince>> {
    let read = || -> Result<_, OpenError> {
        Ok((configured_since(directory, SCHEMA)?, elsewhere(directory, SCHEMA, draft.accounts())?))
    };
    match read() {
        Ok((stored, refusals)) => {
            stored.iter().for_each(|source| base_line(source, draft));
            refusals.into_iter().for_each(|refusal| draft.errors.add("--storage.path", refusal));
            return Some(stored);
        }
        Err(error) if error.is_refusal() => draft.errors.add("--storage.path", words(&error)),
        // Another user may check than the one who serves.
        Err(error) => {
            warnings.push(format!("the storage cannot be read, so no *_COUNT_SINCE was compared with it: {error}"));
        }
    }
    None
}

/// Whether a base line holds for a source.
fn is_of(source: &StoredSince, line: &CountSince) -> bool {
    line.account == source.account
        && line.vendor.name == source.vendor
        && line.sources.iter().any(|counted| counted.name == source.source)
}

/// Compares a base line with the one that its source counts from.
fn base_line(source: &StoredSince, draft: &mut Draft) {
    if let Some(line) = draft.base_lines.iter().find(|line| is_of(source, line)) {
        let errors = draft.errors.iter().count();
        draft.errors.check_since(line.variable, Some(&line.since), Some(source.configured.as_deref()));
        if draft.process.config_file.is_some() {
            draft.errors.name_account(errors, &line.account);
        }
    }
}

/// Tries the addresses that `serve` would listen on. One that is held by the exporter that this configuration is for, which
/// has the storage, is a warning.
async fn addresses(flags: &Flags, draft: &mut Draft, warnings: &mut Vec<String>) {
    let process = draft.process.clone();
    let mut addresses = vec![(named(&flags.web_listen_address, "web.listen-address"), &process.listen)];
    if draft.opens_webhook() {
        addresses.push((named(&flags.webhook_listen_address, "webhook.listen-address"), &process.webhook_listen));
    }
    // Kept until the end: the two must not be the same.
    let mut listening = Vec::new();
    for (name, address) in addresses {
        if draft.errors.names().any(|found| found == name) {
            continue;
        }
        match bind(address).await {
            Ok(listener) => listening.push(listener),
            Err(error) if error.source.kind() == ErrorKind::AddrInUse && runs(&process) => {
                warnings.push(format!("{name}: {address} is in use, and an exporter runs here already"));
            }
            Err(error) => {
                let remedy = match error.source.kind() {
                    ErrorKind::AddrInUse => "another program listens there: stop it, or choose another port",
                    ErrorKind::AddrNotAvailable => "this machine has no such address: use 127.0.0.1 or one of its own",
                    _ => "choose another address",
                };
                draft.errors.add(name, format!("{error}; {remedy}"));
            }
        }
    }
}
