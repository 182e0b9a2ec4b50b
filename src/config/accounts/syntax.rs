//! What an accounts file looks like.
//!
//! Flows in: YAML. Flows out: fields and where they stand. Invariant: a text stays as it was written, and no error quotes a
//! value.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::config::errors::quoted;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) defaults: BTreeMap<String, Fields>,
    pub(super) accounts: Vec<Spanned<Fields>>,
}

pub(super) type Fields = BTreeMap<String, Spanned<Field>>;

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
                let (mut items, mut entries) = (Vec::new(), Vec::new());
                while let Some(item) = list.next_element()? {
                    match item {
                        Item::Value(Value(value)) => items.push(value),
                        Item::Entry(entry) => entries.push(entry),
                    }
                }
                match (items.is_empty(), entries.is_empty()) {
                    (_, true) => Ok(Field::List(items)),
                    (true, false) => Ok(Field::Entries(
                        entries
                            .into_iter()
                            .map(|entry| entry.into_iter().map(|(name, Value(value))| (name, value)).collect())
                            .collect(),
                    )),
                    (false, false) => Err(de::Error::custom("a list of values and mappings")),
                }
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

/// The part of a parser's error that is safe to show: its kind. Its text can quote values.
pub(super) struct Unreadable(Option<String>);

impl Unreadable {
    pub(super) fn of(error: &serde_saphyr::Error) -> Unreadable {
        let text = error.to_string();
        // serde's words for a field of ours quote only the name that was written.
        let unknown = text.split("unknown field `").nth(1).and_then(|rest| rest.split('`').next());
        Unreadable(unknown.filter(|name| quoted(name).is_some()).map(str::to_owned))
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

/// An item of a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Value(Value),
    Entry(BTreeMap<String, Value>),
}

/// A text, or a number as it is written.
struct Value(String);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        match Field::deserialize(deserializer)? {
            Field::Text(text) | Field::Number(text) => Ok(Value(text)),
            _ => Err(de::Error::custom("a value that is neither a text nor a number")),
        }
    }
}
