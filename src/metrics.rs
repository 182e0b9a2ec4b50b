//! Snapshots in, exposition text out.
//!
//! Flows in: a snapshot and the time. Flows out: both text formats, plain and compressed, ready to be served.
//! Invariant: facts are built as families on each change, never kept in long-lived gauges that would have to be cleaned
//! of vanished labels. This is the only place where money becomes a float.

pub mod appendix;
pub mod body;
pub mod catalog;
pub mod encode;
mod families;
pub mod family;
mod number;
pub mod process;

pub use appendix::Appendix;
pub use body::{Format, Rendered, Reply};
pub use encode::Encoder;
pub use families::render;
pub use family::{FamilySpec, HistogramValue, Kind};
