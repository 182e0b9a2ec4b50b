//! A secret and where it comes from.
//!
//! Flows in: a value from the environment, or a file that is read again when asked. Flows out: the current secret, to
//! the vendor client alone. Invariant: the value is never printed, logged or compared in a message; a file that
//! cannot be used leaves the last secret in place, and what is read later is held to the same rules as at first.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use secrecy::{ExposeSecret, SecretString};

use super::file::{self, FileError};

/// Longer than any credential; a larger file is some other file.
const LARGEST_KIB: u64 = 64;

/// What a secret must be made of, beside being sendable; the error says what to write.
pub type Rule = fn(&str) -> Result<(), &'static str>;

/// A secret that may change while the program runs.
#[derive(Clone)]
pub struct Secret {
    current: Arc<ArcSwap<SecretString>>,
    file: Option<(Arc<Path>, Rule)>,
    within: Arc<OnceLock<PathBuf>>,
}

/// Tells a secret from the one that replaced it, without its value. Holding it keeps the address from being used again.
#[derive(Clone)]
pub struct SecretVersion(Arc<SecretString>);

impl PartialEq for SecretVersion {
    fn eq(&self, other: &SecretVersion) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What reading a secret's file again brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// The same secret, or one that has no file.
    Unchanged,
    /// Another secret, now in use.
    Changed,
    /// The file cannot be used; the last secret stays.
    Unreadable(SecretError),
}

/// Why a secret's file cannot be used. Names the file, never what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Empty, or nothing but a line end.
    #[error("{0} is empty")]
    Empty(PathBuf),
    /// Not text that can stand in a header.
    #[error("{0} does not contain exactly one line of printable ASCII without spaces")]
    NotOneLine(PathBuf),
    /// Not where it has to be.
    #[error("{path} is outside {directory}")]
    Outside {
        /// The file.
        path: PathBuf,
        /// Where it has to be, after links are followed.
        directory: PathBuf,
    },
    /// Against the secret's rule.
    #[error("{path} does not contain a valid secret: {remedy}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What to write.
        remedy: &'static str,
    },
}

impl Secret {
    /// A secret that does not change.
    #[must_use]
    pub fn fixed(value: SecretString) -> Secret {
        Secret { current: Arc::new(ArcSwap::from_pointee(value)), file: None, within: Arc::default() }
    }

    /// A secret from a file, held to the rule now and whenever the file is read again.
    ///
    /// # Errors
    /// If the file cannot be used now.
    pub fn from_file(path: &Path, rule: Rule) -> Result<Secret, SecretError> {
        let value = read(path, rule)?;
        let file = Some((path.into(), rule));
        Ok(Secret { current: Arc::new(ArcSwap::from_pointee(value)), file, within: Arc::default() })
    }

    /// From now on, the file has to be in this directory after links are followed.
    pub fn confine(&self, directory: &Path) {
        self.within.get_or_init(|| directory.to_owned());
    }

    /// Whether an accounts file names it: only its secrets have to be in a directory.
    #[must_use]
    pub fn is_of_accounts_file(&self) -> bool {
        self.within.get().is_some()
    }

    /// The secret as it stands.
    #[must_use]
    pub fn current(&self) -> Arc<SecretString> {
        self.current.load_full()
    }

    /// Which of the secrets that it was so far is in use.
    #[must_use]
    pub fn version(&self) -> SecretVersion {
        SecretVersion(self.current())
    }

    /// The file that it comes from.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| &**path)
    }

    /// Reads the file again.
    pub fn refresh(&self) -> Refresh {
        let Some((path, rule)) = &self.file else { return Refresh::Unchanged };
        match confined(path, self.within.get()).and_then(|path| read(&path, *rule)) {
            Err(error) => Refresh::Unreadable(error),
            Ok(value) if value.expose_secret() == self.current.load().expose_secret() => Refresh::Unchanged,
            Ok(value) => {
                self.current.store(Arc::new(value));
                Refresh::Changed
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Secret").field("file", &self.file()).finish_non_exhaustive()
    }
}

/// Whether a value can be sent as a credential: one line of visible ASCII, without spaces at its ends.
#[must_use]
pub fn is_sendable(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
}

/// What to do about a value that was copied with what stands around it: the word of a request's header, or the quotes of a
/// shell or of YAML.
pub(super) fn copied_too_much(value: &str) -> Option<&'static str> {
    let word = value.split(' ').next().unwrap_or_default();
    if word.eq_ignore_ascii_case("bearer") {
        return Some("write the token alone, without the word Bearer before it");
    }
    let is_quote = |end: &&str| *end == "\"" || *end == "'";
    let (first, last) = (value.get(..1).filter(is_quote)?, value.get(value.len().checked_sub(1)?..)?);
    (first == last).then_some("write the secret without the quotes around it")
}

/// What to read: the file that the path leads to now, and not the one that it leads to a moment later.
fn confined(path: &Path, within: Option<&PathBuf>) -> Result<PathBuf, SecretError> {
    // A missing file is reported where it is read.
    let (Some(directory), Ok(real)) = (within, std::fs::canonicalize(path)) else { return Ok(path.to_owned()) };
    match file::is_within(&real, directory) {
        true => Ok(real),
        false => Err(SecretError::Outside { path: path.to_owned(), directory: directory.clone() }),
    }
}

fn read(path: &Path, rule: Rule) -> Result<SecretString, SecretError> {
    let bytes = file::read(path, LARGEST_KIB)?;
    let text = String::from_utf8(bytes).map_err(|_| SecretError::NotOneLine(path.to_owned()))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(SecretError::Empty(path.to_owned()));
    }
    if let Some(remedy) = copied_too_much(line) {
        return Err(SecretError::Unfit { path: path.to_owned(), remedy });
    }
    if !is_sendable(line) {
        return Err(SecretError::NotOneLine(path.to_owned()));
    }
    rule(line).map_err(|remedy| SecretError::Unfit { path: path.to_owned(), remedy })?;
    Ok(SecretString::from(line.to_owned()))
}
