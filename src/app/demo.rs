//! Exporter and simulator in one process, without credentials.
//!
//! Flows in: the process flags and a scenario. Flows out: a running exporter, lines that say where to look and what will
//! happen when, and a line for each event. Invariant: nothing of the user's own vendor settings is used, and nothing
//! leaves the machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, SecondsFormat, SubsecRound as _, TimeDelta, Utc};
use rust_decimal::Decimal;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::export::{Terminal, Wallet, write_series};
use super::serve::Running;
use super::signals::Signals;
use super::simulate::{Programme, ScenarioName, SimulatorClock};
use super::{AppError, Config, Dependencies, INTEGRATIONS, SCHEMA};
use crate::batchdata::history::openmetrics;
use crate::batchdata::history::recorded::Recorded;
use crate::clock::SharedClock;
use crate::config::Flags;
use crate::config::file::said;
use crate::store;
use vendor_simulator::{Options, Simulator};

const ACCOUNT: &str = "demo";

/// How long before its first start the demo counts from.
const COUNTED: TimeDelta = TimeDelta::days(30);

/// The same where its past is written to a file.
const COUNTED_WITH_PAST: TimeDelta = TimeDelta::days(180);

/// How far back a later start goes through the simulator's life again, second by second. What is older is its history.
const LIVED: TimeDelta = TimeDelta::days(3);

/// How late the demo's report may be. An hour, as otherwise, would be over before anything could be seen.
const REPORT_LAG: Duration = Duration::from_secs(30);

/// The id of a batch that belongs to another customer.
const FOREIGN_BATCH: &str = "0badc0de-0000-4000-8000-000000000000";

/// Flags of `demo`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DemoFlags {
    /// Scenario of the simulated vendors
    #[arg(long, value_enum, default_value_t = ScenarioName::Story)]
    pub scenario: ScenarioName,
    /// Write the half-year before the start into this directory, as export --format openmetrics does
    #[arg(long, value_name = "DIRECTORY")]
    pub backfill: Option<PathBuf>,
    /// Label of every series in it, such as job=wallet-exporter; can be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = openmetrics::label, requires = "backfill")]
    pub labels: Vec<(String, String)>,
}

impl DemoFlags {
    fn counted(&self) -> TimeDelta {
        if self.backfill.is_some() { COUNTED_WITH_PAST } else { COUNTED }
    }
}

/// A demo that runs.
pub struct Demo {
    /// The exporter.
    pub running: Running,
    vendors: JoinHandle<()>,
    greeting: String,
    programme: Programme,
}

/// Runs the demo until a signal. `environment` is the process's own.
///
/// # Errors
/// See [`AppError`].
pub async fn demo(
    flags: &Flags,
    demo_flags: DemoFlags,
    environment: Vec<(OsString, OsString)>,
    dependencies: &Dependencies,
) -> Result<(), AppError> {
    let signals = Signals::listen()?;
    let demo = Demo::start(flags, demo_flags, environment, dependencies).await?;
    super::print(&demo.greeting)?;
    let site = Arc::clone(&demo.running.site);
    let listening = signals.handle(demo.running.stop_token(), move || {
        let site = Arc::clone(&site);
        tokio::task::spawn_blocking(move || site.reload());
    });
    let outcome = demo.run(Arc::clone(&dependencies.clock)).await;
    listening.abort();
    outcome
}

/// The environment of the demo: the process's own without its vendors and accounts.
fn variables<const N: usize>(
    environment: Vec<(OsString, OsString)>,
    vendors: [(&str, String); N],
) -> Vec<(OsString, OsString)> {
    let own = |(name, _): &(OsString, OsString)| {
        let name = name.to_string_lossy();
        let of_accounts = ["CONFIG_FILE", "SECRETS_DIRECTORY", "SHARD"].contains(&&*name);
        !of_accounts && INTEGRATIONS.iter().all(|vendor| !name.starts_with(vendor.prefix))
    };
    let always = [
        ("BATCHDATA_ACCOUNT", ACCOUNT),
        ("BATCHDATA_SOURCES", "balance,consumption,card_transactions,transactions"),
        ("BATCHDATA_BALANCE_INTERVAL", "1s"),
        ("BATCHDATA_CONSUMPTION_INTERVAL", "2s"),
        ("BATCHDATA_CARD_INTERVAL", "3s"),
        ("BATCHDATA_TRANSACTIONS_INTERVAL", "5s"),
        ("BATCHDATA_TRANSACTIONS_MB_PER_HOUR", "100000"),
        ("BATCHDATA_WARNING_BALANCE_USD", "150"),
        ("BATCHDATA_CRITICAL_BALANCE_USD", "50"),
        ("RIGHTFOOT_ACCOUNT", ACCOUNT),
        ("RIGHTFOOT_INTERVAL", "1s"),
        ("RIGHTFOOT_SETTLE_AFTER", "20s"),
    ];
    let always = always.map(|(name, value)| (name.into(), value.into()));
    let vendors = vendors.map(|(name, value)| (name.into(), value.into()));
    environment.into_iter().filter(own).chain(always).chain(vendors).collect()
}

/// The budgets of the UTC day and of the month: amounts of which about 70 % are spent at the start.
fn budgets(simulator: &Simulator, today: NaiveDate) -> [String; 2] {
    let by_day = simulator.expected().by_day;
    let spent = |from| by_day.range(from..=today).map(|(_, flow)| flow.debit).sum::<Decimal>();
    [today, today.with_day(1).unwrap_or(today)].map(|from| budget(spent(from)).to_string())
}

/// The amount of two digits of which that is about 70 %; at least 10.
fn budget(spent: Decimal) -> Decimal {
    let amount = (spent / Decimal::new(7, 1)).max(Decimal::TEN);
    amount.round_sf(2).unwrap_or(amount).normalize()
}

/// What is said where no event lies ahead.
fn none(scenario: ScenarioName) -> &'static str {
    match scenario {
        ScenarioName::Calm | ScenarioName::Month => scenario.goes_on(),
        ScenarioName::Story | ScenarioName::LowBalance | ScenarioName::Outage => {
            "\nThe events of this scenario happened after the first start with this --storage.path. To see them again, name a new directory.\n"
        }
    }
}

/// What is printed at the start. `web` and `vendors` are addresses.
fn greeting(config: &Config, now: DateTime<Utc>, (web, vendors): (&str, &str), ahead: &str) -> String {
    let metrics = &config.process.telemetry_path;
    let poll = match config.process.enable_lifecycle {
        true => format!("curl -s -X POST '{web}/-/poll?source=balance'"),
        false => "wallet-exporter demo --web.enable-lifecycle    # allows POST /-/poll".to_owned(),
    };
    format!(
        "wallet-exporter demo, started {}\n\n  page      {web}/\n  metrics   {web}{metrics}\n  \
         vendors   {vendors}/_simulator/expected\n{ahead}\nTry in another shell:\n\n  \
         curl -s {web}{metrics} | grep ^batchdata_wallet_balance\n  \
         curl -s '{web}/api/v1/gate?min_usd=50'\n  {poll}\n\n\
         Press Ctrl-C to stop. {}\n\n",
        now.to_rfc3339_opts(SecondsFormat::Secs, true),
        match &config.process.storage {
            None => "Nothing is stored on disk.",
            Some(_) => "The state is kept in --storage.path.",
        },
    )
}

/// The simulator's listener, and its URL.
async fn listen() -> Result<(TcpListener, String), AppError> {
    let cannot = |error: std::io::Error| {
        AppError::System(format!("the simulator cannot listen on loopback: {}", said(error.kind())))
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(cannot)?;
    let address = format!("http://{}", listener.local_addr().map_err(cannot)?);
    Ok((listener, address))
}

impl Demo {
    /// Starts exporter and simulator. `environment` is the process's own.
    ///
    /// # Errors
    /// See [`AppError`].
    pub async fn start(
        flags: &Flags,
        demo_flags: DemoFlags,
        environment: Vec<(OsString, OsString)>,
        dependencies: &Dependencies,
    ) -> Result<Demo, AppError> {
        let (listener, address) = listen().await?;
        let now = dependencies.clock.now();
        let first_start = first_start(flags.storage_path.as_deref(), now, demo_flags.counted());
        let since = first_start - demo_flags.counted();
        let scenario = demo_flags.scenario;
        let calm = Options::demo(Arc::new(SimulatorClock(Arc::clone(&dependencies.clock))));
        let history_days = calm.history_days.max(u32::try_from(demo_flags.counted().num_days()).unwrap_or(0));
        let calm = Options { history_days, ..calm };
        let options = options(Options { scenario: scenario.into(), ..calm }, first_start, now);
        let (token, key) = (options.batchdata_token.clone(), options.rightfoot_key.clone());
        let simulator = Simulator::new(options);
        let mut batch_ids = simulator.batch_ids();
        if scenario == ScenarioName::Story {
            simulator.new_batch(Some(FOREIGN_BATCH), true, "", Vec::new());
            batch_ids.push(FOREIGN_BATCH.to_owned());
        }

        let secret = uuid::Uuid::new_v4().simple().to_string();
        let [of_day, of_month] = budgets(&simulator, now.date_naive());
        let vendors = [
            ("BATCHDATA_BUDGET_DAY_USD", of_day),
            ("BATCHDATA_BUDGET_MONTH_USD", of_month),
            ("BATCHDATA_API_TOKEN", token),
            ("BATCHDATA_BASE_URL", address.clone()),
            ("BATCHDATA_COUNT_SINCE", since.date_naive().to_string()),
            ("RIGHTFOOT_API_KEY", key),
            ("RIGHTFOOT_BASE_URL", address.clone()),
            ("RIGHTFOOT_BATCH_IDS", batch_ids.join(",")),
            ("RIGHTFOOT_COUNT_SINCE", since.to_rfc3339()),
            ("RIGHTFOOT_WEBHOOK_SECRET", secret.clone()),
        ];
        let variables = variables(environment, vendors);
        // What a demo wants, unless the user says otherwise: nothing on disk, and values that show at once. Only the flag
        // can name a directory: the variable may be the real exporter's, whose ledger is none of the demo's business.
        let unset = |name: &str| !variables.iter().any(|(found, value)| found == name && !value.is_empty());
        let mut flags = flags.clone();
        flags.storage_path.get_or_insert_with(|| "none".to_owned());
        if unset("METRICS_START_AT_ZERO") {
            // A zero after the past would be a reset.
            let zero = if demo_flags.backfill.is_some() { "0s" } else { "4s" };
            flags.metrics_start_at_zero.get_or_insert_with(|| zero.to_owned());
        }
        let config = Config::load(&flags, variables, now)?;
        crate::telemetry::start(config.process.log_level, config.process.log_format);

        let recorded = recorded(&config)?;
        let around = Dependencies { report_lag: REPORT_LAG, ..dependencies.clone() };
        let running = Running::start(&config, &around).await?;
        if let Some(webhook) = running.addresses.webhook {
            simulator.set_webhook(Some(&format!("http://{webhook}/webhooks/rightfoot/{secret}")));
        }
        let programme = Programme::new(&simulator, now);
        let vendors = tokio::spawn(simulator.serve(listener, running.stop_token().cancelled_owned()));
        if let Some(directory) = &demo_flags.backfill {
            backfill(&config, dependencies, directory, &demo_flags.labels, recorded).await?;
        }
        let web = running.addresses.web;
        let greeting = greeting(&config, now, (&format!("http://{web}"), &address), &programme.ahead(none(scenario)));
        Ok(Demo { running, vendors, greeting, programme })
    }

    /// Runs until it is told to stop, and announces each event.
    ///
    /// # Errors
    /// If a part ended unexpectedly.
    pub async fn run(self, clock: SharedClock) -> Result<(), AppError> {
        let told = tokio::spawn(self.programme.tell(clock));
        let outcome = self.running.run().await;
        told.abort();
        let _ = self.vendors.await;
        outcome
    }
}

/// What an earlier run has counted.
fn recorded(config: &Config) -> Result<Recorded, AppError> {
    Ok(Recorded::read(config.process.storage.as_deref(), SCHEMA, ACCOUNT)?)
}

/// Writes the demo's past.
async fn backfill(
    config: &Config,
    dependencies: &Dependencies,
    directory: &Path,
    labels: &[(String, String)],
    recorded: Recorded,
) -> Result<(), AppError> {
    let terminal = Terminal::new();
    let wallet = Wallet::new(config, Some(ACCOUNT), dependencies)?;
    let history = wallet.history(dependencies, &terminal);
    write_series(&history, directory, wallet.series(recorded, labels)).await
}

/// When the demo with this storage was started first. Its base line is kept there, and must not move.
fn first_start(storage: Option<&str>, now: DateTime<Utc>, counted: TimeDelta) -> DateTime<Utc> {
    let moment = |text: &str| {
        let day = text.parse::<NaiveDate>().map(|day| day.and_time(NaiveTime::MIN).and_utc());
        day.or_else(|_| text.parse::<DateTime<Utc>>()).ok()
    };
    let stored = storage.filter(|path| *path != "none").map(|path| store::configured_since(Path::new(path), SCHEMA));
    // A storage that cannot be read is the exporter's to validate. The wallet's base line is cut to its day.
    let since = stored.and_then(Result::ok).and_then(|stored| {
        let ours = stored.iter().filter(|stored| stored.account == ACCOUNT);
        ours.filter_map(|stored| moment(stored.configured.as_deref()?)).max()
    });
    // The storage keeps whole seconds.
    // With --backfill at one start and without at another it is only near: never later than now.
    since.map_or(now.trunc_subsecs(0), |since| (since + counted).min(now.trunc_subsecs(0)))
}

/// A simulator that was there at the first start and has lived on: the storage knows what it told then.
fn options(demo: Options, first_start: DateTime<Utc>, now: DateTime<Utc>) -> Options {
    let began = first_start.max(now - LIVED);
    let more = (began.date_naive() - first_start.date_naive()).num_days();
    let history_days = demo.history_days.saturating_add(u32::try_from(more).unwrap_or(0));
    Options { began: Some(began), story_began: Some(first_start), history_days, ..demo }
}
