//! Configuration.
pub mod secret;
