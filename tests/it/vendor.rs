//! The vendor clients against scripted servers: what is asked, what is believed, and what each fault is called.

pub mod client;
pub mod fake;
mod bodies;
mod credential;
mod export;
mod hostile;
mod pages;
mod tls;
mod transactions;
mod transport;
