//! The HTTP client and whom it trusts.
//!
//! Flows in: settings. Flows out: one `reqwest::Client`. Invariant: it follows no redirect, sends nothing twice, speaks
//! HTTP/1.1 only (so that a body's end is told by its framing), and never sends a token in the clear beyond this machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, ClientBuilder, redirect, retry};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use url::{Host, Url};

/// Connections are kept for the pages of one walk, not until the next poll: a server that closes an idle connection
/// at the wrong moment would look like an error.
const IDLE_CONNECTION: Duration = Duration::from_secs(10);

/// Why a client cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The base URL cannot be built upon.
    #[error("the base URL must be http or https with a host, and without user, password, query and fragment")]
    BaseUrl,
    /// The token would travel in the clear.
    #[error("plain http is allowed to a loopback address only")]
    PlainHttp,
    /// No root certificate, so no vendor's certificate could be verified.
    #[error(
        "no CA certificates were found on this system: install ca-certificates, or point SSL_CERT_FILE at a bundle"
    )]
    NoRoots,
    /// A client certificate and a key that is not its own.
    #[error("the client certificate and the key do not belong together")]
    Identity,
    /// A certificate among the extra roots is not one.
    #[error("an extra root certificate cannot be read")]
    ExtraRoot,
    /// The HTTP client refused its settings.
    #[error("the HTTP client cannot be built: {0}")]
    Client(String),
}

/// A client for each base URL: the accounts of a vendor share connections and trusted certificates.
#[derive(Default)]
pub struct Clients(Mutex<BTreeMap<Url, Client>>);

impl Clients {
    /// The client for a base URL; a new one trusts `extra` certificates, too, and connects within `connect`.
    pub(super) fn client(
        &self,
        base_url: &Url,
        extra: &[CertificateDer<'static>],
        connect: Duration,
    ) -> Result<Client, BuildError> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = clients.get(base_url) {
            return Ok(known.clone());
        }
        let new = client(base_url, extra, connect)?;
        clients.insert(base_url.clone(), new.clone());
        Ok(new)
    }
}

fn client(url: &Url, extra: &[CertificateDer<'static>], connect: Duration) -> Result<Client, BuildError> {
    if !check(url)? && !is_loopback(url) {
        return Err(BuildError::PlainHttp);
    }
    let config = config(url, None, extra, None)?;
    let builder = builder(url, config).connect_timeout(connect).pool_idle_timeout(IDLE_CONNECTION).build();
    builder.map_err(|error| BuildError::Client(error.without_url().to_string()))
}

/// Checks that a URL can be built upon; whether it is TLS.
pub(super) fn check(url: &Url) -> Result<bool, BuildError> {
    let bare =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !bare {
        return Err(BuildError::BaseUrl);
    }
    Ok(url.scheme() == "https")
}

/// Whom to trust: `only` these, or the system's and `extra` ones; and how to show who asks.
pub(super) fn config(
    url: &Url,
    only: Option<Vec<CertificateDer<'static>>>,
    extra: &[CertificateDer<'static>],
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig, BuildError> {
    let roots = match only {
        _ if url.scheme() != "https" => RootCertStore::empty(),
        Some(only) => with(RootCertStore::empty(), &only)?,
        None => system(extra)?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trusting = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError::Client(error.to_string()))?
        .with_root_certificates(roots);
    match identity {
        Some((chain, key)) => trusting.with_client_auth_cert(chain, key).map_err(|_| BuildError::Identity),
        None => Ok(trusting.with_no_client_auth()),
    }
}

/// A client that asks once, and only where it is told to.
pub(super) fn builder(url: &Url, tls: ClientConfig) -> ClientBuilder {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .http1_only();
    // A proxy elsewhere cannot reach this machine's loopback, and would see the token.
    if is_loopback(url) { builder.no_proxy() } else { builder }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

fn system(extra: &[CertificateDer<'static>]) -> Result<RootCertStore, BuildError> {
    let mut roots = RootCertStore::empty();
    // Single unreadable certificates in a system's store are common and do not matter as long as others remain.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    with(roots, extra)
}

fn with(mut roots: RootCertStore, extra: &[CertificateDer<'static>]) -> Result<RootCertStore, BuildError> {
    for certificate in extra {
        roots.add(certificate.clone()).map_err(|_| BuildError::ExtraRoot)?;
    }
    if roots.is_empty() { Err(BuildError::NoRoots) } else { Ok(roots) }
}
