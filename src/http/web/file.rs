//! The format of the web configuration file.
//!
//! Flows in: YAML. Flows out: what it asks for, checked. Invariant: a key that is unknown, or known and without effect
//! here, is an error that names it; no error repeats a value that could be a secret.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use axum::http::header::{HeaderName, HeaderValue};
use rustls_pki_types::ServerName;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::keep;
use super::rate_limit::{TokenBucket, interval};
use super::tls::{ClientAuth, Pem, Tls, TlsSpec, TlsVersion};

/// The highest cost of a bcrypt hash. Each step doubles the time, which is 4 seconds here.
const MOST_COST: u32 = 16;
/// Above this there is a warning.
const NOTABLE_COST: u32 = 14;

/// What the file asks for.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) tls: Option<Tls>,
    /// Bcrypt hashes by user.
    pub(super) users: BTreeMap<String, String>,
    pub(super) rate: Option<TokenBucket>,
    pub(super) warnings: Vec<String>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WebFile {
    tls_server_config: Option<TlsFile>,
    http_server_config: HttpFile,
    basic_auth_users: BTreeMap<String, Hidden>,
    rate_limit: Option<RateFile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RateFile {
    interval: Option<String>,
    burst: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TlsFile {
    cert: Option<String>,
    key: Option<Hidden>,
    client_ca: Option<String>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    client_ca_file: Option<PathBuf>,
    client_auth_type: Option<String>,
    client_allowed_sans: Vec<String>,
    min_version: Option<String>,
    max_version: Option<String>,
    cipher_suites: Vec<String>,
    prefer_server_cipher_suites: Option<bool>,
    curve_preferences: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HttpFile {
    // Read, so that files written for other exporters work. Only HTTP/1.1 is offered, which every client supports.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    headers: BTreeMap<String, Option<String>>,
}

/// A value that is in no message.
#[derive(Default)]
struct Hidden(String);

impl fmt::Debug for Hidden {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(hidden)")
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hidden, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Hidden;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Hidden, E> {
                Ok(Hidden(text.to_owned()))
            }
            // A name without a value.
            fn visit_none<E: de::Error>(self) -> Result<Hidden, E> {
                Ok(Hidden(String::new()))
            }
            fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<Hidden, D::Error> {
                value.deserialize_str(Text)
            }
            // serde's own messages would repeat the number.
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Hidden, E> {
                Err(E::custom("a value that must be text is not"))
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Hidden, E> {
                self.visit_bool(false)
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Hidden, E> {
                self.visit_bool(false)
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Hidden, E> {
                self.visit_bool(false)
            }
        }
        deserializer.deserialize_option(Text)
    }
}

/// Reads and checks the file. Relative paths begin at `folder`.
///
/// # Errors
/// All errors together; but where the YAML cannot be read or has an unknown key, only the first.
pub(super) fn check(text: &str, folder: &Path) -> Result<Checked, Vec<String>> {
    // An empty file asks for nothing.
    if text.lines().all(|line| matches!(line.trim_start().bytes().next(), None | Some(b'#'))) {
        return Ok(Checked::default());
    }
    // A snippet of the file in the message could show a hash.
    let options = serde_saphyr::options! { with_snippet: false };
    let file: WebFile = serde_saphyr::from_str_with_options(text, options).map_err(|error| vec![error.to_string()])?;
    let mut errors = Vec::new();
    let tls = file.tls_server_config.and_then(|tls| tls.check(folder, &mut errors));
    let tls = tls.and_then(|spec| Tls::new(spec).map_err(|found| errors.extend(found)).ok());
    let headers = headers(file.http_server_config, &mut errors);
    let (mut users, mut warnings) = (BTreeMap::new(), Vec::new());
    for (user, Hidden(hash)) in file.basic_auth_users {
        if let Some(cost) = keep(cost(&user, &hash), &mut errors).filter(|cost| *cost > NOTABLE_COST) {
            warnings.push(format!(
                "the bcrypt hash of user {user:?} has the cost {cost}: a check takes about a second; 10 to 12 are enough"
            ));
        }
        users.insert(user, hash);
    }
    let rate = file.rate_limit.and_then(|rate| keep(rate.check(), &mut errors)?);
    if errors.is_empty() { Ok(Checked { tls, users, rate, warnings, headers }) } else { Err(errors) }
}

/// The cost of a user's bcrypt hash.
fn cost(user: &str, hash: &str) -> Result<u32, String> {
    if user.is_empty() || user.contains(':') {
        return Err("basic_auth_users: a user's name must not be empty or hold a colon".to_owned());
    }
    match bcrypt::HashParts::from_str(hash).map(|parts| parts.get_cost()) {
        Ok(cost) if cost > MOST_COST => Err(format!(
            "basic_auth_users: the hash of {user:?} has the cost {cost}, which takes seconds for each attempt; at most \
             {MOST_COST}: make it anew with 10 to 12"
        )),
        Ok(cost) => Ok(cost),
        Err(_) => Err(format!("basic_auth_users: the value of {user:?} is not a bcrypt hash")),
    }
}

/// The headers that the format allows.
const HEADERS: [&str; 5] = [
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "X-XSS-Protection",
    "Strict-Transport-Security",
];

fn headers(file: HttpFile, errors: &mut Vec<String>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, value) in file.headers {
        let known = HEADERS.iter().any(|known| known.eq_ignore_ascii_case(&name));
        let Some(parsed) = HeaderName::from_str(&name).ok().filter(|_| known) else {
            errors.push(format!("http_server_config.headers: {name:?} is not one of {}", HEADERS.join(", ")));
            continue;
        };
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        match HeaderValue::from_str(&value) {
            Ok(value) => headers.push((parsed, value)),
            Err(_) => {
                errors.push(format!("http_server_config.headers: the value of {name} is not a valid header value"));
            }
        }
    }
    headers
}

impl RateFile {
    fn check(self) -> Result<Option<TokenBucket>, String> {
        let interval = match self.interval.as_deref() {
            None | Some("" | "0") => return Ok(None),
            Some(text) => interval(text).map_err(|remedy| format!("rate_limit.interval: {remedy}"))?,
        };
        if interval.is_zero() {
            return Ok(None);
        }
        match self.burst.unwrap_or(1) {
            0 => Err("rate_limit.burst: no request would be answered; write at least 1".to_owned()),
            burst => Ok(Some(TokenBucket::new(interval, burst))),
        }
    }
}

/// An error about a field of the TLS section.
fn key(name: &str, problem: &str) -> String {
    format!("tls_server_config.{name}: {problem}")
}

fn tls_version(name: &str, text: Option<&str>, default: TlsVersion) -> Result<TlsVersion, String> {
    match text {
        None | Some("") => Ok(default),
        Some("TLS12") => Ok(TlsVersion::Tls12),
        Some("TLS13") => Ok(TlsVersion::Tls13),
        Some("TLS10" | "TLS11") => Err(key(name, "TLS 1.0 and 1.1 are not supported, as they are not safe")),
        Some(_) => Err(key(name, "is neither TLS12 nor TLS13")),
    }
}

fn client_auth(kind: &str, client_ca: Option<Pem>) -> Result<ClientAuth, String> {
    let (name, problem) = match (kind, client_ca) {
        ("" | "NoClientCert", None) => return Ok(ClientAuth::None),
        ("RequireAndVerifyClientCert", Some(ca)) => return Ok(ClientAuth::Required(ca)),
        ("VerifyClientCertIfGiven", Some(ca)) => return Ok(ClientAuth::IfGiven(ca)),
        ("" | "NoClientCert", Some(_)) => {
            ("client_ca_file", "has no effect without client_auth_type: RequireAndVerifyClientCert")
        }
        ("RequireAndVerifyClientCert" | "VerifyClientCertIfGiven", None) => {
            ("client_ca_file", "is missing; client certificates cannot be verified without it")
        }
        ("RequestClientCert" | "RequireAnyClientCert", _) => {
            ("client_auth_type", "client certificates would not be verified; write RequireAndVerifyClientCert")
        }
        _ => ("client_auth_type", "is not one of NoClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert"),
    };
    Err(key(name, problem))
}

/// A PEM that is written in the file or named by it.
fn pem(name: &str, inline: Option<String>, file: Option<PathBuf>, folder: &Path) -> Result<Option<Pem>, String> {
    match (inline, file) {
        (Some(_), Some(_)) => Err(key(name, &format!("give either {name} or {name}_file"))),
        (Some(text), None) => Ok(Some(Pem::Inline(text))),
        (None, Some(file)) => Ok(Some(Pem::File(folder.join(file)))),
        (None, None) => Ok(None),
    }
}

impl TlsFile {
    /// `None` if something is added to `errors`.
    fn check(self, folder: &Path, errors: &mut Vec<String>) -> Option<TlsSpec> {
        let needed = |name: &str, pem: Option<Pem>| pem.ok_or_else(|| key(&format!("{name}_file"), "is missing"));
        let certificate = pem("cert", self.cert, self.cert_file, folder).and_then(|pem| needed("cert", pem));
        let private = pem("key", self.key.map(|key| key.0), self.key_file, folder).and_then(|pem| needed("key", pem));
        let (certificate, private) = (keep(certificate, errors), keep(private, errors));
        let mut allowed_names = Vec::new();
        for name in self.client_allowed_sans {
            match ServerName::try_from(name.clone()) {
                Ok(name) => allowed_names.push(name),
                Err(_) => {
                    let problem = format!("{name:?} is neither a DNS name nor an IP address");
                    errors.push(key("client_allowed_sans", &problem));
                }
            }
        }
        let kind = self.client_auth_type.as_deref().unwrap_or("NoClientCert");
        let client_ca = pem("client_ca", self.client_ca, self.client_ca_file, folder);
        let client_auth = keep(client_ca.and_then(|ca| client_auth(kind, ca)), errors);
        if !allowed_names.is_empty()
            && client_auth.as_ref().is_some_and(|auth| !matches!(auth, ClientAuth::Required(_)))
        {
            let problem = "has no effect without client_auth_type: RequireAndVerifyClientCert";
            errors.push(key("client_allowed_sans", problem));
        }
        let min = keep(tls_version("min_version", self.min_version.as_deref(), TlsVersion::Tls12), errors);
        let max = keep(tls_version("max_version", self.max_version.as_deref(), TlsVersion::Tls13), errors);
        if min.zip(max).is_some_and(|(min, max)| min > max) {
            errors.push(key("max_version", "is below min_version"));
        }
        Some(TlsSpec {
            certificate: certificate?,
            key: private?,
            client_auth: client_auth?,
            allowed_names,
            min: min?,
            max: max?,
            cipher_suites: self.cipher_suites,
            server_order: self.prefer_server_cipher_suites.unwrap_or(true),
            curves: self.curve_preferences,
        })
    }
}
