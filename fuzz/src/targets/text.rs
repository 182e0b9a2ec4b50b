//! The accept headers, and the file of batch ids.

use std::collections::HashSet;

use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use wallet_exporter::exposition::Format;
use wallet_exporter::http::negotiate;
use wallet_exporter::rightfoot::ids_file;

use super::{SECRET, ensure};
use crate::engine::Outcome;

fn headers<'t>(name: &HeaderName, values: impl IntoIterator<Item = &'t [u8]>) -> HeaderMap {
    let values = values.into_iter().filter_map(|value| HeaderValue::from_bytes(value).ok());
    values.map(|value| (name.clone(), value)).collect()
}

/// An element of a header without quotes: its value in lower case, its version, whether it names delimited messages of
/// families, whether its weight is above 0.
struct Element {
    value: String,
    version: Option<String>,
    delimited: bool,
    wanted: bool,
}

fn element(text: &str) -> Element {
    let text = text.to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let value = parts.next().unwrap_or_default().to_owned();
    let pairs: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
    let weight = pairs.iter().rfind(|(name, _)| name.trim() == "q").map_or("1", |(_, weight)| weight.trim());
    // A weight has one digit, and at most three decimals.
    let is_weight = weight.len() <= 5 && matches!(weight.as_bytes(), [b'0' | b'1'] | [b'0' | b'1', b'.', ..]);
    let weight = if is_weight { weight.parse::<f64>().unwrap_or(0.0) } else { 0.0 };
    let parameter =
        |wanted| pairs.iter().find(|(name, _)| name.trim() == wanted).map(|(_, text)| text.trim().to_owned());
    let delimited = parameter("proto").as_deref() == Some("io.prometheus.client.metricfamily")
        && parameter("encoding").as_deref() == Some("delimited");
    Element { value, version: parameter("version"), delimited, wanted: weight > 0.0 && weight <= 1.0 }
}

pub fn accept(input: &[u8]) -> Outcome {
    let lines = || input.split(|byte| *byte == b'\n');
    let accept = headers(&ACCEPT, lines());
    let encoding = headers(&ACCEPT_ENCODING, lines());
    let (format, gzip) = (negotiate::format(&accept), negotiate::gzip(&encoding));
    let outcome = Ok(format!("{format:?} {gzip}"));
    if input.iter().any(|byte| matches!(byte, b'"' | b'\\')) {
        return outcome;
    }
    let texts = accept.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let pieces: Vec<&str> = texts.flat_map(|text| text.split(',')).collect();
    let split = || pieces.iter().map(|piece| piece.as_bytes());
    let same = negotiate::format(&headers(&ACCEPT, split())) == format
        && negotiate::gzip(&headers(&ACCEPT_ENCODING, split())) == gzip;
    ensure(same, || "another answer to a header for each element".to_owned())?;
    let elements: Vec<Element> = pieces.iter().map(|piece| element(piece)).collect();
    let named = |value: &str, version: &str| {
        let exact: Vec<&Element> = elements.iter().filter(|element| element.value == value).collect();
        let of = |wanted: Option<&str>| {
            let mut found = exact.iter().filter(|element| element.version.as_deref() == wanted).peekable();
            found.peek().is_some().then(|| found.any(|element| element.wanted))
        };
        of(Some(version)).or_else(|| of(None))
    };
    let any = |values: &[&str]| elements.iter().any(|element| element.wanted && values.contains(&&*element.value));
    let range = |value: &str| elements.iter().any(|element| element.value == value).then(|| any(&[value]));
    let openmetrics = named("application/openmetrics-text", "1.0.0").or_else(|| range("application/*"));
    let openmetrics = openmetrics.or_else(|| range("*/*")).unwrap_or(false);
    let text = named("text/plain", "0.0.4").or_else(|| range("text/*"));
    let protobuf = |element: &Element| element.value == "application/vnd.google.protobuf" && element.delimited;
    // Without a word about text it is the answer to whoever accepts none of them.
    let refused = match format {
        Format::Protobuf => !elements.iter().any(|element| element.wanted && protobuf(element)),
        Format::OpenMetrics => !openmetrics,
        Format::Text => text == Some(false) && openmetrics,
    };
    ensure(!refused, || format!("{format:?} has the weight 0"))?;
    ensure(!gzip || any(&["gzip", "x-gzip", "*"]), || "gzip has the weight 0".to_owned())?;
    outcome
}

pub fn ids(input: &[u8]) -> Outcome {
    let found = ids_file::parse(input);
    let lines = input.iter().filter(|byte| **byte == b'\n').count() + 1;
    let bad = &found.bad_lines;
    ensure(bad.is_sorted_by(|before, after| before < after), || "bad lines out of order".to_owned())?;
    ensure(bad.iter().all(|line| (1..=lines).contains(line)), || "a bad line that is none".to_owned())?;
    ensure(found.ids.len() + bad.len() <= lines, || "more findings than lines".to_owned())?;
    let each: HashSet<_> = found.ids.iter().collect();
    ensure(each.len() == found.ids.len(), || "an id is there twice".to_owned())?;
    let written: Vec<String> = found.ids.iter().map(|id| format!("{id}\r\n")).collect();
    let again = ids_file::parse(written.concat().as_bytes());
    ensure(again.ids == found.ids && again.bad_lines.is_empty(), || "its ids do not read back".to_owned())?;
    let text = input.strip_prefix("\u{feff}".as_bytes()).unwrap_or(input);
    let alone: Vec<bool> = text.split(|byte| *byte == b'\n').map(bad_alone).collect();
    let expected: Vec<usize> = (1..=alone.len()).filter(|line| alone[line - 1]).collect();
    ensure(*bad == expected, || format!("{bad:?} are bad, but each alone {expected:?}"))?;
    let warning = found.warning().unwrap_or_default();
    ensure(!warning.contains(SECRET), || format!("repeats a value: {warning}"))?;
    Ok(format!("{} {} {warning}", "id ".repeat(found.ids.len().min(9)), "bad ".repeat(bad.len().min(9))))
}

/// Whether a line is neither an id nor a comment, read after one that is.
fn bad_alone(line: &[u8]) -> bool {
    !ids_file::parse(&[b"#\n", line].concat()).bad_lines.is_empty()
}
