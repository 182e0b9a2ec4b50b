//! The two vendors' APIs.
//!
//! Flows in: HTTP answers. Flows out: typed records, or one [`Fault`] with exactly one [`Reason`].
//! Invariant: what leaves this module carries no personal field, no body, no query string and no secret; every answer
//! is judged in one place, `http`. This is the only home of reqwest and csv-core.

mod names;
mod fault;
mod records;
mod settings;
mod batchdata;
mod rightfoot;

pub use batchdata::BatchData;
pub use fault::{Fault, Reason};
pub use names::{Operation, Source, Vendor};
pub use records::{
    Balance, CardStatus, CardTransaction, CheckRow, CheckStatus, ConsumptionReport, DayConsumption, Flow, RowReject,
    RowSink, SubmittedVia,
};
pub use rightfoot::{ExportSummary, Rightfoot};
pub use settings::{BuildError, ClientSettings, Limits, Observe, Unobserved};
