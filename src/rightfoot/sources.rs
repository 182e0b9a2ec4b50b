//! The vendor's names: its endpoint, and what is polled.

use crate::names::{Operation, Source, Vendor};

/// As labels, logs and messages name it.
pub const VENDOR: Vendor = Vendor { name: "rightfoot", title: "Rightfoot", secret_variable: "RIGHTFOOT_API_KEY" };

/// The balance-check batches.
pub const BATCHES: Source = Source {
    vendor: VENDOR,
    name: "batches",
    operation: Operation {
        vendor: &VENDOR,
        name: "balances_csv",
        path: "/v1/balances/csv",
        if_forbidden: "check that the batch ids belong to the owner of the key",
    },
};
