//! What the page and `/api/v1/status` show of a wallet.
//!
//! Flows in: the facts of an account. Flows out: fields of JSON, and rows of the page. Invariant: amounts are decimal text in
//! JSON, exact; the page rounds a balance down.

mod empty;
mod rows;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Serialize;

pub use empty::{EmptyState, TimeToEmpty};

use super::BALANCE;
use super::budget::BudgetScope;
use super::cards::families::CARD_TRANSACTIONS as CARD_FAMILY;
use super::consumption::budgets::{BudgetView, PeriodSpend};
use super::consumption::burn::Window;
use super::consumption::families::{ORIGIN_CREDIT, ORIGIN_DEBIT, PATH_DEBIT};
use super::consumption::periods::Period;
use super::transactions::families::TRANSACTIONS as TRANSACTION_FAMILY;
use super::view::{BurnView, WalletView};
use crate::clock::{BootTime, Moment};
use crate::names::Label as _;
use crate::snapshot::{AccountView, Details, Facts, Headline, Prepaid, Severity};

/// Term of the row on budgets, which `check --online` prints, too.
pub const BUDGETS: &str = "Budgets";

impl Facts for WalletView {
    fn details(&self, account: &AccountView, now: Moment) -> Details {
        let count_since = self.consumption.as_ref().and_then(|view| view.count_since);
        details(&self.status(account, now), count_since, now.wall)
    }

    fn overflow(&self) -> Vec<(&'static str, u64)> {
        let mut overflow = Vec::new();
        if let Some(view) = &self.consumption {
            overflow.push((ORIGIN_DEBIT.name, view.overflowing_origins));
            overflow.push((ORIGIN_CREDIT.name, view.overflowing_origins));
            overflow.push((PATH_DEBIT.name, view.overflowing_paths));
        }
        overflow.extend(self.cards.as_ref().map(|view| (CARD_FAMILY.name, view.overflowing_brands)));
        let transactions = self.transactions.as_ref();
        overflow.extend(transactions.map(|view| (TRANSACTION_FAMILY.name, view.overflowing_endpoints)));
        overflow
    }

    fn expires(&self, now: BootTime) -> Option<BootTime> {
        let periods = self.consumption.as_ref().and_then(|view| view.periods.as_ref());
        let ends = [periods.map(|periods| periods.valid_until), self.compared_until()];
        ends.into_iter().flatten().filter(|end| *end > now).min()
    }

    fn prepaid(&self) -> Option<Prepaid> {
        Some(Prepaid { source: BALANCE, balance: self.balance.map(|balance| balance.amount) })
    }
}

impl WalletView {
    pub(super) fn status(&self, account: &AccountView, now: Moment) -> WalletStatus {
        let balance = self.balance.filter(|_| account.fresh(BALANCE, now.boot).is_some());
        let periods = self.periods(account, now.boot);
        let (unreconciled, why) = match self.unreconciled(account, now.boot) {
            Ok(amount) => (Some(amount.to_string()), None),
            Err(why) => (None, Some(why)),
        };
        let spend = |period| Some(periods?.debit(period)?.to_string());
        let burn: Vec<_> = self.burn(account, now.boot).iter().map(|view| view.status(now)).collect();
        WalletStatus {
            balance_usd: balance.map(|balance| balance.amount.to_string()),
            balance_as_of: balance.map(|balance| balance.as_of),
            warning_balance_usd: self.warning_balance.map(|amount| amount.to_string()),
            critical_balance_usd: self.critical_balance.map(|amount| amount.to_string()),
            spend_today_usd: spend(Period::Today),
            spend_yesterday_usd: spend(Period::Yesterday),
            unreconciled_usd: unreconciled,
            unreconciled_unknown: why,
            reconciled_at: self
                .compared
                .as_ref()
                .and_then(|compared| compared.report)
                .map(|report| report.by_clock_of(now)),
            same_wallet_as: self.same_as.clone(),
            time_to_empty: TimeToEmpty::new(balance.map(|balance| balance.amount.decimal()), &burn, now.wall),
            burn,
            budgets: self
                .budgets(account, now.boot)
                .iter()
                .map(|view| BudgetStatus::of(view, periods.is_some()))
                .collect(),
        }
    }
}

impl BurnView {
    fn status(&self, now: Moment) -> BurnStatus {
        let empty_at = self.runway.and_then(|(runway, polled)| {
            let runway = TimeDelta::try_milliseconds((runway * Decimal::ONE_THOUSAND).to_i64()?)?;
            polled.by_clock_of(now).checked_add_signed(runway)
        });
        BurnStatus {
            window: self.window.as_str(),
            usd_per_hour: self.burn.map(|burn| burn.normalize().to_string()),
            runway_seconds: self.runway.and_then(|(runway, _)| runway.to_f64()),
            empty_at,
        }
    }
}

/// The wallet in `/api/v1/status`. Amounts are decimal text, exact.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WalletStatus {
    /// The last good balance, absent if it is unknown or too old.
    pub balance_usd: Option<String>,
    /// When the vendor computed it.
    pub balance_as_of: Option<DateTime<Utc>>,
    /// The warning threshold, if one is set.
    pub warning_balance_usd: Option<String>,
    /// The critical threshold, if one is set.
    pub critical_balance_usd: Option<String>,
    /// Spend of the vendor's day so far; absent if unknown.
    pub spend_today_usd: Option<String>,
    /// Spend of the day before; absent if unknown.
    pub spend_yesterday_usd: Option<String>,
    /// What the wallet holds more than the report explains, negative if it holds less; absent if unknown.
    pub unreconciled_usd: Option<String>,
    /// Why that is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreconciled_unknown: Option<String>,
    /// The newest report that was compared with the balance.
    pub reconciled_at: Option<DateTime<Utc>>,
    /// Another account that shows the same wallet: its money is counted twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_wallet_as: Option<String>,
    /// When it is empty, from the rest: [`details`] fills it in.
    pub time_to_empty: TimeToEmpty,
    /// Spend rate and runway by window.
    pub burn: Vec<BurnStatus>,
    /// Budgets, if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetStatus>,
}

/// A budget in its running period.
#[derive(Clone, Debug, Serialize)]
pub struct BudgetStatus {
    /// The label `budget`.
    pub name: String,
    /// The label `period`.
    pub period: &'static str,
    /// The API path that it is for, if it is for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_path: Option<String>,
    /// The origin that it is for, if it is for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// What may be spent, decimal text.
    pub amount_usd: String,
    /// Spent so far; absent if unknown.
    pub spent_usd: Option<String>,
    /// Spent at the end of the period; absent if unknown, or too early to tell.
    pub projected_usd: Option<String>,
    /// How the rest of the period is projected: `weekdays` or `elapsed_share`.
    pub projection: Option<&'static str>,
    /// When the period ends; absent if what is spent in it is unknown.
    pub period_ends_at: Option<DateTime<Utc>>,
    /// Why an amount is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<&'static str>,
}

impl BudgetStatus {
    /// Whether an amount is all that may be spent, or more.
    fn reached(&self, amount: Option<&String>) -> bool {
        decimal(amount).zip(decimal(Some(&self.amount_usd))).is_some_and(|(amount, most)| amount >= most)
    }

    fn of(view: &BudgetView, is_reported: bool) -> BudgetStatus {
        let PeriodSpend { spent, projected, end } = view.period;
        let unknown = match (spent, projected) {
            (Some(_), Some(_)) => None,
            (Some(_), None) => {
                Some("less than a tenth of the period has passed, and nothing was spent or known four weeks ago")
            }
            (None, _) if !is_reported => Some("no report of this day was read"),
            (None, _) if view.budget.scope == BudgetScope::Wallet => Some("a day of the period is not known"),
            (None, _) => Some("a day of the period is not known, or the path or origin is counted under other"),
        };
        let (api_path, origin) = match &view.budget.scope {
            BudgetScope::Wallet => (None, None),
            BudgetScope::ApiPath(path) => (Some(path.clone()), None),
            BudgetScope::Origin(origin) => (None, Some(origin.clone())),
        };
        BudgetStatus {
            name: view.budget.name.clone(),
            period: view.budget.period.as_str(),
            api_path,
            origin,
            amount_usd: view.budget.amount.to_string(),
            spent_usd: spent.map(|spent| spent.to_string()),
            projected_usd: projected.map(|(amount, _)| amount.normalize().to_string()),
            projection: projected.map(|(_, rule)| rule.as_str()),
            period_ends_at: end,
            unknown,
        }
    }
}

/// How fast the wallet is spent over a window that ends at the last report, and how long the balance lasts at that.
#[derive(Clone, Debug, Serialize)]
pub struct BurnStatus {
    /// The label `window`.
    pub window: &'static str,
    /// Dollars an hour, decimal text; absent if unknown.
    pub usd_per_hour: Option<String>,
    /// Seconds from the poll of the balance until it is used up; absent if unknown, or nothing is spent.
    pub runway_seconds: Option<f64>,
    /// When the balance is used up.
    pub empty_at: Option<DateTime<Utc>>,
}

/// The same for the page and for JSON, at the time `now`.
#[must_use]
pub fn details(wallet: &WalletStatus, count_since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Details {
    let mut fields = serde_json::Map::new();
    fields.insert("wallet".to_owned(), serde_json::to_value(wallet).unwrap_or_default());
    Details {
        count_since,
        fields,
        rows: rows::first(wallet, now),
        notes: rows::notes(wallet),
        more: rows::more(wallet),
        headline: headline(wallet, now),
        runs_out: wallet.time_to_empty.at,
        lasts: Some(wallet.time_to_empty.brief(now)),
        attention: Vec::new(),
    }
}

fn decimal(text: Option<&String>) -> Option<Decimal> {
    Decimal::from_str_exact(text?).ok()
}

/// The worst that can be said of a wallet, if anything.
fn headline(wallet: &WalletStatus, now: DateTime<Utc>) -> Option<Headline> {
    let budgets = wallet.budgets.iter().filter_map(|budget| {
        let (rank, text) = match rows::used_up(budget)?.0 {
            Severity::Critical => (1, "A budget is spent"),
            Severity::Warning => (0, "A budget will be spent before its period ends"),
        };
        Some(Headline { severity: Severity::Warning, rank, text })
    });
    let same = Headline { severity: Severity::Warning, rank: 0, text: "Two accounts show the same wallet" };
    let same = wallet.same_wallet_as.is_some().then_some(same);
    [threshold(wallet), runway(wallet, now), same].into_iter().flatten().chain(budgets).max()
}

/// How the balance stands, if it is known and not above all thresholds.
fn threshold(wallet: &WalletStatus) -> Option<Headline> {
    let amount = decimal(wallet.balance_usd.as_ref())?;
    let below = |threshold: &Option<String>| decimal(threshold.as_ref()).is_some_and(|least| amount < least);
    let (severity, rank, text) = if amount <= Decimal::ZERO {
        (Severity::Critical, 2, "A wallet is empty")
    } else if below(&wallet.critical_balance_usd) {
        (Severity::Critical, 0, "A balance is below its critical threshold")
    } else if below(&wallet.warning_balance_usd) {
        (Severity::Warning, 2, "A balance is below its warning threshold")
    } else {
        return None;
    };
    Some(Headline { severity, rank, text })
}

/// Whether the wallet will be empty soon: critical and warning by the rules of the alerts WalletRunwayCritical and
/// WalletRunwayShort, without their delays.
fn runway(wallet: &WalletStatus, now: DateTime<Utc>) -> Option<Headline> {
    let within = |window: Window, hours| {
        let ends = wallet.burn.iter().find(|burn| burn.window == window.as_str()).and_then(|burn| burn.empty_at);
        ends.is_some_and(|ends| ends - now < TimeDelta::hours(hours))
    };
    if decimal(wallet.balance_usd.as_ref())? <= Decimal::ZERO {
        None
    } else if within(Window::Hour, 4) && within(Window::SixHours, 24) {
        Some(Headline { severity: Severity::Critical, rank: 1, text: "A wallet will be empty within 4 hours" })
    } else if within(Window::Day, 48) {
        Some(Headline { severity: Severity::Warning, rank: 3, text: "A wallet will be empty within 48 hours" })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_is_compared_with_its_thresholds() {
        for (balance, text) in [
            ("0", Some("A wallet is empty")),
            ("24.9999", Some("A balance is below its critical threshold")),
            ("25", Some("A balance is below its warning threshold")),
            ("100", None),
        ] {
            let wallet = WalletStatus {
                balance_usd: Some(balance.to_owned()),
                warning_balance_usd: Some("100".to_owned()),
                critical_balance_usd: Some("25".to_owned()),
                ..WalletStatus::default()
            };
            assert_eq!(threshold(&wallet).map(|headline| headline.text), text, "{balance}");
        }
        assert_eq!(threshold(&WalletStatus::default()), None);
    }
}
