//! The wallet: balance, spend, card transactions.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::super::encode::Encoder;
use super::seconds;
use crate::catalog as c;
use crate::clock::{BootTime, Moment};
use crate::domain::cards::{CardKind, series_key};
use crate::domain::consumption::{Report, Series};
use crate::domain::zero_start::ZeroStarts;
use crate::money::Usd;
use crate::snapshot::{BurnView, CardsView, ConsumptionView, Snapshot, WalletView};
use crate::vendor::Source;

pub(super) fn write(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let fresh = |wallet: &WalletView, source| {
        snapshot.source(&wallet.account, source).is_some_and(|source| source.is_fresh(now.boot))
    };
    let counted = |wallet: &WalletView, source| {
        snapshot.source(&wallet.account, source).is_none_or(|source| !source.stale_at_start)
    };
    balances(out, snapshot, |wallet| fresh(wallet, Source::Balance));
    consumption(out, snapshot, |wallet| counted(wallet, Source::Consumption));
    periods(out, snapshot, now.boot, |wallet| fresh(wallet, Source::Consumption));
    burn(out, snapshot, now);
    card_counters(out, snapshot, |wallet| counted(wallet, Source::CardTransactions));
    card_gauges(out, snapshot, |wallet| fresh(wallet, Source::CardTransactions));
}

fn balances(out: &mut Encoder, snapshot: &Snapshot, fresh: impl Fn(&WalletView) -> bool) {
    let known = || {
        let shown = snapshot.wallets.iter().filter(|wallet| fresh(wallet));
        shown.filter_map(|wallet| Some((wallet.account.as_str(), wallet.balance?)))
    };
    let mut family = out.family(&c::BALANCE);
    for (account, balance) in known() {
        family.sample(&[account], balance.amount);
    }
    let mut family = out.family(&c::BALANCE_AS_OF);
    for (account, balance) in known() {
        family.sample(&[account], seconds(balance.as_of));
    }
    let mut family = out.family(&c::BALANCE_THRESHOLD);
    for wallet in &snapshot.wallets {
        for (severity, threshold) in [("warning", wallet.warning_balance), ("critical", wallet.critical_balance)] {
            if let Some(threshold) = threshold {
                family.sample(&[&wallet.account, severity], threshold);
            }
        }
    }
}

/// What a counter shows: nothing until its hold is over.
fn shown(view: &ConsumptionView, zero_starts: &ZeroStarts) -> BTreeMap<Series, Usd> {
    let value = |series: &Series, counted| if zero_starts.is_shown(&series.key()) { counted } else { Usd::ZERO };
    view.counters.iter().map(|(series, counter)| (series.clone(), value(series, counter.counted))).collect()
}

fn consumption(out: &mut Encoder, snapshot: &Snapshot, counted: impl Fn(&WalletView) -> bool) {
    let views: Vec<(&WalletView, &ConsumptionView, BTreeMap<Series, Usd>)> = snapshot
        .wallets
        .iter()
        .filter(|wallet| counted(wallet))
        .filter_map(|wallet| {
            let view = wallet.consumption.as_deref()?;
            Some((wallet, view, shown(view, &wallet.zero_starts)))
        })
        .collect();
    for (spec, report) in [
        (&c::DEBIT, Report::Debit),
        (&c::CREDIT, Report::Credit),
        (&c::ORIGIN_DEBIT, Report::OriginDebit),
        (&c::ORIGIN_CREDIT, Report::OriginCredit),
        (&c::PATH_DEBIT, Report::PathDebit),
    ] {
        let mut family = out.family(spec);
        for (wallet, _, shown) in &views {
            for (series, amount) in shown.iter().filter(|(series, _)| series.report() == report) {
                match series.label() {
                    "" => family.sample(&[&wallet.account], *amount),
                    label => family.sample(&[&wallet.account, label], *amount),
                }
            }
        }
    }
    let sum = |shown: &BTreeMap<Series, Usd>, report| -> Usd {
        shown.iter().filter(|(series, _)| series.report() == report).map(|(_, amount)| *amount).sum()
    };
    // Before the first report nothing is known about either.
    let answered = || views.iter().filter(|(_, view, _)| view.count_since.is_some());
    let mut family = out.family(&c::UNATTRIBUTED);
    for (wallet, _, shown) in answered() {
        for (total, parts) in [
            (Report::Debit, Report::OriginDebit),
            (Report::Credit, Report::OriginCredit),
            (Report::Debit, Report::PathDebit),
        ] {
            family.sample(&[&wallet.account, parts.as_str()], sum(shown, total) - sum(shown, parts));
        }
    }
    let mut family = out.family(&c::REVISED_DOWN);
    for (wallet, view, _) in answered() {
        for report in Report::ALL {
            let counters = view.counters.iter().filter(|(series, _)| series.report() == report);
            let held: Usd = counters.map(|(_, counter)| counter.held_back()).sum();
            family.sample(&[&wallet.account, report.as_str()], held);
        }
    }
    let mut family = out.family(&c::WALLET_COUNT_SINCE);
    for (wallet, view, _) in &views {
        if let Some(since) = view.count_since {
            family.sample(&[&wallet.account], seconds(since));
        }
    }
}

fn periods(out: &mut Encoder, snapshot: &Snapshot, now: BootTime, fresh: impl Fn(&WalletView) -> bool) {
    let known = || {
        snapshot.wallets.iter().filter(|wallet| fresh(wallet)).filter_map(|wallet| {
            let periods = wallet.consumption.as_ref()?.periods.as_ref()?;
            (now < periods.valid_until).then_some((wallet.account.as_str(), periods))
        })
    };
    let mut family = out.family(&c::PERIOD_DEBIT);
    for (account, periods) in known() {
        for (period, sum) in &periods.sums {
            family.sample(&[account, period.as_str()], sum.debit);
        }
    }
    let mut family = out.family(&c::PERIOD_CREDIT);
    for (account, periods) in known() {
        for (period, sum) in &periods.sums {
            family.sample(&[account, period.as_str()], sum.credit);
        }
    }
}

fn burn(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let wallets = snapshot.wallets.iter().map(|wallet| (&wallet.account, snapshot.burn(wallet, now.boot)));
    let known: Vec<(&String, Vec<BurnView>)> = wallets.collect();
    let windows = || known.iter().flat_map(|(account, windows)| windows.iter().map(move |seen| (account, seen)));
    let mut family = out.family(&c::BURN);
    for (account, seen) in windows() {
        if let Some(burn) = seen.burn {
            family.sample(&[account, seen.window.as_str()], burn);
        }
    }
    let mut family = out.family(&c::RUNWAY);
    for (account, seen) in windows() {
        if let Some((runway, _)) = seen.runway {
            family.sample(&[account, seen.window.as_str()], runway);
        }
    }
    let mut family = out.family(&c::EMPTY);
    for (account, seen) in windows() {
        if let Some((runway, polled)) = seen.runway {
            let polled = Decimal::new(polled.by_clock_of(now).timestamp_millis(), 3);
            family.sample(&[account, seen.window.as_str()], polled + runway);
        }
    }
}

fn cards(snapshot: &Snapshot) -> impl Iterator<Item = (&WalletView, &CardsView)> {
    snapshot.wallets.iter().filter_map(|wallet| Some((wallet, wallet.cards.as_deref()?)))
}

fn card_counters(out: &mut Encoder, snapshot: &Snapshot, counted: impl Fn(&WalletView) -> bool) {
    let cards = |snapshot| cards(snapshot).filter(|(wallet, _)| counted(wallet));
    let is_shown = |wallet: &WalletView, brand: &str| wallet.zero_starts.is_shown(&series_key(brand));
    let mut family = out.family(&c::CARD_TRANSACTIONS);
    for (wallet, view) in cards(snapshot) {
        for ((kind, status, brand), counted) in &view.counted {
            let events = if is_shown(wallet, brand) { counted.events } else { 0 };
            family.sample(&[&wallet.account, kind.as_str(), status.as_str(), brand], events);
        }
    }
    let mut family = out.family(&c::CARD_CREDITS);
    for (wallet, view) in cards(snapshot) {
        for ((kind, status, brand), counted) in &view.counted {
            let credits = if is_shown(wallet, brand) { counted.credits } else { Usd::ZERO };
            family.sample(&[&wallet.account, kind.as_str(), status.as_str(), brand], credits);
        }
    }
    let mut family = out.family(&c::CARD_SALES_TAX);
    for (wallet, view) in cards(snapshot) {
        for (brand, costs) in &view.costs {
            let amount = if is_shown(wallet, brand) { costs.sales_tax } else { Usd::ZERO };
            family.sample(&[&wallet.account, brand], amount);
        }
    }
    let mut family = out.family(&c::CARD_FEES);
    for (wallet, view) in cards(snapshot) {
        for (brand, costs) in &view.costs {
            let amount = if is_shown(wallet, brand) { costs.processing_fees } else { Usd::ZERO };
            family.sample(&[&wallet.account, brand], amount);
        }
    }
}

fn card_gauges(out: &mut Encoder, snapshot: &Snapshot, fresh: impl Fn(&WalletView) -> bool) {
    let known = || cards(snapshot).filter(|(wallet, view)| view.listed && fresh(wallet));
    let mut family = out.family(&c::CARD_PENDING);
    for (wallet, view) in known() {
        let mut pending: BTreeMap<(CardKind, &str), u64> = BTreeMap::new();
        for brand in view.costs.keys() {
            pending.extend(CardKind::ALL.map(|kind| ((kind, brand.as_str()), 0)));
        }
        for row in &view.pending {
            *pending.entry((row.kind, &row.brand)).or_default() += 1;
        }
        for ((kind, brand), rows) in pending {
            family.sample(&[&wallet.account, kind.as_str(), brand], rows);
        }
    }
    let mut family = out.family(&c::CARD_OLDEST_PENDING);
    for (wallet, view) in known() {
        if let Some(oldest) = view.pending.iter().map(|row| row.created_at).min() {
            family.sample(&[&wallet.account], seconds(oldest));
        }
    }
    let mut family = out.family(&c::CARD_LAST);
    for (wallet, view) in known() {
        for ((kind, status), time) in &view.latest {
            family.sample(&[&wallet.account, kind.as_str(), status.as_str()], seconds(*time));
        }
    }
}
