//! The encoder and the server, through their public doors: samples in, bytes on a socket out.

mod browser;
pub mod fixture;
mod formats;
mod generated;
mod hostile;
mod negotiation;
mod page;
pub mod prometheus;
pub mod readers;
mod routes;
mod shutdown;
pub mod tools;
pub mod web_config;
mod webhook;
