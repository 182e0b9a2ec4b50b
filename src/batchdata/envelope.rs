//! BatchData's JSON envelope: `{"results": ..., "status": {"code": 200, ...}}`.
//!
//! Flows in: a whole body and a reader for `results`. Flows out: what that reader made, in one pass over the text.
//! Invariant: a `status.code` of 400 or more is a refusal wherever it stands and whatever else is wrong with the body;
//! a body that ends before its JSON is complete is `truncated`, the empty body among them. An envelope without a
//! readable `status.code` is taken by its results alone.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::upstream::{ParseError, Reason};

/// Where a reader stands, and what it found wrong. Serde carries only a message, and its own messages quote values.
pub(super) struct Reading {
    field: Cell<&'static str>,
    error: RefCell<Option<ParseError>>,
}

impl Reading {
    fn new() -> Reading {
        Reading { field: Cell::new("the body"), error: RefCell::new(None) }
    }

    /// The next value belongs to this field.
    pub(super) fn at(&self, field: &'static str) {
        self.field.set(field);
    }

    /// Stops the reading for this error.
    pub(super) fn fail<E: de::Error>(&self, error: ParseError) -> E {
        self.error.replace(Some(error));
        E::custom("invalid")
    }

    /// Passes on a value, or stops the reading for its error.
    pub(super) fn check<T, E: de::Error>(&self, value: Result<T, ParseError>) -> Result<T, E> {
        value.map_err(|error| self.fail(error))
    }
}

/// A reader for `results`, told where to leave its findings.
pub(super) trait ReadResults<'de> {
    /// What it makes.
    type Value;
    /// Reads the value of `results`.
    fn read<D: Deserializer<'de>>(self, reading: &Reading, deserializer: D) -> Result<Self::Value, D::Error>;
}

/// Reads a whole body.
pub(super) fn read<'de, R: ReadResults<'de>>(body: &'de [u8], reader: R) -> Result<R::Value, ParseError> {
    let text = std::str::from_utf8(body).map_err(|error| match error.error_len() {
        None => ParseError::truncated("the body ends inside a character"),
        Some(_) => ParseError::decode("the body is not UTF-8"),
    })?;
    let reading = Reading::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let outcome = deserializer.deserialize_map(Envelope { reading: &reading, reader: Some(reader) });
    let (results, code) = match outcome {
        Ok(envelope) => envelope,
        Err(error) => return Err(refusal(text).unwrap_or_else(|| broken(&reading, &error, text))),
    };
    if deserializer.end().is_err() {
        return Err(ParseError::decode("malformed JSON: something follows it"));
    }
    if let Some(code) = code.filter(|code| code.refuses) {
        return Err(code.error());
    }
    results.ok_or_else(|| ParseError::decode("results is missing"))
}

fn broken(reading: &Reading, error: &serde_json::Error, text: &str) -> ParseError {
    if let Some(error) = reading.error.take() {
        return error;
    }
    // A number or a word that was cut is an error of syntax to serde_json, found where the text ends.
    let at_the_end = || {
        let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        before + error.column() >= text.len()
    };
    match error.classify() {
        Category::Eof | Category::Io => ParseError::truncated("the JSON ends early"),
        Category::Syntax if at_the_end() => ParseError::truncated("the JSON ends early"),
        Category::Syntax => {
            ParseError::decode(format!("malformed JSON at line {}, column {}", error.line(), error.column()))
        }
        Category::Data => ParseError::decode(format!("wrong type or shape in {}", reading.field.get())),
    }
}

/// A `status.code`.
#[derive(Clone, Copy)]
struct Code {
    refuses: bool,
    /// The code itself, where it is one that HTTP could have.
    plain: Option<u16>,
}

impl Code {
    fn error(self) -> ParseError {
        let detail = match self.plain {
            Some(code) => format!("HTTP 200 with status.code {code} in the body"),
            None => "HTTP 200 with a status.code in the body that is no HTTP status".to_owned(),
        };
        ParseError { reason: Reason::Refused, detail }
    }

    fn of(status: &RawValue) -> Option<Code> {
        let raw = last(status.get(), "code")?.get();
        let digits = raw.trim_matches('"');
        let refuses = digits.parse::<f64>().ok()? >= 400.0;
        Some(Code { refuses, plain: digits.parse().ok().filter(|code| *code <= 999) })
    }
}

/// A refusal in a body whose results could not be read, if there is one.
fn refusal(text: &str) -> Option<ParseError> {
    let code = Code::of(last(text, "status")?)?;
    code.refuses.then(|| code.error())
}

/// The value of a name in an object; of several the last, as most readers of JSON have it.
fn last<'t>(object: &'t str, name: &str) -> Option<&'t RawValue> {
    serde_json::from_str::<BTreeMap<String, &RawValue>>(object).ok()?.remove(name)
}

struct Envelope<'r, R> {
    reading: &'r Reading,
    reader: Option<R>,
}

impl<'de, R: ReadResults<'de>> Visitor<'de> for Envelope<'_, R> {
    type Value = (Option<R::Value>, Option<Code>);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an envelope")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut results = None;
        let mut code = None;
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                "results" => {
                    self.reading.at("results");
                    let Some(reader) = self.reader.take() else {
                        return Err(self.reading.fail(ParseError::decode("results appears twice")));
                    };
                    results = Some(map.next_value_seed(Results { reading: self.reading, reader })?);
                }
                "status" => {
                    self.reading.at("status");
                    code = Code::of(map.next_value()?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok((results, code))
    }
}

struct Results<'r, R> {
    reading: &'r Reading,
    reader: R,
}

impl<'de, R: ReadResults<'de>> DeserializeSeed<'de> for Results<'_, R> {
    type Value = R::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<R::Value, D::Error> {
        self.reader.read(self.reading, deserializer)
    }
}

/// A key of an object, borrowed where it holds no escapes.
pub(super) struct Name<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name<'de>, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
