//! The body of an answer.
//!
//! Flows in: shared pieces and an own end, or a short text. Flows out: one frame that the connection writes without
//! copying it. Invariant: a slow reader holds references, not copies.

use std::convert::Infallible;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};

use crate::metrics::Reply;

/// The bytes of an answer, as one buffer made of several.
#[derive(Debug)]
pub struct Pieces {
    shared: Arc<[Bytes]>,
    /// Which of the shared pieces is being written; past the last one it is the tail.
    current: usize,
    /// How much of the current shared piece is written.
    written: usize,
    tail: Bytes,
    remaining: usize,
}

impl Pieces {
    fn front(&self) -> &[u8] {
        match self.shared.get(self.current) {
            Some(piece) => piece.get(self.written..).unwrap_or_default(),
            None => &self.tail,
        }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.front()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let later = self.shared.get(self.current.saturating_add(1)..).unwrap_or_default().iter().map(Bytes::as_ref);
        let tail = (self.current < self.shared.len()).then_some(self.tail.as_ref());
        let parts = std::iter::once(self.front()).chain(later).chain(tail).filter(|part| !part.is_empty());
        let mut filled = 0;
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, count: usize) {
        self.remaining = self.remaining.saturating_sub(count);
        let mut left = count;
        while let Some(piece) = self.shared.get(self.current) {
            let rest = piece.len().saturating_sub(self.written);
            if left < rest {
                self.written += left;
                return;
            }
            left -= rest;
            self.current += 1;
            self.written = 0;
        }
        self.tail.advance(left.min(self.tail.len()));
    }
}

/// A body of known length in one frame.
#[derive(Debug)]
pub struct Payload {
    pieces: Option<Pieces>,
    length: u64,
    /// Told when the connection has taken the body over.
    done: Option<Arc<dyn Taken>>,
}

/// Hears that a body was taken over by its connection, or dropped.
pub trait Taken: Send + Sync + std::fmt::Debug {
    /// The body is gone.
    fn taken(&self);
}

impl Payload {
    /// Nothing.
    #[must_use]
    pub fn empty() -> Payload {
        Payload { pieces: None, length: 0, done: None }
    }

    /// A piece of text or other bytes.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Payload {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        Payload::new(Arc::from([]), bytes, length)
    }

    /// An exposition.
    #[must_use]
    pub fn from_reply(reply: Reply) -> Payload {
        Payload::new(reply.shared, reply.tail, reply.length)
    }

    fn new(shared: Arc<[Bytes]>, tail: Bytes, length: u64) -> Payload {
        let remaining = usize::try_from(length).unwrap_or(usize::MAX);
        let pieces = Pieces { shared, current: 0, written: 0, tail, remaining };
        Payload { pieces: (length > 0).then_some(pieces), length, done: None }
    }

    /// The length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The same, telling `done` when the connection has taken it over.
    #[must_use]
    pub fn telling(mut self, done: Arc<dyn Taken>) -> Payload {
        self.done = Some(done);
        self
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done.taken();
        }
    }
}

impl Body for Payload {
    type Data = Pieces;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Pieces>, Infallible>>> {
        Poll::Ready(self.pieces.take().map(|pieces| Ok(Frame::data(pieces))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.pieces.as_ref().map_or(0, |pieces| pieces.remaining as u64))
    }
}
