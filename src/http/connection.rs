//! One connection, from its first byte to its last.
//!
//! Flows in: a stream. Flows out: requests to a handler, its answers to the stream. Invariant: the connection ends when
//! its watch says so, when it must make room, and after the open request at shutdown.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::guard::{Watch, Watched};
use super::payload::Payload;
use super::requests::Closed;

/// The longest request head. Answers are not bounded by it: they are written from where they lie.
const LONGEST_HEAD: usize = 16 * 1024;
/// The most header lines of a request.
const MOST_HEADERS: usize = 64;

/// Answers requests.
pub(super) trait Handler: Send + Sync + 'static {
    /// Answers one request; never fails, never panics.
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<Payload>> + Send;
}

/// Serves one connection. The result says why the server ended it, if it did.
pub(super) async fn converse<Io, H>(
    io: Io,
    handler: Arc<H>,
    watch: Arc<Watch>,
    shutdown: CancellationToken,
) -> Option<Closed>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send,
    H: Handler,
{
    let service = {
        let watch = Arc::clone(&watch);
        service_fn(move |request| {
            watch.request();
            let (handler, watch) = (Arc::clone(&handler), Arc::clone(&watch));
            async move {
                let response = handler.handle(request).await;
                Ok::<_, Infallible>(response.map(|payload| payload.telling(watch)))
            }
        })
    };
    let io = TokioIo::new(Watched::new(io, Arc::clone(&watch)));
    let connection = hyper::server::conn::http1::Builder::new()
        .max_buf_size(LONGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut stopping = pin!(shutdown.cancelled_owned());
    let mut stopped = false;
    let mut evicted = pin!(watch.evicted());
    let mut timer = pin!(tokio::time::sleep_until(watch.deadline().0));
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
            let (deadline, reason) = watch.deadline();
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
