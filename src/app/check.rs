//! What `check` says: the errors that `serve` would find in one step after the other, at once.
//!
//! Flows in: flags and variables, the files that they name, the storage. Flows out: a configuration and warnings, or all
//! errors. Invariant: nothing is written.

use std::ffi::OsString;

use super::{Config, Dependencies, Draft, SCHEMA};
use crate::config::{ConfigErrors, Flags};
use crate::http::Web;
use crate::store::{OpenError, configured_since};

/// Checks the configuration, the web configuration, and the base lines against those of the storage.
///
/// # Errors
/// All errors together.
pub fn check(
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
            Err(error) if flag.is_some() => draft.errors.add(format!("--{name}"), error.to_string()),
            Err(error) => draft.errors.add(name.to_uppercase().replace('.', "_"), error.to_string()),
        }
    }
    if let Some(directory) = &draft.process.storage {
        match configured_since(directory, SCHEMA) {
            Ok(stored) => {
                for source in &stored {
                    let line = draft.base_lines.iter().find(|line| {
                        line.account == source.account
                            && line.vendor.name == source.vendor
                            && line.sources.iter().any(|counted| counted.name == source.source)
                    });
                    if let Some(line) = line {
                        let errors = draft.errors.iter().count();
                        draft.errors.check_since(line.variable, Some(&line.since), Some(source.configured.as_deref()));
                        if draft.process.config_file.is_some() {
                            draft.errors.name_account(errors, &line.account);
                        }
                    }
                }
            }
            Err(
                error @ (OpenError::Foreign(_)
                | OpenError::Newer { .. }
                | OpenError::Link(_)
                | OpenError::Planted { .. }),
            ) => {
                let text = error.to_string();
                draft.errors.add("--storage.path", text.trim_start_matches("--storage.path: "));
            }
            // Another user may check than the one who serves.
            Err(error) => {
                warnings.push(format!("the storage cannot be read, so no *_COUNT_SINCE was compared with it: {error}"))
            }
        }
    }
    let config = draft.finish()?;
    warnings.extend(config.warnings());
    Ok((config, warnings))
}
