//! Snapshots in, exposition text out.
pub mod appendix;
pub mod body;
pub mod encode;
pub mod family;
mod number;
pub mod process;

pub use appendix::Appendix;
pub use body::{Format, Rendered, Reply};
pub use encode::Encoder;
pub use family::{FamilySpec, HistogramValue, Kind};
