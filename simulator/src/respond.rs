//! The vendors without a network: a request in, an answer out, for a client in the same process.
//!
//! Flows in: a request. Flows out: the answer as it would have gone out, and how much of it arrives.
//! Invariant: nothing waits here: who carries the answer decides when it arrives.

use bytes::Bytes;

use super::Simulator;
use super::fault::{Fault, Sending};
use super::transmit::{half, up_to};
use super::wire::{Operation, Request};

/// What arrives of an answer's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// No answer ever comes, and the connection stays open.
    Never,
    /// The connection ends without an answer.
    Nothing,
    /// All of it.
    Whole(Bytes),
    /// All of it, one byte at a time.
    Drip {
        /// The body.
        body: Bytes,
        /// Milliseconds from one byte to the next.
        every_ms: u64,
    },
    /// This much; then the connection breaks although the framing promised more.
    Broken(Bytes),
    /// This much, without any framing.
    Unframed(Bytes),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Responded {
    /// The endpoint; absent for a path that is none.
    pub operation: Option<Operation>,
    /// The status.
    pub status: u16,
    /// The headers but `Date` and the framing.
    pub headers: Vec<(&'static str, String)>,
    /// `Date`.
    pub date: String,
    /// The body.
    pub delivery: Delivery,
    /// The fault that was applied.
    pub fault: Option<Fault>,
}

impl Simulator {
    /// The answer to a GET request, entered in the log.
    #[must_use]
    pub fn respond(&self, path: &str, query: Vec<(String, String)>, authorization: Option<&str>) -> Responded {
        let request = Request {
            method: "GET".to_owned(),
            path: path.to_owned(),
            query,
            authorization: authorization.map(str::to_owned),
            ..Request::default()
        };
        let operation = Operation::of(&request);
        let answer = self.answer(&request);
        let body = answer.reply.body.whole();
        let delivery = match answer.fault.as_ref().map_or(Sending::Whole, Fault::sending) {
            Sending::Whole => Delivery::Whole(body),
            Sending::Never => Delivery::Never,
            Sending::Closed | Sending::Reset => Delivery::Nothing,
            Sending::Drip(every_ms) => Delivery::Drip { body, every_ms },
            Sending::Half(_) => Delivery::Broken(Bytes::copy_from_slice(half(&body))),
            Sending::Unframed(cut) => Delivery::Unframed(Bytes::copy_from_slice(up_to(&body, cut))),
        };
        Responded {
            operation,
            status: answer.reply.status,
            headers: answer.reply.headers,
            date: answer.date,
            delivery,
            fault: answer.fault,
        }
    }
}
