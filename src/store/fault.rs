//! Storage that fails on purpose, for tests.
//!
//! Flows in: which fault, and after how many calls. Flows out: SQLite's own errors. Invariant: a write that fails here
//! has changed nothing.

use rusqlite::ffi;

/// From some call on, every read and write of the store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageFault {
    /// How many calls still succeed.
    pub skip: u32,
    /// How the others fail.
    pub kind: StorageFaultKind,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageFaultKind {
    /// The disk is full.
    Full,
    /// The disk is read-only.
    ReadOnly,
    /// The disk cannot be read or written.
    Io,
    /// Another process holds the file.
    Locked,
}

/// A fault that was set, and how many calls it has failed.
#[derive(Debug)]
pub(super) struct ActiveFault {
    fault: StorageFault,
    failed: u32,
}

impl ActiveFault {
    pub(super) fn new(fault: StorageFault) -> ActiveFault {
        ActiveFault { fault, failed: 0 }
    }

    /// Takes one call. If it is to fail: the error, and whether a write fails at its commit or before it begins.
    pub(super) fn take(&mut self) -> Option<(rusqlite::Error, bool)> {
        if let Some(left) = self.fault.skip.checked_sub(1) {
            self.fault.skip = left;
            return None;
        }
        let at_commit = self.failed % 2 == 1;
        self.failed = self.failed.wrapping_add(1);
        let code = match self.fault.kind {
            StorageFaultKind::Full => ffi::SQLITE_FULL,
            StorageFaultKind::ReadOnly => ffi::SQLITE_READONLY,
            StorageFaultKind::Io => ffi::SQLITE_IOERR,
            StorageFaultKind::Locked => ffi::SQLITE_BUSY,
        };
        Some((rusqlite::Error::SqliteFailure(ffi::Error::new(code), None), at_commit))
    }
}
