//! Serves the exposition, the page, and the webhook.
//!
//! Flows in: the exposition and the state, through [`Site`]; webhook events. Flows out: HTTP answers; events
//! to the accounts. Invariant: no answer but that of `/-/poll` waits for a vendor, and whatever a client does, it ends
//! within a limit.

mod connection;
mod document;
mod gate;
mod guard;
mod layers;
mod listener;
pub mod negotiate;
mod page;
mod poll_now;
mod query;
mod routes;
mod server;
mod shared;
mod site;
mod status;
mod web;
mod webhook;

pub use guard::ConnectionLimits;
pub use listener::bind;
pub use server::{Options, ServeError, Server};
pub use site::Site;
pub use web::Web;
pub use webhook::{WebhookOptions, WebhookServer, Webhooks};
