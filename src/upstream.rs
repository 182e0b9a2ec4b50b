//! Requests to vendors.
//!
//! Flows in: HTTP answers. Flows out: bodies for the vendors' own readers, or one [`RequestError`] with exactly one
//! [`Reason`]. Invariant: what leaves this module carries no body in an error, no query string and no secret; every answer
//! is checked in one place, `http`. This is the only home of reqwest and csv-core.
//!
//! ```text
//!  http (head)    waits for a permit (credential, date), sends (transport), checks status and headers
//!  exporter       asks a running exporter, with none of the vendors' credentials
//!  csv            splits a stream into records (table: with a header, into rows)
//!  state          what a credential's requests have shown: the vendor's clock, and until when nothing may be asked
//! ```

mod credential;
pub(crate) mod csv;
mod date;
pub(crate) mod dates;
mod error;
mod exporter;
mod head;
mod http;
mod parse_error;
mod settings;
mod state;
pub(crate) mod table;
mod tls;
mod transport;
mod transport_error;

pub use credential::RateLimit;
pub use error::{Reason, RequestError};
pub use exporter::{Access, AskError, ask};
pub(crate) use http::HttpClient;
pub use parse_error::ParseError;
pub use settings::{ClientSettings, Observe, RequestLimits, Unobserved};
pub use state::CredentialState;
pub use tls::{BuildError, Clients};
pub use transport::Transport;
#[cfg(feature = "testing")]
pub use transport::{NoAnswer, Outgoing};
