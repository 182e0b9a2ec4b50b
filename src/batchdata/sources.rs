//! The vendor's names: its endpoints, and the reports that a wallet can poll.

use strum::VariantArray;

use crate::names::{Operation, Source, Vendor};

/// As labels, logs and messages name it.
pub const VENDOR: Vendor = Vendor { name: "batchdata", title: "BatchData", secret_variable: "BATCHDATA_API_TOKEN" };

const fn operation(name: &'static str, path: &'static str, if_forbidden: &'static str) -> Operation {
    Operation { vendor: &VENDOR, name, path, if_forbidden }
}

/// The wallet's balance.
pub const BALANCE: Source = Source {
    vendor: VENDOR,
    name: "balance",
    operation: operation(
        "balance",
        "/api/v1/wallet/balance",
        "give the token in BATCHDATA_API_TOKEN the permission wallet-balance",
    ),
};

/// The consumption report.
pub const CONSUMPTION: Source = Source {
    vendor: VENDOR,
    name: "consumption",
    operation: operation(
        "consumption_report",
        "/api/v1/wallet/consumption-report",
        "give the token in BATCHDATA_API_TOKEN the permission wallet-consumption-report",
    ),
};

/// The consumption report as CSV.
pub const CONSUMPTION_CSV: Operation = Operation { name: "consumption_csv", ..CONSUMPTION.operation };

/// The credit-card transactions.
pub const CARD_TRANSACTIONS: Source = Source {
    vendor: VENDOR,
    name: "card_transactions",
    operation: operation(
        "credit_card_transactions",
        "/api/v1/wallet/credit-card-transactions",
        "give the token in BATCHDATA_API_TOKEN the permission wallet-credit-card-transactions",
    ),
};

/// The rows behind the consumption report.
pub const TRANSACTIONS: Source = Source { vendor: VENDOR, name: "transactions", operation: CONSUMPTION_CSV };

/// A report that a wallet can poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub enum WalletReport {
    /// [`BALANCE`].
    Balance,
    /// [`CONSUMPTION`].
    Consumption,
    /// [`CARD_TRANSACTIONS`].
    CardTransactions,
    /// [`TRANSACTIONS`].
    Transactions,
}

impl WalletReport {
    /// Its names.
    #[must_use]
    pub const fn source(self) -> Source {
        match self {
            WalletReport::Balance => BALANCE,
            WalletReport::Consumption => CONSUMPTION,
            WalletReport::CardTransactions => CARD_TRANSACTIONS,
            WalletReport::Transactions => TRANSACTIONS,
        }
    }
}
