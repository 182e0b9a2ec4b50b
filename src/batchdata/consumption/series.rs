//! The counters of money, and a day's amounts by them.

use std::collections::BTreeMap;
use std::sync::Arc;

use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::batchdata::budget::BudgetScope;
use crate::money::Usd;
use crate::names::Label as _;

/// A counter of money.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MoneySeries {
    /// The wallet's debits.
    Debit,
    /// The wallet's credits.
    Credit,
    /// Debits of an origin.
    OriginDebit(Arc<str>),
    /// Credits of an origin.
    OriginCredit(Arc<str>),
    /// Debits of an API path.
    PathDebit(Arc<str>),
}

/// A kind of series; the label `report` of the gauges about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum SeriesKind {
    /// [`MoneySeries::Debit`]
    Debit,
    /// [`MoneySeries::Credit`]
    Credit,
    /// [`MoneySeries::OriginDebit`]
    OriginDebit,
    /// [`MoneySeries::OriginCredit`]
    OriginCredit,
    /// [`MoneySeries::PathDebit`]
    #[strum(serialize = "api_path_debit")]
    PathDebit,
}

impl MoneySeries {
    /// The family it belongs to.
    #[must_use]
    pub fn report(&self) -> SeriesKind {
        match self {
            MoneySeries::Debit => SeriesKind::Debit,
            MoneySeries::Credit => SeriesKind::Credit,
            MoneySeries::OriginDebit(_) => SeriesKind::OriginDebit,
            MoneySeries::OriginCredit(_) => SeriesKind::OriginCredit,
            MoneySeries::PathDebit(_) => SeriesKind::PathDebit,
        }
    }

    /// The label value; empty for the totals.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            MoneySeries::Debit | MoneySeries::Credit => "",
            MoneySeries::OriginDebit(label) | MoneySeries::OriginCredit(label) | MoneySeries::PathDebit(label) => label,
        }
    }

    /// The series of a family with a label.
    #[must_use]
    pub fn new(report: SeriesKind, label: Arc<str>) -> MoneySeries {
        match report {
            SeriesKind::Debit => MoneySeries::Debit,
            SeriesKind::Credit => MoneySeries::Credit,
            SeriesKind::OriginDebit => MoneySeries::OriginDebit(label),
            SeriesKind::OriginCredit => MoneySeries::OriginCredit(label),
            SeriesKind::PathDebit => MoneySeries::PathDebit(label),
        }
    }

    /// Its key as a zero-initialised series.
    #[must_use]
    pub fn key(&self) -> String {
        match self.label() {
            "" => format!("consumption/{}", self.report().as_str()),
            label => format!("consumption/{}/{label}", self.report().as_str()),
        }
    }
}

/// One day's amounts by series; zeros are left out.
pub type Day = BTreeMap<MoneySeries, Usd>;

/// The series that a budget's spend is in.
#[must_use]
pub fn scoped(scope: &BudgetScope) -> MoneySeries {
    match scope {
        BudgetScope::Wallet => MoneySeries::Debit,
        BudgetScope::Origin(name) => MoneySeries::OriginDebit(name.as_str().into()),
        BudgetScope::ApiPath(name) => MoneySeries::PathDebit(name.as_str().into()),
    }
}
