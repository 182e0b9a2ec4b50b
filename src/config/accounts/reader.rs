//! From fields to the variables that mean the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::syntax::{Account, AccountsFile, Field, FieldAt, FieldMap, shown};
use super::{AccountEntry, DEFAULTS, FilePlace, KnownFields, LARGEST_KIB, Listed};
use crate::config::{ConfigErrors, Variables, file};

/// Labels that an account may have.
const MOST_LABELS: usize = 20;
/// Labels that Prometheus and its operator attach.
const ATTACHED: [&str; 8] = ["job", "instance", "namespace", "service", "pod", "container", "endpoint", "node"];

pub(super) struct AccountsReader<'a> {
    pub(super) known: KnownFields<'a>,
    pub(super) secrets_directory: Option<&'a Path>,
    pub(super) errors: &'a mut ConfigErrors,
    pub(super) listed: Listed,
    /// Of all files of a directory: by vendor, where they stand and what they say.
    pub(super) defaults: BTreeMap<String, (PathBuf, FieldMap)>,
}

impl AccountsReader<'_> {
    /// `name` is what an error is about if the file cannot be read.
    fn load(&mut self, path: &Path, name: &str) -> Option<AccountsFile> {
        match file::read(path, LARGEST_KIB) {
            Ok(bytes) => self.parse(path, bytes, name),
            Err(error) => {
                self.errors.add(name, error.to_string());
                None
            }
        }
    }

    /// `name` is what an error is about if it is no text.
    pub(super) fn parse(&mut self, path: &Path, bytes: Vec<u8>, name: &str) -> Option<AccountsFile> {
        let Ok(text) = String::from_utf8(bytes) else {
            self.errors.add(name, format!("{} is not UTF-8: write plain text", path.display()));
            return None;
        };
        // An empty file has no accounts.
        if text.lines().all(|line| matches!(line.trim_start().bytes().next(), None | Some(b'#'))) {
            return Some(AccountsFile::default());
        }
        let at = |line: u64| format!("{}:{line}", path.display());
        match AccountsFile::read(&text) {
            Ok(file) => {
                // Who is in it cannot be told for certain.
                self.listed.complete &= file.errors.is_empty();
                file.errors.iter().for_each(|error| self.errors.add(at(error.line), error.words.as_str()));
                Some(file)
            }
            Err(error) => {
                self.errors.add(at(error.line), error.words);
                None
            }
        }
    }

    pub(super) fn take_directory(&mut self, directory: &Path, files: &[PathBuf]) {
        self.take_defaults(directory);
        for path in files {
            match self.load(path, &format!("{}:1", path.display())) {
                Some(file) => self.take(path, file),
                None => self.listed.complete = false,
            }
        }
    }

    fn take_defaults(&mut self, directory: &Path) {
        // A link whose target is away is there: without defaults, every account would be another one.
        let absent = |path: &PathBuf| {
            std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        };
        let there: Vec<PathBuf> =
            DEFAULTS.iter().map(|name| directory.join(name)).filter(|path| !absent(path)).collect();
        let [defaults] = there.as_slice() else {
            if !there.is_empty() {
                self.errors.add("--config.file", format!("{} are both there: keep one", DEFAULTS.join(" and ")));
            }
            return;
        };
        let Some(file) = self.load(defaults, "--config.file") else { return };
        if !file.accounts.is_empty() {
            self.errors.add(defaults.display().to_string(), "has accounts: write them into a file of another name");
        }
        self.check_defaults(defaults, &file.defaults);
        self.defaults =
            file.defaults.into_iter().map(|(vendor, fields)| (vendor, (defaults.clone(), fields))).collect();
    }

    /// Defaults may be any field but the name and secrets.
    fn check_defaults(&mut self, path: &Path, defaults: &BTreeMap<String, FieldMap>) {
        for (vendor, fields) in defaults {
            let Some(known) = self.known.vendors.iter().find(|known| known.name == vendor) else {
                let remedy = format!("is not a vendor: write {}", self.names());
                self.errors.add(format!("{}: defaults.{}", path.display(), shown(vendor)), remedy);
                continue;
            };
            for (name, field) in fields {
                let variable = format!("{}{}", known.prefix, name.to_ascii_uppercase());
                let secret = known.secrets.iter().any(|secret| variable.starts_with(secret));
                let remedy = match known.may_be_default(&variable) {
                    true => continue,
                    false if variable == known.base_url() => {
                        format!("applies to the whole process: set the variable {variable} instead")
                    }
                    false if secret || name == "account" => {
                        "belongs to an account: it cannot have a default".to_owned()
                    }
                    false => known.unknown(&variable),
                };
                let at = format!("{}:{}: defaults.{vendor}.{}", path.display(), field.line, shown(name));
                self.errors.add(at, remedy);
            }
        }
    }

    fn names(&self) -> String {
        self.known.vendors.iter().map(|vendor| vendor.name).collect::<Vec<_>>().join(" or ")
    }

    pub(super) fn take(&mut self, path: &Path, file: AccountsFile) {
        self.check_defaults(path, &file.defaults);
        for account in file.accounts {
            let place = FilePlace { file: path.to_owned(), line: account.line };
            self.account(&file.defaults, account, place);
        }
    }

    fn account(&mut self, defaults: &BTreeMap<String, FieldMap>, account: Account, place: FilePlace) {
        let Account { mut fields, twice, .. } = account;
        let mut text = |name: &str| match fields.remove(name) {
            Some(FieldAt { value: Field::Text(text), .. }) => Ok(text),
            Some(FieldAt { value: Field::Number(_), .. }) => Err("write it in quotes"),
            _ => Err("is missing: write a text"),
        };
        let (vendor, name) = (text("vendor"), text("account"));
        let names = self.names();
        let vendor = match vendor {
            Ok(vendor) => {
                let known = self.known.vendors.iter().find(|known| known.name == vendor).copied();
                known.ok_or_else(|| format!("{} is not a vendor: write {names}", shown(&vendor)))
            }
            Err(_) => Err(format!("write {names}")),
        };
        let vendor = vendor.map_err(|remedy| self.errors.add(format!("{place}: vendor"), remedy));
        let name = name.map_err(|remedy| self.errors.add(format!("{place}: account"), remedy));
        let (Ok(vendor), Ok(name)) = (vendor, name) else {
            self.listed.complete = false;
            return;
        };
        let labels = fields.remove("labels");
        let directory = place.directory().to_owned();
        let mut entry = AccountEntry {
            vendor,
            name: name.clone(),
            variables: Variables::default(),
            labels: BTreeMap::new(),
            place,
            places: BTreeMap::new(),
        };
        entry.variables.set(format!("{}ACCOUNT", vendor.prefix), name);
        // What the account says itself comes last, and wins.
        let of_all = self.defaults.get(vendor.name).map(|(file, fields)| (file.clone(), fields.clone()));
        let of_file = defaults.get(vendor.name).map(|fields| (entry.place.file.clone(), fields.clone()));
        for (file, fields) in of_all.into_iter().chain(of_file) {
            for (name, field) in fields {
                let variable = format!("{}{}", vendor.prefix, name.to_ascii_uppercase());
                // What cannot be a default was reported where it stands.
                if vendor.may_be_default(&variable) {
                    let place = FilePlace { file: file.clone(), line: field.line };
                    self.field(&mut entry, &directory, (name, field.value), place);
                }
            }
        }
        for (name, field) in fields {
            let place = FilePlace { line: field.line, ..entry.place.clone() };
            self.field(&mut entry, &directory, (name, field.value), place);
        }
        if let Some(labels) = labels {
            let place = FilePlace { line: labels.line, ..entry.place.clone() };
            entry.labels = self.labels(labels.value, &entry.at(&place, "labels"));
        }
        for (name, line) in twice {
            let place = FilePlace { line, ..entry.place.clone() };
            self.errors.add(entry.at(&place, shown(&name)), "is there twice: keep one");
        }
        self.listed.entries.push(entry);
    }

    fn field(&mut self, entry: &mut AccountEntry, directory: &Path, (name, field): (String, Field), place: FilePlace) {
        let known = entry.vendor;
        let variable = format!("{}{}", known.prefix, name.to_ascii_uppercase());
        let at = entry.at(&place, shown(&name));
        let lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
        if !lower || !known.fields().any(|found| found.name == variable) {
            self.errors.add(at, known.unknown(&variable));
            return;
        }
        if variable == known.base_url() {
            self.errors.add(at, format!("applies to the whole process: set the variable {variable} instead"));
            return;
        }
        if known.secrets.contains(&variable.as_str()) {
            entry.places.insert(variable, place);
            self.errors.add(at, format!("is a secret: name a file that holds it with {name}_file"));
            return;
        }
        let is_list = known.lists.iter().any(|list| list.variable.name == variable);
        let value = match value(field, is_list) {
            Ok(None) => return,
            Ok(Some(value)) => value,
            Err(remedy) => {
                entry.places.insert(variable, place);
                self.errors.add(at, remedy);
                return;
            }
        };
        let secret = known.secrets.iter().any(|secret| variable.strip_suffix("_FILE") == Some(*secret));
        let value = match variable.ends_with("_FILE") {
            true => match self.path(&value, directory, secret) {
                Ok(path) => path,
                Err(remedy) => {
                    entry.places.insert(variable, place);
                    self.errors.add(at, remedy);
                    return;
                }
            },
            false => value,
        };
        entry.places.insert(variable.clone(), place);
        entry.variables.set(variable, value);
    }

    /// A file that the accounts file names. It lies in the secrets directory, or beside the accounts file where no other is
    /// configured; a file that holds no secret may lie in either.
    fn path(&self, value: &str, directory: &Path, secret: bool) -> Result<String, String> {
        let allowed = self.secrets_directory.unwrap_or(directory);
        let base = if secret { allowed } else { directory };
        let path = base.join(value);
        // A missing file is reported where it is read.
        let Ok(found) = std::fs::canonicalize(&path) else { return Ok(path.display().to_string()) };
        if file::is_within(&found, allowed) || (!secret && file::is_within(&found, directory)) {
            return Ok(path.display().to_string());
        }
        Err(format!(
            "is outside {}: put the file there, or name its directory with --secrets.directory",
            allowed.display()
        ))
    }

    fn labels(&mut self, labels: Field, at: &str) -> BTreeMap<String, String> {
        let labels = match labels {
            Field::Map(labels) => labels,
            Field::Null => return BTreeMap::new(),
            Field::Wrong(remedy) => {
                self.errors.add(at, remedy);
                return BTreeMap::new();
            }
            _ => {
                self.errors.add(at, "write a mapping of names to texts");
                return BTreeMap::new();
            }
        };
        if labels.len() > MOST_LABELS {
            self.errors.add(at, format!("write at most {MOST_LABELS} labels"));
        }
        let taken = |name: &str| self.known.labels.contains(name) || ATTACHED.contains(&name);
        for (name, value) in &labels {
            let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
            let valid = first && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !valid || name.starts_with("__") {
                self.errors
                    .add(at, "a label name consists of a-z, A-Z, 0-9 and _, and does not begin with a digit or __");
            } else if taken(name) {
                self.errors.add(at, format!("{name} is a label of the exporter or of Prometheus: use another name"));
            } else if value.chars().count() > 128 || value.chars().any(char::is_control) {
                self.errors.add(at, format!("the value of {name} is longer than 128 characters or not printable"));
            }
        }
        labels
    }
}

/// A field's value as a variable has it, if it has one.
fn value(field: Field, is_list: bool) -> Result<Option<String>, String> {
    let wrong = |remedy: &str| Err(remedy.to_owned());
    match field {
        Field::Null => Ok(None),
        Field::Wrong(remedy) => Err(remedy),
        Field::Entries(entries) if is_list => Ok(Some(serde_json::to_string(&entries).unwrap_or_default())),
        Field::List(items) if is_list && items.is_empty() => Ok(Some("[]".to_owned())),
        _ if is_list => wrong("write a list of mappings"),
        Field::Text(text) | Field::Number(text) => Ok(Some(text)),
        Field::List(items) => Ok(Some(items.join(","))),
        Field::Entries(_) => wrong("write one value, or a list of values"),
        Field::Map(_) => wrong("write one value, not a mapping"),
    }
}
