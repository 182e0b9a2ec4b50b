//! The health check that the image carries, against servers that answer, refuse, stay silent or are not there.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use wallet_exporter::config::{Flags, Process};
use wallet_exporter::healthcheck;

/// The settings of an exporter that listens there.
fn settings(listen: &str, more: &[(&str, &str)]) -> Process {
    let variables = [("WEB_LISTEN_ADDRESS", listen)]
        .into_iter()
        .chain(more.iter().copied())
        .map(|(name, value)| (name.into(), value.into()));
    Process::load(&Flags::default(), variables.collect::<Vec<(OsString, OsString)>>()).unwrap()
}

/// A server that gives one answer, after the whole question has come, and closes.
fn server(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut question = Vec::new();
        let mut byte = [0];
        while !question.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            question.extend_from_slice(&byte);
        }
        assert!(question.starts_with(b"GET /-/healthy HTTP/1.1\r\n"));
        let _ = stream.write_all(answer);
    });
    address
}

#[test]
fn an_exporter_that_answers_is_healthy_by_each_of_its_addresses() {
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    for host in ["127.0.0.1", "0.0.0.0", ""] {
        let address = server(ok);
        assert_eq!(healthcheck::ask(&settings(&format!("{host}:{}", address.port()), &[])), Ok(()), "{host}");
    }
}

#[test]
fn any_other_answer_is_not_healthy() {
    for answer in [&b"HTTP/1.1 503 Service Unavailable\r\n\r\n"[..], b"HTTP/1.1 2", b"", b"SSH-2.0-OpenSSH_9.2\r\n"] {
        let address = server(answer);
        let said = healthcheck::ask(&settings(&address.to_string(), &[])).unwrap_err();
        assert!(said.contains("is not a healthy exporter, or does not answer"), "{said}");
    }
}

#[test]
fn nobody_there_is_not_healthy_and_is_said() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = healthcheck::ask(&settings(&address.to_string(), &[])).unwrap_err();
    assert!(said.contains("refused"), "{said}");
}

#[test]
fn a_server_behind_tls_or_a_password_lives_if_it_refuses() {
    for answer in [&b"HTTP/1.1 401 Unauthorized\r\n\r\n"[..], &[0x15, 3, 3, 0, 2, 2, 10]] {
        let address = server(answer);
        let guarded = [("WEB_CONFIG_FILE", "/etc/wallet-exporter/web.yml")];
        assert_eq!(healthcheck::ask(&settings(&address.to_string(), &guarded)), Ok(()));
    }
}
