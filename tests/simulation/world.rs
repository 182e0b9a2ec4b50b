//! One world, from its seed to its end.
//!
//! Flows in: a seed. Flows out: that all invariants held, or which did not, and when. Invariant: whatever happens here
//! is drawn from the seed, so that a failure replays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use vendor_simulator::{Options, Simulator};
use wallet_exporter::upstream::Transport;

use crate::actions::Standing;
use crate::batches::Growing;
use crate::checks::Checks;
use crate::clock::{MachineClock, TrueTime};
use wallet_exporter::store::StorageFault;

use crate::exporter::{Exporter, copy_storage};
use crate::network::Network;
use crate::oracle::Oracle;
use crate::plan::{Phase, Plan, Trouble};
use crate::polled::Asked;
use crate::reload::WALLET;
use crate::trace::Trace;

/// How a world went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Seconds simulated.
    pub seconds: u64,
    /// Over all texts that were scraped.
    pub hash: u64,
    pub scrapes: u64,
    pub requests: u64,
    /// How often the balance had to agree with the report.
    pub compared: u64,
    /// Of the database at the end.
    pub bytes: u64,
}

/// Why a world is not as it should be.
pub struct Failed {
    pub why: String,
    pub when: DateTime<Utc>,
    pub events: String,
}

pub struct World {
    pub seed: u64,
    pub plan: Plan,
    pub rng: fastrand::Rng,
    pub time: TrueTime,
    pub vendors: Simulator,
    pub network: Arc<Network>,
    pub clock: MachineClock,
    pub trace: Arc<Trace>,
    pub checks: Checks,
    pub exporter: Option<Exporter>,
    pub standing: Standing,
    pub asked: Vec<Asked>,
    pub growing: Vec<Growing>,
    pub storage_fault: Option<StorageFault>,
    pub variables: BTreeMap<String, String>,
    root: TempDir,
    pub directory: PathBuf,
    directories: u32,
    starts: u64,
    /// The size of the database at the end.
    pub bytes: u64,
}

/// Runs the world of a seed, as `draw` plans it.
pub fn run(seed: u64, loud: bool, draw: Draw) -> Result<Passed, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed, loud, draw);
        match world.play().await {
            Ok(()) => Ok(Passed {
                seconds: world.time.elapsed().as_secs(),
                hash: world.checks.hash,
                scrapes: world.checks.scrapes,
                requests: world.network.state().requests,
                compared: world.checks.compared,
                bytes: world.bytes,
            }),
            Err(why) => {
                if let (true, Some(exporter)) = (loud, &world.exporter) {
                    println!("{}", exporter.look().0);
                }
                world.stop_exporter().await;
                Err(Failed { why, when: world.time.now(), events: world.trace.last() })
            }
        }
    })
}

/// How a world is planned.
pub type Draw = fn(&mut fastrand::Rng) -> Plan;

fn storage_root() -> TempDir {
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("simulation-");
        builder
    };
    builder().tempdir_in("/dev/shm").or_else(|_| builder().tempdir()).unwrap()
}

impl World {
    fn new(seed: u64, loud: bool, draw: Draw) -> World {
        let mut rng = fastrand::Rng::with_seed(seed);
        let plan = draw(&mut rng);
        let time = TrueTime::begin(plan.start);
        let trace = Arc::new(Trace::new(loud));
        trace.add(time, || format!("seed {seed}: {plan:?}"));
        let vendors = Simulator::new(Options { seed, ..Options::quiet(Arc::new(time)) });
        let oracle = Oracle::new(plan.wallet_since);
        let network = Arc::new(Network::new(vendors.clone(), time, oracle, seed, Arc::clone(&trace)));
        network.state().conditions.latency_ms = plan.latency_ms;
        network.state().webhooks = plan.has(Trouble::Webhooks);
        let clock = MachineClock::new(time);
        clock.set_error_ms(plan.first_error_ms);
        let root = storage_root();
        let directory = root.path().join("storage-0");
        let checks = Checks::new(&plan);
        World {
            seed,
            rng,
            time,
            vendors,
            network,
            clock,
            trace,
            checks,
            exporter: None,
            standing: Standing::default(),
            asked: Vec::new(),
            growing: Vec::new(),
            storage_fault: None,
            variables: BTreeMap::new(),
            directory,
            root,
            directories: 0,
            starts: 0,
            bytes: 0,
            plan,
        }
    }

    pub fn say(&self, line: impl FnOnce() -> String) {
        self.trace.add(self.time, line);
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn ids_file(&self) -> PathBuf {
        self.root.path().join("ids.txt")
    }

    fn configure(&mut self) {
        let secrets = Options::quiet(Arc::new(self.time));
        let plan = &self.plan;
        let seconds = |seconds: u64| format!("{seconds}s");
        let mut set = |name: &str, value: String| drop(self.variables.insert(name.to_owned(), value));
        set("BATCHDATA_ACCOUNT", WALLET.to_owned());
        set("RIGHTFOOT_ACCOUNT", "checks".to_owned());
        set("BATCHDATA_API_TOKEN", secrets.batchdata_token);
        set("RIGHTFOOT_API_KEY", secrets.rightfoot_key);
        set("RIGHTFOOT_WEBHOOK_SECRET", "simulation-simulation-simulation-0".to_owned());
        set("BATCHDATA_BALANCE_INTERVAL", seconds(plan.intervals[0]));
        set("BATCHDATA_CONSUMPTION_INTERVAL", seconds(plan.intervals[1]));
        set("BATCHDATA_CARD_INTERVAL", seconds(plan.intervals[2]));
        set("RIGHTFOOT_INTERVAL", seconds(plan.intervals[3]));
        set("BATCHDATA_MAX_AGE", seconds(plan.max_age[0]));
        set("RIGHTFOOT_MAX_AGE", seconds(plan.max_age[1]));
        set("RIGHTFOOT_SETTLE_AFTER", seconds(plan.settle_after));
        set("METRICS_START_AT_ZERO", seconds(plan.hold));
        set("BATCHDATA_REQUESTS_PER_MINUTE", plan.budgets[0].to_string());
        set("RIGHTFOOT_REQUESTS_PER_MINUTE", plan.budgets[1].to_string());
        for (period, budget) in ["DAY", "WEEK", "MONTH"].into_iter().zip(plan.budgets_usd) {
            if let Some(dollars) = budget {
                set(&format!("BATCHDATA_BUDGET_{period}_USD"), dollars.to_string());
            }
        }
        if let Some(since) = plan.wallet_since {
            set("BATCHDATA_COUNT_SINCE", since.to_string());
        }
        if let Some(since) = plan.checks_since {
            set("RIGHTFOOT_COUNT_SINCE", since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        }
        let ids = self.ids_file();
        self.variables.insert("RIGHTFOOT_BATCH_IDS_FILE".to_owned(), ids.display().to_string());
        if self.plan.in_file {
            self.write_accounts();
        }
        self.track_budgets();
    }

    async fn play(&mut self) -> Result<(), String> {
        self.configure();
        self.prepare_history();
        self.start_exporter()?;
        for phase in self.plan.phases.clone() {
            match phase {
                Phase::Busy(steps) => {
                    for _ in 0..steps {
                        let seconds = self.rng.u64(15..=60);
                        self.step(Duration::from_secs(seconds)).await?;
                        self.act().await?;
                    }
                }
                Phase::Quiet(seconds) => self.quiet(seconds).await?,
            }
        }
        self.finish().await
    }

    /// A quiet stretch: looked at now and then, and around one of its midnights.
    async fn quiet(&mut self, seconds: u64) -> Result<(), String> {
        let end = self.time.now() + TimeDelta::seconds(i64::try_from(seconds).unwrap());
        let looks = self.rng.i64(1..6);
        let stride = (end - self.time.now()) / i32::try_from(looks).unwrap();
        while self.time.now() < end {
            let mut to = (self.time.now() + stride).min(end);
            let midnight = (to.date_naive()).and_time(chrono::NaiveTime::MIN).and_utc();
            if midnight > self.time.now() && self.rng.bool() {
                if self.plan.has(Trouble::Faults) && self.rng.bool() {
                    let before = TimeDelta::seconds(self.rng.i64(20..900));
                    self.step_to(midnight - before).await?;
                    self.fail_before_midnight();
                }
                for second in [-7, 3, 61, 80] {
                    self.step_to(midnight + TimeDelta::seconds(second)).await?;
                }
                to = to.max(midnight + TimeDelta::seconds(100));
            }
            self.step_to(to).await?;
            if self.rng.u32(..3) == 0 {
                self.act().await?;
            }
        }
        Ok(())
    }

    async fn step_to(&mut self, to: DateTime<Utc>) -> Result<(), String> {
        match (to - self.time.now()).to_std() {
            Ok(left) if !left.is_zero() => self.step(left).await,
            _ => Ok(()),
        }
    }

    /// Lets time pass, and looks. A crash that is due may come on the way.
    pub async fn step(&mut self, by: Duration) -> Result<(), String> {
        let until = tokio::time::Instant::now() + by;
        loop {
            let network = Arc::clone(&self.network);
            tokio::select! {
                biased;
                () = network.crash.notified() => {
                    // Between the answer and the end of what it brings, there are a few milliseconds.
                    let later = self.rng.u64(0..16);
                    tokio::time::sleep(Duration::from_millis(later)).await;
                    self.crash(None).await?;
                }
                () = network.announce.notified() => {
                    let later = self.rng.u64(0..16);
                    tokio::time::sleep(Duration::from_millis(later)).await;
                    self.announced().await;
                }
                () = tokio::time::sleep_until(until) => break,
            }
        }
        self.grow();
        self.look()
    }

    pub fn look(&mut self) -> Result<(), String> {
        let Some(exporter) = &mut self.exporter else { return Ok(()) };
        if let Some(ended) = exporter.ended() {
            return Err(ended);
        }
        let (text, messages, status) = exporter.look();
        self.answered(&text)?;
        let fault = self.storage_fault;
        self.checks.look(
            (&text, &messages),
            &status,
            &self.plan,
            &self.network,
            &self.clock,
            &self.directory,
            fault,
        )?;
        let Some(exporter) = &self.exporter else { return Ok(()) };
        self.checks.gate(&self.plan, |units| exporter.gate(units))
    }

    pub fn start_exporter(&mut self) -> Result<(), String> {
        self.variables.insert("STORAGE_PATH".to_owned(), self.directory.display().to_string());
        self.starts += 1;
        let transport = Arc::clone(&self.network) as Arc<dyn Transport>;
        let exporter =
            Exporter::start(&self.environment(), &self.clock, transport, self.seed.wrapping_add(self.starts * 64))?;
        self.exporter = Some(exporter);
        self.checks.started(self.time.ms());
        Ok(())
    }

    pub async fn stop_exporter(&mut self) {
        self.asked.clear();
        if let Some(exporter) = self.exporter.take() {
            exporter.stop().await;
            self.checks.ended(self.time.ms(), &self.network);
        }
    }

    pub fn fresh_directory(&mut self) -> PathBuf {
        self.directories += 1;
        self.root.path().join(format!("storage-{}", self.directories))
    }

    /// The process, or the machine with it, ends at this moment, and starts again from what is on the disk: from
    /// `other`, if that is given.
    pub async fn crash(&mut self, other: Option<PathBuf>) -> Result<(), String> {
        let to = self.fresh_directory();
        copy_storage(other.as_deref().unwrap_or(&self.directory), &to);
        self.stop_exporter().await;
        self.storage_fault = None;
        let old = std::mem::replace(&mut self.directory, to);
        std::fs::remove_dir_all(old).unwrap();
        let down = [0, 1, 20, 300, 5_000][self.rng.usize(..5)];
        let down = if self.plan.scale == 0 { down.min(60) } else { down };
        let reboot = self.rng.u32(..3) == 0;
        self.say(|| format!("crash; down for {down} s{}", if reboot { ", reboot" } else { "" }));
        tokio::time::sleep(Duration::from_secs(down)).await;
        if reboot {
            self.reboot();
        }
        self.start_exporter()
    }

    pub fn reboot(&mut self) {
        self.clock = self.clock.rebooted();
        self.checks.rebooted();
        if self.plan.has(Trouble::WallClock) && self.rng.bool() {
            self.clock_is_set_late();
        }
    }

    /// A machine whose clock does not go while it is off starts with an old time, until somebody tells it.
    fn clock_is_set_late(&mut self) {
        let (clock, error) = (self.clock.clone(), self.clock.error_ms());
        let behind = self.rng.i64(1_000..12 * 3_600_000);
        let (trace, time, later) = (Arc::clone(&self.trace), self.time, self.rng.u64(1..20_000));
        self.say(|| format!("the wall clock is {} s behind at first", behind / 1_000));
        clock.set_error_ms(error - behind);
        self.checks.wall_clock_set();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(later)).await;
            trace.add(time, || format!("the wall clock is set to {} s off", error / 1_000));
            clock.set_error_ms(error);
        });
    }
}
