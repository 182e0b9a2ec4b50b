//! What is wrong with a body.
//!
//! Flows in: what a parser cannot read. Flows out: a class and safe words, which the caller turns into a `RequestError`.
//! Invariant: the words hold field names, column names and our own numbers, never a value that came from the vendor.

use super::error::Reason;

/// Why a body was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct ParseError {
    /// The class of the failure.
    pub reason: Reason,
    /// Safe words.
    pub detail: String,
}

impl ParseError {
    /// Wrong type or shape.
    pub(crate) fn decode(detail: impl Into<String>) -> ParseError {
        ParseError { reason: Reason::Decode, detail: detail.into() }
    }

    /// Well-formed, and not to be believed.
    pub(crate) fn implausible(detail: impl Into<String>) -> ParseError {
        ParseError { reason: Reason::Implausible, detail: detail.into() }
    }

    /// More than is kept in memory.
    pub(crate) fn too_large(detail: impl Into<String>) -> ParseError {
        ParseError { reason: Reason::TooLarge, detail: detail.into() }
    }

    /// Ended early.
    pub(crate) fn truncated(detail: impl Into<String>) -> ParseError {
        ParseError { reason: Reason::Truncated, detail: detail.into() }
    }
}
