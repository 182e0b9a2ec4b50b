//! The vendor simulator as a command.

use std::future::Future;
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

/// The exporter's clock as the simulator's.
pub struct VendorClock(pub SharedClock);

impl vendor_simulator::Clock for VendorClock {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.sleep_until(self.0.boot() + duration)
    }
}

/// Flags of `simulate`.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateFlags {
    /// Address of the simulator; both vendors are at it
    #[arg(long = "simulator.listen-address", value_name = "ADDRESS", default_value = "127.0.0.1:10750")]
    pub listen: SocketAddr,
    /// What chance depends on
    #[arg(long = "simulator.seed", value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Days of history before today
    #[arg(long = "simulator.history-days", value_name = "DAYS", default_value_t = 60)]
    pub history_days: u32,
    /// Nothing happens unless it is ordered through /_simulator/
    #[arg(long = "simulator.quiet")]
    pub quiet: bool,
    /// Where completed batches are told of: the exporter's webhook URL
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
        AppError::System(format!("--simulator.listen-address: cannot listen on {}: {error}", flags.listen))
    };
    let listener = TcpListener::bind(flags.listen).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let options = Options::quiet(Arc::new(VendorClock(Arc::clone(&dependencies.clock))));
    let options = Options {
        seed: flags.seed,
        history_days: flags.history_days,
        scenario: if flags.quiet { Scenario::Quiet } else { Scenario::Demo },
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
    let stop = CancellationToken::new();
    let listening = signals.handle(stop.clone(), || {});
    simulator.serve(listener, stop.cancelled_owned()).await;
    listening.abort();
    Ok(())
}
