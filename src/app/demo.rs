//! Exporter and simulator in one process, without credentials.
//!
//! Flows in: the process flags. Flows out: a lively exporter and a few lines that say where to look. Invariant: nothing
//! of the user's own vendor settings is used, and nothing leaves the machine.

use std::ffi::OsString;
use std::sync::Arc;

use chrono::{Days, SecondsFormat};
use tokio::net::TcpListener;

use super::serve::Running;
use super::signals::Signals;
use super::{AppError, Surroundings};
use crate::config::{Config, Flags};
use crate::simulator::{Options, Simulator};

/// Runs the demo until a signal. `environment` is the process's own.
///
/// # Errors
/// See [`AppError`].
pub async fn demo(
    flags: &Flags,
    environment: Vec<(OsString, OsString)>,
    around: &Surroundings,
) -> Result<(), AppError> {
    let signals = Signals::hear()?;
    let cannot = |error: std::io::Error| AppError::System(format!("the simulator cannot listen on loopback: {error}"));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(cannot)?;
    let vendors = format!("http://{}", listener.local_addr().map_err(cannot)?);
    let options = Options::demo(Arc::clone(&around.clock));
    let (token, key) = (options.batchdata_token.clone(), options.rightfoot_key.clone());
    let simulator = Simulator::new(options);
    // One batch is on its way from the first moment; the simulator's own begin every few minutes.
    simulator.fill(&simulator.batch(Vec::new()), 40);

    let now = around.clock.now();
    let since = now.date_naive().checked_sub_days(Days::new(30)).unwrap_or(now.date_naive());
    let secret = uuid::Uuid::new_v4().simple().to_string();
    let mut variables: Vec<(OsString, OsString)> = environment
        .into_iter()
        .filter(|(name, _)| {
            let name = name.to_string_lossy();
            !name.starts_with("BATCHDATA_") && !name.starts_with("RIGHTFOOT_")
        })
        .collect();
    let mut set = |name: &str, value: String| variables.push((name.into(), value.into()));
    set("BATCHDATA_API_TOKEN", token);
    set("BATCHDATA_ACCOUNT", "demo".to_owned());
    set("BATCHDATA_BASE_URL", vendors.clone());
    set("BATCHDATA_BALANCE_INTERVAL", "1s".to_owned());
    set("BATCHDATA_CONSUMPTION_INTERVAL", "2s".to_owned());
    set("BATCHDATA_CARD_INTERVAL", "3s".to_owned());
    set("BATCHDATA_COUNT_SINCE", since.to_string());
    set("BATCHDATA_WARNING_BALANCE_USD", "150".to_owned());
    set("BATCHDATA_CRITICAL_BALANCE_USD", "50".to_owned());
    set("RIGHTFOOT_API_KEY", key);
    set("RIGHTFOOT_ACCOUNT", "demo".to_owned());
    set("RIGHTFOOT_BASE_URL", vendors.clone());
    set("RIGHTFOOT_BATCH_IDS", simulator.batch_ids().join(","));
    set("RIGHTFOOT_COUNT_SINCE", since.to_string());
    set("RIGHTFOOT_INTERVAL", "1s".to_owned());
    set("RIGHTFOOT_SETTLE_AFTER", "4s".to_owned());
    set("RIGHTFOOT_WEBHOOK_SECRET", secret.clone());
    // What a demo wants, unless the user says otherwise: nothing on disk, and values that show at once. Only the flag
    // can name a directory: the variable may be the real exporter's, whose ledger is none of the demo's business.
    let unset = |name: &str| !variables.iter().any(|(found, value)| found == name && !value.is_empty());
    let mut flags = flags.clone();
    flags.storage_path.get_or_insert_with(|| "none".to_owned());
    if unset("METRICS_START_AT_ZERO") {
        flags.metrics_start_at_zero.get_or_insert_with(|| "4s".to_owned());
    }
    let config = Config::load(&flags, variables, now)?;
    crate::telemetry::start(config.process.log_level, config.process.log_format);

    let running = Running::start(&config, around).await?;
    if let Some(address) = running.addresses.webhook {
        simulator.set_webhook(Some(&format!("http://{address}/webhooks/rightfoot/{secret}")));
    }
    let stop = running.stop_token();
    let vendor = tokio::spawn(simulator.serve(listener, stop.clone().cancelled_owned()));
    let web = running.addresses.web;
    super::print(&format!(
        "wallet-exporter demo, started {}\n\n  page      http://{web}/\n  metrics   http://{web}{}\n  vendors   {vendors}/_simulator/truth\n\nTry, in another shell:\n\n  curl -s http://{web}{} | grep ^batchdata_wallet_balance\n  watch -n 2 \"curl -s http://{web}{} | grep -E '^(batchdata_wallet_(balance|debit)_usd|rightfoot_batches|batchdata_card_transactions_total)'\"\n\nCtrl-C ends it; nothing is kept unless --storage.path names a directory.\n",
        now.to_rfc3339_opts(SecondsFormat::Secs, true),
        config.process.telemetry_path,
        config.process.telemetry_path,
        config.process.telemetry_path,
    ))?;
    let site = Arc::clone(&running.site);
    let listening = signals.obey(stop, move || {
        let site = Arc::clone(&site);
        tokio::task::spawn_blocking(move || site.reload());
    });
    let outcome = running.run().await;
    listening.abort();
    let _ = vendor.await;
    outcome
}
