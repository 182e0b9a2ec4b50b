//! What is known now, ready to be shown.
mod status;
pub use status::*;
