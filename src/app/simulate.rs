//! The vendor simulator as a command, and its scenarios for both commands that have one.

use std::future::Future;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use vendor_simulator::{Options, Scenario, Simulator};

use super::signals::Signals;
use super::{AppError, Dependencies};
use crate::clock::SharedClock;
use crate::config;
use crate::config::file::said;

/// The exporter's clock as the simulator's.
pub struct SimulatorClock(pub SharedClock);

impl vendor_simulator::Clock for SimulatorClock {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.sleep_until(self.0.boot() + duration)
    }
}

/// What happens at the simulated vendors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ScenarioName {
    /// A balance runs low and is topped up, a card fails, a batch settles, a vendor throttles, within three minutes
    #[default]
    Story,
    /// Nothing goes wrong
    Calm,
    /// The balance runs low and stays low for ten minutes, long enough for an alert
    LowBalance,
    /// Both vendors are down for two minutes, then one throttles
    Outage,
    /// The pace of a customer: card payments take minutes, a batch starts every seven hours
    Month,
}

impl ScenarioName {
    /// What happens again and again, of a scenario without single events.
    pub(super) fn goes_on(self) -> &'static str {
        match self {
            ScenarioName::Month => {
                "\nWhat will happen, for as long as it runs:\n\n  \
                 Spend follows the working day in the United States: most from 14:00 to 23:00 UTC, less at night and on weekends.\n  \
                 Below 500 USD a top-up of 2500 USD starts. It is paid 20 minutes later; one in ten fails and is repeated.\n  \
                 A batch of 150 to 700 balance checks starts every seven hours and fills within two and a half hours.\n"
            }
            ScenarioName::Story | ScenarioName::Calm | ScenarioName::LowBalance | ScenarioName::Outage => "",
        }
    }
}

impl From<ScenarioName> for Scenario {
    fn from(name: ScenarioName) -> Scenario {
        match name {
            ScenarioName::Story => Scenario::Demo,
            ScenarioName::Calm => Scenario::Calm,
            ScenarioName::LowBalance => Scenario::LowBalance,
            ScenarioName::Outage => Scenario::Outage,
            ScenarioName::Month => Scenario::Everyday,
        }
    }
}

/// Flags of `simulate`.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateFlags {
    /// Address of the simulator, for both vendors
    #[arg(long = "simulator.listen-address", value_name = "ADDRESS", default_value = "127.0.0.1:10750")]
    pub listen: SocketAddr,
    /// Seed of the random numbers: the same seed gives the same events
    #[arg(long = "simulator.seed", value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Days of history before today
    #[arg(long = "simulator.history-days", value_name = "DAYS", default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(0..=3650))]
    pub history_days: u32,
    /// Scenario
    #[arg(long = "simulator.scenario", value_name = "SCENARIO", value_enum, default_value_t = ScenarioName::Calm)]
    pub scenario: ScenarioName,
    /// Change nothing, except on requests to /_simulator/
    #[arg(long = "simulator.quiet", conflicts_with = "scenario")]
    pub quiet: bool,
    /// The exporter's webhook URL, called when a batch is complete
    #[arg(long = "simulator.webhook-url", value_name = "URL")]
    pub webhook_url: Option<String>,
}

/// Runs the simulator until a signal.
///
/// # Errors
/// If it cannot listen.
pub async fn simulate(flags: &SimulateFlags, dependencies: &Dependencies) -> Result<(), AppError> {
    let signals = Signals::listen()?;
    let cannot = |error: std::io::Error| {
        let words = said(error.kind());
        AppError::System(format!("--simulator.listen-address: cannot listen on {}: {words}", flags.listen))
    };
    let listener = TcpListener::bind(flags.listen).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let options = Options::quiet(Arc::new(SimulatorClock(Arc::clone(&dependencies.clock))));
    let options = Options {
        seed: flags.seed,
        history_days: flags.history_days,
        scenario: if flags.quiet { Scenario::Quiet } else { flags.scenario.into() },
        webhook: flags.webhook_url.clone(),
        ..options
    };
    let (token, key) = (options.batchdata_token.clone(), options.rightfoot_key.clone());
    let simulator = Simulator::new(options);
    super::print(&format!(
        "simulator: http://{address}\n  \
         BATCHDATA_BASE_URL=http://{address} BATCHDATA_API_TOKEN={token}\n  \
         RIGHTFOOT_BASE_URL=http://{address} RIGHTFOOT_API_KEY={key}\n  \
         RIGHTFOOT_BATCH_IDS={}\n",
        simulator.batch_ids().join(",")
    ))?;
    let programme = Programme::new(&simulator, dependencies.clock.now());
    super::print(&programme.ahead(if flags.quiet { "" } else { flags.scenario.goes_on() }))?;
    let stop = CancellationToken::new();
    let listening = signals.handle(stop.clone(), || {});
    let told = tokio::spawn(programme.tell(Arc::clone(&dependencies.clock)));
    simulator.serve(listener, stop.cancelled_owned()).await;
    told.abort();
    listening.abort();
    Ok(())
}

/// What is going to happen.
pub(super) struct Programme {
    began: DateTime<Utc>,
    steps: Vec<(DateTime<Utc>, &'static str)>,
    /// Whether a person reads it on a terminal.
    styled: bool,
}

impl Programme {
    /// What the simulator brings from `now` on.
    pub(super) fn new(simulator: &Simulator, now: DateTime<Utc>) -> Programme {
        let mut steps = simulator.programme();
        // An event happens at an even second, which may have begun.
        steps.retain(|(at, _)| *at >= now - chrono::TimeDelta::seconds(2));
        let plain = config::environment().iter().any(|(name, value)| name == "NO_COLOR" && !value.is_empty());
        let styled = std::io::stdout().is_terminal() && !plain;
        Programme { began: now, steps, styled }
    }

    /// All of it, below a heading; the text for none where nothing is to come.
    pub(super) fn ahead(&self, none: &str) -> String {
        let lines: Vec<String> = self.steps.iter().map(|step| self.line("", step)).collect();
        if lines.is_empty() {
            none.to_owned()
        } else {
            format!("\nWhat will happen, in minutes from now:\n\n{}\n", lines.concat())
        }
    }

    /// Prints each event when it happens. A closed output is no error.
    pub(super) async fn tell(self, clock: SharedClock) {
        for step in &self.steps {
            let wait = (step.0 - clock.now()).to_std().unwrap_or_default();
            clock.sleep_until(clock.boot() + wait).await;
            let _ = super::print(&self.line("now ", step));
        }
    }

    fn line(&self, prefix: &str, (at, text): &(DateTime<Utc>, &str)) -> String {
        let seconds = (*at - self.began).num_seconds().max(0);
        let time = format!("{prefix}{}:{:02}", seconds / 60, seconds % 60);
        match self.styled {
            true => format!("  \u{1b}[1m{time:>8}\u{1b}[0m  {text}\n"),
            false => format!("  {time:>8}  {text}\n"),
        }
    }
}
