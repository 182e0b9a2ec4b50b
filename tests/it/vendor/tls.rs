//! Whom the clients trust.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;
use wallet_exporter::upstream::{BuildError, Reason, RequestLimits};
use wallet_exporter::{batchdata, rightfoot};

use super::client::{OPERATIONS, TOKEN, call, good, settings};
use super::fake::Fake;

/// An authority of our own.
struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl CertificateAuthority {
    fn new(name: &str) -> CertificateAuthority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let root = params.self_signed(&key).unwrap().der().clone();
        CertificateAuthority { issuer: Issuer::new(params, key), root }
    }

    /// A server with a certificate for this name, valid from and to the first day of these years.
    fn server(&self, name: &str, from: i32, to: i32) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

#[tokio::test]
async fn certificates() {
    let trusted = CertificateAuthority::new("trusted");
    let unknown = CertificateAuthority::new("unknown");
    for (acceptor, expected) in [
        (trusted.server("127.0.0.1", 2020, 2100), None),
        (trusted.server("api.example.test", 2020, 2100), Some("for another name")),
        (trusted.server("127.0.0.1", 2000, 2020), Some("has expired")),
        (trusted.server("127.0.0.1", 2100, 2120), Some("not valid yet")),
        (unknown.server("127.0.0.1", 2020, 2100), Some("issuer is unknown")),
    ] {
        for operation in OPERATIONS {
            let fake = Fake::tls(acceptor.clone(), good(operation)).await;
            let mut settings = settings(fake.url());
            settings.extra_roots = vec![trusted.root.clone()];
            let outcome = call(operation, settings).await;
            match expected {
                None => {
                    outcome.unwrap();
                    assert_eq!(fake.seen()[0].header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
                }
                Some(words) => {
                    let fault = outcome.unwrap_err();
                    assert_eq!(fault.reason, Reason::Connect, "{fault}");
                    assert!(fault.detail.contains(words), "{fault}");
                    assert_eq!(fake.count(), 0, "the token must not be sent to a server that is not trusted");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls() {
    let root = CertificateAuthority::new("trusted").root;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url: url::Url = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
    let server = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 8];
        stream.read_exact(&mut hello).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream.flush().await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    let mut settings = settings(url);
    settings.extra_roots = vec![root];
    let fault = call(batchdata::BALANCE.operation, settings).await.unwrap_err();
    assert_eq!(fault.reason, Reason::Connect, "{fault}");
    assert!(fault.detail.contains("does not speak TLS"), "{fault}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_server_that_never_shakes_hands() {
    // The system accepts the connection; nobody ever answers it.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut settings = settings(format!("https://{}", listener.local_addr().unwrap()).parse().unwrap());
    settings.extra_roots = vec![CertificateAuthority::new("trusted").root];
    settings.limits = RequestLimits { connect: Duration::from_millis(200), ..RequestLimits::default() };
    let fault = call(batchdata::BALANCE.operation, settings).await.unwrap_err();
    assert_eq!(fault.reason, Reason::Connect, "{fault}");
    assert!(fault.detail.contains("no connection in time"), "{fault}");
}

#[test]
fn settings_that_cannot_work() {
    for (url, expected) in [
        ("http://api.example.test", BuildError::PlainHttp),
        ("http://10.0.0.1", BuildError::PlainHttp),
        ("http://127.0.0.1.example.test", BuildError::PlainHttp),
        ("ftp://127.0.0.1", BuildError::BaseUrl),
        ("https://user:password@api.example.test", BuildError::BaseUrl),
        ("https://api.example.test?token=1", BuildError::BaseUrl),
        ("https://api.example.test#here", BuildError::BaseUrl),
    ] {
        let settings = settings(url.parse().unwrap());
        assert_eq!(batchdata::Client::new(settings.clone(), true).unwrap_err(), expected, "{url}");
        assert_eq!(rightfoot::Client::new(settings).unwrap_err(), expected, "{url}");
    }
    for url in ["http://127.0.0.1:1", "http://127.8.8.8:1", "http://[::1]:1", "http://localhost:1"] {
        batchdata::Client::new(settings(url.parse().unwrap()), true).unwrap();
    }
    let mut broken = settings("https://api.example.test".parse().unwrap());
    broken.extra_roots = vec![CertificateDer::from(vec![1, 2, 3])];
    assert_eq!(batchdata::Client::new(broken, true).unwrap_err(), BuildError::ExtraRoot);
}
