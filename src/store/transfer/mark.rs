//! What is written beside an account about its moves.
//!
//! Flows in: rows of `account_move`. Flows out: whether the account is served from here, and which ledger it is. Invariant:
//! a ledger is known by its tokens, wherever its directory is.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};
use uuid::Uuid;

use super::{AccountKey, TransferError};
use crate::store::connect;
use crate::store::files::FILE_NAME;

/// Lets an account with these tokens be served from here.
pub(in crate::store) const ARRIVED: &str =
    "UPDATE account_move SET other_directory = '' WHERE account = ?1 AND token = ?2 AND state = 'incoming'";

/// Where an account is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// From here: it has arrived, or was never moved.
    Here,
    /// It is being moved to here, and served from here once its source is marked as moved.
    Incoming,
    /// From elsewhere.
    Moved,
}

/// What is known of the moves of an account.
pub(super) struct Mark {
    pub(super) standing: Standing,
    /// Those of all its moves, the newest first, and of the ledger that they began with: whose tokens end with those of
    /// another came from that one.
    pub(super) tokens: String,
    /// The storage at the other end of the last move; empty where that is over.
    pub(super) other: String,
}

impl Mark {
    /// Of a ledger that was never moved.
    pub(super) fn new() -> Mark {
        Mark { standing: Standing::Here, tokens: Uuid::new_v4().to_string(), other: String::new() }
    }

    pub(super) fn of(connection: &Connection, account: i64) -> Result<Option<Mark>, rusqlite::Error> {
        let sql = "SELECT state = 'moved', token, other_directory FROM account_move WHERE account = ?1";
        let read = |row: &rusqlite::Row<'_>| {
            let (is_moved, tokens, other): (bool, _, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let standing = match is_moved {
                true => Standing::Moved,
                false if other.is_empty() => Standing::Here,
                false => Standing::Incoming,
            };
            Ok(Mark { standing, tokens, other })
        };
        connection.query_row(sql, [account], read).optional()
    }

    /// The mark in another storage, if that can be seen.
    pub(super) fn at(directory: &Path, key: AccountKey<'_>) -> Option<Mark> {
        let sql = "SELECT id FROM account WHERE vendor = ?1 AND name = ?2";
        let read = |connection: &Connection| {
            let account = connection.query_row(sql, [key.vendor, key.name], |row| row.get(0)).optional()?;
            account.map_or(Ok(None), |account| Mark::of(connection, account))
        };
        connect::look(&directory.join(FILE_NAME), read).ok().flatten()
    }

    /// Those that the ledger has after its next move.
    pub(super) fn next_tokens(&self) -> String {
        format!("{} {}", Uuid::new_v4(), self.tokens)
    }

    /// Whether another mark shows that nothing is lost with what has this one: it was copied from there and never served, or
    /// it arrived elsewhere.
    pub(super) fn is_superseded_by(&self, other: &Mark) -> bool {
        let went_on = |tokens: &str| {
            other.standing != Standing::Incoming && other.tokens != self.tokens && other.tokens.ends_with(tokens)
        };
        match self.standing {
            Standing::Here => false,
            Standing::Incoming => {
                let copied = self.tokens.split_once(' ');
                copied.is_some_and(|(_, copied)| other.tokens == copied || went_on(copied))
            }
            Standing::Moved => {
                went_on(&self.tokens) || (other.standing == Standing::Here && other.tokens == self.tokens)
            }
        }
    }

    /// Why an account with this mark in a directory is not served from there.
    pub(super) fn refusal(self, key: AccountKey<'_>, directory: &Path) -> TransferError {
        match self.standing {
            Standing::Moved => TransferError::Moved {
                vendor: key.vendor.to_owned(),
                account: key.name.to_owned(),
                from: directory.display().to_string(),
                to: self.other,
            },
            Standing::Here | Standing::Incoming => self.unfinished(key, directory),
        }
    }

    /// Says between which storages a move is to be finished first.
    pub(super) fn unfinished(self, key: AccountKey<'_>, directory: &Path) -> TransferError {
        let (vendor, account) = (key.vendor.to_owned(), key.name.to_owned());
        let directory = directory.display().to_string();
        match self.standing {
            Standing::Moved => TransferError::Unfinished { vendor, account, from: directory, to: self.other },
            _ => TransferError::Unfinished { vendor, account, from: self.other, to: directory },
        }
    }
}

/// The tokens of an account that may be served from here, if it is not written yet that it has arrived. The inner error
/// says why it may not.
pub(in crate::store) fn incoming(
    connection: &Connection,
    account: i64,
    key: AccountKey<'_>,
    directory: &Path,
) -> Result<Result<Option<String>, TransferError>, rusqlite::Error> {
    let Some(mark) = Mark::of(connection, account)?.filter(|mark| mark.standing != Standing::Here) else {
        return Ok(Ok(None));
    };
    let has_left = |source: Mark| source.standing == Standing::Moved && source.tokens == mark.tokens;
    Ok(match mark.standing == Standing::Incoming && Mark::at(Path::new(&mark.other), key).is_some_and(has_left) {
        true => Ok(Some(mark.tokens)),
        false => Err(mark.refusal(key, directory)),
    })
}
