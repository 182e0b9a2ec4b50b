//! What the vendors' sections share: secrets, values with defaults, and the name in every error.
//!
//! Flows in: a section's raw variables. Flows out: checked values; errors are collected. Invariant: each value is read
//! through one of these, so no error can forget its variable's name.

use secrecy::SecretString;

use super::errors::{ConfigErrors, refused};
use super::secret::{Rule, Secret, SecretError, copied_too_much, is_sendable};
use super::values;
use super::variables::{Variable, default_of};

/// Reads `X` or `X_FILE`.
pub fn secret(
    name: &str,
    value: Option<String>,
    file: Option<String>,
    errors: &mut ConfigErrors,
    rule: Rule,
) -> Option<Secret> {
    match (value, file) {
        (None, None) => None,
        (Some(_), Some(_)) => {
            errors.add(name, format!("set {name} or {name}_FILE, not both"));
            None
        }
        (Some(value), None) => {
            let line = value.strip_suffix('\n').unwrap_or(&value);
            let line = line.strip_suffix('\r').unwrap_or(line);
            let sendable = || match is_sendable(line) {
                true => Ok(()),
                false => Err("write one line of printable ASCII without spaces"),
            };
            let fits = copied_too_much(line).map_or(Ok(()), Err).and_then(|()| sendable()).and_then(|()| rule(line));
            if let Err(remedy) = fits {
                errors.add(name, remedy);
                return None;
            }
            Some(Secret::fixed(SecretString::from(line.to_owned())))
        }
        (None, Some(file)) => {
            let secret = values::path(&file).and_then(|file| {
                Secret::from_file(&file, rule).map_err(|error| match error {
                    SecretError::Unfit { .. } => error.to_string(),
                    _ => format!("{error}: name a readable file that contains only the secret"),
                })
            });
            secret.map_err(|remedy| errors.add(format!("{name}_FILE"), remedy)).ok()
        }
    }
}

/// Reads a value that has a default.
pub fn value<T>(
    variables: &[Variable],
    name: &str,
    text: Option<String>,
    errors: &mut ConfigErrors,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let text = text.as_deref().unwrap_or(default_of(variables, name));
    read(text).map_err(|remedy| errors.add(name, refused(text, &remedy))).ok()
}

/// Reads a value that may be absent.
pub fn optional<T>(
    name: &str,
    text: Option<String>,
    errors: &mut ConfigErrors,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    value(&[], name, Some(text?), errors, read)
}
