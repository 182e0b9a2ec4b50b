//! Why a request brought no answer, or half of one.
//!
//! Flows in: the HTTP client's error and its chain of causes. Flows out: a class and safe words.
//! Invariant: the words are ours; what the libraries print is never passed on, because it may quote URLs and names.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use super::error::Reason;

/// Classifies an error of sending a request, up to the head of its answer.
pub(super) fn before_the_head(error: &reqwest::Error) -> (Reason, String) {
    let parse = find::<hyper::Error>(error).filter(|hyper| hyper.is_parse());
    if let Some(parse) = parse {
        return match parse.is_parse_too_large() {
            true => (Reason::TooLarge, "the head of the answer is too large".to_owned()),
            false => (Reason::Decode, "the answer is not HTTP".to_owned()),
        };
    }
    if error.is_dns() {
        return (Reason::Connect, "the host's name does not resolve".to_owned());
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return (Reason::Connect, format!("TLS: {}", tls_words(tls)));
    }
    if error.is_connect() {
        let words = match find::<io::Error>(error).map(io::Error::kind) {
            _ if error.is_timeout() => "no connection in time",
            Some(kind) => io_words(kind),
            None => "no connection",
        };
        return (Reason::Connect, words.to_owned());
    }
    if error.is_builder() {
        return (Reason::ClientError, "the request cannot be built".to_owned());
    }
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(kind) => (Reason::Truncated, format!("no answer: {}", io_words(kind))),
        None => (Reason::Truncated, "the connection was closed before an answer".to_owned()),
    }
}

/// Classifies an error of reading a body.
pub(super) fn inside_the_body(error: &reqwest::Error, read: u64) -> (Reason, String) {
    let words = match find::<io::Error>(error).map(io::Error::kind) {
        Some(kind) => io_words(kind),
        None => "it is shorter than announced",
    };
    (Reason::Truncated, format!("the body broke off after {read} bytes: {words}"))
}

fn io_words(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset",
        io::ErrorKind::ConnectionAborted => "connection aborted",
        io::ErrorKind::HostUnreachable => "host unreachable",
        io::ErrorKind::NetworkUnreachable => "network unreachable",
        io::ErrorKind::AddrNotAvailable => "address not available",
        io::ErrorKind::TimedOut => "timed out",
        io::ErrorKind::UnexpectedEof => "connection closed",
        _ => "network error",
    }
}

fn tls_words(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the certificate has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the certificate is not valid yet"
            }
            CertificateError::UnknownIssuer => "the certificate's issuer is unknown",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the certificate is for another name"
            }
            CertificateError::Revoked => "the certificate was revoked",
            CertificateError::BadSignature => "the certificate's signature is wrong",
            _ => "the certificate is not acceptable",
        },
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS",
        rustls::Error::AlertReceived(_) => "the server refused the handshake",
        rustls::Error::PeerIncompatible(_) => "no protocol version or cipher in common",
        _ => "the handshake failed",
    }
}

/// The first error of a type in the chain of causes. An `io::Error` hides what it wraps from `source()`.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}
