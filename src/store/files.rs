//! The files of a storage.
//!
//! Flows in: paths. Flows out: files that are open, and what is beside the database. Invariant: no link is followed, and
//! what is made here only its owner can read.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The file's name in the storage directory.
pub const FILE_NAME: &str = "wallet-exporter.db";
pub(super) const LOCK_NAME: &str = "wallet-exporter.lock";

/// The path with a suffix.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens the file itself: follows no link, and does not wait for the other end of a FIFO.
pub(super) fn directly(options: &mut OpenOptions, path: &Path) -> Result<File, Error> {
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(ErrorKind::InvalidInput.into()),
    }
}

/// Opens a file for writing and makes it, if it is not there, so that only its owner can read it. To be closed before
/// SQLite opens the file, because closing it gives up the process's locks; SQLite's other files get the same mode.
pub(super) fn open_private(path: &Path) -> Result<File, Error> {
    directly(File::options().create(true).truncate(false).write(true).mode(0o600), path)
}

/// Files of another version were made with whatever mode was usual.
pub(super) fn make_private(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        // The owner may be somebody else, whose decision it is.
        let _ = std::fs::set_permissions(beside(path, suffix), Permissions::from_mode(0o600));
    }
}

/// Whether a directory is known to be ours.
pub(super) fn is_ours(directory: &Path) -> bool {
    std::fs::symlink_metadata(directory.join(LOCK_NAME)).is_ok_and(|metadata| metadata.is_file())
}

/// Whether something is in the write-ahead log.
pub(super) fn has_log(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).is_ok_and(|metadata| metadata.len() > 0)
}

/// Whether a storage has its file already.
#[must_use]
pub fn has_file(directory: &Path) -> bool {
    directory.join(FILE_NAME).exists()
}
