//! The names that labels, logs and messages use for vendors, their reports and their endpoints.
//!
//! Invariant: each name is written once, here.

/// A vendor of data APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vendor {
    /// BatchData, the prepaid wallet.
    BatchData,
    /// Rightfoot, the balance checks.
    Rightfoot,
}

impl Vendor {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Vendor::BatchData => "batchdata",
            Vendor::Rightfoot => "rightfoot",
        }
    }

    /// The name as people write it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Vendor::BatchData => "BatchData",
            Vendor::Rightfoot => "Rightfoot",
        }
    }

    /// The variable that holds the credential (its `_FILE` twin is named by appending).
    #[must_use]
    pub fn secret_variable(self) -> &'static str {
        match self {
            Vendor::BatchData => "BATCHDATA_API_TOKEN",
            Vendor::Rightfoot => "RIGHTFOOT_API_KEY",
        }
    }
}

/// Something that is polled on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The wallet's balance.
    Balance,
    /// The consumption report.
    Consumption,
    /// The credit-card transactions.
    CardTransactions,
    /// The balance-check batches.
    Batches,
}

impl Source {
    /// Every source, in the order in which they are shown.
    pub const ALL: [Source; 4] = [Source::Balance, Source::Consumption, Source::CardTransactions, Source::Batches];

    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Balance => "balance",
            Source::Consumption => "consumption",
            Source::CardTransactions => "card_transactions",
            Source::Batches => "batches",
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn vendor(self) -> Vendor {
        match self {
            Source::Balance | Source::Consumption | Source::CardTransactions => Vendor::BatchData,
            Source::Batches => Vendor::Rightfoot,
        }
    }

    /// The one endpoint that it asks.
    #[must_use]
    pub fn operation(self) -> Operation {
        match self {
            Source::Balance => Operation::Balance,
            Source::Consumption => Operation::ConsumptionReport,
            Source::CardTransactions => Operation::CreditCardTransactions,
            Source::Batches => Operation::BalancesCsv,
        }
    }
}

/// A vendor's endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// `GET /api/v1/wallet/balance`
    Balance,
    /// `GET /api/v1/wallet/consumption-report`
    ConsumptionReport,
    /// `GET /api/v1/wallet/credit-card-transactions`
    CreditCardTransactions,
    /// `GET /v1/balances/csv`
    BalancesCsv,
}

impl Operation {
    /// Every endpoint.
    pub const ALL: [Operation; 4] =
        [Operation::Balance, Operation::ConsumptionReport, Operation::CreditCardTransactions, Operation::BalancesCsv];

    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Balance => "balance",
            Operation::ConsumptionReport => "consumption_report",
            Operation::CreditCardTransactions => "credit_card_transactions",
            Operation::BalancesCsv => "balances_csv",
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn vendor(self) -> Vendor {
        match self {
            Operation::BalancesCsv => Vendor::Rightfoot,
            _ => Vendor::BatchData,
        }
    }

    /// The path below the base URL.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Operation::Balance => "/api/v1/wallet/balance",
            Operation::ConsumptionReport => "/api/v1/wallet/consumption-report",
            Operation::CreditCardTransactions => "/api/v1/wallet/credit-card-transactions",
            Operation::BalancesCsv => "/v1/balances/csv",
        }
    }

    /// The permission that the token needs, where the vendor has one for it.
    #[must_use]
    pub fn permission(self) -> Option<&'static str> {
        match self {
            Operation::Balance => Some("wallet-balance"),
            Operation::ConsumptionReport => Some("wallet-consumption-report"),
            Operation::CreditCardTransactions => Some("wallet-credit-card-transactions"),
            Operation::BalancesCsv => None,
        }
    }
}
