//! When to fetch.
pub mod inbox;
