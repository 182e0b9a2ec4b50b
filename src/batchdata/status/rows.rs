//! The rows of the page about a wallet.
//!
//! Flows in: the wallet as `/api/v1/status` shows it. Flows out: rows in the order in which they are read. Invariant: amounts
//! are in cents, a balance rounded down; what is unknown is said to be.

use chrono::{DateTime, Utc};
use rust_decimal::{Decimal, RoundingStrategy};

use super::empty::{clock, rate};
use super::{BUDGETS, BudgetStatus, BurnStatus, EmptyState, WalletStatus, decimal, runway, threshold};
use crate::money::dollars;
use crate::snapshot::{DetailRow, Piece, Severity};

/// What is read first.
pub(super) fn first(wallet: &WalletStatus, now: DateTime<Utc>) -> Vec<DetailRow> {
    let spend = |amount: &Option<String>| in_cents(amount, RoundingStrategy::MidpointNearestEven);
    let spend = format!("today {}, yesterday {}", spend(&wallet.spend_today_usd), spend(&wallet.spend_yesterday_usd));
    vec![
        DetailRow { term: "Balance", lines: vec![balance(wallet)] },
        DetailRow { term: "Time to empty", lines: time_to_empty(wallet, now) },
        DetailRow { term: "Spend", lines: vec![vec![Piece::Text(spend)]] },
    ]
}

/// What needs attention beside the thresholds.
pub(super) fn notes(wallet: &WalletStatus) -> Vec<Vec<Piece>> {
    let mut notes = Vec::new();
    if let Some(other) = &wallet.same_wallet_as {
        let words = "The same wallet is shown twice".to_owned();
        let advice = format!(", also by account {other}: its money is counted twice, so remove one of them.");
        notes.push(vec![Piece::Marked(Severity::Warning, words), Piece::Text(advice)]);
    }
    for budget in &wallet.budgets {
        if let Some((severity, words)) = used_up(budget) {
            let name = format!("Budget {} ", name(budget));
            notes.push(vec![Piece::Text(name), Piece::Marked(severity, words.to_owned())]);
        }
    }
    notes
}

/// What is read after that.
pub(super) fn more(wallet: &WalletStatus) -> Vec<DetailRow> {
    let known = |amount: &Option<String>| decimal(amount.as_ref()).map_or_else(|| "not set".to_owned(), dollars);
    let thresholds = (known(&wallet.warning_balance_usd), known(&wallet.critical_balance_usd));
    let thresholds = format!("warning {}, critical {}", thresholds.0, thresholds.1);
    let mut rows = vec![
        DetailRow { term: "Reconciliation", lines: vec![reconciliation(wallet)] },
        DetailRow { term: "Thresholds", lines: vec![vec![Piece::Text(thresholds)]] },
    ];
    if !wallet.budgets.is_empty() {
        rows.push(DetailRow { term: BUDGETS, lines: wallet.budgets.iter().map(budget).collect() });
    }
    rows
}

/// The balance, and how it stands.
fn balance(wallet: &WalletStatus) -> Vec<Piece> {
    // Downwards, so that a balance below a threshold is shown below it.
    let mut balance = vec![Piece::Text(in_cents(&wallet.balance_usd, RoundingStrategy::ToNegativeInfinity))];
    if let Some(headline) = threshold(wallet) {
        let words = match (headline.severity, headline.rank) {
            (Severity::Critical, 2) => "the wallet is empty",
            (Severity::Critical, _) => "below the critical threshold",
            (Severity::Warning, _) => "below the warning threshold",
        };
        balance.extend([Piece::Text(" ".to_owned()), Piece::Marked(headline.severity, words.to_owned())]);
    }
    if let Some(at) = wallet.balance_as_of {
        balance.extend([Piece::Text(", computed ".to_owned()), Piece::Time(at)]);
    }
    balance
}

/// What the balance and the report differ by.
fn reconciliation(wallet: &WalletStatus) -> Vec<Piece> {
    let text = match decimal(wallet.unreconciled_usd.as_ref()) {
        None => match &wallet.unreconciled_unknown {
            Some(why) => format!("unknown: {why}"),
            None => "unknown".to_owned(),
        },
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
    let amount = dollars(decimal(Some(&budget.amount_usd)).unwrap_or_default());
    let mut text = format!("{}: {} of {amount} spent", name(budget), cents(&budget.spent_usd));
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
    let mark = used_up(budget);
    let mark = mark.map(|(severity, words)| [Piece::Text(" ".to_owned()), Piece::Marked(severity, words.to_owned())]);
    [Piece::Text(text)].into_iter().chain(mark.into_iter().flatten()).collect()
}

fn name(budget: &BudgetStatus) -> String {
    let scope = match (&budget.api_path, &budget.origin) {
        (Some(path), _) => format!(", API path {path}"),
        (_, Some(origin)) => format!(", origin {origin}"),
        (None, None) => String::new(),
    };
    match budget.name == budget.period && scope.is_empty() {
        true => budget.period.to_owned(),
        false => format!("{} (by {}{scope})", budget.name, budget.period),
    }
}

/// Whether a budget is used up, or will be.
pub(super) fn used_up(budget: &BudgetStatus) -> Option<(Severity, &'static str)> {
    match (budget.reached(budget.spent_usd.as_ref()), budget.reached(budget.projected_usd.as_ref())) {
        (true, _) => Some((Severity::Critical, "used up")),
        (false, true) => Some((Severity::Warning, "will be used up")),
        (false, false) => None,
    }
}

fn in_cents(amount: &Option<String>, strategy: RoundingStrategy) -> String {
    let amount = decimal(amount.as_ref()).map(|amount| dollars(amount.round_dp_with_strategy(2, strategy)));
    amount.unwrap_or_else(|| "unknown".to_owned())
}

/// When the wallet is empty, then a line for each window with its spend rate and the moment at that.
fn time_to_empty(wallet: &WalletStatus, now: DateTime<Utc>) -> Vec<Vec<Piece>> {
    let mut first = vec![Piece::Text(wallet.time_to_empty.sentence(now))];
    if let Some(headline) = runway(wallet, now) {
        let words = match headline.severity {
            Severity::Critical => "less than 4 hours",
            Severity::Warning => "less than 48 hours",
        };
        first.extend([Piece::Text(" ".to_owned()), Piece::Marked(headline.severity, words.to_owned())]);
    }
    let mut lines = vec![first];
    if wallet.burn.iter().any(|burn| burn.usd_per_hour.is_some()) {
        let is_empty = wallet.time_to_empty.state == EmptyState::Empty;
        lines.extend(wallet.burn.iter().map(|burn| window(burn, is_empty)));
    }
    lines
}

fn window(burn: &BurnStatus, is_empty: bool) -> Vec<Piece> {
    let spend = match rate(burn) {
        None => "unknown".to_owned(),
        Some(rate) if rate.is_zero() => "not spending".to_owned(),
        Some(rate) if rate > Decimal::ZERO && rate < Decimal::new(1, 2) => "less than $0.01 an hour".to_owned(),
        Some(_) => in_cents(&burn.usd_per_hour, RoundingStrategy::MidpointNearestEven) + " an hour",
    };
    let mut pieces = vec![Piece::Text(format!("last {}: {spend}", burn.window))];
    if let Some(at) = burn.empty_at.filter(|_| !is_empty) {
        let exact = format!(" ({})", clock(at));
        pieces.extend([Piece::Text(", empty ".to_owned()), Piece::Time(at), Piece::Text(exact)]);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batchdata::status::TimeToEmpty;

    fn now() -> DateTime<Utc> {
        "2026-05-19T12:00:00Z".parse().unwrap()
    }

    /// The text of a line of a row.
    fn text(row: &DetailRow, line: usize) -> String {
        row.lines[line].iter().map(|piece| if let Piece::Text(text) = piece { text } else { "" }).collect()
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
            let time_to_empty = TimeToEmpty::new(decimal(Some(&balance.to_owned())), &wallet.burn, now());
            let rows = first(&WalletStatus { time_to_empty, ..wallet }, now());
            assert!(text(&rows[0], 0).starts_with(shown), "{}", text(&rows[0], 0));
            assert_eq!(text(&rows[1], 1), line);
            assert_eq!(text(&rows[2], 0), "today $129.97, yesterday unknown");
        }
        assert_eq!(text(&first(&WalletStatus::default(), now())[1], 0), "unknown");
    }

    #[test]
    fn a_rate_below_a_cent_is_not_shown_as_nothing() {
        for (rate, shown) in [
            (None, "last 1h: unknown"),
            (Some("0.000"), "last 1h: not spending"),
            (Some("0.004"), "last 1h: less than $0.01 an hour"),
            (Some("0.01"), "last 1h: $0.01 an hour"),
            (Some("-2"), "last 1h: -$2.00 an hour"),
        ] {
            let usd_per_hour = rate.map(str::to_owned);
            let burn = BurnStatus { window: "1h", usd_per_hour, runway_seconds: None, empty_at: None };
            let row = DetailRow { term: "", lines: vec![window(&burn, false)] };
            assert_eq!(text(&row, 0), shown);
        }
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
            let row = more(&wallet).into_iter().find(|row| row.term == "Reconciliation").unwrap();
            assert_eq!(text(&row, 0), shown);
        }
    }

    #[test]
    fn a_budget_says_what_is_spent_and_by_which_rule_it_is_projected() {
        let status = |spent: Option<&str>, projected: Option<&str>| BudgetStatus {
            name: "team".to_owned(),
            period: "month",
            api_path: Some("/api/v1/property/search".to_owned()),
            origin: None,
            amount_usd: "3000".to_owned(),
            spent_usd: spent.map(str::to_owned),
            projected_usd: projected.map(str::to_owned),
            projection: projected.map(|_| "weekdays"),
            period_ends_at: None,
            unknown: projected.is_none().then_some("reason"),
        };
        for (spent, projected, shown, mark) in [
            (None, None, "team (by month, API path /api/v1/property/search): unknown of $3,000.00 spent: reason", None),
            (
                Some("12.5"),
                None,
                "team (by month, API path /api/v1/property/search): $12.50 of $3,000.00 spent, projection unknown: reason",
                None,
            ),
            (
                Some("12.5"),
                Some("3000"),
                "team (by month, API path /api/v1/property/search): $12.50 of $3,000.00 spent, $3,000.00 projected by weekdays of the last four weeks ",
                Some("will be used up"),
            ),
            (
                Some("3000"),
                None,
                "team (by month, API path /api/v1/property/search): $3,000.00 of $3,000.00 spent, projection unknown: reason ",
                Some("used up"),
            ),
        ] {
            let row = DetailRow { term: "Budgets", lines: vec![budget(&status(spent, projected))] };
            assert_eq!(text(&row, 0), shown);
            let marked = row.lines[0].iter().find_map(|piece| match piece {
                Piece::Marked(_, words) => Some(words.as_str()),
                _ => None,
            });
            assert_eq!(marked, mark);
        }
    }
}
