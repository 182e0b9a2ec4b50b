//! TLS.
//!
//! Flows in: the checked `tls_server_config`; certificate, key and client CA from disk, again whenever they change.
//! Flows out: what accepts a connection. Invariant: a certificate or key that cannot be used leaves the last good pair
//! in use, and is logged once.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::keep;

/// Where a certificate or key comes from.
pub(super) enum Pem {
    Inline(String),
    File(PathBuf),
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.place())
    }
}

impl Pem {
    fn place(&self) -> String {
        match self {
            Pem::Inline(_) => "the value in the file".to_owned(),
            Pem::File(path) => path.display().to_string(),
        }
    }

    fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Pem::Inline(text) => Ok(text.clone().into_bytes()),
            Pem::File(path) => crate::config::file::read(path, super::FILE_KIB).map_err(|error| error.to_string()),
        }
    }

    /// What to say if others can read the file.
    pub(super) fn exposure(&self) -> Option<String> {
        match self {
            Pem::Inline(_) => None,
            Pem::File(path) => crate::config::file::exposure(path),
        }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, String> {
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|_| format!("{}: no PEM private key", self.place()))
    }

    /// The authorities that it has.
    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| format!("{}: {error}", self.place()))?;
        }
        Ok(roots)
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let bytes = self.read()?;
        let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        match parsed {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            _ => Err(format!("{}: no PEM certificate", self.place())),
        }
    }

    fn stamp(&self) -> Stamp {
        let Pem::File(path) = self else { return None };
        let data = std::fs::metadata(path).ok()?;
        Some((data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec()))
    }
}

/// What changes when a file is replaced or written: device, inode, size, time.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// Who must show a certificate.
#[derive(Debug)]
pub(super) enum ClientAuth {
    None,
    IfGiven(Pem),
    Required(Pem),
}

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TlsVersion {
    Tls12,
    Tls13,
}

/// The checked `tls_server_config`.
#[derive(Debug)]
pub(super) struct TlsSpec {
    pub(super) certificate: Pem,
    pub(super) key: Pem,
    pub(super) client_auth: ClientAuth,
    /// The names of which a client's certificate must have one; any, if there are none.
    pub(super) allowed_names: Vec<ServerName<'static>>,
    pub(super) min: TlsVersion,
    pub(super) max: TlsVersion,
    pub(super) cipher_suites: Vec<String>,
    pub(super) server_order: bool,
    pub(super) curves: Vec<String>,
}

/// TLS with certificates that may change on disk.
pub(super) struct Tls {
    spec: TlsSpec,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    /// Of the last attempt, failed or not, so that one bad file is read once and not for each connection.
    stamps: [Stamp; 3],
    config: Arc<ServerConfig>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tls").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with each of them.
    pub(super) fn new(spec: TlsSpec) -> Result<Tls, Vec<String>> {
        let stamps = spec.stamps();
        let config = Arc::new(spec.config()?);
        Ok(Tls { spec, loaded: Mutex::new(Loaded { stamps, config }) })
    }

    /// The private key.
    pub(super) fn key(&self) -> &Pem {
        &self.spec.key
    }

    /// What accepts the next connection; looks at the files.
    pub(super) fn handshake(self: &Arc<Tls>) -> Handshake {
        Handshake { acceptor: self.acceptor(), tls: Arc::clone(self) }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let stamps = self.spec.stamps();
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if stamps != loaded.stamps {
            loaded.stamps = stamps;
            match self.spec.config() {
                Ok(config) => {
                    tracing::info!("the TLS certificate was read again");
                    loaded.config = Arc::new(config);
                }
                Err(problems) => {
                    tracing::warn!(
                        problem = problems.join("; "),
                        "the TLS certificate changed and cannot be used; the previous one stays in use"
                    );
                }
            }
        }
        TlsAcceptor::from(Arc::clone(&loaded.config))
    }
}

/// Accepts one connection.
pub(in crate::http) struct Handshake {
    acceptor: TlsAcceptor,
    tls: Arc<Tls>,
}

impl Handshake {
    /// The connection, if the client may have it.
    pub(in crate::http) async fn accept(self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let stream = self.acceptor.accept(stream).await.ok()?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        self.tls.spec.allows(certificate).then_some(stream)
    }
}

impl TlsSpec {
    /// Whether a client's certificate, verified by now, has an allowed name.
    fn allows(&self, certificate: Option<&CertificateDer<'_>>) -> bool {
        if self.allowed_names.is_empty() {
            return true;
        }
        let Some(Ok(certificate)) = certificate.map(ParsedCertificate::try_from) else { return false };
        self.allowed_names.iter().any(|name| verify_server_name(&certificate, name).is_ok())
    }

    fn stamps(&self) -> [Stamp; 3] {
        let ca = match &self.client_auth {
            ClientAuth::None => None,
            ClientAuth::IfGiven(ca) | ClientAuth::Required(ca) => ca.stamp(),
        };
        [self.certificate.stamp(), self.key.stamp(), ca]
    }

    fn config(&self) -> Result<ServerConfig, Vec<String>> {
        let mut errors = Vec::new();
        let provider = self.provider(&mut errors);
        let certificates = keep(self.certificate.certificates(), &mut errors);
        let key = keep(self.key.private_key(), &mut errors);
        let roots = match &self.client_auth {
            ClientAuth::None => None,
            ClientAuth::IfGiven(ca) | ClientAuth::Required(ca) => keep(ca.roots(), &mut errors),
        };
        let roots = roots.unwrap_or_else(RootCertStore::empty);
        match (certificates, key) {
            (Some(certificates), Some(key)) if errors.is_empty() => {
                self.assemble(provider, roots, certificates, key).map_err(|error| vec![error])
            }
            _ => Err(errors),
        }
    }

    fn assemble(
        &self,
        provider: CryptoProvider,
        roots: RootCertStore,
        certificates: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<ServerConfig, String> {
        let provider = Arc::new(provider);
        let versions: Vec<&'static SupportedProtocolVersion> =
            [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)]
                .into_iter()
                .filter(|(version, _)| (self.min..=self.max).contains(version))
                .map(|(_, version)| version)
                .collect();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|error| format!("tls_server_config: {error}"))?;
        let builder = match &self.client_auth {
            ClientAuth::None => builder.with_no_client_auth(),
            ClientAuth::IfGiven(ca) | ClientAuth::Required(ca) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match &self.client_auth {
                    ClientAuth::IfGiven(_) => verifier.allow_unauthenticated(),
                    ClientAuth::Required(_) | ClientAuth::None => verifier,
                };
                let verifier = verifier.build().map_err(|error| format!("{}: {error}", ca.place()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        // Checks that the two belong together.
        let mut config = builder
            .with_single_cert(certificates, key)
            .map_err(|error| format!("{} and {}: {error}", self.certificate.place(), self.key.place()))?;
        config.ignore_client_order = self.server_order;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// The algorithms, under the names that Go gives them, as the format has it.
    fn provider(&self, errors: &mut Vec<String>) -> CryptoProvider {
        let mut provider = ring::default_provider();
        if !self.cipher_suites.is_empty() {
            let known = provider.cipher_suites.clone();
            // As in Go, the list is about TLS 1.2; the suites of 1.3 are always there.
            let mut chosen: Vec<_> = known.iter().copied().filter(|suite| suite.tls13().is_some()).collect();
            for name in &self.cipher_suites {
                let suite = known.iter().find(|suite| {
                    let suite = format!("{:?}", suite.suite());
                    suite == *name || suite.replacen("TLS13_", "TLS_", 1) == *name
                });
                match suite {
                    Some(suite) if chosen.contains(suite) => {}
                    Some(suite) => chosen.push(*suite),
                    None => errors.push(format!("tls_server_config.cipher_suites: {name:?} is not supported")),
                }
            }
            provider.cipher_suites = chosen;
        }
        if !self.curves.is_empty() {
            let mut chosen = Vec::new();
            for name in &self.curves {
                match name.as_str() {
                    "CurveP256" => chosen.push(ring::kx_group::SECP256R1),
                    "CurveP384" => chosen.push(ring::kx_group::SECP384R1),
                    "X25519" => chosen.push(ring::kx_group::X25519),
                    _ => errors.push(format!("tls_server_config.curve_preferences: {name:?} is not supported")),
                }
            }
            provider.kx_groups = chosen;
        }
        provider
    }
}
