//! The names that labels, logs and messages use for vendors, their reports and their endpoints.
//!
//! Invariant: a vendor's names are constants of its own folder; this room knows only their shape.

/// A vendor of data APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vendor {
    /// The label value.
    pub name: &'static str,
    /// The name as people write it.
    pub title: &'static str,
    /// The variable that holds the credential (`_FILE` is appended for the file's variable).
    pub secret_variable: &'static str,
}

impl Vendor {
    /// The field of an accounts file that names the credential's file.
    #[must_use]
    pub fn secret_field(&self) -> String {
        let prefixed = self.secret_variable.to_ascii_lowercase();
        let field = prefixed.strip_prefix(self.name).map_or(prefixed.as_str(), |rest| rest.trim_start_matches('_'));
        format!("{field}_file")
    }
}

/// Something that is polled on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// Whose it is.
    pub vendor: Vendor,
    /// The label value.
    pub name: &'static str,
    /// The one endpoint that it asks.
    pub operation: Operation,
}

/// A vendor's endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation {
    /// Whose it is. A reference, because errors carry operations.
    pub vendor: &'static Vendor,
    /// The label value.
    pub name: &'static str,
    /// The path below the base URL.
    pub path: &'static str,
    /// What a person should do if the vendor forbids it.
    pub if_forbidden: &'static str,
}

/// A value of a label: an enum whose names come from `strum`.
pub trait Label: Copy + Into<&'static str> {
    /// The label value.
    fn as_str(self) -> &'static str {
        self.into()
    }
}

impl<T: Copy + Into<&'static str>> Label for T {}
