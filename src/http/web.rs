//! The web configuration file, in the format of Prometheus' exporter-toolkit: TLS, passwords, headers.
//!
//! Flows in: a YAML file and the certificates it names. Flows out: TLS for each connection, whether a request may be
//! answered, headers for each answer. Invariant: a file that cannot be used changes nothing; at start it is an error.

mod file;
mod passwords;
mod rate_limit;
mod tls;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue};

pub(super) use passwords::AuthOutcome;
use rate_limit::TokenBucket;
use tls::Handshake;

/// The largest web configuration, certificate or key.
const FILE_KIB: u64 = 1_024;

/// The web configuration, which can be read again while the server runs.
#[derive(Clone, Debug)]
pub struct Web {
    file: Option<Arc<Path>>,
    tls_only: bool,
    current: Arc<ArcSwap<Current>>,
}

/// What is in force.
#[derive(Debug, Default)]
struct Current {
    tls: Option<Arc<tls::Tls>>,
    passwords: Option<Arc<passwords::Passwords>>,
    rate: Option<TokenBucket>,
    headers: Vec<(HeaderName, HeaderValue)>,
    warnings: Vec<String>,
}

/// Why a web configuration cannot be used. Names the file and the keys, never a password or its hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{about}: {}", problems.join("; "))]
pub struct WebConfigError {
    about: String,
    problems: Vec<String>,
}

impl WebConfigError {
    /// Each of its errors alone.
    pub fn each(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(|problem| format!("{}: {problem}", self.about))
    }
}

/// Keeps what could be read; an error is added to the others.
fn keep<T>(outcome: Result<T, String>, errors: &mut Vec<String>) -> Option<T> {
    outcome.map_err(|error| errors.push(error)).ok()
}

impl Web {
    /// Reads the file; without one, everything is open and plain.
    ///
    /// # Errors
    /// If it cannot be used as it is.
    pub fn load(file: Option<&Path>) -> Result<Web, WebConfigError> {
        Web::open(file, false)
    }

    /// The same for the webhook's address, where only TLS can be configured: what is in the path lets a client in.
    ///
    /// # Errors
    /// If it cannot be used as it is.
    pub fn load_for_webhook(file: Option<&Path>) -> Result<Web, WebConfigError> {
        Web::open(file, true)
    }

    fn open(file: Option<&Path>, tls_only: bool) -> Result<Web, WebConfigError> {
        let current = file.map(|file| read(file, tls_only)).transpose()?.unwrap_or_default();
        Ok(Web { file: file.map(Arc::from), tls_only, current: Arc::new(ArcSwap::from_pointee(current)) })
    }

    /// What deserves a word although it is no error.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.current.load().warnings.clone()
    }

    /// Reads the file and everything it names again; blocks on files.
    ///
    /// # Errors
    /// If it cannot be used as it is; the old one stays.
    pub fn reload(&self) -> Result<(), WebConfigError> {
        if let Some(file) = &self.file {
            let mut fresh = read(file, self.tls_only)?;
            let current = self.current.load();
            if let (Some(old), Some(new)) = (&current.passwords, &fresh.passwords)
                && old.has_the_users_of(new)
            {
                // Clients that were let in before stay let in, and those who guess stay in their queue.
                fresh.passwords = Some(Arc::clone(old));
            }
            self.current.store(Arc::new(fresh));
        }
        Ok(())
    }

    /// Checks the text of a web configuration. Errors name it as `file`, in whose folder relative paths begin.
    ///
    /// # Errors
    /// If it cannot be used as it is.
    #[cfg(feature = "testing")]
    pub fn check(file: &Path, text: Vec<u8>) -> Result<(), WebConfigError> {
        parse(file, text).map(drop)
    }

    /// TLS for the next connection, if it is to have any. Certificates that changed on disk are read here.
    pub(super) async fn tls(&self) -> Option<Handshake> {
        let tls = Arc::clone(self.current.load().tls.as_ref()?);
        // Looks at files, which may lie on a network.
        tokio::task::spawn_blocking(move || tls.handshake()).await.ok()
    }

    /// Whether a request with these headers, from this address, may be answered.
    pub(super) async fn validate(&self, headers: &HeaderMap, from: IpAddr) -> AuthOutcome {
        let current = self.current.load_full();
        if current.rate.as_ref().is_some_and(|rate| !rate.allows(Instant::now())) {
            return AuthOutcome::TooMany;
        }
        match &current.passwords {
            None => AuthOutcome::Allowed,
            Some(passwords) => passwords.validate(headers, from).await,
        }
    }

    /// Adds the configured headers to an answer.
    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.current.load().headers {
            headers.insert(name, value.clone());
        }
    }
}

fn read(path: &Path, tls_only: bool) -> Result<Current, WebConfigError> {
    let bytes = crate::config::file::read(path, FILE_KIB)
        .map_err(|error| WebConfigError { about: "web configuration".to_owned(), problems: vec![error.to_string()] })?;
    let current = parse(path, bytes)?;
    if tls_only && (current.passwords.is_some() || current.rate.is_some() || !current.headers.is_empty()) {
        let problem = "for the webhook's address only tls_server_config has an effect; remove the rest".to_owned();
        return Err(about(path, vec![problem]));
    }
    Ok(current)
}

fn about(path: &Path, problems: Vec<String>) -> WebConfigError {
    WebConfigError { about: format!("web configuration {}", path.display()), problems }
}

fn parse(path: &Path, bytes: Vec<u8>) -> Result<Current, WebConfigError> {
    let text = String::from_utf8(bytes).map_err(|_| about(path, vec!["it is not UTF-8".to_owned()]))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let checked = file::check(&text, folder).map_err(|problems| about(path, problems))?;
    let mut warnings = checked.warnings;
    let key = checked.tls.as_ref().map(tls::Tls::key);
    warnings.extend(key.and_then(tls::Pem::exposure));
    if !checked.users.is_empty() || matches!(key, Some(tls::Pem::Inline(_))) {
        warnings.extend(crate::config::file::exposure(path));
    }
    Ok(Current {
        warnings,
        tls: checked.tls.map(Arc::new),
        rate: checked.rate,
        passwords: (!checked.users.is_empty()).then(|| Arc::new(passwords::Passwords::new(checked.users))),
        headers: checked.headers,
    })
}
