//! What the page and `/api/v1/status` show of a wallet.
//!
//! Flows in: the facts of an account. Flows out: fields of JSON, and rows of the page. Invariant: amounts are decimal text in
//! JSON, exact; the page rounds a balance down.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::prelude::ToPrimitive as _;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use super::BALANCE;
use super::budget::BudgetScope;
use super::consumption::budgets::{BudgetView, PeriodSpend};
use super::consumption::periods::Period;
use super::view::{BurnView, WalletView};
use crate::clock::Moment;
use crate::money::dollars;
use crate::names::Label as _;
use crate::snapshot::{AccountView, BUDGETS, DetailRow, Details, Headline, Piece, Severity};

impl WalletView {
    pub(super) fn status(&self, account: &AccountView, now: Moment) -> WalletStatus {
        let balance = self.balance.filter(|_| account.fresh(BALANCE, now.boot).is_some());
        let periods = self.periods(account, now.boot);
        let unreconciled = self.unreconciled(account, now.boot);
        let spend = |period| Some(periods?.debit(period)?.to_string());
        WalletStatus {
            balance_usd: balance.map(|balance| balance.amount.to_string()),
            balance_as_of: balance.map(|balance| balance.as_of),
            warning_balance_usd: self.warning_balance.map(|amount| amount.to_string()),
            critical_balance_usd: self.critical_balance.map(|amount| amount.to_string()),
            spend_today_usd: spend(Period::Today),
            spend_yesterday_usd: spend(Period::Yesterday),
            unreconciled_usd: unreconciled.ok().map(|amount| amount.to_string()),
            unreconciled_unknown: unreconciled.err(),
            reconciled_at: self.compared.and_then(|compared| compared.report).map(|report| report.by_clock_of(now)),
            same_wallet_as: self.same_as.clone(),
            burn: self.burn(account, now.boot).iter().map(|view| view.status(now)).collect(),
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
    pub unreconciled_unknown: Option<&'static str>,
    /// The newest report that was compared with the balance.
    pub reconciled_at: Option<DateTime<Utc>>,
    /// Another account that shows the same wallet: its money is counted twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_wallet_as: Option<String>,
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
    #[serde(skip)]
    pub unknown: Option<&'static str>,
}

impl BudgetStatus {
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
        BudgetStatus {
            name: view.budget.name.clone(),
            period: view.budget.period.as_str(),
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

/// The same for the page and for JSON.
#[must_use]
pub fn details(wallet: &WalletStatus, count_since: Option<DateTime<Utc>>) -> Details {
    let mut fields = serde_json::Map::new();
    fields.insert("wallet".to_owned(), serde_json::to_value(wallet).unwrap_or_default());
    let runs_out = wallet.burn.iter().filter_map(|burn| burn.empty_at).min();
    let same = Headline { severity: Severity::Warning, rank: 0, text: "Two accounts show the same wallet" };
    let headline = headline(wallet).or(wallet.same_wallet_as.is_some().then_some(same));
    Details { count_since, fields, rows: rows(wallet), headline, runs_out, attention: Vec::new() }
}

fn decimal(text: Option<&String>) -> Option<Decimal> {
    Decimal::from_str_exact(text?).ok()
}

/// How the balance stands, if it is known and not above all thresholds.
fn headline(wallet: &WalletStatus) -> Option<Headline> {
    let amount = decimal(wallet.balance_usd.as_ref())?;
    let below = |threshold: &Option<String>| decimal(threshold.as_ref()).is_some_and(|least| amount < least);
    let (severity, rank, text) = if amount <= Decimal::ZERO {
        (Severity::Critical, 1, "A wallet is empty")
    } else if below(&wallet.critical_balance_usd) {
        (Severity::Critical, 0, "A balance is below its critical threshold")
    } else if below(&wallet.warning_balance_usd) {
        (Severity::Warning, 0, "A balance is below its warning threshold")
    } else {
        return None;
    };
    Some(Headline { severity, rank, text })
}

fn rows(wallet: &WalletStatus) -> Vec<DetailRow> {
    let known = |amount: &Option<String>, otherwise: &str| {
        decimal(amount.as_ref()).map_or_else(|| otherwise.to_owned(), dollars)
    };
    let spend = |amount: &Option<String>| in_cents(amount, RoundingStrategy::MidpointNearestEven);
    // Downwards, so that a balance below a threshold is shown below it.
    let mut balance = vec![Piece::Text(in_cents(&wallet.balance_usd, RoundingStrategy::ToNegativeInfinity))];
    if let Some(headline) = headline(wallet) {
        let words = match (headline.severity, headline.rank) {
            (Severity::Critical, 1) => "the wallet is empty",
            (Severity::Critical, _) => "below the critical threshold",
            (Severity::Warning, _) => "below the warning threshold",
        };
        balance.extend([Piece::Text(" ".to_owned()), Piece::Marked(headline.severity, words.to_owned())]);
    }
    if let Some(at) = wallet.balance_as_of {
        balance.extend([Piece::Text(", computed ".to_owned()), Piece::Time(at)]);
    }
    let text = |text: String| vec![vec![Piece::Text(text)]];
    let mut rows = vec![
        DetailRow { term: "Balance", lines: vec![balance] },
        DetailRow { term: "Spend rate and runway", lines: burn(wallet) },
        DetailRow {
            term: "Spend",
            lines: text(format!(
                "today {}, yesterday {}",
                spend(&wallet.spend_today_usd),
                spend(&wallet.spend_yesterday_usd)
            )),
        },
        DetailRow { term: "Reconciliation", lines: vec![reconciliation(wallet)] },
        DetailRow {
            term: "Thresholds",
            lines: text(format!(
                "warning {}, critical {}",
                known(&wallet.warning_balance_usd, "not set"),
                known(&wallet.critical_balance_usd, "not set")
            )),
        },
    ];
    if let Some(other) = &wallet.same_wallet_as {
        let words = format!("also shown by account {other}: its money is counted twice, so remove one of them");
        rows.push(DetailRow { term: "Same wallet", lines: vec![vec![Piece::Marked(Severity::Warning, words)]] });
    }
    if !wallet.budgets.is_empty() {
        rows.push(DetailRow { term: BUDGETS, lines: wallet.budgets.iter().map(budget).collect() });
    }
    rows
}

/// What the balance and the report differ by.
fn reconciliation(wallet: &WalletStatus) -> Vec<Piece> {
    let text = match decimal(wallet.unreconciled_usd.as_ref()) {
        None => wallet.unreconciled_unknown.map_or("unknown".to_owned(), |why| format!("unknown: {why}")),
        Some(amount) if amount.is_zero() => "balance and report agree".to_owned(),
        Some(amount) => {
            let side = if amount.is_sign_negative() { "less" } else { "more" };
            let amount = dollars(amount.abs().round_dp_with_strategy(2, RoundingStrategy::AwayFromZero));
            format!("the wallet holds {amount} {side} than the report explains")
        }
    };
    let compared = |at| [Piece::Text(", compared ".to_owned()), Piece::Time(at)];
    [Piece::Text(text)].into_iter().chain(wallet.reconciled_at.map(compared).into_iter().flatten()).collect()
}

/// What was spent of a budget, and what will have been at the end of its period.
fn budget(budget: &BudgetStatus) -> Vec<Piece> {
    let cents = |amount: &Option<String>| in_cents(amount, RoundingStrategy::MidpointNearestEven);
    let amount = decimal(Some(&budget.amount_usd)).unwrap_or_default();
    let mut text = match budget.name == budget.period {
        true => format!("{}: ", budget.period),
        false => format!("{} (by {}): ", budget.name, budget.period),
    };
    text += &format!("{} of {} spent", cents(&budget.spent_usd), dollars(amount));
    match budget.projection {
        Some("weekdays") => {
            text += &format!(", {} projected by weekdays of the last four weeks", cents(&budget.projected_usd));
        }
        Some(_) => text += &format!(", {} projected by the elapsed share of the period", cents(&budget.projected_usd)),
        None if budget.spent_usd.is_some() => text += ", projection unknown",
        None => {}
    }
    if let Some(why) = budget.unknown {
        text += &format!(": {why}");
    }
    let reached = |found: &Option<String>| decimal(found.as_ref()).is_some_and(|found| found >= amount);
    let mark = match (reached(&budget.spent_usd), reached(&budget.projected_usd)) {
        (true, _) => Some((Severity::Critical, "used up")),
        (false, true) => Some((Severity::Warning, "will be used up")),
        (false, false) => None,
    };
    let mark = mark.map(|(severity, words)| [Piece::Text(" ".to_owned()), Piece::Marked(severity, words.to_owned())]);
    [Piece::Text(text)].into_iter().chain(mark.into_iter().flatten()).collect()
}

fn in_cents(amount: &Option<String>, strategy: RoundingStrategy) -> String {
    let amount = decimal(amount.as_ref()).map(|amount| dollars(amount.round_dp_with_strategy(2, strategy)));
    amount.unwrap_or_else(|| "unknown".to_owned())
}

/// A line for each window: dollars an hour, and when the balance is used up, unless it is.
fn burn(wallet: &WalletStatus) -> Vec<Vec<Piece>> {
    if wallet.burn.iter().all(|burn| burn.usd_per_hour.is_none()) {
        return vec![vec![Piece::Text("unknown".to_owned())]];
    }
    let is_left = decimal(wallet.balance_usd.as_ref()).is_some_and(|balance| balance > Decimal::ZERO);
    let line = |burn: &BurnStatus| {
        let an_hour = if burn.usd_per_hour.is_some() { " an hour" } else { "" };
        let rate = in_cents(&burn.usd_per_hour, RoundingStrategy::MidpointNearestEven);
        let mut pieces = vec![Piece::Text(format!("last {}: {rate}{an_hour}", burn.window))];
        if let Some(at) = burn.empty_at.filter(|_| is_left) {
            let exact = at.format(" (%Y-%m-%d %H:%M UTC)").to_string();
            pieces.extend([Piece::Text(", empty ".to_owned()), Piece::Time(at), Piece::Text(exact)]);
        }
        pieces
    };
    wallet.burn.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a row's first line.
    fn text(row: &DetailRow) -> String {
        row.lines[0].iter().map(|piece| if let Piece::Text(text) = piece { text } else { "" }).collect()
    }

    #[test]
    fn the_page_shows_cents_and_no_balance_above_what_is_there() {
        for (balance, shown, line) in [
            ("1049.9999", "$1,049.99", "last 1h: $12.34 an hour, empty  (2026-05-19 23:31 UTC)"),
            ("-21.2501", "-$21.26", "last 1h: $12.34 an hour"),
        ] {
            let wallet = WalletStatus {
                balance_usd: Some(balance.to_owned()),
                spend_today_usd: Some("129.9665".to_owned()),
                burn: vec![BurnStatus {
                    window: "1h",
                    usd_per_hour: Some("12.345".to_owned()),
                    runway_seconds: None,
                    empty_at: "2026-05-19T23:31:44Z".parse().ok(),
                }],
                ..WalletStatus::default()
            };
            let rows = rows(&wallet);
            assert!(text(&rows[0]).starts_with(shown), "{}", text(&rows[0]));
            assert_eq!(text(&rows[1]), line);
            assert_eq!(text(&rows[2]), "today $129.97, yesterday unknown");
        }
        assert_eq!(text(&rows(&WalletStatus::default())[1]), "unknown");
    }

    #[test]
    fn the_page_says_which_side_holds_more() {
        for (amount, shown) in [
            (None, "unknown"),
            (Some("0"), "balance and report agree"),
            (Some("149.25"), "the wallet holds $149.25 more than the report explains"),
            (Some("-0.0001"), "the wallet holds $0.01 less than the report explains"),
        ] {
            let wallet = WalletStatus { unreconciled_usd: amount.map(str::to_owned), ..WalletStatus::default() };
            let row = rows(&wallet).into_iter().find(|row| row.term == "Reconciliation").unwrap();
            assert_eq!(text(&row), shown);
        }
    }

    #[test]
    fn a_budget_says_what_is_spent_and_by_which_rule_it_is_projected() {
        let status = |spent: Option<&str>, projected: Option<&str>| BudgetStatus {
            name: "team".to_owned(),
            period: "month",
            amount_usd: "3000".to_owned(),
            spent_usd: spent.map(str::to_owned),
            projected_usd: projected.map(str::to_owned),
            projection: projected.map(|_| "weekdays"),
            period_ends_at: None,
            unknown: projected.is_none().then_some("reason"),
        };
        for (spent, projected, shown, mark) in [
            (None, None, "team (by month): unknown of $3,000.00 spent: reason", None),
            (Some("12.5"), None, "team (by month): $12.50 of $3,000.00 spent, projection unknown: reason", None),
            (
                Some("12.5"),
                Some("3000"),
                "team (by month): $12.50 of $3,000.00 spent, $3,000.00 projected by weekdays of the last four weeks ",
                Some("will be used up"),
            ),
            (
                Some("3000"),
                None,
                "team (by month): $3,000.00 of $3,000.00 spent, projection unknown: reason ",
                Some("used up"),
            ),
        ] {
            let row = DetailRow { term: "Budgets", lines: vec![budget(&status(spent, projected))] };
            assert_eq!(text(&row), shown);
            let marked = row.lines[0].iter().find_map(|piece| match piece {
                Piece::Marked(_, words) => Some(words.as_str()),
                _ => None,
            });
            assert_eq!(marked, mark);
        }
    }

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
            assert_eq!(headline(&wallet).map(|headline| headline.text), text, "{balance}");
        }
        assert_eq!(headline(&WalletStatus::default()), None);
    }
}
