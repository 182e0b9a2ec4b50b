//! The accounts file: many accounts instead of one of each vendor.
//!
//! Flows in: a YAML file, or a directory of them. Flows out: for each account the variables that would mean the same in the
//! environment, with the place of each. Invariants: a field that is unknown is an error; a secret is named by a file inside
//! the secrets directory; every error names file, line and field, and no message holds a value.

mod reader;
mod syntax;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use reader::AccountsReader;

use super::errors::ConfigErrors;
use super::variables::{ListField, Variable, nearest};
use super::{Variables, WITHOUT_SECRET, file, values};
use crate::printable::printable;

/// Largest file: a thousand accounts take 300 KiB.
const LARGEST_KIB: u64 = 4 * 1024;
/// What to say of a path where no accounts are.
const HINT: &str =
    "name a YAML file of accounts or a directory of such files, such as /etc/wallet-exporter/accounts.yml";
/// In a directory, the defaults of all its files have one of these names.
const DEFAULTS: [&str; 2] = ["defaults.yml", "defaults.yaml"];

/// What the file may say of a vendor's account.
#[derive(Clone, Copy, Debug)]
pub struct VendorFields {
    /// The value of `vendor`.
    pub name: &'static str,
    /// What its variables begin with; a field's name is the rest in lower case.
    pub prefix: &'static str,
    /// Its variables.
    pub variables: &'static [Variable],
    /// Lists of mappings, which no variable of the environment has.
    pub lists: &'static [ListField],
    /// Those that hold a secret: they can only be named by a file.
    pub secrets: &'static [&'static str],
}

impl VendorFields {
    /// The variable that says where the vendor is. It applies to the whole process: a person who writes an account must not be
    /// able to send another's secret anywhere.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}BASE_URL", self.prefix)
    }

    fn fields(&self) -> impl Iterator<Item = &'static Variable> {
        self.variables.iter().chain(self.lists.iter().map(|list| &list.variable))
    }

    /// What to say about a field that there is not.
    fn unknown(&self, variable: &str) -> String {
        let fields = self.fields().map(|field| field.name).filter(|name| !self.secrets.contains(name));
        match nearest(variable, variable.len() / 4, fields) {
            Some(nearest) => format!("is not a field of this vendor: did you mean {}?", self.field(nearest)),
            None => "is not a field of this vendor: check its spelling".to_owned(),
        }
    }

    /// The field that means the same as a variable.
    fn field(&self, variable: &str) -> String {
        variable.strip_prefix(self.prefix).unwrap_or(variable).to_ascii_lowercase()
    }

    /// A text about variables in the words of the file.
    #[must_use]
    pub fn in_file(&self, text: &str) -> String {
        // The longest first: one name may begin with another.
        let mut variables: Vec<&str> = self.fields().map(|variable| variable.name).collect();
        variables.sort_by_key(|name| std::cmp::Reverse(name.len()));
        variables.iter().fold(text.to_owned(), |text, variable| text.replace(variable, &self.field(variable)))
    }

    fn may_be_default(&self, variable: &str) -> bool {
        let own = self.secrets.iter().any(|secret| variable.starts_with(secret))
            || variable.strip_prefix(self.prefix) == Some("ACCOUNT")
            || variable == self.base_url();
        !own && self.fields().any(|known| known.name == variable)
    }
}

/// An account of the file.
#[derive(Clone, Debug)]
pub struct AccountEntry {
    /// Whose it is.
    pub vendor: VendorFields,
    /// The label `account`.
    pub name: String,
    /// What would mean the same in the environment.
    pub variables: Variables,
    /// Labels for `wallet_exporter_account_info`.
    pub labels: BTreeMap<String, String>,
    place: FilePlace,
    places: BTreeMap<String, FilePlace>,
}

#[derive(Clone, Debug)]
struct FilePlace {
    file: PathBuf,
    line: u64,
}

impl FilePlace {
    fn directory(&self) -> &Path {
        self.file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

impl fmt::Display for FilePlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file.display(), self.line)
    }
}

impl AccountEntry {
    /// The file that it is in.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.place.file
    }

    /// Takes over errors about the variables, in the words of the file.
    pub fn take_over(&self, found: &ConfigErrors, errors: &mut ConfigErrors) {
        for (name, remedy) in found.iter() {
            // That follows from a secret that was refused.
            if remedy.starts_with(WITHOUT_SECRET) {
                continue;
            }
            let place = self.places.get(name).or_else(|| self.places.get(&format!("{name}_FILE")));
            errors.add(self.at(place.unwrap_or(&self.place), &self.vendor.in_file(name)), self.vendor.in_file(remedy));
        }
    }

    /// Whether the file says anything of a secret.
    #[must_use]
    pub fn names_secret(&self, variable: &str) -> bool {
        self.places.contains_key(variable) || self.places.contains_key(&format!("{variable}_FILE"))
    }

    /// Adds an error about the whole account.
    pub fn error(&self, field: &str, remedy: impl Into<String>, errors: &mut ConfigErrors) {
        errors.add(self.at(&self.place, field), remedy);
    }

    /// Adds an error about the field that names a secret's file.
    pub fn error_of_secret(&self, secret: Option<&Path>, remedy: impl Into<String>, errors: &mut ConfigErrors) {
        let named = self.secret_files().find(|(_, path)| secret == Some(Path::new(path))).map(|(variable, _)| variable);
        let field = named.map_or_else(|| "secret".to_owned(), |variable| self.vendor.field(variable));
        let place = named.and_then(|variable| self.places.get(variable)).unwrap_or(&self.place);
        errors.add(self.at(place, &field), remedy);
    }

    /// The variables that name a secret's file, and the paths.
    fn secret_files(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_secret =
            |variable: &str| variable.strip_suffix("_FILE").is_some_and(|secret| self.vendor.secrets.contains(&secret));
        self.variables.with_prefix(self.vendor.prefix).filter(move |(variable, _)| is_secret(variable))
    }

    /// What an error about a field is about: a place in the account's own file, since it is this account that has to be
    /// kept, and not those that a default of another file is for, too. A name that is refused may be a secret.
    fn at(&self, place: &FilePlace, field: &str) -> String {
        let account = values::account(&self.name).ok().map(|name| format!("account {name}"));
        let elsewhere = place.file != self.place.file;
        let default = elsewhere.then(|| format!("by default in {place}"));
        let place = if elsewhere { &self.place } else { place };
        match [account, default].into_iter().flatten().collect::<Vec<_>>() {
            about if about.is_empty() => format!("{place}: {field}"),
            about => format!("{place}: {field} ({})", about.join(", ")),
        }
    }

    /// The directory that its secrets have to be in, where no other is configured.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.place.directory()
    }
}

/// The accounts of the file or the directory.
#[derive(Debug, Default)]
pub struct Listed {
    /// Those that have a vendor and a name, whatever else is wrong with them.
    pub entries: Vec<AccountEntry>,
    /// Whether these are all: every file could be read, and nothing lacks a vendor or a name.
    pub complete: bool,
}

/// What a file may say.
#[derive(Clone, Copy, Debug)]
pub struct KnownFields<'a> {
    /// Fields, by vendor.
    pub vendors: &'a [VendorFields],
    /// Labels of the exporter's own series, which an account's labels must not be.
    pub labels: &'a BTreeSet<&'static str>,
}

/// Reads the file or the directory. What is wrong is added to `errors`.
#[must_use]
pub fn read(
    path: &Path,
    secrets_directory: Option<&Path>,
    known: KnownFields<'_>,
    errors: &mut ConfigErrors,
) -> Listed {
    let listed = Listed { entries: Vec::new(), complete: true };
    let mut reader = AccountsReader { known, secrets_directory, errors, listed, defaults: BTreeMap::new() };
    if !path.is_dir() {
        match file::read(path, LARGEST_KIB) {
            Ok(bytes) => {
                if let Some(file) = reader.parse(path, bytes, "--config.file") {
                    reader.take(path, file);
                }
            }
            Err(error) => reader.errors.add("--config.file", format!("{error}; {HINT}")),
        }
    } else {
        match files(path) {
            Ok(files) => reader.take_directory(path, &files),
            Err(error) => {
                let words = file::said(error.kind());
                reader.errors.add("--config.file", format!("cannot read {}: {words}", path.display()));
            }
        }
    }
    reader.listed
}

/// Of two accounts of one name, the later one is an error.
pub fn refuse_duplicates(entries: &[AccountEntry], errors: &mut ConfigErrors) {
    let mut seen: BTreeMap<(&str, &str), &FilePlace> = BTreeMap::new();
    for entry in entries {
        if let Some(first) = seen.insert((entry.vendor.name, &entry.name), &entry.place) {
            entry.error("account", format!("appears twice, first at {first}: give each its own name"), errors);
        }
    }
}

/// A secret's file that an account of another shard names, too, is an error: its content is not read here. Of two accounts
/// that are both here, the contents are compared.
pub fn refuse_shared_files(
    entries: &[AccountEntry],
    is_here: impl Fn(&AccountEntry) -> bool,
    errors: &mut ConfigErrors,
) {
    let mut used: HashMap<PathBuf, &AccountEntry> = HashMap::new();
    for entry in entries {
        for (variable, path) in entry.secret_files() {
            let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
            let first = *used.entry(path).or_insert(entry);
            let is_other = first.vendor.name != entry.vendor.name || first.name != entry.name;
            if is_other && !(is_here(first) && is_here(entry)) {
                let remedy = format!("is also used by account {} of another shard: give each its own", first.name);
                entry.error(&entry.vendor.field(variable), remedy, errors);
            }
        }
    }
}

/// The files with errors; `None` if an error is not about a file of accounts alone.
#[must_use]
pub fn faulty(path: &Path, errors: &ConfigErrors) -> Option<BTreeSet<PathBuf>> {
    let files = if path.is_dir() { files(path).ok()? } else { vec![path.to_owned()] };
    let is_about = |name: &str, file: &Path| name.starts_with(&format!("{}:", printable(&file.display().to_string())));
    errors.names().map(|name| files.iter().find(|file| is_about(name, file)).cloned()).collect()
}

/// The files of a directory, by name.
fn files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let defaults = DEFAULTS.iter().any(|name| path.ends_with(name));
        if matches!(extension, Some("yml" | "yaml")) && !hidden && !defaults {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
