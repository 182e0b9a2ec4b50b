//! The accounts file: many accounts instead of one of each vendor.
//!
//! Flows in: a YAML file, or a directory of them. Flows out: for each account the variables that would mean the same in the
//! environment, with the place of each. Invariants: a field that is unknown is an error; a secret is named by a file inside
//! the secrets directory; every error names file, line and field, and no message holds a value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::errors::ConfigErrors;
use super::variables::Variable;
use super::{Variables, WITHOUT_SECRET, file};

/// Largest file: a thousand accounts take 300 KiB.
const LARGEST_KIB: u64 = 4 * 1024;
/// In a directory, the defaults of all its files.
const DEFAULTS: &str = "defaults.yml";
/// Labels that an account may have.
const MOST_LABELS: usize = 20;
/// Labels that are ours, or that Prometheus and its operator attach.
const TAKEN: [&str; 10] =
    ["account", "vendor", "job", "instance", "namespace", "service", "pod", "container", "endpoint", "node"];

/// What the file may say of a vendor's account.
#[derive(Clone, Copy, Debug)]
pub struct VendorFields {
    /// The value of `vendor`.
    pub name: &'static str,
    /// What its variables begin with; a field's name is the rest in lower case.
    pub prefix: &'static str,
    /// Its variables.
    pub variables: &'static [Variable],
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

    fn may_be_default(&self, variable: &str) -> bool {
        let own = self.secrets.iter().any(|secret| variable.starts_with(secret))
            || variable.strip_prefix(self.prefix) == Some("ACCOUNT")
            || variable == self.base_url();
        !own && self.variables.iter().any(|known| known.name == variable)
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
    place: Place,
    places: BTreeMap<String, Place>,
}

/// A place in a file.
#[derive(Clone, Debug)]
struct Place {
    file: PathBuf,
    line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file.display(), self.line)
    }
}

impl AccountEntry {
    /// Takes over errors about the variables, in the words of the file.
    pub fn take_over(&self, found: &ConfigErrors, errors: &mut ConfigErrors) {
        for (name, remedy) in found.iter() {
            // That follows from a secret that was refused.
            if remedy.starts_with(WITHOUT_SECRET) {
                continue;
            }
            // The longest first: one name may begin with another.
            let mut variables: Vec<&str> = self.vendor.variables.iter().map(|variable| variable.name).collect();
            variables.sort_by_key(|name| std::cmp::Reverse(name.len()));
            let in_file = |text: &str| {
                variables.iter().fold(text.to_owned(), |text, variable| text.replace(variable, &self.field(variable)))
            };
            let place = self.places.get(name).or_else(|| self.places.get(&format!("{name}_FILE")));
            errors.add(
                format!("{}: {} (account {})", place.unwrap_or(&self.place), in_file(name), self.name),
                in_file(remedy),
            );
        }
    }

    /// Whether the file says anything of a secret.
    #[must_use]
    pub fn names_secret(&self, variable: &str) -> bool {
        self.places.contains_key(variable) || self.places.contains_key(&format!("{variable}_FILE"))
    }

    /// Adds an error about the whole account.
    pub fn error(&self, field: &str, remedy: impl Into<String>, errors: &mut ConfigErrors) {
        errors.add(format!("{}: {field} (account {})", self.place, self.name), remedy);
    }

    fn field(&self, variable: &str) -> String {
        variable.strip_prefix(self.vendor.prefix).unwrap_or(variable).to_ascii_lowercase()
    }
}

/// Reads the file or the directory. What is wrong is added to `errors`.
#[must_use]
pub fn read(
    path: &Path,
    secrets_directory: Option<&Path>,
    vendors: &[VendorFields],
    errors: &mut ConfigErrors,
) -> Vec<AccountEntry> {
    let mut reader = Reader { vendors, secrets_directory, errors, entries: Vec::new(), defaults: BTreeMap::new() };
    if !path.is_dir() {
        if let Some(file) = reader.load(path) {
            reader.take(path, file);
        }
    } else {
        match files(path) {
            Ok(files) => reader.take_directory(&path.join(DEFAULTS), &files),
            Err(error) => {
                reader.errors.add("--config.file", format!("cannot read {}: {}", path.display(), error.kind()))
            }
        }
    }
    let entries = reader.entries;
    let mut seen: BTreeMap<(&str, &str), &Place> = BTreeMap::new();
    for entry in &entries {
        if let Some(first) = seen.insert((entry.vendor.name, &entry.name), &entry.place) {
            entry.error("account", format!("appears twice, first at {first}: give each its own name"), errors);
        }
    }
    entries
}

/// What is in the file, or in the files of the directory: to see whether it has changed.
#[must_use]
pub fn contents(path: &Path) -> Vec<Vec<u8>> {
    let paths = if path.is_dir() { files(path).unwrap_or_default() } else { vec![path.to_owned()] };
    let defaults = path.join(DEFAULTS);
    paths.into_iter().chain([defaults]).map(|path| file::read(&path, LARGEST_KIB).unwrap_or_default()).collect()
}

/// The files of a directory, by name.
fn files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if matches!(extension, Some("yml" | "yaml")) && !hidden && !path.ends_with(DEFAULTS) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    defaults: BTreeMap<String, Fields>,
    accounts: Vec<Spanned<Fields>>,
}

type Fields = BTreeMap<String, Spanned<Field>>;

/// The value of a field.
#[derive(Clone, Debug)]
enum Field {
    Text(String),
    /// Written without quotes: a name such as `007` would have lost its zeros.
    Number(String),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
    Null,
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Field, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Field;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text, a number, a list of texts or labels")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Field, E> {
                Ok(Field::Text(text.to_owned()))
            }
            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Field, E> {
                Ok(Field::Number(flag.to_string()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Field, E> {
                Ok(Field::Number(number.to_string()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Field, E> {
                Ok(Field::Number(number.to_string()))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Field, E> {
                Ok(Field::Number(number.to_string()))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Field, E> {
                Ok(Field::Null)
            }
            fn visit_none<E: de::Error>(self) -> Result<Field, E> {
                Ok(Field::Null)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Field, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Field::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
                let mut items = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    items.insert(name, value);
                }
                Ok(Field::Map(items))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

struct Reader<'a> {
    vendors: &'a [VendorFields],
    secrets_directory: Option<&'a Path>,
    errors: &'a mut ConfigErrors,
    entries: Vec<AccountEntry>,
    /// Of `defaults.yml`: by vendor, where they stand and what they say.
    defaults: BTreeMap<String, (PathBuf, Fields)>,
}

impl Reader<'_> {
    fn load(&mut self, path: &Path) -> Option<File> {
        let text = file::read(path, LARGEST_KIB).map_err(|error| error.to_string()).and_then(|bytes| {
            String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8: write plain text", path.display()))
        });
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                self.errors.add("--config.file", error);
                return None;
            }
        };
        // An empty file has no accounts.
        if text.lines().all(|line| matches!(line.trim_start().bytes().next(), None | Some(b'#'))) {
            return Some(File::default());
        }
        // A snippet of the file in the message could show a secret that was put in the wrong place.
        let options = serde_saphyr::options! { with_snippet: false };
        match serde_saphyr::from_str_with_options(&text, options) {
            Ok(file) => Some(file),
            Err(error) => {
                let line = error.location().map_or(1, |location| location.line());
                let remedy = "is not an accounts file: write `accounts:`, a list of mappings, and `defaults:`, a mapping \
                              for each vendor";
                let found = Unreadable::of(&error);
                self.errors.add(format!("{}:{line}", path.display()), format!("{found}{remedy}"));
                None
            }
        }
    }

    fn take_directory(&mut self, defaults: &Path, files: &[PathBuf]) {
        if defaults.exists()
            && let Some(file) = self.load(defaults)
        {
            if !file.accounts.is_empty() {
                self.errors.add(defaults.display().to_string(), "has accounts: write them into a file of another name");
            }
            self.check_defaults(defaults, &file.defaults);
            self.defaults =
                file.defaults.into_iter().map(|(vendor, fields)| (vendor, (defaults.into(), fields))).collect();
        }
        for path in files {
            if let Some(file) = self.load(path) {
                self.take(path, file);
            }
        }
    }

    /// Defaults may be any field but the name and secrets.
    fn check_defaults(&mut self, path: &Path, defaults: &BTreeMap<String, Fields>) {
        for (vendor, fields) in defaults {
            let Some(known) = self.vendors.iter().find(|known| known.name == vendor) else {
                let remedy = format!("is not a vendor: write {}", self.names());
                self.errors.add(format!("{}: defaults.{vendor}", path.display()), remedy);
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
                    false => "is not a field of this vendor: check its spelling".to_owned(),
                };
                let line = field.referenced.line();
                self.errors.add(format!("{}:{line}: defaults.{vendor}.{name}", path.display()), remedy);
            }
        }
    }

    fn names(&self) -> String {
        self.vendors.iter().map(|vendor| vendor.name).collect::<Vec<_>>().join(" or ")
    }

    fn take(&mut self, path: &Path, file: File) {
        self.check_defaults(path, &file.defaults);
        for account in file.accounts {
            let place = Place { file: path.to_owned(), line: account.referenced.line() };
            self.account(&file.defaults, account.value, place);
        }
    }

    fn account(&mut self, defaults: &BTreeMap<String, Fields>, mut fields: Fields, place: Place) {
        let mut text = |name: &str| match fields.remove(name) {
            Some(Spanned { value: Field::Text(text), .. }) => Ok(text),
            Some(Spanned { value: Field::Number(_), .. }) => Err("write it in quotes"),
            _ => Err("is missing: write a text"),
        };
        let (vendor, name) = (text("vendor"), text("account"));
        let names = self.names();
        let vendor = match vendor {
            Ok(vendor) => self.vendors.iter().find(|known| known.name == vendor).copied().ok_or(""),
            Err(error) => Err(error),
        };
        let vendor = vendor.map_err(|_| self.errors.add(format!("{place}: vendor"), format!("write {names}")));
        let name = name.map_err(|remedy| self.errors.add(format!("{place}: account"), remedy));
        let (Ok(vendor), Ok(name)) = (vendor, name) else { return };
        let labels = fields.remove("labels");
        let directory = place.file.parent().unwrap_or(Path::new(".")).to_owned();
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
                    let place = Place { file: file.clone(), line: field.referenced.line() };
                    self.field(&mut entry, &directory, (name, field.value), place);
                }
            }
        }
        for (name, field) in fields {
            let place = Place { line: field.referenced.line(), ..entry.place.clone() };
            self.field(&mut entry, &directory, (name, field.value), place);
        }
        if let Some(labels) = labels {
            let place = Place { line: labels.referenced.line(), ..entry.place.clone() };
            entry.labels = self.labels(labels.value, &place, &entry.name);
        }
        self.entries.push(entry);
    }

    fn field(&mut self, entry: &mut AccountEntry, directory: &Path, (name, field): (String, Field), place: Place) {
        let known = entry.vendor;
        let variable = format!("{}{}", known.prefix, name.to_ascii_uppercase());
        let at = format!("{place}: {name} (account {})", entry.name);
        let lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
        if !lower || !known.variables.iter().any(|found| found.name == variable) {
            self.errors.add(at, "is not a field of this vendor: check its spelling");
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
        let value = match field {
            Field::Text(text) | Field::Number(text) => text,
            Field::List(items) => items.join(","),
            Field::Null => return,
            Field::Map(_) => {
                self.errors.add(at, "write one value, not a mapping");
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
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        // A missing file is reported where it is read.
        let Some(found) = real(&path) else { return Ok(path.display().to_string()) };
        let inside = |directory: &Path| real(directory).is_some_and(|directory| found.starts_with(directory));
        if inside(allowed) || (!secret && inside(directory)) {
            return Ok(path.display().to_string());
        }
        Err(format!(
            "is outside {}: put the file there, or name its directory with --secrets.directory",
            allowed.display()
        ))
    }

    fn labels(&mut self, labels: Field, place: &Place, account: &str) -> BTreeMap<String, String> {
        let at = format!("{place}: labels (account {account})");
        let labels = match labels {
            Field::Map(labels) => labels,
            Field::Null => return BTreeMap::new(),
            _ => {
                self.errors.add(at, "write a mapping of names to texts");
                return BTreeMap::new();
            }
        };
        if labels.len() > MOST_LABELS {
            self.errors.add(at.as_str(), format!("write at most {MOST_LABELS} labels"));
        }
        let taken: BTreeSet<&str> = TAKEN.into_iter().collect();
        for (name, value) in &labels {
            let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
            let valid = first && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !valid || name.starts_with("__") {
                self.errors.add(
                    at.as_str(),
                    "a label name consists of a-z, A-Z, 0-9 and _, and does not begin with a digit or __",
                );
            } else if taken.contains(name.as_str()) {
                self.errors
                    .add(at.as_str(), format!("{name} is a label of the exporter or of Prometheus: use another name"));
            } else if value.chars().count() > 128 || value.chars().any(char::is_control) {
                self.errors
                    .add(at.as_str(), format!("the value of {name} is longer than 128 characters or not printable"));
            }
        }
        labels
    }
}

/// The part of a parser's error that is safe to show: its kind. Its text can quote values.
struct Unreadable(Option<String>);

impl Unreadable {
    fn of(error: &serde_saphyr::Error) -> Unreadable {
        let text = error.to_string();
        // serde's words for a field of ours quote only the name that was written.
        let unknown = text.split("unknown field `").nth(1).and_then(|rest| rest.split('`').next());
        Unreadable(unknown.filter(|name| name.len() <= 64).map(str::to_owned))
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(formatter, "{name} is not known here: "),
            None => Ok(()),
        }
    }
}
