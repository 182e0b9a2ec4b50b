//! What the server shows.
//!
//! Flows in: nothing; this is the seam. Flows out: whatever the rest of the program has rendered. Invariant: no method
//! but `reload` does more than hand out what is there already.

use std::sync::Arc;

use crate::metrics::Rendered;
use crate::snapshot::Status;

/// What the server shows and may ask for.
pub trait Site: Send + Sync + 'static {
    /// The exposition as it was rendered last.
    fn exposition(&self) -> Arc<Rendered>;
    /// The state of everything, at this moment.
    fn status(&self) -> Status;
    /// Whether every enabled source has finished one attempt (or was restored) and no shutdown is under way.
    fn ready(&self) -> bool;
    /// Reads again what can be read again; may block. The web configuration is read by [`super::Web::reload`], which
    /// this should call, so that a signal and a request do the same.
    ///
    /// # Errors
    /// A sentence that is safe to show. What could not be read stays as it was.
    fn reload(&self) -> Result<(), String>;
}
