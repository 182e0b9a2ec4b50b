//! What the server shows.
//!
//! Flows in: nothing; this is the seam. Flows out: what the rest of the program knows. Invariant: no method
//! but `reload` and `poll` waits for anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::exposition::{Format, Rendered};
use crate::poll::attempts::PollOutcome;
use crate::snapshot::{AccountError, Gate, GateQuestion, Status};

/// What the server shows and may ask for.
#[async_trait]
pub trait Site: Send + Sync + 'static {
    /// The families that do not change from one scrape to the next.
    fn rendered(&self, format: Format) -> Arc<Rendered>;
    /// A part of the exposition, by account names; the empty name is what belongs to none. `None` if one is not configured.
    fn slice(&self, format: Format, names: &[&str]) -> Option<Vec<u8>>;
    /// The names of the accounts, each once, with the labels that their operators give them.
    fn account_names(&self) -> BTreeMap<String, BTreeMap<String, String>>;
    /// The families that do, and the end of the exposition.
    fn gathered(&self, format: Format) -> Vec<u8>;
    /// The state of everything, at this moment.
    fn status(&self) -> Status;
    /// Whether an account has enough money, at this moment.
    ///
    /// # Errors
    /// If the question is not about one account.
    fn gate(&self, question: &GateQuestion) -> Result<Gate, AccountError>;
    /// Whether every enabled source has finished one attempt (or was restored) and no shutdown is under way.
    fn ready(&self) -> bool;
    /// Reads again what can be read again; may block. The web configuration is read by [`super::Web::reload`], which
    /// this should call, so that a signal and a request do the same.
    ///
    /// # Errors
    /// A sentence that is safe to show. What could not be read stays as it was.
    fn reload(&self) -> Result<(), String>;
    /// Asks for an attempt of a source that begins from now on, and waits for its end, within a limit. `account` is needed
    /// where several have such a source.
    ///
    /// # Errors
    /// If the source is not one of one account.
    async fn poll(&self, account: Option<&str>, source: &str) -> Result<PollOutcome, AccountError>;
}
