//! The rule of the counters over arbitrary histories: reports that overlap, skip, restate, and restarts in between.
//!
//! A model beside it keeps what the vendor knows, in whole ten-thousandths of a dollar.

use std::collections::BTreeMap;
use std::sync::Arc;
use strum::VariantArray as _;

use chrono::{DateTime, Days, NaiveDate};
use proptest::prelude::*;
use wallet_exporter::app::SCHEMA;
use wallet_exporter::batchdata;
use wallet_exporter::batchdata::consumption::ledger::{BaseLine, ConsumptionLedger};
use wallet_exporter::batchdata::consumption::periods::Period;
use wallet_exporter::batchdata::consumption::series::MoneySeries;
use wallet_exporter::batchdata::consumption::table::ConsumptionCommit;
use wallet_exporter::batchdata::{ConsumptionReport, DayConsumption, Flow};
use wallet_exporter::money::Usd;
use wallet_exporter::store::{AccountId, Store, Success};

const ORIGINS: usize = 130;

fn start() -> NaiveDate {
    "2026-02-20".parse().unwrap()
}

fn usd(units: i64) -> Usd {
    Usd::from_ten_thousandths(units)
}

#[derive(Clone, Debug)]
enum Step {
    /// Days pass.
    Pass(u64),
    /// Money is spent on a day so many days ago, or taken back.
    Change { ago: u64, origin: usize, units: i64 },
    /// A poll; full or short.
    Poll(bool),
    /// The process is killed and started again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (1_u64..40).prop_map(Step::Pass),
        6 => (0_u64..60, 0..ORIGINS, -40_000_i64..100_000)
            .prop_map(|(ago, origin, units)| Step::Change { ago, origin, units }),
        4 => any::<bool>().prop_map(Step::Poll),
        1 => Just(Step::Restart),
    ]
}

#[derive(Default)]
struct Model {
    days: BTreeMap<NaiveDate, BTreeMap<usize, i64>>,
}

impl Model {
    fn report(&self, from: NaiveDate, to: NaiveDate) -> ConsumptionReport {
        let days = self.days.range(from..=to).map(|(date, parts)| {
            let flow = |units| Flow { debit: usd(units), credit: Usd::ZERO };
            let by_origin = parts.iter().map(|(origin, units)| (format!("origin-{origin:03}").into(), flow(*units)));
            let by_path = parts.iter().map(|(origin, units)| (format!("/{}", origin % 3), *units));
            let mut paths: BTreeMap<Arc<str>, Usd> = BTreeMap::new();
            for (path, units) in by_path {
                *paths.entry(path.into()).or_default() += usd(units);
            }
            let total = flow(parts.values().sum());
            (*date, DayConsumption { total, by_origin: by_origin.collect(), by_path: paths })
        });
        ConsumptionReport { from, to, days: days.collect(), hourly: None }
    }

    fn sum(&self, from: NaiveDate, to: NaiveDate) -> i64 {
        self.days.range(from..=to).flat_map(|(_, parts)| parts.values()).sum()
    }
}

/// The days that a report from `from` on needs and memory does not hold.
fn load(store: &Store, account: AccountId, ledger: &mut ConsumptionLedger, from: NaiveDate) {
    if let Some((from, to)) = ledger.days().missing(from) {
        ledger.days_mut().load(from, store.days(account, from, to).unwrap());
    }
}

fn run(steps: Vec<Step>, base: BaseLine) -> Result<(), TestCaseError> {
    let (store, _) = Store::open(None, DateTime::UNIX_EPOCH, SCHEMA).unwrap();
    let account = store.account(batchdata::VENDOR, "default").unwrap();
    let mut ledger = ConsumptionLedger::new(base, &[]);
    let mut model = Model::default();
    let mut today = start();
    // What the vendor showed at the last poll, by day, as the ledger knows it; and the highest total so far.
    let mut known: BTreeMap<NaiveDate, i64> = BTreeMap::new();
    let (mut baseline, mut highest) = (None, 0_i64);
    for step in steps {
        match step {
            Step::Pass(days) => today = today + Days::new(days),
            Step::Change { ago, origin, units } => {
                let day = today - Days::new(ago);
                *model.days.entry(day).or_default().entry(origin).or_default() += units;
            }
            Step::Restart => {
                let before = ledger.counters().clone();
                let restored = store.ledger(account, base, &[]).unwrap();
                prop_assert_eq!(restored.is_some(), ledger.covered().is_some());
                if let Some((restored, _)) = restored {
                    prop_assert_eq!(restored.counters(), &before, "a restart changes nothing");
                    prop_assert_eq!(restored.covered(), ledger.covered());
                    ledger = restored;
                }
            }
            Step::Poll(full) => {
                let before = ledger.counters().clone();
                let (from, to) = ledger.wanted(today, full);
                prop_assert_eq!(to, today);
                let report = model.report(from, to);
                load(&store, account, &mut ledger, from);
                let changes = ledger.plan(&report);
                let success = Success {
                    account,
                    source: batchdata::CONSUMPTION,
                    at: None,
                    boot_id: String::new(),
                    count_since: DateTime::UNIX_EPOCH,
                    configured_since: None,
                    answer: None,
                };
                let commit = ConsumptionCommit {
                    success: &success,
                    reported_at: DateTime::UNIX_EPOCH,
                    changes: &changes,
                    new_series: &[],
                    full_read_on: None,
                };
                store.commit_consumption(&commit).unwrap();
                ledger.commit(changes);

                let mut date = from;
                while date <= to {
                    known.insert(date, model.sum(date, date));
                    date = date + Days::new(1);
                }
                let counted_days = |date: &&NaiveDate| match base {
                    BaseLine::Day(since) => **date >= since,
                    BaseLine::FirstReport => true,
                };
                let total: i64 = known.keys().filter(counted_days).map(|date| known[date]).sum();
                let baseline = *baseline.get_or_insert(if base == BaseLine::FirstReport { total } else { 0 });
                highest = highest.max(total - baseline);

                let counters = ledger.counters();
                prop_assert_eq!(counters[&MoneySeries::Debit].counted, usd(highest), "the highest total so far");
                prop_assert_eq!(counters[&MoneySeries::Debit].reported, usd(total - baseline));
                for (series, counter) in before.iter() {
                    prop_assert!(counters[series].counted >= counter.counted, "{:?} fell", series);
                }
                // Sums are conserved through the fold into `other`.
                for part in [true, false] {
                    let reported: Usd = counters
                        .iter()
                        .filter(|(series, _)| match series {
                            MoneySeries::OriginDebit(_) => part,
                            MoneySeries::PathDebit(_) => !part,
                            _ => false,
                        })
                        .map(|(_, counter)| counter.reported)
                        .sum();
                    prop_assert_eq!(reported, usd(total - baseline));
                }
                let origins = counters.keys().filter(|series| matches!(series, MoneySeries::OriginDebit(_))).count();
                prop_assert!(origins <= 101, "{} origins", origins);
                load(&store, account, &mut ledger, from);
                prop_assert!(ledger.plan(&report).counters.is_empty(), "the same report again changes nothing");
                for period in Period::VARIANTS.iter().copied() {
                    let (first, last) = period.days(today);
                    if first >= ledger.covered().unwrap().0 {
                        let of_known: i64 = known.range(first..=last).map(|(_, units)| units).sum();
                        prop_assert_eq!(ledger.period(period, today, None).map(|flow| flow.debit), Some(usd(of_known)));
                    }
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn counters_are_the_highest_totals_of_the_vendors_own_reports(steps in prop::collection::vec(step(), 1..80)) {
        run(steps, BaseLine::FirstReport)?;
    }

    #[test]
    fn and_so_they_are_with_history_opted_into(steps in prop::collection::vec(step(), 1..80), ago in 0_u64..500) {
        run(steps, BaseLine::Day(start() - Days::new(ago)))?;
    }
}
