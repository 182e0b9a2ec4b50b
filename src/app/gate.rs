//! `gate`: asks a running exporter whether there is enough money.
//!
//! Flows in: flags, and the files that they name. Flows out: one line and an exit code. Invariant: nothing but the words of
//! a gate is taken for one, whatever answers there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::AppError;
use super::output::print;
use crate::config::{ConfigErrors, Flags, Process, file, paths, refused, values};
use crate::healthcheck;
use crate::upstream::{Access, AskError, BuildError, ask};

const OPEN: u8 = 0;
const CLOSED: u8 = 2;

/// Larger than any password, certificate or key.
const LARGEST_KIB: u64 = 1_024;

/// Flags of `gate`.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Gate options")]
pub struct GateFlags {
    /// Amount that must remain, in US dollars [default: 0]
    #[arg(long, value_name = "USD")]
    pub min_usd: Option<String>,
    /// Amount the job will spend, in US dollars [default: 0]
    #[arg(long, value_name = "USD")]
    pub cost_usd: Option<String>,
    /// Maximum age of the balance, such as 5m [default: three balance intervals]
    #[arg(long, value_name = "DURATION")]
    pub max_age: Option<String>,
    /// The account; required if several have a balance
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// The exporter's URL [default: http:// and --web.listen-address]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// File with the CA certificates to trust instead of the system's
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// File with a client certificate
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub cert_file: Option<PathBuf>,
    /// File with the key of the client certificate
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
    /// The user, where the exporter asks for a password
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub username: Option<String>,
    /// File with the user's password
    #[arg(long, value_name = "FILE", requires = "username")]
    pub password_file: Option<PathBuf>,
}

/// What is read of the exporter's answer.
#[derive(Deserialize)]
struct GateAnswer {
    open: bool,
    message: String,
}

/// Asks, prints the answer, returns the exit code.
///
/// # Errors
/// If there is no answer, or what is asked is wrong.
pub async fn gate(
    flags: &Flags,
    gate: &GateFlags,
    environment: Vec<(OsString, OsString)>,
    warn: impl Fn(&str),
) -> Result<u8, AppError> {
    let (process, warnings) = Process::load_with_warnings(flags, environment)?;
    warnings.iter().for_each(|warning| warn(warning));
    let (url, access) = checked(gate, &process)?;
    let query: Vec<(&str, String)> = [
        ("account", &gate.account),
        ("min_usd", &gate.min_usd),
        ("cost_usd", &gate.cost_usd),
        ("max_age", &gate.max_age),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value.clone()?)))
    .collect();
    let asked = ask(&url, paths::GATE, &query, access).await;
    let (status, body) = asked.map_err(|error| match error {
        AskError::Build(error) => unusable(&error).into(),
        AskError::NoAnswer(words) => AppError::NoAnswer(format!("no answer from {url}: {words}")),
    })?;
    let (code, word, message) = match (status, serde_json::from_slice::<GateAnswer>(&body)) {
        (200, Ok(GateAnswer { open: true, message })) => (OPEN, "open", message),
        (409, Ok(GateAnswer { open: false, message })) => (CLOSED, "closed", message),
        (400 | 404, _) => {
            let words = String::from_utf8_lossy(&body).lines().next().unwrap_or_default().to_owned();
            return Err(AppError::Refused(format!("{url} rejected the request: {words}")));
        }
        (status, _) => {
            let words = match (status, &gate.username) {
                (401, Some(_)) => "the user or the password is wrong",
                (401, None) => "give --username and --password-file",
                _ => "is it the URL of a wallet-exporter?",
            };
            return Err(AppError::NoAnswer(format!("{url} answered with the status {status}: {words}")));
        }
    };
    print(&crate::printable::printable(&format!("{word}: {message}")))?;
    print("\n")?;
    Ok(code)
}

/// Where to ask and with what, if no flag has an error. A wrong question must not depend on whether somebody answers.
fn checked(gate: &GateFlags, process: &Process) -> Result<(Url, Access), ConfigErrors> {
    let mut errors = ConfigErrors::default();
    question(gate, &mut errors);
    let url = url(gate, process).map_err(|found| errors.extend(found));
    let access = access(gate).map_err(|found| errors.extend(found));
    match (url, access) {
        (Ok(url), Ok(access)) if errors.is_empty() => Ok((url, access)),
        _ => Err(errors),
    }
}

/// Holds what is asked to the rules of the exporter, which checks it again.
fn question(gate: &GateFlags, errors: &mut ConfigErrors) {
    let mut check = |flag: &str, value: &Option<String>, check: &dyn Fn(&str) -> Result<(), String>| {
        let Some(text) = value else { return };
        if let Err(remedy) = check(text) {
            errors.add(flag, refused(text, &remedy));
        }
    };
    let amount = |text: &str| values::threshold(text).map(drop);
    check("--min-usd", &gate.min_usd, &amount);
    check("--cost-usd", &gate.cost_usd, &amount);
    let age = |text: &str| values::duration_within(text, Duration::from_secs(1), values::LONGEST).map(drop);
    check("--max-age", &gate.max_age, &age);
    check("--account", &gate.account, &|text| values::account(text).map(drop));
}

/// Where to ask.
fn url(gate: &GateFlags, process: &Process) -> Result<Url, ConfigErrors> {
    let text = match &gate.url {
        Some(text) => text.clone(),
        None => {
            let addresses = healthcheck::reachable(&process.listen).unwrap_or_default();
            addresses.first().map_or_else(String::new, |address| format!("http://{address}"))
        }
    };
    Url::parse(&text).map_err(|_| wrong("--url", BuildError::BaseUrl.to_string()))
}

/// What to ask with.
fn access(gate: &GateFlags) -> Result<Access, ConfigErrors> {
    let roots = gate.ca_file.as_deref().map(|path| certificates("--ca-file", path)).transpose()?;
    let identity = match (&gate.cert_file, &gate.key_file) {
        (Some(chain), Some(key)) => {
            let chain = certificates("--cert-file", chain)?;
            let none = |_| wrong("--key-file", format!("there is no PEM key in {}", key.display()));
            Some((chain, PrivateKeyDer::from_pem_slice(&read("--key-file", key)?).map_err(none)?))
        }
        _ => None,
    };
    let user = match (&gate.username, &gate.password_file) {
        (Some(user), Some(path)) => {
            let text = String::from_utf8(read("--password-file", path)?);
            let text = text.map_err(|_| wrong("--password-file", format!("{} is not UTF-8", path.display())))?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            Some((user.clone(), SecretString::from(line.strip_suffix('\r').unwrap_or(line))))
        }
        _ => None,
    };
    Ok(Access { roots, identity, user })
}

fn certificates(flag: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigErrors> {
    let bytes = read(flag, path)?;
    match CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(wrong(flag, format!("there is no PEM certificate in {}", path.display()))),
    }
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, ConfigErrors> {
    file::read(path, LARGEST_KIB).map_err(|error| wrong(flag, error.to_string()))
}

fn unusable(error: &BuildError) -> ConfigErrors {
    match error {
        BuildError::Identity => wrong("--cert-file", error.to_string()),
        BuildError::ExtraRoot | BuildError::NoRoots => wrong("--ca-file", error.to_string()),
        BuildError::PlainHttp => {
            wrong("--url", "write https: a password goes in clear text to a loopback address only".to_owned())
        }
        BuildError::BaseUrl | BuildError::Client(_) => wrong("--url", error.to_string()),
    }
}

fn wrong(flag: &str, remedy: String) -> ConfigErrors {
    let mut errors = ConfigErrors::default();
    errors.add(flag, remedy);
    errors
}
