//! Worlds of transactions: debits and credits at the vendor, and an exporter that crashes, loses answers and gets older
//! copies of its storage back.
//!
//! Flows in: a seed. Flows out: that no more was ever counted than was made, and all of it in the end. Invariant: what is
//! made is counted here by adding one, and of days, files and restatements nothing is known.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use vendor_simulator::{Fault, Operation, Options, Simulator};
use wallet_exporter::money::Usd;
use wallet_exporter::store::{StorageFault, StorageFaultKind};
use wallet_exporter::upstream::Transport;

use crate::clock::{MachineClock, TrueTime};
use crate::exporter::{Exporter, copy_storage};
use crate::network::{Conditions, Network};
use crate::oracle::Oracle;
use crate::text::Scrape;
use crate::trace::Trace;

const COUNTED: &str = "batchdata_wallet_transactions_total";
const OBSERVED: &str = "batchdata_wallet_transaction_usd_count";
const SUM: &str = "batchdata_wallet_transaction_usd_sum";

/// Transactions, and ten-thousandths of a dollar, by type and endpoint.
type Made = BTreeMap<(&'static str, String), (i64, i64)>;

struct TransactionsWorld {
    seed: u64,
    rng: fastrand::Rng,
    time: TrueTime,
    vendors: Simulator,
    network: Arc<Network>,
    clock: MachineClock,
    root: tempfile::TempDir,
    directory: PathBuf,
    variables: BTreeMap<String, String>,
    exporter: Option<Exporter>,
    starts: u64,
    /// An older copy, and when it was taken.
    copy: Option<(PathBuf, DateTime<Utc>)>,
    /// The transactions that count, by kind and name.
    made: Made,
    since: Option<DateTime<Utc>>,
    floor: BTreeMap<String, f64>,
}

impl TransactionsWorld {
    fn new(seed: u64) -> TransactionsWorld {
        let mut rng = fastrand::Rng::with_seed(seed);
        let start: DateTime<Utc> = "2027-02-27T00:00:00Z".parse().unwrap();
        let start =
            start + TimeDelta::seconds(if rng.bool() { 86_400 - rng.i64(1..7_200) } else { rng.i64(0..86_400) });
        let time = TrueTime::begin(start);
        let vendors = Simulator::new(Options { seed, ..Options::quiet(Arc::new(time)) });
        let trace = Arc::new(Trace::new(false));
        let network = Arc::new(Network::new(vendors.clone(), time, Oracle::new(None), seed, trace));
        let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let since = rng.bool().then(|| (start - TimeDelta::days(rng.i64(0..5))).date_naive());
        let mut variables = BTreeMap::from([
            ("BATCHDATA_API_TOKEN".to_owned(), Options::quiet(Arc::new(time)).batchdata_token),
            ("BATCHDATA_SOURCES".to_owned(), "transactions".to_owned()),
            ("BATCHDATA_TRANSACTIONS_INTERVAL".to_owned(), format!("{}s", rng.u64(60..7_200))),
            ("METRICS_START_AT_ZERO".to_owned(), "0s".to_owned()),
        ]);
        variables.extend(since.map(|day| ("BATCHDATA_COUNT_SINCE".to_owned(), day.to_string())));
        TransactionsWorld {
            seed,
            rng,
            time,
            vendors,
            network,
            clock: MachineClock::new(time),
            directory: root.path().join("0"),
            root,
            variables,
            exporter: None,
            starts: 0,
            copy: None,
            made: Made::new(),
            since: since.map(|day| day.and_hms_opt(0, 0, 0).unwrap().and_utc()),
            floor: BTreeMap::new(),
        }
    }

    fn transact(&mut self, at: DateTime<Utc>) {
        let amount = self.rng.i64(1..40) * 250;
        let (kind, name) = match self.rng.u32(..10) {
            0 => ("credit", "unknown".to_owned()),
            number => ("debit", format!("e{}", number % 4)),
        };
        match kind {
            "credit" => self.vendors.credit(at, "admin_adjustment", Usd::from_ten_thousandths(amount)),
            _ => self.vendors.spend(at, "api_request", &format!("/api/v1/{name}"), Usd::from_ten_thousandths(amount)),
        }
        if self.since.is_none_or(|since| at >= since) {
            let (number, sum) = self.made.entry((kind, name)).or_default();
            (*number, *sum) = (*number + 1, *sum + amount);
        }
    }

    fn start(&mut self) {
        self.starts += 1;
        self.variables.insert("STORAGE_PATH".to_owned(), self.directory.display().to_string());
        let transport = Arc::clone(&self.network) as Arc<dyn Transport>;
        self.exporter =
            Some(Exporter::start(&self.variables, &self.clock, transport, self.seed + self.starts * 64).unwrap());
    }

    async fn stop(&mut self) {
        self.exporter.take().unwrap().stop().await;
    }

    fn look(&mut self, ended: bool) {
        let text = self.exporter.as_ref().unwrap().look().0;
        let scrape = Scrape::read(&text).unwrap();
        let (seed, now) = (self.seed, self.time.now());
        let none = (0, 0);
        let of = |labels: &str| {
            (Scrape::label(labels, "type").to_owned(), Scrape::label(labels, "endpoint_name").to_owned())
        };
        let made = |kind: &str, name: &str| {
            let found = self.made.iter().find(|((one, other), _)| *one == kind && other == name);
            found.map_or(none, |(_, found)| *found)
        };
        let mut seen = 0;
        for (series, value) in scrape.family(COUNTED) {
            let (kind, name) = of(series);
            let due = made(&kind, &name).0 as f64;
            assert!(value <= due, "seed {seed} at {now}: {series} is {value}, and {due} were made");
            assert!(!ended || value == due, "seed {seed}: in the end {series} is {value} of {due}");
            seen += i64::from(due > 0.0);
        }
        for (series, value) in scrape.family(SUM) {
            let due = made("debit", &of(series).1).1 as f64 / 10_000.0;
            assert!(value <= due + 1e-9, "seed {seed} at {now}: {series} is {value}, and {due} were made");
            assert!(!ended || (value - due).abs() < 1e-9, "seed {seed}: in the end {series} is {value} of {due}");
        }
        for (series, value) in scrape.family(OBSERVED) {
            let debits = format!(r#"{COUNTED}{{account="default",type="debit",endpoint_name="{}"}}"#, of(series).1);
            assert_eq!(scrape.get(&debits), Some(value), "seed {seed} at {now}: {series}");
        }
        for (series, value) in scrape.values.iter().filter(|(name, _)| name.starts_with("batchdata_wallet_transaction"))
        {
            let floor = self.floor.entry(series.clone()).or_insert(*value);
            assert!(value >= floor, "seed {seed} at {now}: {series} fell from {floor} to {value}");
            *floor = *value;
        }
        let due = self.made.values().filter(|(number, _)| *number > 0).count() as i64;
        assert!(!ended || seen == due, "seed {seed}: in the end {seen} of {due} series are there");
    }

    async fn step(&mut self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.look(false);
    }

    /// The process ends in the middle of whatever it does, and goes on with what is on the disk, or in an older copy.
    async fn crash(&mut self, from: Option<PathBuf>) {
        let to = self.root.path().join(format!("{}", self.starts));
        copy_storage(from.as_deref().unwrap_or(&self.directory), &to);
        self.stop().await;
        self.directory = to;
        self.start();
    }

    async fn trouble(&mut self) {
        match self.rng.u32(..14) {
            0 | 1 => self.crash(None).await,
            2 => {
                self.stop().await;
                let down = self.rng.u64(0..40 * 3_600);
                tokio::time::sleep(Duration::from_secs(down)).await;
                self.start();
            }
            3 => {
                let fault = [Fault::CutInRecord, Fault::CutAtLineEnd, Fault::throttled(Some("600"))]
                    [self.rng.usize(..3)]
                .clone();
                self.vendors.fault(Operation::ConsumptionCsv, fault, Some(self.rng.u32(1..4)));
            }
            4 => self.network.state().conditions = Conditions { lost: 300, stray: 300, ..Conditions::calm() },
            5 => self.network.state().conditions = Conditions::calm(),
            6 => {
                let fault =
                    self.rng.bool().then_some(StorageFault { skip: self.rng.u32(..3), kind: StorageFaultKind::Full });
                self.exporter.as_ref().unwrap().set_fault(fault);
            }
            7 => {
                let to = self.root.path().join(format!("copy-{}", self.time.ms()));
                copy_storage(&self.directory, &to);
                self.copy = Some((to, self.time.now()));
            }
            8 => {
                // One that is young is taken for what was there last, as that of any source.
                let old = |taken: &DateTime<Utc>| self.time.now() - *taken > TimeDelta::hours(7);
                if let Some((copy, _)) = self.copy.take_if(|(_, taken)| old(taken)) {
                    self.crash(Some(copy)).await;
                }
            }
            _ => {}
        }
    }

    async fn play(&mut self) {
        for days in 0..6 {
            for _ in 0..self.rng.u32(..8) {
                let back = TimeDelta::seconds(days * 86_400 + self.rng.i64(0..86_400));
                self.transact(self.vendors.now() - back);
            }
        }
        self.start();
        // Nothing is made before the first answer, so that the base line is known.
        self.step(30).await;
        if self.since.is_none() {
            self.made.clear();
        }
        for _ in 0..120 {
            for _ in 0..self.rng.u32(..4) {
                // Late rows are there within the hour.
                let late = TimeDelta::seconds(self.rng.i64(0..3_000));
                self.transact(self.vendors.now() - late);
            }
            self.trouble().await;
            let seconds = if self.rng.u32(..4) == 0 { self.rng.u64(1..30) } else { self.rng.u64(30..10_000) };
            self.step(seconds).await;
        }
        self.vendors.clear_faults(None);
        self.network.state().conditions = Conditions::calm();
        self.exporter.as_ref().unwrap().set_fault(None);
        for _ in 0..8 {
            self.step(3_600).await;
        }
        self.look(true);
        self.stop().await;
    }
}

#[test]
fn transactions_are_never_counted_twice_and_none_is_lost() {
    for seed in 0..24 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async { TransactionsWorld::new(seed).play().await });
    }
}
