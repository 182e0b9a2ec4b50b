//! What is wrong with a body.
//!
//! Flows in: the parsers' judgement. Flows out: a class and safe words, which the caller turns into a `Fault`.
//! Invariant: the words hold field names, column names and our own numbers, never a value that came from the vendor.

use super::fault::Reason;

/// Why a body was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Flaw {
    /// The class of the failure.
    pub reason: Reason,
    /// Safe words.
    pub detail: String,
}

impl Flaw {
    /// Wrong type or shape.
    pub(super) fn decode(detail: impl Into<String>) -> Flaw {
        Flaw { reason: Reason::Decode, detail: detail.into() }
    }

    /// Well-formed, and not to be believed.
    pub(super) fn implausible(detail: impl Into<String>) -> Flaw {
        Flaw { reason: Reason::Implausible, detail: detail.into() }
    }

    /// Ended early.
    pub(super) fn truncated(detail: impl Into<String>) -> Flaw {
        Flaw { reason: Reason::Truncated, detail: detail.into() }
    }
}
