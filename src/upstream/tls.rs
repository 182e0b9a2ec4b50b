//! The HTTP client and whom it trusts.
//!
//! Flows in: settings. Flows out: one `reqwest::Client`. Invariant: it follows no redirect, sends nothing twice, speaks
//! HTTP/1.1 only (so that a body's end is told by its framing), and never sends a token in the clear beyond this machine.

use std::sync::Arc;

use reqwest::{Client, redirect, retry};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use url::{Host, Url};

use super::settings::{BuildError, ClientSettings};

/// Connections are kept for the pages of one walk, not until the next poll: a server that closes an idle connection
/// at the wrong moment would look like an error.
const IDLE_CONNECTION: std::time::Duration = std::time::Duration::from_secs(10);

/// Builds the client.
pub(super) fn client(settings: &ClientSettings) -> Result<Client, BuildError> {
    let url = &settings.base_url;
    let bare =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !bare {
        return Err(BuildError::BaseUrl);
    }
    let secure = url.scheme() == "https";
    if !secure && !is_loopback(url) {
        return Err(BuildError::PlainHttp);
    }
    let roots = if secure { roots(&settings.extra_roots)? } else { RootCertStore::empty() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError::Client(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .http1_only()
        .connect_timeout(settings.limits.connect)
        .pool_idle_timeout(IDLE_CONNECTION);
    if is_loopback(url) {
        // A proxy elsewhere cannot reach this machine's loopback, and would see the token.
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| BuildError::Client(error.without_url().to_string()))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

fn roots(extra: &[CertificateDer<'static>]) -> Result<RootCertStore, BuildError> {
    let mut roots = RootCertStore::empty();
    // Single unreadable certificates in a system's store are common and do not matter as long as others remain.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in extra {
        roots.add(certificate.clone()).map_err(|_| BuildError::ExtraRoot)?;
    }
    if roots.is_empty() { Err(BuildError::NoRoots) } else { Ok(roots) }
}
