//! Spend as counters, sums over periods, burn and runway as gauges.

use crate::names::Label as _;
use std::collections::BTreeMap;
use strum::VariantArray as _;

use rust_decimal::Decimal;

use super::budgets::BudgetView;
use super::series::{MoneySeries, SeriesKind};
use crate::batchdata::{BurnView, CONSUMPTION, ConsumptionView, WalletView};
use crate::catalog::{ACCOUNT, counter, families, gauge};
use crate::clock::{BootTime, Moment};
use crate::exposition::{Encoder, StartTimestamp};
use crate::money::Usd;
use crate::snapshot::{AccountView, Snapshot};

const WINDOW: &[&str] = &["account", "window"];
const BUDGETED: &[&str] = &["account", "budget", "period"];

families! {
    /// Of the consumption report.
    FAMILIES:
    DEBIT = counter("batchdata_wallet_debit_usd_total", ACCOUNT, "Spend in US dollars; the highest total that the vendor has reported since counting began.");
    CREDIT = counter("batchdata_wallet_credit_usd_total", ACCOUNT, "Credits to the wallet in US dollars; the highest total that the vendor has reported since counting began.");
    ORIGIN_DEBIT = counter("batchdata_wallet_origin_debit_usd_total", &["account", "origin"], "Spend in US dollars by origin; parts may not sum to the total.");
    ORIGIN_CREDIT = counter("batchdata_wallet_origin_credit_usd_total", &["account", "origin"], "Credits in US dollars by origin; parts may not sum to the total.");
    PATH_DEBIT = counter("batchdata_wallet_api_path_debit_usd_total", &["account", "api_path"], "Spend in US dollars by API path; parts may not sum to the total.");
    UNATTRIBUTED = gauge("batchdata_wallet_unattributed_usd", &["account", "report"], "Counted total minus the sum of its parts in US dollars; may be negative.");
    REVISED_DOWN = gauge("batchdata_wallet_revised_down_usd", &["account", "report"], "What the counters of a report hold back in US dollars because the vendor restated it downward.");
    WALLET_COUNT_SINCE = gauge("batchdata_wallet_count_since_timestamp_seconds", ACCOUNT, "Time from which on the spend counters count.");
    PERIOD_DEBIT = gauge("batchdata_wallet_period_debit_usd", &["account", "period"], "Spend in US dollars over a period of UTC days, exactly as the vendor reports it now.");
    PERIOD_CREDIT = gauge("batchdata_wallet_period_credit_usd", &["account", "period"], "Credits in US dollars over a period of UTC days, exactly as the vendor reports them now.");
    PROJECTED = gauge("batchdata_wallet_projected_debit_usd", &["account", "period"], "Projected spend in US dollars at the end of the running UTC day, ISO week or month.");
    BUDGET = gauge("batchdata_wallet_budget_usd", BUDGETED, "Budget in US dollars for the running UTC day, ISO week or month.");
    BUDGET_SPENT = gauge("batchdata_wallet_budget_spent_usd", BUDGETED, "Spend in US dollars in the budget's running period, exactly as the vendor reports it now.");
    BUDGET_PROJECTED = gauge("batchdata_wallet_budget_projected_usd", BUDGETED, "Projected spend in US dollars at the end of the budget's running period.");
    BUDGET_END = gauge("batchdata_wallet_budget_period_end_timestamp_seconds", BUDGETED, "End of the budget's running period by the vendor's clock; absent while its spend is unknown.");
    BURN = gauge("batchdata_wallet_burn_usd_per_hour", WINDOW, "Spend in US dollars an hour over the window that ends at the last report, from the vendor's own hours and days.");
    RUNWAY = gauge("batchdata_wallet_runway_seconds", WINDOW, "Seconds from the poll of the balance until it is used up at the spend rate of the window; 0 if nothing is left, absent if nothing is spent.");
    EMPTY = gauge("batchdata_wallet_empty_timestamp_seconds", WINDOW, "When the balance is used up at the spend rate of the window.");
}

/// Writes them.
pub fn write(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    counters(out, snapshot, now);
    periods(out, snapshot, now.boot);
    budgets(out, snapshot, now.boot);
    burn(out, snapshot, now);
}

type ShownCounters = BTreeMap<MoneySeries, (Usd, StartTimestamp)>;

fn counters(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let counted = snapshot.with_facts::<WalletView>().filter(|(account, _)| account.is_counted(CONSUMPTION));
    let views: Vec<(&str, &ConsumptionView, ShownCounters)> = counted
        .filter_map(|(account, wallet)| {
            let view = wallet.consumption.as_deref().filter(|view| !view.is_unknown)?;
            let shown = view
                .counters
                .iter()
                .map(|(series, counter)| (series.clone(), account.shown(&series.key(), counter.counted, now)));
            Some((account.name(), view, shown.collect()))
        })
        .collect();
    for (spec, report) in [
        (&DEBIT, SeriesKind::Debit),
        (&CREDIT, SeriesKind::Credit),
        (&ORIGIN_DEBIT, SeriesKind::OriginDebit),
        (&ORIGIN_CREDIT, SeriesKind::OriginCredit),
        (&PATH_DEBIT, SeriesKind::PathDebit),
    ] {
        let mut family = out.family(spec);
        for (account, _, shown) in &views {
            for (series, amount) in shown.iter().filter(|(series, _)| series.report() == report) {
                match series.label() {
                    "" => family.counter(&[account], *amount),
                    label => family.counter(&[account, label], *amount),
                }
            }
        }
    }
    let sum = |shown: &ShownCounters, report| -> Usd {
        shown.iter().filter(|(series, _)| series.report() == report).map(|(_, (amount, _))| *amount).sum()
    };
    // Before the first report nothing is known about either.
    let answered = || views.iter().filter(|(_, view, _)| view.count_since.is_some());
    let mut family = out.family(&UNATTRIBUTED);
    for (account, _, shown) in answered() {
        for (total, parts) in [
            (SeriesKind::Debit, SeriesKind::OriginDebit),
            (SeriesKind::Credit, SeriesKind::OriginCredit),
            (SeriesKind::Debit, SeriesKind::PathDebit),
        ] {
            family.sample(&[account, parts.as_str()], sum(shown, total) - sum(shown, parts));
        }
    }
    let mut family = out.family(&REVISED_DOWN);
    for (account, view, _) in answered() {
        for &report in SeriesKind::VARIANTS {
            let counters = view.counters.iter().filter(|(series, _)| series.report() == report);
            let held: Usd = counters.map(|(_, counter)| counter.held_back()).sum();
            family.sample(&[account, report.as_str()], held);
        }
    }
    let mut family = out.family(&WALLET_COUNT_SINCE);
    for (account, view, _) in &views {
        if let Some(since) = view.count_since {
            family.sample(&[account], since);
        }
    }
}

fn periods(out: &mut Encoder, snapshot: &Snapshot, now: BootTime) {
    let known = || {
        let wallets = snapshot.with_facts::<WalletView>();
        wallets.filter_map(|(account, wallet)| Some((account.name(), wallet.periods(account, now)?)))
    };
    let mut family = out.family(&PERIOD_DEBIT);
    for (account, periods) in known() {
        for (period, sum) in &periods.sums {
            family.sample(&[account, period.as_str()], sum.debit);
        }
    }
    let mut family = out.family(&PERIOD_CREDIT);
    for (account, periods) in known() {
        for (period, sum) in &periods.sums {
            family.sample(&[account, period.as_str()], sum.credit);
        }
    }
    let mut family = out.family(&PROJECTED);
    for (account, periods) in known() {
        for (period, spend) in &periods.running {
            if let Some((amount, _)) = spend.projected {
                family.sample(&[account, period.as_str()], amount);
            }
        }
    }
}

fn budgets(out: &mut Encoder, snapshot: &Snapshot, now: BootTime) {
    let wallets = snapshot.with_facts::<WalletView>();
    let known: Vec<(&str, Vec<BudgetView>)> =
        wallets.map(|(account, wallet)| (account.name(), wallet.budgets(account, now))).collect();
    let mut write = |spec, amount: fn(&BudgetView) -> Option<Decimal>| {
        let mut family = out.family(spec);
        for (account, view) in known.iter().flat_map(|(account, views)| views.iter().map(move |view| (account, view))) {
            if let Some(amount) = amount(view) {
                family.sample(&[account, &view.budget.name, view.budget.period.as_str()], amount);
            }
        }
    };
    write(&BUDGET, |view| Some(view.budget.amount.decimal()));
    write(&BUDGET_SPENT, |view| Some(view.period.spent?.decimal()));
    write(&BUDGET_PROJECTED, |view| Some(view.period.projected?.0));
    write(&BUDGET_END, |view| Some(view.period.end?.timestamp().into()));
}

fn burn(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let wallets = snapshot.with_facts::<WalletView>();
    let known: Vec<(&AccountView, Vec<BurnView>)> =
        wallets.map(|(account, wallet)| (account, wallet.burn(account, now.boot))).collect();
    let windows = || known.iter().flat_map(|(account, windows)| windows.iter().map(move |seen| (account.name(), seen)));
    let mut family = out.family(&BURN);
    for (account, seen) in windows() {
        if let Some(burn) = seen.burn {
            family.sample(&[account, seen.window.as_str()], burn);
        }
    }
    let mut family = out.family(&RUNWAY);
    for (account, seen) in windows() {
        if let Some((runway, _)) = seen.runway {
            family.sample(&[account, seen.window.as_str()], runway);
        }
    }
    let mut family = out.family(&EMPTY);
    for (account, seen) in windows() {
        if let Some((runway, polled)) = seen.runway {
            let polled = Decimal::new(polled.by_clock_of(now).timestamp_millis(), 3);
            family.sample(&[account, seen.window.as_str()], polled + runway);
        }
    }
}
