//! The vendors without a network: a request in, an answer out, for a client in the same process.
//!
//! Flows in: a request. Flows out: the answer as it would have gone out, and how much of it arrives.
//! Invariant: nothing waits here: who carries the answer decides when it arrives.

use bytes::Bytes;

use super::Simulator;
use super::fault::Fault;
use super::transmit::{cut_at_line_end, cut_in_record, half};
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
        let answer = self.answer(&request);
        let body = answer.reply.body.whole();
        let up_to = |end: usize| body.get(..end).map(Bytes::copy_from_slice).unwrap_or_default();
        let delivery = match &answer.fault {
            Some(Fault::Hang) => Delivery::Never,
            Some(Fault::NoReply | Fault::ResetAtOnce) => Delivery::Nothing,
            Some(Fault::Drip { every_ms }) => Delivery::Drip { body, every_ms: *every_ms },
            Some(Fault::ResetMidBody | Fault::ShortContentLength | Fault::AbortedChunk) => {
                Delivery::Broken(Bytes::copy_from_slice(half(&body)))
            }
            Some(Fault::CutInRecord) => Delivery::Unframed(up_to(cut_in_record(&body))),
            Some(Fault::CutAtLineEnd) => Delivery::Unframed(up_to(cut_at_line_end(&body))),
            Some(Fault::Unframed) => Delivery::Unframed(body),
            None
            | Some(
                Fault::Status { .. }
                | Fault::Redirect { .. }
                | Fault::Envelope { .. }
                | Fault::Html
                | Fault::EmptyBody
                | Fault::Body { .. }
                | Fault::ContentType { .. }
                | Fault::MalformedJson
                | Fault::Edit { .. }
                | Fault::AmountsAsStrings
                | Fault::Amounts { .. }
                | Fault::Csv { .. }
                | Fault::Flood { .. }
                | Fault::Repeat { .. }
                | Fault::PageDrift { .. }
                | Fault::EndlessPages,
            ) => Delivery::Whole(body),
        };
        Responded {
            operation: Operation::at(path),
            status: answer.reply.status,
            headers: answer.reply.headers,
            date: answer.date,
            delivery,
            fault: answer.fault,
        }
    }
}
