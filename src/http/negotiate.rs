//! What the client wants to read.
//!
//! Flows in: the `Accept` and `Accept-Encoding` headers. Flows out: a format and whether to compress. Invariant: there
//! is always an answer; what is not understood counts as not said.

use axum::http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};

use crate::exposition::Format;

/// The content type of text 0.0.4.
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The content type of OpenMetrics 1.0.0.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The content type of protobuf.
pub const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// The content type of a format.
#[must_use]
pub fn content_type(format: Format) -> HeaderValue {
    HeaderValue::from_static(match format {
        Format::Text => TEXT,
        Format::OpenMetrics => OPENMETRICS,
        Format::Protobuf => PROTOBUF,
    })
}

/// One element of a header: the value, its parameters, its weight in thousandths.
struct Element<'a> {
    value: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    weight: u16,
}

impl<'a> Element<'a> {
    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

/// The elements of all headers of one name. Values that are not text are skipped.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<Element<'a>> {
    let texts = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| split_outside_quotes(text, ',')).filter_map(element).collect()
}

/// Splits at a separator that does not stand in a quoted string.
fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(|character: char| {
        let inside = quoted;
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        character == separator && !inside
    })
    .collect()
}

fn element(text: &str) -> Option<Element<'_>> {
    let mut parts = split_outside_quotes(text, ';').into_iter();
    let value = parts.next()?.trim();
    if value.is_empty() {
        return None;
    }
    let mut parameters = Vec::new();
    let mut weight = 1000;
    for part in parts {
        let Some((name, value)) = part.split_once('=') else { continue };
        let (name, value) = (name.trim(), value.trim());
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        if name.eq_ignore_ascii_case("q") {
            // A weight that is no weight makes the element unusable, not preferred.
            weight = thousandths(value).unwrap_or(0);
        } else {
            parameters.push((name, value));
        }
    }
    Some(Element { value, parameters, weight })
}

/// A weight: `0`, `1`, up to three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

/// The format for these headers: the one of the highest weight, and text 0.0.4 where none is wanted.
///
/// Of the ranges that match a format the most exact one gives the weight. Parameters other than `version`, and for
/// protobuf `proto` and `encoding`, are ignored, as what they mean (such as `escaping`) makes no difference to names like
/// ours. Equal weights go to whichever was named first, and to text where neither was named exactly. OpenMetrics has to be
/// named, unless text is refused; protobuf has to be named with its message and its encoding, as a range may come from
/// somebody who cannot read it.
///
/// This differs from client_golang, which ignores ranges: `application/vnd.google.protobuf;...;q=0.5, */*` gets protobuf
/// there, and text here, as the range gives text the higher weight.
#[must_use]
pub fn format(headers: &HeaderMap) -> Format {
    let (mut text, mut openmetrics, mut protobuf) = (Weighed::default(), Weighed::default(), Weighed::default());
    for (place, element) in elements(headers, &ACCEPT).iter().enumerate() {
        let Some((kind, subtype)) = element.value.split_once('/') else { continue };
        let is = |wanted: (&str, &str)| kind.eq_ignore_ascii_case(wanted.0) && subtype.eq_ignore_ascii_case(wanted.1);
        let version = element.parameter("version");
        if is(("application", "vnd.google.protobuf")) {
            let message = element.parameter("proto") == Some("io.prometheus.client.MetricFamily");
            if message && element.parameter("encoding") == Some("delimited") {
                protobuf.take(4, element.weight, place);
            }
        } else if is(("application", "openmetrics-text")) {
            match version {
                Some("1.0.0") => openmetrics.take(4, element.weight, place),
                None => openmetrics.take(3, element.weight, place),
                Some(_) => {}
            }
        } else if is(("text", "plain")) {
            match version {
                Some("0.0.4") => text.take(4, element.weight, place),
                None => text.take(3, element.weight, place),
                Some(_) => {}
            }
        } else if is(("text", "*")) {
            text.take(2, element.weight, usize::MAX);
        } else if is(("application", "*")) {
            openmetrics.take(2, element.weight, usize::MAX);
        } else if is(("*", "*")) {
            text.take(1, element.weight, usize::MAX);
            openmetrics.take(1, element.weight, usize::MAX);
        }
    }
    // Who refuses text takes whatever else fits.
    let named = openmetrics.exactness > 2 || (text.exactness > 1 && text.weight == 0);
    let (best, format) = match named && openmetrics.is_before(&text) {
        true => (openmetrics, Format::OpenMetrics),
        false => (text, Format::Text),
    };
    if protobuf.is_before(&best) { Format::Protobuf } else { format }
}

#[derive(Default)]
struct Weighed {
    exactness: u8,
    weight: u16,
    place: usize,
}

impl Weighed {
    fn take(&mut self, exactness: u8, weight: u16, place: usize) {
        if exactness > self.exactness || (exactness == self.exactness && weight > self.weight) {
            *self = Weighed { exactness, weight, place };
        }
    }

    /// Whether it is wanted more than another, or as much and sooner.
    fn is_before(&self, other: &Weighed) -> bool {
        self.weight > 0 && (self.weight > other.weight || (self.weight == other.weight && self.place < other.place))
    }
}

/// Whether to compress: gzip is accepted with a weight, and `identity` was not asked for more strongly.
#[must_use]
pub fn gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for element in elements(headers, &ACCEPT_ENCODING) {
        let slot = match element.value.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => &mut gzip,
            "identity" => &mut identity,
            "*" => &mut any,
            _ => continue,
        };
        *slot = Some(slot.unwrap_or(0).max(element.weight));
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}
