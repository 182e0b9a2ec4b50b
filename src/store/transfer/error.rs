//! Why a ledger was not moved, renamed or copied.
//!
//! Flows out: one sentence that says what to do. Invariant: nothing was lost.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::config::file::said;
use crate::store::{OpenError, StoreError};

/// Why an account or a storage stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// A storage cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A read or write failed. A move can be started again.
    #[error("{0}; run the command again when the disk works")]
    Store(#[from] StoreError),
    /// The copy cannot be written.
    #[error("cannot write {path}: {}", said(*kind))]
    File {
        /// The copy.
        path: PathBuf,
        /// The system's word for it.
        kind: ErrorKind,
    },
    /// There is no storage.
    #[error("{0} has no ledger: name the directory of the exporter's storage (--storage.path)")]
    NoLedger(PathBuf),
    /// There is no such account.
    #[error("{directory} has no ledger of {vendor} account {account}; it has: {known}")]
    Unknown {
        /// The storage.
        directory: PathBuf,
        /// The vendor's label value.
        vendor: String,
        /// The label `account`.
        account: String,
        /// Those that are there.
        known: String,
    },
    /// The account would replace another.
    #[error(
        "{directory} already has a ledger of {vendor} account {account}, which would be lost: choose another, or give that one another name first: `wallet-exporter ledger rename --storage.path {directory} --vendor {vendor} --account {account} --to NAME`"
    )]
    Occupied {
        /// The storage.
        directory: PathBuf,
        /// The vendor's label value.
        vendor: String,
        /// The label `account`.
        account: String,
    },
    /// The account is elsewhere.
    #[error(
        "{vendor} account {account} was moved to {to}: its ledger is there; if that storage is lost and nothing is at {to} any more, move what was left here: `wallet-exporter ledger move --storage.path {from} --vendor {vendor} --account {account} --other-is-lost --to DIRECTORY`"
    )]
    Moved {
        /// The vendor's label value.
        vendor: String,
        /// The label `account`.
        account: String,
        /// Where it was.
        from: String,
        /// Where it is.
        to: String,
    },
    /// A move was begun and, as far as can be seen, not finished.
    #[error(
        "the move of {vendor} account {account} from {from} to {to} is not finished, as far as can be seen: run `wallet-exporter ledger move --storage.path {from} --vendor {vendor} --account {account} --to {to}` again, with both directories as they are named now; if one of them is lost, move the account from the other with --other-is-lost"
    )]
    Unfinished {
        /// The vendor's label value.
        vendor: String,
        /// The label `account`.
        account: String,
        /// Where it comes from.
        from: String,
        /// Where it goes to.
        to: String,
    },
    /// Both are the same storage.
    #[error("{0} is where the account is: name another directory")]
    Same(PathBuf),
    /// The copy would replace a file.
    #[error("{0} exists: name a file that does not")]
    Exists(PathBuf),
}

impl From<rusqlite::Error> for TransferError {
    fn from(error: rusqlite::Error) -> TransferError {
        TransferError::Store(error.into())
    }
}
