//! One look at everything: `dump` and `check --online`.
//!
//! Flows in: a configuration. Flows out: text on standard output. Invariant: nothing is written; the storage is in
//! memory, whatever is configured.

use crate::names::Label as _;
use std::sync::Arc;
use std::time::Duration;

use super::build::App;
use super::{AppError, Config, Dependencies};
use crate::names::Operation;
use crate::snapshot::BUDGETS;
use crate::upstream::RequestError;

/// The same configuration with nothing on disk and nothing held back.
fn in_memory(config: &Config) -> Config {
    let mut config = config.clone();
    config.process.storage = None;
    config.process.start_at_zero = Duration::ZERO;
    config
}

/// What came of polling a source once.
struct Outcome {
    operation: Operation,
    /// Whether anything was asked.
    asked: bool,
    result: Result<(), RequestError>,
}

async fn poll_all(app: &mut App, begins: impl Fn(Operation)) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for task in app.tasks() {
        let operation = task.poller.source().operation;
        begins(operation);
        let (_, result) = task.runner.attempt(task.poller.as_mut()).await;
        let asked = task.poller.storage().instruments.requests(operation) > 0;
        outcomes.push(Outcome { operation, asked, result });
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
    Ok((app.exposition.to_text(), outcomes.iter().all(|outcome| outcome.result.is_ok())))
}

/// The same configuration with nothing that waits between two looks.
fn impatient(mut config: Config) -> Config {
    for account in &mut config.accounts {
        if let Some(found) = account.config.without_waiting() {
            account.config = found;
        }
    }
    config
}

/// Calls every endpoint once, and says so before each. Returns a table, and whether nothing in it needs attention.
///
/// # Errors
/// If it cannot be set up.
pub async fn check_online(
    config: &Config,
    dependencies: &Dependencies,
    progress: impl Fn(&str),
) -> Result<(String, bool), AppError> {
    let mut app = App::build(&impatient(in_memory(config)), dependencies)?;
    let begins = |operation: Operation| progress(&format!("calling {} {} ...", operation.vendor.name, operation.name));
    let outcomes = poll_all(&mut app, begins).await;
    // What was refused is looked at twice before it is reported.
    let clock = Arc::clone(&app.wiring.clock);
    for (task, outcome) in app.tasks().zip(&outcomes) {
        let due = task.poller.poll_by(false).is_some_and(|due| due <= clock.boot());
        if due && outcome.result.is_ok() {
            let _ = task.runner.attempt(task.poller.as_mut()).await;
        }
    }
    let mut table = format!("{:<36} {:<14} {}\n", "ENDPOINT", "RESULT", "WHAT TO FIX");
    for Outcome { operation, asked, result } in &outcomes {
        let (result, remedy) = match result {
            Ok(()) if !asked => {
                let remedy = "no id is known yet: see the variables that list them".to_owned();
                ("not asked", remedy)
            }
            Ok(()) => ("ok", "-".to_owned()),
            Err(error) => {
                let remedy = error.advice().unwrap_or_else(|| "try again later".to_owned());
                (error.reason.as_str(), format!("{}; {remedy}", error.detail))
            }
        };
        let name = format!("{} {}", operation.vendor.name, operation.name);
        table.push_str(&format!("{name:<36} {result:<14} {remedy}\n"));
    }
    let mut fine = outcomes.iter().all(|outcome| outcome.result.is_ok());
    for account in app.cell.current().status(clock.moment()).accounts {
        let budgets = account.details.more.iter().filter(|row| row.term == BUDGETS);
        for line in budgets.flat_map(|row| &row.lines) {
            let text: String = line.iter().map(ToString::to_string).collect();
            table.push_str(&format!("{:<36} {text}\n", format!("budget of {} {}", account.vendor, account.account)));
        }
        for item in account.details.attention {
            let name = format!("{} {}", account.vendor, item.kind);
            table.push_str(&format!("{name:<36} {:<14} {}: {}\n", item.state, item.id, item.advice));
            fine = false;
        }
    }
    Ok((table, fine))
}
