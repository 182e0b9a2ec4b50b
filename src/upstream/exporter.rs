//! A request to a running exporter.
//!
//! Flows in: its URL, whom to trust, how to sign in. Flows out: status and body, or why there are none. Invariant: no
//! redirect is followed, and a password leaves this machine over TLS only.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::http::Query;
use super::tls::{self, BuildError};
use super::transport_error;

/// Connecting, asking and reading together; a living exporter answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than any answer that is asked for here.
const LONGEST_BODY: usize = 64 * 1024;

/// Whom to trust, and how to sign in.
#[derive(Default)]
pub struct Access {
    /// The certificates to trust instead of the system's.
    pub roots: Option<Vec<CertificateDer<'static>>>,
    /// A client certificate, with the chain that it needs, and its key.
    pub identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// User and password.
    pub user: Option<(String, SecretString)>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nothing was asked: what to ask with is wrong.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Nothing, or not all, came back. The words are safe to show.
    #[error("{0}")]
    NoAnswer(String),
}

/// Asks the exporter at `base` and returns the status with the body.
///
/// # Errors
/// See [`AskError`].
pub async fn ask(base: &Url, path: &str, query: Query<'_>, access: Access) -> Result<(u16, Vec<u8>), AskError> {
    let secure = tls::check(base)? || tls::is_loopback(base);
    if access.user.is_some() && !secure {
        return Err(BuildError::PlainHttp.into());
    }
    let config = tls::config(base, access.roots, &[], access.identity)?;
    let client = tls::builder(base, config).timeout(PATIENCE).build();
    let client = client.map_err(|error| BuildError::Client(error.without_url().to_string()))?;
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    let mut request = client.get(url);
    if let Some((user, password)) = access.user {
        request = request.basic_auth(user, Some(password.expose_secret()));
    }
    let timeout = || AskError::NoAnswer(format!("no answer within {} s", PATIENCE.as_secs()));
    let mut answer = request.send().await.map_err(|error| match error.is_timeout() && !error.is_connect() {
        true => timeout(),
        false => AskError::NoAnswer(transport_error::before_the_head(&error).1),
    })?;
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LONGEST_BODY => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(AskError::NoAnswer("the answer is too large".to_owned())),
            Ok(None) => return Ok((answer.status().as_u16(), body)),
            Err(error) if error.is_timeout() => return Err(timeout()),
            Err(error) => {
                let (_, words) = transport_error::inside_the_body(&error, body.len() as u64);
                return Err(AskError::NoAnswer(words));
            }
        }
    }
}
