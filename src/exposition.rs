//! Snapshots and instruments in, expositions out.
//!
//! Flows in: snapshots, instruments, the time. Flows out: text or protobuf, rendered when scraped. Invariant: facts about
//! the vendors are built as families from a snapshot, never kept in long-lived gauges that would have to be cleaned of
//! vanished labels; what this process did comes from instruments.

pub mod encode;
mod cache;
mod families;
mod instruments;
pub mod process;
pub mod protobuf;
mod rendered;
pub mod value;

pub use cache::Exposition;
pub use encode::{Encoder, Format, end};
pub use families::WriteFamilies;
#[cfg(feature = "testing")]
pub use instruments::write_instruments;
pub use rendered::Rendered;
#[cfg(feature = "testing")]
pub use value::HistogramValue;
pub use value::StartTimestamp;
