//! One look at everything: `dump` and `check --online`.
//!
//! Flows in: a configuration. Flows out: text on standard output. Invariant: nothing is written; the storage is in
//! memory, whatever is configured.

use super::build::App;
use super::{AppError, Dependencies};
use crate::config::Config;
use crate::metrics::Format;
use crate::names::Source;
use crate::vendor::{Operation, RequestError, Vendor};

/// The same configuration with nothing on disk and nothing held back.
fn in_memory(config: &Config) -> Config {
    let mut config = config.clone();
    config.process.storage = None;
    config.process.start_at_zero = std::time::Duration::ZERO;
    config
}

async fn poll_all(app: &mut App, begins: impl Fn(Operation)) -> Vec<(Operation, Result<(), RequestError>)> {
    let mut outcomes = Vec::new();
    for task in &mut app.tasks {
        let operation = task.poller.source().operation();
        begins(operation);
        let (_, outcome) = task.runner.attempt(task.poller.as_mut()).await;
        outcomes.push((operation, outcome));
    }
    outcomes
}

/// Polls every source once. Returns the exposition, and whether all succeeded.
///
/// # Errors
/// If it cannot be set up.
pub async fn dump(config: &Config, dependencies: &Dependencies) -> Result<(String, bool), AppError> {
    let mut app = App::build(&in_memory(config), dependencies)?;
    let outcomes = poll_all(&mut app, |_| ()).await;
    Ok((app.exposition.to_text(Format::Text), outcomes.iter().all(|(_, outcome)| outcome.is_ok())))
}

/// Calls every endpoint once, and says so before each. Returns a table, and whether nothing in it needs care.
///
/// # Errors
/// If it cannot be set up.
pub async fn check_online(
    config: &Config,
    dependencies: &Dependencies,
    progress: impl Fn(&str),
) -> Result<(String, bool), AppError> {
    let mut config = in_memory(config);
    // A refused id is unavailable once it was refused twice: the second look is due at once.
    if let Some(account) = &mut config.rightfoot {
        account.interval = std::time::Duration::ZERO;
    }
    let mut app = App::build(&config, dependencies)?;
    let begins = |operation: Operation| {
        progress(&format!("calling {} {} ...", operation.vendor().as_str(), operation.as_str()));
    };
    let outcomes = poll_all(&mut app, begins).await;
    for task in app.tasks.iter_mut().filter(|task| task.poller.source() == Source::Batches) {
        if outcomes.iter().all(|(operation, outcome)| *operation != Operation::BalancesCsv || outcome.is_ok()) {
            let _ = task.runner.attempt(task.poller.as_mut()).await;
        }
    }
    let asked_nothing =
        app.cell.current().rightfoots.iter().any(|view| view.instruments.requests(Operation::BalancesCsv) == 0);
    let mut table = format!("{:<36} {:<14} {}\n", "ENDPOINT", "RESULT", "WHAT TO FIX");
    for (operation, outcome) in &outcomes {
        let (result, remedy) = match outcome {
            Ok(()) if *operation == Operation::BalancesCsv && asked_nothing => (
                "not asked".to_owned(),
                "no batch id is known yet: set RIGHTFOOT_BATCH_IDS, RIGHTFOOT_BATCH_IDS_FILE or RIGHTFOOT_WEBHOOK_SECRET"
                    .to_owned(),
            ),
            Ok(()) => ("ok".to_owned(), "-".to_owned()),
            Err(error) => {
                let remedy = error.advice().unwrap_or_else(|| "try again later".to_owned());
                (error.reason.as_str().to_owned(), format!("{}; {remedy}", error.detail))
            }
        };
        let name = format!("{} {}", operation.vendor().as_str(), operation.as_str());
        table.push_str(&format!("{name:<36} {result:<14} {remedy}\n"));
    }
    let mut fine = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
    for view in &app.cell.current().rightfoots {
        for (id, state, _) in &view.checks.needing_attention {
            let name = format!("{} batch", Vendor::Rightfoot.as_str());
            table.push_str(&format!("{name:<36} {:<14} {id}: {}\n", state.as_str(), state.advice()));
            fine = false;
        }
    }
    Ok((table, fine))
}
