//! Listening and taking connections.
//!
//! Flows in: an address; connections. Flows out: one task for each connection, at most as many as allowed. Invariants:
//! a new connection is accepted as soon as an idle one can be closed; at the end, open requests are finished until
//! the deadline.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, Peer};
use super::guard::{Activity, ConnectionLimits};
use super::web::Web;
use crate::config::file::said;
use crate::instruments::{Closed, ProcessInstruments};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", said(source.kind()))]
pub struct BindError {
    /// The address as it was given.
    pub address: String,
    /// The system's error.
    pub source: io::Error,
}

/// Listens on `address`. `:10700` means every address of the machine, IPv4 and IPv6.
///
/// # Errors
/// What the system says.
pub async fn bind(address: &str) -> Result<TcpListener, BindError> {
    let named = |source| BindError { address: address.to_owned(), source };
    let Some(port) = address.strip_prefix(':') else {
        return TcpListener::bind(address).await.map_err(named);
    };
    let port: u16 =
        port.parse().map_err(|_| named(io::Error::new(io::ErrorKind::InvalidInput, "the port is not a number")))?;
    match TcpListener::bind((std::net::Ipv6Addr::UNSPECIFIED, port)).await {
        // A machine without IPv6.
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, port)).await.map_err(named)
        }
        result => result.map_err(named),
    }
}

/// How long to wait before taking connections again after the system refused one (out of file descriptors).
const REFUSED_PAUSE: Duration = Duration::from_millis(200);
/// How long to wait for a connection's end before looking for another that can go.
const ROOM_PAUSE: Duration = Duration::from_millis(100);

/// The open connections.
#[derive(Debug)]
struct Connections {
    open: Mutex<HashMap<u64, Arc<Activity>>>,
    ended: Notify,
    most: usize,
}

impl Connections {
    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Activity>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room; sends somebody idle away if there is none.
    async fn room(&self) {
        loop {
            let ended = self.ended.notified();
            {
                let open = self.open();
                if open.len() < self.most {
                    return;
                }
                let now = Instant::now();
                let candidates = open.values().filter_map(|activity| Some((activity.expendable(now)?, activity)));
                if let Some((_, activity)) = candidates.min_by_key(|(order, _)| *order) {
                    activity.evict();
                }
            }
            let _ = timeout(ROOM_PAUSE, ended).await;
        }
    }
}

/// A place among the open connections, given back on drop.
struct ConnectionPlace {
    connections: Arc<Connections>,
    number: u64,
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.connections.open().remove(&self.number);
        self.connections.ended.notify_one();
    }
}

/// Takes connections until `shutdown`, then waits for those that are open, at most for `drain`.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    web: Option<Web>,
    process: Arc<ProcessInstruments>,
    limits: ConnectionLimits,
    shutdown: CancellationToken,
    drain: Duration,
) {
    let connections =
        Arc::new(Connections { open: Mutex::default(), ended: Notify::new(), most: limits.connections.max(1) });
    let tasks = TaskTracker::new();
    let abort = CancellationToken::new();
    let mut number = 0_u64;
    let mut refused = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok((stream, peer)) => (stream, Peer::new(peer.ip())),
            Err(error) => {
                // Logged once until a connection is taken again: the next attempts would say the same.
                if !refused && !is_of_the_peer(&error) {
                    tracing::warn!(%error, "cannot accept connections");
                    refused = true;
                }
                if !is_of_the_peer(&error) {
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
                continue;
            }
        };
        refused = false;
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            () = connections.room() => {}
        }
        number += 1;
        let activity = Activity::new(limits);
        connections.open().insert(number, Arc::clone(&activity));
        let place = ConnectionPlace { connections: Arc::clone(&connections), number };
        let (router, web, process) = (router.clone(), web.clone(), Arc::clone(&process));
        let (shutdown, abort) = (shutdown.clone(), abort.clone());
        tasks.spawn(async move {
            let _place = place;
            let _present = process.connected();
            let conversation = converse((stream, peer), router, web, activity, limits, shutdown);
            let ended = tokio::select! {
                ended = conversation => ended,
                () = abort.cancelled() => None,
            };
            if let Some(reason) = ended {
                process.closed(reason);
            }
        });
    }
    drop(listener);
    tasks.close();
    if timeout(drain, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "closing connections that are still open at the deadline");
        abort.cancel();
        tasks.wait().await;
    }
}

/// Errors that belong to the one connection that was to be taken.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn converse(
    (stream, peer): (TcpStream, Peer),
    router: Router,
    web: Option<Web>,
    activity: Arc<Activity>,
    limits: ConnectionLimits,
    shutdown: CancellationToken,
) -> Option<Closed> {
    // Answers are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let handshake = async {
        match web {
            Some(web) => match web.tls().await {
                Some(tls) => tls.accept(stream).await.map(ClientStream::Tls),
                None => Some(ClientStream::Plain(stream)),
            },
            None => Some(ClientStream::Plain(stream)),
        }
    };
    let stream = tokio::select! {
        biased;
        () = shutdown.cancelled() => return None,
        () = activity.evicted() => return Some(Closed::Room),
        stream = timeout(limits.headers, handshake) => stream,
    };
    match stream {
        Ok(Some(ClientStream::Plain(stream))) => connection::converse(stream, peer, router, activity, shutdown).await,
        Ok(Some(ClientStream::Tls(stream))) => connection::converse(stream, peer, router, activity, shutdown).await,
        // A failed handshake is its client's affair.
        Ok(None) => None,
        Err(_) => Some(Closed::Slow),
    }
}

/// A connection, its handshake done.
#[expect(clippy::large_enum_variant, reason = "matched at once")]
enum ClientStream {
    Plain(TcpStream),
    Tls(tokio_rustls::server::TlsStream<TcpStream>),
}

/// The address that a listener really has (the port may have been 0).
pub(super) fn local_address(listener: &TcpListener, address: &str) -> Result<SocketAddr, BindError> {
    listener.local_addr().map_err(|source| BindError { address: address.to_owned(), source })
}
