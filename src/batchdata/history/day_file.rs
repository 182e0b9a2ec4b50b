//! A day's file, and what is remembered of it.
//!
//! Flows in: bytes. Flows out: a file that is there as a whole or not at all. Invariant: it is written beside and renamed;
//! what is remembered is written after it, so that a kill between the two only costs another look.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{Datelike as _, NaiveDate};
use serde::{Deserialize, Serialize};

use super::rows::Include;

/// What is remembered of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// A digest of what the report said of the day.
    pub(super) report: String,
    /// The personal fields in it.
    pub(super) include: Include,
    /// Whether the day was over.
    pub(super) over: bool,
    /// Whether all of its transactions could be read, and they add up to the report.
    pub(super) complete: bool,
    /// Transactions.
    pub(super) rows: u64,
    /// What they and, where it is in the file, the report add up to.
    pub(super) amounts: BTreeMap<String, String>,
    /// The file's length.
    pub(super) bytes: u64,
}

/// A file that was written beside the one that it is to replace.
pub(super) struct Written {
    file: File,
    /// Its length.
    pub(super) bytes: u64,
    /// Whether the other holds the same.
    pub(super) is_same: bool,
}

/// Where a day's file is.
pub(super) struct DayFile {
    path: PathBuf,
    /// For the owner alone.
    private: bool,
}

/// The name of a file beside it that is not for users.
pub(super) fn hidden(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{suffix}"))
}

/// A new file to be renamed; what an earlier run left is begun again.
pub(super) fn create(path: &Path, private: bool) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(if private { 0o600 } else { 0o666 }).open(path)
}

impl DayFile {
    pub(super) fn new(directory: &Path, account: &str, day: NaiveDate, name: &str, private: bool) -> DayFile {
        let path = directory
            .join(format!("account={account}"))
            .join(format!("year={:04}", day.year()))
            .join(format!("month={:02}", day.month()))
            .join(format!("day={:02}", day.day()))
            .join(name);
        DayFile { path, private }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is remembered of it.
    pub(super) fn remembered(&self) -> Option<Remembered> {
        let text = std::fs::read(hidden(&self.path, "state")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Whether the file is there, and as long as it was written.
    pub(super) fn is_intact(&self, state: &Remembered) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|file| file.len() == state.bytes)
    }

    /// A file to write into.
    pub(super) fn begin(&self) -> io::Result<BufWriter<File>> {
        if let Some(directory) = self.path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        Ok(BufWriter::new(create(&hidden(&self.path, "tmp"), self.private)?))
    }

    /// The file that [`begin`](Self::begin) returned, once it is written.
    pub(super) fn written(&self, out: BufWriter<File>) -> io::Result<Written> {
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let is_same = same_bytes(&hidden(&self.path, "tmp"), &self.path)?;
        Ok(Written { bytes: file.metadata()?.len(), is_same, file })
    }

    /// What was written takes its place, unless it is what is there.
    pub(super) fn replace(&self, written: &Written) -> io::Result<()> {
        if !written.is_same {
            written.file.sync_all()?;
            return std::fs::rename(hidden(&self.path, "tmp"), &self.path);
        }
        if self.private {
            // What was readable for everybody must not stay so.
            std::fs::set_permissions(&self.path, Permissions::from_mode(0o600))?;
        }
        Ok(())
    }

    pub(super) fn remember(&self, state: &Remembered) -> io::Result<()> {
        let (temporary, place) = (hidden(&self.path, "state.tmp"), hidden(&self.path, "state"));
        let mut file = create(&temporary, self.private)?;
        serde_json::to_writer(&mut file, state)?;
        file.write_all(b"\n")?;
        std::fs::rename(&temporary, &place)
    }
}

impl Drop for DayFile {
    /// A file that took no place takes no room either: the disk may be full.
    fn drop(&mut self) {
        for suffix in ["tmp", "state.tmp"] {
            let _ = std::fs::remove_file(hidden(&self.path, suffix));
        }
    }
}

/// Whether two files hold the same; one that is not there holds something else.
fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let mut one = File::open(one)?;
    let mut other = match File::open(other) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = ([0; 64 * 1024], [0; 64 * 1024]);
    loop {
        let length = one.read(&mut left)?;
        if length == 0 {
            return Ok(true);
        }
        let (left, right) = (left.get(..length).unwrap_or_default(), right.get_mut(..length).unwrap_or_default());
        other.read_exact(right)?;
        if left != right {
            return Ok(false);
        }
    }
}
