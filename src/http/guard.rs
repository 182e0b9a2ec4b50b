//! The limits of one connection.
//!
//! Flows in: the bytes of a connection and the course of its requests. Flows out: the moment when it must end.
//! Invariant: every state a connection can be in has a limit, so that no client can hold one for ever.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::instruments::Closed;

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// From the first byte of a request to the end of its headers; also the TLS handshake, and the first request of a
    /// connection.
    pub headers: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Without any progress while a request's body or its answer is on the way.
    pub stalled: Duration,
    /// A request's body and its answer as a whole.
    pub request: Duration,
    /// Open connections of a listener.
    pub connections: usize,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            headers: Duration::from_secs(5),
            // Longer than the scrape interval of most, so that they keep their connection.
            idle: Duration::from_secs(120),
            stalled: Duration::from_secs(10),
            request: Duration::from_secs(60),
            connections: 512,
        }
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Opened, nothing received.
    New,
    /// Nothing asked.
    Idle,
    /// Part of a request's headers has come.
    Headers,
    /// A request is being answered.
    Busy,
}

#[derive(Clone, Copy, Debug)]
struct ConnectionState {
    phase: Phase,
    since: Instant,
    /// The last byte in either direction.
    progress: Instant,
    /// How long the answer may take to be made.
    allowed: Duration,
}

/// The state of a connection, shared by its task, its input and output, and the list of connections.
#[derive(Debug)]
pub(super) struct Activity {
    limits: ConnectionLimits,
    state: Mutex<ConnectionState>,
    /// The answer's body has been taken over; once it is flushed, the request is over.
    taken: AtomicBool,
    /// The connection must make room.
    evicted: tokio::sync::Notify,
}

impl Activity {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Activity> {
        let now = Instant::now();
        let state =
            Mutex::new(ConnectionState { phase: Phase::New, since: now, progress: now, allowed: Duration::ZERO });
        Arc::new(Activity { limits, state, taken: AtomicBool::new(false), evicted: tokio::sync::Notify::new() })
    }

    /// The body of an answer has been taken over by the connection, or dropped.
    pub(super) fn answered(&self) {
        self.taken.store(true, Ordering::Release);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request's headers are complete.
    pub(super) fn request(&self) {
        self.taken.store(false, Ordering::Release);
        let now = Instant::now();
        *self.state() = ConnectionState { phase: Phase::Busy, since: now, progress: now, allowed: Duration::ZERO };
    }

    /// For so long the open request stands still because of its answer.
    pub(super) fn allow(&self, duration: Duration) {
        self.state().allowed = duration;
    }

    /// When the connection must end, as things stand, and why.
    pub(super) fn deadline(&self) -> (Instant, Closed) {
        let state = *self.state();
        match state.phase {
            Phase::New | Phase::Headers => (state.since + self.limits.headers, Closed::Slow),
            Phase::Idle => (state.since + self.limits.idle, Closed::Idle),
            Phase::Busy => {
                let stalled = state.progress + state.allowed + self.limits.stalled;
                (stalled.min(state.since + self.limits.request), Closed::Slow)
            }
        }
    }

    /// How willingly this connection is given up for another: the time since which it is of no use, unless it is in use.
    /// Connections without a request go first, then those that stand still for a second.
    pub(super) fn expendable(&self, now: Instant) -> Option<(bool, Instant)> {
        let state = *self.state();
        let stands_still = now.saturating_duration_since(state.progress) > Duration::from_secs(1);
        match state.phase {
            Phase::Idle => Some((false, state.since)),
            Phase::New | Phase::Headers | Phase::Busy => stands_still.then_some((true, state.progress)),
        }
    }

    pub(super) fn evict(&self) {
        self.evicted.notify_one();
    }

    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    fn progressed(&self) {
        let now = Instant::now();
        let mut state = self.state();
        state.progress = now;
        if matches!(state.phase, Phase::New | Phase::Idle) {
            // A new connection's time for its headers has begun when it was opened.
            state.since = if state.phase == Phase::New { state.since } else { now };
            state.phase = Phase::Headers;
        }
    }

    fn flushed(&self) {
        if self.taken.swap(false, Ordering::AcqRel) {
            let now = Instant::now();
            *self.state() = ConnectionState { phase: Phase::Idle, since: now, progress: now, allowed: Duration::ZERO };
        }
    }
}

/// A connection's input and output, tracked.
#[derive(Debug)]
pub(super) struct ActivityIo<Io> {
    io: Io,
    activity: Arc<Activity>,
}

impl<Io> ActivityIo<Io> {
    pub(super) fn new(io: Io, activity: Arc<Activity>) -> ActivityIo<Io> {
        ActivityIo { io, activity }
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(result, Poll::Ready(Ok(written)) if written > 0) {
            self.activity.state().progress = Instant::now();
        }
        result
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for ActivityIo<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.progressed();
        }
        result
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for ActivityIo<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_flush(cx);
        if matches!(result, Poll::Ready(Ok(()))) {
            self.activity.flushed();
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
