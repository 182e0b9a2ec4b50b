//! The HTTP/1.1 server, by hand: a library's server would not send a broken answer.
//!
//! Flows in: connections, plain or TLS. Flows out: requests to the simulator, answers to `transmit`.
//! Invariant: a connection is served one request at a time; when the simulator ends, all connections end.

use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::transmit::Connection;
use super::wire::Request;
use super::{Simulator, transmit};

/// No head or body of a request here is longer.
const HEAD_MAX: usize = 64 * 1024;
const BODY_MAX: usize = 16 * 1024 * 1024;

/// Accepts until `shutdown`.
pub(crate) async fn serve(
    simulator: Simulator,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // A drip or a cut must leave as it was written, not when the system likes.
                    let _ = stream.set_nodelay(true);
                    let simulator = simulator.clone();
                    let acceptor = acceptor.clone();
                    connections.spawn(async move {
                        // A client that disconnects is no error of the simulator.
                        let _ = match acceptor {
                            None => converse(&simulator, stream).await,
                            Some(acceptor) => match acceptor.accept(stream).await {
                                Ok(stream) => converse(&simulator, stream).await,
                                Err(error) => Err(error),
                            },
                        };
                    });
                }
                // Out of descriptors: those in use will be closed.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    }
}

async fn converse<S: Connection>(simulator: &Simulator, mut stream: S) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    while let Some(request) = read(&mut stream, &mut buffer).await? {
        let answer = simulator.answer(&request);
        let number = answer.number;
        let (sent, bytes) = transmit::send(&mut stream, answer, &request).await;
        simulator.sent(number, bytes);
        if !sent? {
            break;
        }
    }
    Ok(())
}

/// The next request; none if the client has finished, or it is not HTTP/1.1.
async fn read<S: Connection>(stream: &mut S, buffer: &mut BytesMut) -> io::Result<Option<Request>> {
    let end = loop {
        if let Some(place) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break place + 4;
        }
        if buffer.len() > HEAD_MAX || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = buffer.split_to(end);
    let Some((mut request, length)) = std::str::from_utf8(&head).ok().and_then(parse) else {
        return Ok(None);
    };
    if length > BODY_MAX {
        return Ok(None);
    }
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    request.body = buffer.split_to(length).to_vec();
    Ok(Some(request))
}

/// A request's head, and the length of the body that follows.
fn parse(head: &str) -> Option<(Request, usize)> {
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target, version) = (first.next()?, first.next()?, first.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        keep_alive: version == "HTTP/1.1",
        ..Request::default()
    };
    let mut length = 0;
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("authorization") {
            request.authorization = Some(value.to_owned());
        } else if name.eq_ignore_ascii_case("content-type") {
            let essence = value.split(';').next().unwrap_or_default().trim();
            request.json = essence.eq_ignore_ascii_case("application/json");
        } else if name.eq_ignore_ascii_case("origin")
            || (name.eq_ignore_ascii_case("sec-fetch-site") && !["same-origin", "none"].contains(&value))
        {
            request.from_page = true;
        } else if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok()?;
        } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
            request.keep_alive = false;
        }
    }
    Some((request, length))
}
