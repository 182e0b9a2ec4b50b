//! One look at everything: `dump` and `check --online`.
//!
//! Flows in: a configuration. Flows out: text on standard output. Invariant: nothing is written; the storage is in
//! memory, whatever is configured.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::build::App;
use super::{AppError, Config, Dependencies};
use crate::batchdata::BUDGETS;
use crate::names::{Label as _, Source};
use crate::snapshot::Piece;
use crate::upstream::RequestError;

/// The same configuration with nothing on disk and nothing held back.
fn in_memory(config: &Config) -> Config {
    let mut config = config.clone();
    config.process.storage = None;
    config.process.start_at_zero = Duration::ZERO;
    config
}

/// So many accounts are asked at the same time.
const AT_ONCE: usize = 8;

/// What came of polling a source once.
struct Outcome {
    account: String,
    source: Source,
    /// Whether anything was asked.
    asked: bool,
    result: Result<(), RequestError>,
}

/// Polls all, and returns what came of it in their order. The sources of an account are polled one after another: if the
/// vendor asks for a pause, the next one keeps it.
async fn poll_all(app: &mut App, begins: impl Fn(&str, Source)) -> Vec<Outcome> {
    let begins = &begins;
    let polls = app.accounts.iter_mut().map(|prepared| async move {
        let account = prepared.account.config.name();
        let mut outcomes = Vec::new();
        for task in &mut prepared.tasks {
            let source = task.poller.source();
            begins(account, source);
            let (_, result) = task.runner.attempt(task.poller.as_mut()).await;
            let asked = task.poller.storage().instruments.requests(source.operation) > 0;
            outcomes.push(Outcome { account: account.to_owned(), source, asked, result });
        }
        outcomes
    });
    let outcomes: Vec<Vec<Outcome>> = stream::iter(polls).buffered(AT_ONCE).collect().await;
    outcomes.into_iter().flatten().collect()
}

/// Polls again what is due again although it succeeded: what was refused is looked at twice before it is reported.
async fn poll_again(app: &mut App, outcomes: &[Outcome]) {
    let clock = Arc::clone(&app.wiring.clock);
    let again = app.tasks().zip(outcomes).filter(|(task, outcome)| {
        outcome.result.is_ok() && task.poller.poll_by(false).is_some_and(|due| due <= clock.boot())
    });
    let again = again.map(|(task, _)| async move { task.runner.attempt(task.poller.as_mut()).await });
    stream::iter(again).buffer_unordered(AT_ONCE).for_each(|_| std::future::ready(())).await;
}

/// Polls every source once. Returns the exposition, and whether all succeeded.
///
/// # Errors
/// If it cannot be set up.
pub async fn dump(config: &Config, dependencies: &Dependencies) -> Result<(String, bool), AppError> {
    let mut app = App::build(&in_memory(config), dependencies)?;
    let outcomes = poll_all(&mut app, |_, _| ()).await;
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

/// What `check --online` prints.
struct CheckTable {
    text: String,
    /// Width of the column with the accounts, where there is one.
    accounts: Option<usize>,
}

impl CheckTable {
    /// Accounts are named where there are several, or a file names them.
    fn new(config: &Config) -> CheckTable {
        let named = config.accounts.len() > 1 || config.process.config_file.is_some();
        let widths = config.accounts.iter().map(|account| account.config.name().len());
        let accounts = named.then(|| widths.chain(["ACCOUNT".len()]).max().unwrap_or_default());
        let mut table = CheckTable { text: String::new(), accounts };
        table.row("ACCOUNT", "SOURCE", "RESULT", "WHAT TO FIX");
        table
    }

    fn row(&mut self, account: &str, name: &str, result: &str, remedy: &str) {
        if let Some(width) = self.accounts {
            let _ = write!(self.text, "{account:<width$} ");
        }
        let _ = writeln!(self.text, "{name:<36} {result:<14} {remedy}");
    }

    fn outcome(&mut self, outcome: &Outcome) {
        let (result, remedy) = match &outcome.result {
            Ok(()) if !outcome.asked => ("not asked", "no id is known yet: list some in the configuration".to_owned()),
            Ok(()) => ("ok", "-".to_owned()),
            Err(error) => {
                let remedy = error.advice().unwrap_or_else(|| "try again later".to_owned());
                (error.reason.as_str(), format!("{}; {remedy}", error.detail))
            }
        };
        let name = format!("{} {}", outcome.source.vendor.name, outcome.source.name);
        self.row(&outcome.account, &name, result, &remedy);
    }
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
    let mut table = CheckTable::new(config);
    let named = table.accounts.is_some();
    let begins = |account: &str, source: Source| {
        let account = if named { format!(" for account {account}") } else { String::new() };
        progress(&format!("calling {} {}{account} ...", source.vendor.name, source.name));
    };
    let outcomes = poll_all(&mut app, begins).await;
    poll_again(&mut app, &outcomes).await;
    outcomes.iter().for_each(|outcome| table.outcome(outcome));
    let mut fine = outcomes.iter().all(|outcome| outcome.result.is_ok());
    for account in app.cell.current().status(app.wiring.clock.moment()).accounts {
        let budgets = account.details.more.iter().filter(|row| row.term == BUDGETS);
        for line in budgets.flat_map(|row| &row.lines) {
            let shown = |piece: &Piece| match piece {
                Piece::Marked(_, words) => format!("({words})"),
                piece => piece.to_string(),
            };
            let text: String = line.iter().map(shown).collect();
            let _ = writeln!(table.text, "{:<36} {text}", format!("budget of {} {}", account.vendor, account.account));
        }
        for item in account.details.attention {
            let (name, advice) = (format!("{} {}", account.vendor, item.kind), format!("{}: {}", item.id, item.advice));
            table.row(&account.account, &name, item.state, &advice);
            fine = false;
        }
    }
    Ok((table.text, fine))
}
