//! The web configuration file: TLS, passwords, headers.

use std::path::Path;

/// The web configuration, which can be read again while the server runs.
#[derive(Clone, Debug)]
pub struct Web {}

/// Why a web configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WebFault(pub String);

impl Web {
    /// Reads the file; without one, everything is open and plain.
    ///
    /// # Errors
    /// If it cannot be used as it is.
    pub fn load(_file: Option<&Path>) -> Result<Web, WebFault> {
        Ok(Web {})
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// If it cannot be used as it is; the old one stays.
    pub fn reload(&self) -> Result<(), WebFault> {
        Ok(())
    }
}
