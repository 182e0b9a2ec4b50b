//! Files that an operator writes: secrets, batch ids, the web configuration and what it names.
//!
//! Flows in: a path, and the most that is accepted. Flows out: the bytes, or why not. Invariant: only a regular file is
//! read, so that opening and reading end; the limit holds for what is read, not for what the file system says. No error
//! shows a path that may be a secret in the place of one.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::errors::is_path;

/// Why a file cannot be read. Names it, never what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Opening or reading failed.
    #[error("cannot read {path}: {}", said(*kind))]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word for it.
        kind: std::io::ErrorKind,
    },
    /// The same, where what was written for the path may be the secret itself.
    #[error(
        "cannot read a file in {}, whose name is not shown because it may be a secret: {}",
        directory.display(),
        said(*kind)
    )]
    Unnamed {
        /// As much of the path as exists.
        directory: PathBuf,
        /// The system's word for it.
        kind: std::io::ErrorKind,
    },
    /// A directory, a FIFO, a socket or a device.
    #[error("{0} is not a regular file")]
    NotRegular(PathBuf),
    /// Far too large.
    #[error("{path} is larger than {kib} KiB")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is accepted.
        kib: u64,
    },
}

/// The system's word, where the standard library's is no help: it calls a missing file an entity.
pub(crate) fn said(kind: std::io::ErrorKind) -> String {
    match kind {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        other => other.to_string(),
    }
}

impl FileError {
    fn read(path: &Path, kind: std::io::ErrorKind) -> FileError {
        let there = path.ancestors().find(|path| std::fs::symlink_metadata(path).is_ok());
        match there.map_or(path, |there| path.strip_prefix(there).unwrap_or(path)) {
            missing if is_path(missing) => FileError::Read { path: path.to_owned(), kind },
            _ => FileError::Unnamed { directory: there.unwrap_or(Path::new(".")).to_owned(), kind },
        }
    }
}

/// What to say about a file or directory that other users of the machine can read, if they can.
pub(crate) fn exposure(path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    let mode = metadata.permissions().mode() & 0o7777;
    let least = if metadata.is_dir() { "700" } else { "600" };
    let path = path.display();
    (mode & 0o007 != 0).then(|| format!("{path} is open to other users (mode {mode:04o}): chmod {least} {path}"))
}

/// Whether a path without links is in a directory, after its own links are followed.
pub(crate) fn is_within(real: &Path, directory: &Path) -> bool {
    std::fs::canonicalize(directory).is_ok_and(|directory| real.starts_with(directory))
}

/// Reads a file of at most so many KiB.
pub(crate) fn read(path: &Path, kib: u64) -> Result<Vec<u8>, FileError> {
    let unreadable = |error: std::io::Error| FileError::read(path, error.kind());
    let regular = |metadata: Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(FileError::NotRegular(path.to_owned())),
    };
    // Opening some devices does something, so the path is checked first. What is opened then may be another file, and a
    // FIFO without a writer must not block.
    regular(std::fs::metadata(path).map_err(unreadable)?)?;
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
    regular(file.metadata().map_err(unreadable)?)?;
    let mut bytes = Vec::new();
    file.take(kib * 1024 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|size| size > kib * 1024) {
        return Err(FileError::TooLarge { path: path.to_owned(), kib });
    }
    Ok(bytes)
}
