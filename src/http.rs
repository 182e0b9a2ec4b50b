//! Serves what was rendered.
//!
//! Flows in: the rendered exposition and the state, through [`Site`]; webhook events. Flows out: HTTP answers; event
//! ids to the inbox. Invariant: no answer waits for a vendor, and whatever a client does, it ends within a limit.

mod connection;
mod exposition;
mod guard;
mod listener;
pub mod negotiate;
mod page;
pub mod payload;
mod requests;
mod respond;
mod routes;
mod server;
mod site;
mod web;
mod webhook;

pub use guard::Limits;
pub use listener::BindFault;
pub use requests::Requests;
pub use server::{Options, ServeFault, Server, TAIL_FAMILIES};
pub use site::Site;
pub use web::{Web, WebFault};
pub use webhook::{WebhookOptions, WebhookServer};
