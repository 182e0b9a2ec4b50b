//! What `check` says: the faults that `serve` would find in one step after the other, at once.
//!
//! Flows in: flags and variables, the files that they name, the storage. Flows out: a configuration and warnings, or all
//! faults. Invariant: nothing is written.

use std::ffi::OsString;

use super::Dependencies;
use crate::config::{Config, Draft, Faults, Flags};
use crate::http::Web;
use crate::names::Source;
use crate::store::{OpenError, configured_since};

/// Checks the configuration, the web configuration, and the base lines against those of the storage.
///
/// # Errors
/// All faults together.
pub fn check(
    flags: &Flags,
    environment: Vec<(OsString, OsString)>,
    around: &Dependencies,
) -> Result<(Config, Vec<String>), Faults> {
    let mut draft = Draft::read(flags, environment, around.clock.now());
    let mut warnings = Vec::new();
    if let Err(fault) = Web::load(draft.process.web_config.as_deref()) {
        let name = if flags.web_config_file.is_some() { "--web.config.file" } else { "WEB_CONFIG_FILE" };
        draft.faults.add(name, fault.to_string());
    }
    if let Some(directory) = &draft.process.storage {
        match configured_since(directory) {
            Ok(stored) => {
                for source in stored.iter().filter(|stored| stored.source != Source::Balance.as_str()) {
                    let line = draft
                        .base_lines
                        .iter()
                        .find(|line| line.vendor.as_str() == source.vendor && line.account == source.account);
                    if let Some(line) = line {
                        draft.faults.check_since(line.variable, Some(&line.since), Some(source.configured.as_deref()));
                    }
                }
            }
            Err(fault @ (OpenError::Foreign(_) | OpenError::Newer { .. })) => {
                let text = fault.to_string();
                draft.faults.add("--storage.path", text.trim_start_matches("--storage.path: "));
            }
            // Another user may check than the one who serves.
            Err(fault) => {
                warnings.push(format!("the storage cannot be read, so no *_COUNT_SINCE was compared with it: {fault}"))
            }
        }
    }
    let config = draft.finish()?;
    warnings.extend(config.warnings());
    Ok((config, warnings))
}
