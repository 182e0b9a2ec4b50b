//! What an accounts file looks like.
//!
//! Flows in: YAML. Flows out: fields and where they stand, and what is not where it belongs. Invariants: a text stays as it
//! was written; no error quotes a value, and none but YAML's own keeps the rest from being read.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

use crate::config::errors::quoted;

const REMEDY: &str =
    "is not an accounts file: write `accounts:`, a list of mappings, and `defaults:`, a mapping for each vendor";

/// A file as far as it could be understood.
#[derive(Debug, Default)]
pub(super) struct AccountsFile {
    pub(super) defaults: BTreeMap<String, FieldMap>,
    pub(super) accounts: Vec<Account>,
    /// What is wrong beside the accounts.
    pub(super) errors: Vec<SyntaxError>,
}

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: u64,
    /// In words that name the field.
    pub(super) words: String,
}

/// The mapping of an account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) line: u64,
    pub(super) fields: FieldMap,
    /// Fields that are there once more, and where.
    pub(super) twice: Vec<(String, u64)>,
}

pub(super) type FieldMap = BTreeMap<String, FieldAt>;

/// A field's value and its line.
#[derive(Clone, Debug)]
pub(super) struct FieldAt {
    pub(super) line: u64,
    pub(super) value: Field,
}

/// The value of a field.
#[derive(Clone, Debug)]
pub(super) enum Field {
    Text(String),
    /// Written without quotes: a name such as `007` would have lost its zeros.
    Number(String),
    List(Vec<String>),
    /// Of numbers and texts.
    Entries(Vec<BTreeMap<String, String>>),
    Map(BTreeMap<String, String>),
    Null,
    /// None of these, and what to write instead.
    Wrong(String),
}

impl AccountsFile {
    /// Reads it. The error is YAML's own, in safe words: the parser's can quote values.
    pub(super) fn read(text: &str) -> Result<AccountsFile, SyntaxError> {
        // A snippet of the file in the message could show a secret that was put in the wrong place. What is there twice is
        // found below, where more can be said of it.
        let options = serde_saphyr::options! { with_snippet: false, duplicate_keys: DuplicateKeyPolicy::PassThrough };
        let error = |line| SyntaxError { line, words: REMEDY.to_owned() };
        let root: Spanned<Node> = serde_saphyr::from_str_with_options(text, options)
            .map_err(|found| error(found.location().map_or(1, |location| location.line())))?;
        let Node::Map(entries) = root.value else { return Err(error(root.referenced.line())) };
        let mut file = AccountsFile::default();
        let mut seen = Vec::new();
        for (name, node) in entries {
            let line = node.referenced.line();
            if seen.contains(&name) {
                file.error(line, format!("{} is there twice: keep one", shown(&name)));
                continue;
            }
            match name.as_str() {
                "accounts" => file.take_accounts(line, node.value),
                "defaults" => file.take_defaults(line, node.value),
                _ => {
                    let known = "write `accounts:`, a list of mappings, and `defaults:`, a mapping for each vendor";
                    file.error(line, format!("{} is not known here: {known}", shown(&name)));
                }
            }
            seen.push(name);
        }
        Ok(file)
    }

    fn error(&mut self, line: u64, words: impl Into<String>) {
        self.errors.push(SyntaxError { line, words: words.into() });
    }

    fn take_accounts(&mut self, line: u64, node: Node) {
        let accounts = match node {
            Node::Null => return,
            Node::List(accounts) => accounts,
            _ => return self.error(line, "accounts: write a list of mappings"),
        };
        for account in accounts {
            let line = account.referenced.line();
            match account.value {
                Node::Map(entries) => {
                    let (fields, twice) = fields(entries);
                    self.accounts.push(Account { line, fields, twice });
                }
                _ => self.error(line, "accounts: write a mapping for each account"),
            }
        }
    }

    fn take_defaults(&mut self, line: u64, node: Node) {
        let vendors = match node {
            Node::Null => return,
            Node::Map(vendors) => vendors,
            _ => return self.error(line, "defaults: write a mapping for each vendor"),
        };
        for (vendor, node) in vendors {
            let line = node.referenced.line();
            let at = format!("defaults.{}", shown(&vendor));
            match node.value {
                _ if self.defaults.contains_key(&vendor) => self.error(line, format!("{at}: is there twice: keep one")),
                Node::Null => {}
                Node::Map(entries) => {
                    let (fields, twice) = fields(entries);
                    for (name, line) in twice {
                        self.error(line, format!("{at}.{}: is there twice: keep one", shown(&name)));
                    }
                    self.defaults.insert(vendor, fields);
                }
                _ => self.error(line, format!("{at}: write a mapping of fields")),
            }
        }
    }
}

/// The first of each name, and those that come later.
fn fields(entries: Vec<(String, Spanned<Node>)>) -> (FieldMap, Vec<(String, u64)>) {
    let (mut fields, mut twice) = (FieldMap::new(), Vec::new());
    for (name, node) in entries {
        let line = node.referenced.line();
        match fields.entry(name) {
            Entry::Occupied(first) => twice.push((first.key().clone(), line)),
            Entry::Vacant(place) => {
                place.insert(FieldAt { line, value: Field::of(node.value) });
            }
        }
    }
    (fields, twice)
}

/// The name of a field, unless it may be a secret: `{api_token:abc}` without a space is a field of that name.
pub(super) fn shown(name: &str) -> &str {
    let is_word = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_word || quoted(name).is_some() { name } else { "a field" }
}

impl Field {
    fn of(node: Node) -> Field {
        match node {
            Node::Null => Field::Null,
            Node::Text(text) => Field::Text(text),
            Node::Number(text) => Field::Number(text),
            Node::Map(entries) => texts(entries).map_or_else(Field::Wrong, Field::Map),
            Node::List(items) => Field::list(items.into_iter().map(|item| item.value).collect()),
        }
    }

    fn list(items: Vec<Node>) -> Field {
        if !items.is_empty() && items.iter().all(|item| matches!(item, Node::Map(_))) {
            let maps =
                items.into_iter().filter_map(|item| if let Node::Map(entries) = item { Some(entries) } else { None });
            return maps.map(texts).collect::<Result<_, _>>().map_or_else(Field::Wrong, Field::Entries);
        }
        let values = items.into_iter().map(|item| match item {
            Node::Text(text) | Node::Number(text) => Ok(text),
            _ => Err("write a list of texts and numbers, or a list of mappings".to_owned()),
        });
        values.collect::<Result<_, _>>().map_or_else(Field::Wrong, Field::List)
    }
}

/// A mapping of names to texts, or what is wrong with it.
fn texts(entries: Vec<(String, Spanned<Node>)>) -> Result<BTreeMap<String, String>, String> {
    let mut texts = BTreeMap::new();
    for (name, node) in entries {
        let at = shown(&name).to_owned();
        let (Node::Text(text) | Node::Number(text)) = node.value else {
            return Err(format!("the value of {at} is not a text or a number"));
        };
        if texts.insert(name, text).is_some() {
            return Err(format!("{at} is there twice: keep one"));
        }
    }
    Ok(texts)
}

/// YAML as it is written.
#[derive(Debug)]
enum Node {
    Null,
    Text(String),
    Number(String),
    List(Vec<Spanned<Node>>),
    /// In order, with what is there twice.
    Map(Vec<(String, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Node;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text, a number, a list or a mapping")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Text(text.to_owned()))
            }
            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Node, E> {
                Ok(Node::Number(flag.to_string()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Node, E> {
                Ok(Node::Number(number.to_string()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Node, E> {
                Ok(Node::Number(number.to_string()))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Node, E> {
                Ok(Node::Number(number.to_string()))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_none<E: de::Error>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Node::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Node::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
