//! The accounts file as others see it: written from the environment, and described for editors.
//!
//! Flows in: variables. Flows out: YAML that means the same, a JSON schema. Invariant: no secret is written.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::INTEGRATIONS;
use crate::config::{ConfigErrors, ItemField, Variables, values};

/// The accounts file that means the same as these variables.
///
/// # Errors
/// If a secret is in a variable and not in a file, so that it cannot be named.
pub fn accounts_file(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<String, ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let vendors = INTEGRATIONS.map(|vendor| (vendor.prefix, vendor.variables));
    let variables = Variables::read(environment, &vendors, &mut errors);
    let (mut text, mut process_wide) = ("accounts:\n".to_owned(), String::new());
    let (mut secrets, mut others) = (Vec::new(), Vec::new());
    for vendor in &INTEGRATIONS {
        let set: Vec<(&str, &str)> = variables.with_prefix(vendor.prefix).collect();
        if set.is_empty() {
            continue;
        }
        let account = format!("{}ACCOUNT", vendor.prefix);
        let name = set.iter().find(|(name, _)| *name == account).map_or("default", |(_, value)| value);
        let _ = writeln!(text, "  - account: {}\n    vendor: {}", json!(name), vendor.vendor.name);
        for (variable, value) in set {
            let field = variable.strip_prefix(vendor.prefix).unwrap_or(variable).to_ascii_lowercase();
            if vendor.secrets.contains(&variable) {
                errors.add(variable, format!("is not in a file: write it into one and name that with {variable}_FILE"));
            } else if field == "base_url" {
                let _ = writeln!(process_wide, "# Applies to the whole process, as a variable: {variable}={value}");
            } else if variable != account {
                let file = variable.ends_with("_FILE").then(|| absolute(value));
                let secret = vendor.secrets.iter().any(|secret| variable.strip_suffix("_FILE") == Some(*secret));
                match &file {
                    Some(file) if secret => secrets.push(file.clone()),
                    Some(file) => others.push(file.clone()),
                    None => {}
                }
                let value = file.as_ref().map_or_else(|| value.into(), |file| file.to_string_lossy());
                let _ = writeln!(text, "    {field}: {}", json!(value));
            }
        }
    }
    if text.ends_with("accounts:\n") {
        errors.add(
            INTEGRATIONS.map(|vendor| vendor.vendor.secret_variable).join(", "),
            "set the _FILE of at least one of them: there is nothing to write",
        );
    }
    if errors.is_empty() { Ok(process_wide + &directories(&secrets, &others) + &text) } else { Err(errors) }
}

/// A path that means the same in any directory. What only a shell expands stays as it is, and is refused where it is read.
fn absolute(path: &str) -> PathBuf {
    values::path(path).ok().and_then(|path| std::path::absolute(path).ok()).unwrap_or_else(|| path.into())
}

/// The directory of a file, after links are followed where there is one.
fn directory(file: &Path) -> PathBuf {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    file.parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// The directory that has both below it.
fn common(one: &Path, other: &Path) -> PathBuf {
    one.components().zip(other.components()).take_while(|(one, other)| one == other).map(|(one, _)| one).collect()
}

/// Comments that say where files have to be.
fn directories(secrets: &[PathBuf], others: &[PathBuf]) -> String {
    let places: BTreeSet<PathBuf> = secrets.iter().map(|file| directory(file)).collect();
    let Some(needed) = places.iter().cloned().reduce(|one, other| common(&one, &other)) else { return String::new() };
    let mut text = String::new();
    if places.len() > 1 {
        let list: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        let _ = writeln!(text, "# The secrets lie in {} directories: {}", places.len(), list.join(", "));
        let _ = writeln!(
            text,
            "# One directory has to hold them all. Better than a wide one: move them into one of their own."
        );
    }
    if needed.parent().is_none() {
        let _ = writeln!(text, "# Here, no directory but / holds all of them: move them first.");
        return text;
    }
    let _ =
        writeln!(text, "# Needs the flag, unless this file lies there, too: --secrets.directory={}", needed.display());
    for file in others.iter().filter(|file| !directory(file).starts_with(&needed)) {
        let _ = writeln!(text, "# Has to lie in that directory or beside this file: {}", file.display());
    }
    text
}

/// The schema of a mapping in a list.
fn mapping(items: &[ItemField]) -> Value {
    let properties = items.iter().map(|item| {
        let schema = match item.one_of {
            [] => json!({ "type": ["string", "number"], "description": item.meaning }),
            values => json!({ "enum": values, "description": item.meaning }),
        };
        (item.name.to_owned(), schema)
    });
    let properties: Map<String, Value> = properties.collect();
    let required: Vec<&str> = items.iter().filter(|item| item.required).map(|item| item.name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// A JSON schema of the accounts file, for editors.
#[must_use]
pub fn accounts_schema() -> Value {
    let value = json!({ "type": ["string", "number", "boolean", "array"] });
    let (mut defaults, mut accounts) = (Map::new(), Vec::new());
    for vendor in &INTEGRATIONS {
        let (mut common, mut own) = (Map::new(), Map::new());
        for variable in vendor.variables {
            let field = variable.name.strip_prefix(vendor.prefix).unwrap_or(variable.name).to_ascii_lowercase();
            if vendor.secrets.contains(&variable.name) || matches!(field.as_str(), "account" | "base_url") {
                continue;
            }
            let mut schema = value.clone();
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("description".to_owned(), json!(variable.meaning.replace('`', "")));
                if !variable.default.is_empty() {
                    schema.insert("default".to_owned(), json!(variable.default));
                }
            }
            if !vendor.secrets.iter().any(|secret| variable.name.strip_suffix("_FILE") == Some(secret)) {
                common.insert(field.clone(), schema.clone());
            }
            own.insert(field, schema);
        }
        for list in vendor.lists {
            let variable = list.variable;
            let field = variable.name.strip_prefix(vendor.prefix).unwrap_or(variable.name).to_ascii_lowercase();
            let description = variable.meaning.replace('`', "");
            let schema = json!({ "type": "array", "items": mapping(list.items), "description": description });
            common.insert(field.clone(), schema.clone());
            own.insert(field, schema);
        }
        let name = vendor.vendor.name;
        defaults
            .insert(name.to_owned(), json!({ "type": "object", "properties": common, "additionalProperties": false }));
        own.insert("account".to_owned(), json!({ "type": "string", "pattern": "^[a-z0-9_-]{1,64}$" }));
        own.insert("vendor".to_owned(), json!({ "const": name }));
        let labels = json!({ "type": "object", "additionalProperties": { "type": "string", "maxLength": 128 } });
        own.insert("labels".to_owned(), labels);
        accounts.push(json!({
            "type": "object",
            "title": vendor.vendor.title,
            "properties": own,
            "required": ["account", "vendor", vendor.vendor.secret_field()],
            "additionalProperties": false,
        }));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Accounts of wallet-exporter",
        "type": "object",
        "properties": {
            "defaults": { "type": "object", "properties": defaults, "additionalProperties": false },
            "accounts": { "type": "array", "items": { "oneOf": accounts } },
        },
        "additionalProperties": false,
    })
}
