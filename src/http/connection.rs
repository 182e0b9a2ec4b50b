//! One connection, from its first byte to its last.
//!
//! Flows in: a stream. Flows out: requests to a router, its answers to the stream. Invariant: the connection ends when
//! it was idle or slow for too long, when it must make room, and after the open request at shutdown.

use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::guard::{Activity, ActivityIo};
use crate::instruments::Closed;

/// The longest request head. Answers are not bounded by it: they are written from where they lie.
const LONGEST_HEAD: usize = 16 * 1024;
/// The most header lines of a request.
const MOST_HEADERS: usize = 64;

/// Whom a request comes from. Of an IPv6 address the first half: the rest is any client's own choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer(pub(super) IpAddr);

impl Peer {
    pub(super) fn new(address: IpAddr) -> Peer {
        match address.to_canonical() {
            IpAddr::V6(address) => Peer(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64))),
            address => Peer(address),
        }
    }
}

/// An answer's body, which reports to the activity when the connection has taken it over.
struct Tracked {
    body: Body,
    activity: Arc<Activity>,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.activity.answered();
    }
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Serves one connection. The result says why the server ended it, if it did.
pub(super) async fn converse<Io>(
    io: Io,
    peer: Peer,
    router: Router,
    activity: Arc<Activity>,
    shutdown: CancellationToken,
) -> Option<Closed>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send,
{
    let service = {
        let activity = Arc::clone(&activity);
        service_fn(move |mut request: Request<Incoming>| {
            activity.request();
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(Arc::clone(&activity));
            let (answer, activity) = (router.clone().oneshot(request.map(Body::new)), Arc::clone(&activity));
            async move { answer.await.map(|response| response.map(|body| Tracked { body, activity })) }
        })
    };
    let io = TokioIo::new(ActivityIo::new(io, Arc::clone(&activity)));
    let connection = hyper::server::conn::http1::Builder::new()
        .max_buf_size(LONGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut stopping = pin!(shutdown.cancelled_owned());
    let mut stopped = false;
    let mut evicted = pin!(activity.evicted());
    let mut timer = pin!(tokio::time::sleep_until(activity.deadline().0));
    std::future::poll_fn(|cx| {
        if !stopped && stopping.as_mut().poll(cx).is_ready() {
            stopped = true;
            connection.as_mut().graceful_shutdown();
        }
        // What goes wrong on a connection is its client's affair.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        if evicted.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Closed::Room));
        }
        // Progress moves the deadline. A timer that is too early is moved when it fires, one that is too late at once.
        loop {
            let (deadline, reason) = activity.deadline();
            if timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if timer.deadline() >= deadline {
                return Poll::Ready(Some(reason));
            }
            timer.as_mut().reset(deadline);
        }
    })
    .await
}
