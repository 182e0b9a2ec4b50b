//! The ways in which an answer can be wrong.
//!
//! Flows in: a fault, and for how many requests of which endpoint. Flows out: the fault of one request.
//! Invariant: a fault that has hit its number of requests is gone, so that recovery needs no second call.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::wire::Operation;

/// The body that goes with a status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorBody {
    /// JSON, as the vendor's own errors.
    #[default]
    Json,
    /// A page for people, as a proxy in front of the vendor sends it.
    Html,
    /// Nothing.
    Empty,
}

/// A change to a CSV.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CsvChange {
    /// Begins with a byte order mark.
    Bom,
    /// Lines end in CR LF.
    Crlf,
    /// The columns come in the reverse order.
    Reverse,
    /// A column is missing.
    Drop(String),
    /// A column more, before the others.
    Extra(String),
    /// A column's name is another.
    Rename(String, String),
    /// Every row has this text in this column.
    Set(String, String),
    /// The row of this number (from 0) has this text in this column.
    SetInRow(usize, String, String),
    /// Bytes that are no UTF-8 in this column of every row.
    NotUtf8(String),
    /// The row of this number has one field less (the rest moves to the left).
    RaggedShort(usize),
    /// The row of this number has one field more.
    RaggedLong(usize),
    /// This many rows of a batch that was not requested, after the others.
    ForeignRows(usize),
    /// The last line has no line end.
    NoFinalNewline,
    /// No row, only the header.
    HeaderOnly,
    /// The row of this number begins with a quote that is never closed.
    OpenQuote(usize),
}

/// Something wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", rename_all_fields = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The request is read, and nothing is ever answered.
    Hang,
    /// The connection is closed instead of an answer.
    NoReply,
    /// The connection is reset before an answer.
    ResetAtOnce,
    /// The right answer, its body one byte at a time.
    Drip {
        /// Milliseconds from one byte to the next.
        every_ms: u64,
    },
    /// Half the body, then the connection is reset.
    ResetMidBody,
    /// `Content-Length` promises more than comes.
    ShortContentLength,
    /// A chunked body that ends without its last chunk.
    AbortedChunk,
    /// A body without any framing that ends inside a record.
    CutInRecord,
    /// A body without any framing that ends after a line, with lines missing.
    CutAtLineEnd,
    /// A body without any framing, but whole.
    Unframed,
    /// Another status.
    Status {
        /// The status.
        code: u16,
        /// Its body.
        #[serde(default)]
        body: ErrorBody,
        /// A `Retry-After` header: seconds, or an HTTP date.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// A redirect.
    Redirect {
        /// 301, 302, 307, 308.
        code: u16,
        /// Where to.
        location: String,
    },
    /// HTTP 200 whose body says no.
    Envelope {
        /// `status.code` of the body.
        code: u16,
    },
    /// HTTP 200 with a page for people.
    Html,
    /// HTTP 200 with no body at all.
    EmptyBody,
    /// HTTP 200 with this body and content type.
    Body {
        /// `application/json`, for instance.
        content_type: String,
        /// The body.
        text: String,
    },
    /// The right answer with another content type.
    ContentType {
        /// `text/plain`, for instance.
        content_type: String,
    },
    /// The right JSON up to its middle, framed as if it were whole.
    MalformedJson,
    /// Members of the JSON answer are replaced or taken away. A path is dotted, lists are stepped through, and `*`
    /// stands for any name: `results.data.by_origin`, `results.data.by_endpoint.*`.
    Edit {
        /// Path, and the JSON text that stands there instead (`null` in the list: the member is missing).
        members: Vec<(String, Option<String>)>,
    },
    /// The amounts come as strings, which is harmless.
    AmountsAsStrings,
    /// Every amount is this JSON text instead.
    Amounts {
        /// `null`, `"NaN"`, `true`, `1e400`, ...
        json: String,
    },
    /// Changes to the CSV, in their order.
    Csv {
        /// The changes.
        changes: Vec<CsvChange>,
    },
    /// A body of this many bytes whose one record does not end.
    Flood {
        /// The size.
        bytes: u64,
    },
    /// A CSV of at least this many bytes, all of it valid: its rows, again and again.
    Repeat {
        /// The size.
        bytes: u64,
    },
    /// Before each answer a card transaction is added (or the newest one is lost), so that pages shift.
    PageDrift {
        /// Lost instead of added.
        #[serde(default)]
        remove: bool,
    },
    /// There is always one page more, with rows that were not seen before.
    EndlessPages,
}

/// How an answer goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// As it should.
    Whole,
    /// Not at all, and the connection stays open.
    Never,
    /// Not at all: the connection is closed.
    Closed,
    /// Not at all: the connection is reset.
    Reset,
    /// One byte each time this many milliseconds have passed.
    Drip(u64),
    /// Half of the body, although the framing promises more.
    Half(Break),
    /// Without any framing, up to the cut.
    Unframed(Cut),
}

/// How a body breaks off in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// By a reset.
    Reset,
    /// `Content-Length` promised more.
    Length,
    /// The last chunk is missing.
    Chunk,
}

/// Where a body without framing ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// At its end.
    Nowhere,
    /// Inside a record.
    InRecord,
    /// After a line.
    AtLineEnd,
}

impl Fault {
    /// HTTP status `code` with a JSON body.
    #[must_use]
    pub fn status(code: u16) -> Fault {
        Fault::Status { code, body: ErrorBody::Json, retry_after: None }
    }

    /// HTTP status `code` with a page for people.
    #[must_use]
    pub fn html(code: u16) -> Fault {
        Fault::Status { code, body: ErrorBody::Html, retry_after: None }
    }

    /// HTTP 429, with `Retry-After` if one is given.
    #[must_use]
    pub fn throttled(retry_after: Option<&str>) -> Fault {
        Fault::Status { code: 429, body: ErrorBody::Json, retry_after: retry_after.map(str::to_owned) }
    }

    /// One member of the JSON answer is this JSON text instead.
    #[must_use]
    pub fn replaced(path: &str, json: &str) -> Fault {
        Fault::Edit { members: vec![(path.to_owned(), Some(json.to_owned()))] }
    }

    /// One member of the JSON answer is missing.
    #[must_use]
    pub fn missing(path: &str) -> Fault {
        Fault::Edit { members: vec![(path.to_owned(), None)] }
    }

    /// Every amount is this JSON text instead.
    #[must_use]
    pub fn amounts(json: &str) -> Fault {
        Fault::Amounts { json: json.to_owned() }
    }

    /// One change to the CSV.
    #[must_use]
    pub fn csv(change: CsvChange) -> Fault {
        Fault::Csv { changes: vec![change] }
    }

    /// How the answer goes out. The only list of what is wrong in the sending, for both who send.
    pub(crate) fn sending(&self) -> Sending {
        match self {
            Fault::Hang => Sending::Never,
            Fault::NoReply => Sending::Closed,
            Fault::ResetAtOnce => Sending::Reset,
            Fault::Drip { every_ms } => Sending::Drip(*every_ms),
            Fault::ResetMidBody => Sending::Half(Break::Reset),
            Fault::ShortContentLength => Sending::Half(Break::Length),
            Fault::AbortedChunk => Sending::Half(Break::Chunk),
            Fault::CutInRecord => Sending::Unframed(Cut::InRecord),
            Fault::CutAtLineEnd => Sending::Unframed(Cut::AtLineEnd),
            Fault::Unframed => Sending::Unframed(Cut::Nowhere),
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
            | Fault::EndlessPages => Sending::Whole,
        }
    }

    /// Whether a status goes out at all.
    pub(crate) fn answers(&self) -> bool {
        match self.sending() {
            Sending::Never | Sending::Closed | Sending::Reset => false,
            Sending::Whole | Sending::Drip(_) | Sending::Half(_) | Sending::Unframed(_) => true,
        }
    }

    /// The name that the control interface gives it.
    pub(crate) fn name(&self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            Ok(serde_json::Value::Object(map)) => map.keys().next().cloned().unwrap_or_default(),
            _ => String::new(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Queue(BTreeMap<Operation, VecDeque<(Fault, Option<u32>)>>);

impl Queue {
    /// Adds a fault for the next `times` requests (until cleared if that is absent), after those in the queue.
    pub(crate) fn push(&mut self, operation: Operation, fault: Fault, times: Option<u32>) {
        if times != Some(0) {
            self.0.entry(operation).or_default().push_back((fault, times));
        }
    }

    /// The fault of the request that has just come.
    pub(crate) fn take(&mut self, operation: Operation) -> Option<Fault> {
        let queue = self.0.get_mut(&operation)?;
        let (fault, left) = queue.front_mut()?;
        let fault = fault.clone();
        if let Some(left) = left {
            *left -= 1;
            if *left == 0 {
                queue.pop_front();
            }
        }
        Some(fault)
    }

    /// Forgets the faults of an endpoint, or all.
    pub(crate) fn clear(&mut self, operation: Option<Operation>) {
        match operation {
            Some(operation) => drop(self.0.remove(&operation)),
            None => self.0.clear(),
        }
    }
}
