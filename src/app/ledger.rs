//! `ledger`: moves an account to another storage, renames it, or copies a storage.
//!
//! Flows in: flags. Flows out: what was done, in one line. Invariant: an exporter that runs is not disturbed: its storage
//! can be copied, and nothing else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::output::print;
use super::{AppError, INTEGRATIONS, SCHEMA};
use crate::config::{ConfigErrors, Flags, Process, values};
use crate::printable::printable;
use crate::store::{self, AccountKey, Move, TransferError};

/// What to do with a storage.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum LedgerCommand {
    /// Move an account's ledger to another storage, where its counters continue
    ///
    /// No exporter may run on either storage. If the command is interrupted, run it again: until the move is complete, the
    /// account is served from at most one of the two.
    Move {
        /// Which one.
        #[command(flatten)]
        account: AccountFlags,
        /// Directory of the other storage; it is created if it does not exist
        #[arg(long, value_name = "DIRECTORY")]
        to: PathBuf,
        /// The storage at the other end of an earlier move of the account is lost: move what is here
        #[arg(long)]
        other_is_lost: bool,
    },
    /// Give an account's ledger the name that the account has from now on
    ///
    /// No exporter may run on the storage.
    Rename {
        /// Which one.
        #[command(flatten)]
        account: AccountFlags,
        /// The new name
        #[arg(long, value_name = "NAME")]
        to: String,
    },
    /// Copy the storage into a file, also while an exporter runs
    Backup {
        /// The file; it must not exist
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

/// Whose ledger.
#[derive(Clone, Debug, clap::Args)]
pub struct AccountFlags {
    /// The vendor, as in the label `vendor`
    #[arg(long, value_name = "VENDOR", value_parser = INTEGRATIONS.map(|vendor| vendor.vendor.name))]
    pub vendor: String,
    /// The account, as in the label `account`
    #[arg(long, value_name = "NAME")]
    pub account: String,
}

impl AccountFlags {
    fn key(&self) -> AccountKey<'_> {
        AccountKey { vendor: &self.vendor, name: &self.account }
    }
}

/// Does it, and prints what was done.
///
/// # Errors
/// Why it was not done.
pub fn ledger(
    flags: &Flags,
    command: &LedgerCommand,
    environment: Vec<(OsString, OsString)>,
    now: DateTime<Utc>,
) -> Result<(), AppError> {
    let process = Process::load(flags, environment)?;
    let mut errors = ConfigErrors::default();
    let Some(storage) = &process.storage else {
        errors.add("--storage.path", "is none: name the directory of the storage");
        return Err(errors.into());
    };
    let shown = |path: &Path| path.display().to_string();
    let done = match command {
        LedgerCommand::Move { account, to, other_is_lost } => {
            Move::open(storage, to, account.key(), *other_is_lost, now, SCHEMA)?.run()?;
            let (AccountFlags { vendor, account }, from, to) = (account, shown(storage), shown(to));
            format!("{vendor} account {account} was moved from {from} to {to}: start the exporter there")
        }
        LedgerCommand::Rename { account, to } => {
            if let Err(remedy) = values::account(to) {
                errors.add("--to", remedy);
                return Err(errors.into());
            }
            store::rename(storage, account.key(), to, now, SCHEMA)?;
            let AccountFlags { vendor, account } = account;
            format!("{vendor} account {account} is now {to}: change the name in the configuration, too")
        }
        LedgerCommand::Backup { to } => {
            store::backup(storage, to, now, SCHEMA)?;
            format!("{} was copied to {}", shown(storage), shown(to))
        }
    };
    print(&format!("{}\n", printable(&done)))
}

impl From<TransferError> for AppError {
    fn from(error: TransferError) -> AppError {
        match error {
            TransferError::Open(error) => AppError::Open(error),
            TransferError::Store(_) | TransferError::File { .. } => AppError::System(error.to_string()),
            refusal => AppError::Refused(refusal.to_string()),
        }
    }
}
