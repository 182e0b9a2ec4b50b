//! The question of a container engine: does the exporter in this container live?
//!
//! Flows in: the process's own settings. Flows out: yes, or why not. The image has no shell and no other program that
//! could ask. Invariant: nothing but the exporter's own address is called, and never for longer than a few seconds.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use crate::config::Process;

/// Engines give up after 30 seconds, ours after fewer; a living exporter answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
const QUESTION: &[u8] = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const YES: &[u8] = b"HTTP/1.1 200 ";

/// Asks the exporter that these settings belong to.
///
/// # Errors
/// In words for a person: there is no answer, or it is not that of a healthy exporter.
pub fn ask(process: &Process) -> Result<(), String> {
    let addresses = reachable(&process.listen).map_err(|error| format!("{}: {}", process.listen, error.kind()))?;
    let mut last = format!("{} is not an address", process.listen);
    for address in addresses {
        match answer(address) {
            Ok(answer) if answer.starts_with(YES) => return Ok(()),
            // Behind TLS or a password the question is refused, and only a living server refuses.
            Ok(_) if process.web_config.is_some() => return Ok(()),
            Ok(_) => last = format!("{address} is not a healthy exporter, or does not answer"),
            Err(error) => last = format!("{address}: {}", error.kind()),
        }
    }
    Err(last)
}

/// The addresses by which a listener is reached from its own machine.
///
/// # Errors
/// If its name does not resolve.
pub fn reachable(listen: &str) -> std::io::Result<Vec<SocketAddr>> {
    let everywhere = listen.strip_prefix(':').map(|port| format!("0.0.0.0:{port}"));
    let mut found = Vec::new();
    for address in everywhere.as_deref().unwrap_or(listen).to_socket_addrs()? {
        let at = |ip: IpAddr| SocketAddr::new(ip, address.port());
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => found.push(at(Ipv4Addr::LOCALHOST.into())),
            // It takes IPv4 as well, and a container may have no IPv6 loopback.
            IpAddr::V6(ip) if ip.is_unspecified() => {
                found.extend([at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into())]);
            }
            _ => found.push(address),
        }
    }
    Ok(found)
}

/// The first bytes of the answer; nothing if the other side closes without one.
fn answer(address: SocketAddr) -> Result<Vec<u8>, std::io::Error> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(QUESTION)?;
    let mut start = Vec::new();
    match stream.take(YES.len() as u64).read_to_end(&mut start) {
        Ok(_) => Ok(start),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(start),
        Err(error) => Err(error),
    }
}
