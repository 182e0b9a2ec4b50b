//! `export` and `report`: a wallet's history to files, and a month's statement.
//!
//! Flows in: flags, the configuration, the vendor's answers, the storage of an exporter that may be running. Flows out:
//! files or standard output; notes on standard error. Invariant: the storage is only read.

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;
use clap::ValueEnum;

use super::output::print;
use super::{AppError, Config, Dependencies, SCHEMA};
use crate::batchdata::history::days::DayExport;
use crate::batchdata::history::focus::Focus;
use crate::batchdata::history::openmetrics::{self, SeriesExport};
use crate::batchdata::history::recorded::Recorded;
use crate::batchdata::history::rows::{Csv, Include, JsonLines};
use crate::batchdata::history::{History, HistoryError, Out, Progress, statement, write_whole};
use crate::batchdata::{self, Client};
use crate::config::Flags;
use crate::printable::printable;

/// In which form the history is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Series every 4 minutes, for an import into Prometheus or VictoriaMetrics
    Openmetrics,
    /// Cost data in the FinOps Foundation's format FOCUS 1.2
    Focus,
    /// Transactions as CSV
    Csv,
    /// Transactions as JSON lines
    Jsonl,
}

/// A personal field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PersonalField {
    /// The vendor's Reference ID
    ReferenceId,
    /// The vendor's Description
    Description,
}

/// Flags of `export`.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Export options")]
pub struct ExportFlags {
    /// Account; required if several are configured
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// First UTC day [default: 365 days ago; for openmetrics BATCHDATA_COUNT_SINCE, if it is set]
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub from: Option<NaiveDate>,
    /// Last UTC day [default: today; for openmetrics up to the first sample of the exporter]
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub to: Option<NaiveDate>,
    /// Output format
    #[arg(long, value_enum)]
    pub format: ExportFormat,
    /// Output directory; - writes to standard output
    #[arg(long, value_name = "DIRECTORY")]
    pub out: PathBuf,
    /// Personal fields to include, for csv and jsonl; then only the owner of the files can read them
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FIELDS")]
    pub include: Vec<PersonalField>,
    /// Label of every series, for openmetrics, such as job=wallet-exporter; can be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = openmetrics::label)]
    pub labels: Vec<(String, String)>,
}

fn date(text: &str) -> Result<NaiveDate, &'static str> {
    text.parse().map_err(|_| "expected a date like 2026-01-31")
}

/// In which form the statement is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Table
    #[default]
    Table,
    /// section,name,amount_usd
    Csv,
    /// One object, amounts as strings
    Json,
}

/// Flags of `report`.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Report options")]
pub struct ReportFlags {
    /// Month in UTC, such as 2026-10
    #[arg(long, value_name = "MONTH", value_parser = statement::month)]
    pub month: NaiveDate,
    /// Account; required if several are configured
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
}

impl From<HistoryError> for AppError {
    fn from(error: HistoryError) -> AppError {
        match error {
            HistoryError::Usage(words) => AppError::Refused(words),
            HistoryError::Ledger(error) => AppError::Open(error),
            other => AppError::System(other.to_string()),
        }
    }
}

/// Clears the line of a terminal.
const CLEAR: &str = "\r\u{1b}[K";

/// Standard error: notes, and a line that shows how far it is, if it is a terminal.
pub(super) struct Terminal {
    shows_steps: bool,
}

impl Terminal {
    pub(super) fn new() -> Terminal {
        Terminal { shows_steps: io::stderr().is_terminal() }
    }
}

impl Drop for Terminal {
    /// An error that ends the command stands on a line of its own.
    fn drop(&mut self) {
        if self.shows_steps {
            let _ = write!(io::stderr(), "{CLEAR}");
        }
    }
}

impl Progress for Terminal {
    fn note(&self, text: &str) {
        let clear = if self.shows_steps { CLEAR } else { "" };
        // Nobody may be listening.
        let _ = writeln!(io::stderr(), "{clear}wallet-exporter: {}", printable(text));
    }

    fn step(&self, done: usize, of: usize) {
        const WIDTH: usize = 30;
        if !self.shows_steps {
            return;
        }
        let filled = (WIDTH * done).checked_div(of).unwrap_or(WIDTH);
        let bar = format!("{}{}", "#".repeat(filled), ".".repeat(WIDTH - filled));
        let end = if done == of { "\n" } else { "" };
        let mut out = io::stderr();
        let _ = write!(out, "{CLEAR}[{bar}] {done} of {of} days{end}").and_then(|()| out.flush());
    }
}

/// The account that is meant.
fn account<'c>(config: &'c Config, name: Option<&str>) -> Result<&'c batchdata::Config, AppError> {
    let title = batchdata::VENDOR.title;
    let refused = |words: String| Err(AppError::Refused(words));
    let all: Vec<&batchdata::Config> = config.accounts_of().collect();
    let names = || all.iter().map(|account| account.account.as_str()).collect::<Vec<_>>().join(", ");
    match (name, all.as_slice()) {
        (_, []) => refused(match &config.process.config_file {
            Some(file) => format!("no {title} account is configured: add one to {}", file.display()),
            None => format!("no {title} account is configured: set {}", batchdata::VENDOR.secret_variable),
        }),
        (None, [account]) => Ok(account),
        (None, _) => refused(format!("say which account with --account: {}", names())),
        (Some(name), _) => match all.iter().find(|account| account.account == name) {
            Some(account) => Ok(account),
            None => refused(format!("--account: no {title} account has that name: write one of {}", names())),
        },
    }
}

/// An account with its client.
pub(super) struct Wallet<'c> {
    config: &'c batchdata::Config,
    client: Client,
}

impl<'c> Wallet<'c> {
    pub(super) fn new(
        config: &'c Config,
        name: Option<&str>,
        dependencies: &Dependencies,
    ) -> Result<Wallet<'c>, AppError> {
        let config = account(config, name)?;
        let client = config.client(dependencies).map_err(|error| AppError::System(error.to_string()))?;
        Ok(Wallet { config, client })
    }

    /// All of its past as series.
    pub(super) fn series<'l>(&self, recorded: Recorded, labels: &'l [(String, String)]) -> SeriesExport<'l> {
        SeriesExport { from: None, to: None, count_since: self.config.count_since, recorded, labels }
    }

    pub(super) fn history<'w>(&'w self, dependencies: &Dependencies, progress: &'w dyn Progress) -> History<'w> {
        let clock = Arc::clone(&dependencies.clock);
        History { client: &self.client, clock, account: &self.config.account, progress }
    }
}

/// Writes the history.
///
/// # Errors
/// If the configuration or what is asked for is wrong, the vendor does not answer, or a file cannot be written.
pub async fn export(
    flags: &Flags,
    export: &ExportFlags,
    environment: Vec<(OsString, OsString)>,
    dependencies: &Dependencies,
) -> Result<(), AppError> {
    let config = Config::load(flags, environment, dependencies.clock.now())?;
    check(export)?;
    let terminal = Terminal::new();
    let wallet = Wallet::new(&config, export.account.as_deref(), dependencies)?;
    let history = wallet.history(dependencies, &terminal);
    if export.format == ExportFormat::Openmetrics {
        let recorded = Recorded::read(config.process.storage.as_deref(), SCHEMA, history.account)?;
        if recorded.counters_since.is_none() && recorded.balance_since.is_none() && export.to.is_none() {
            terminal.note(
                "the storage has no samples of this account, so the series go on until now: if an exporter with another \
                 storage serves it already, export again with --to, a day before that one was started",
            );
        }
        let all = wallet.series(recorded, &export.labels);
        let series = SeriesExport { from: export.from, to: export.to, ..all };
        if export.out.as_os_str() == "-" {
            let mut out = BufWriter::new(io::stdout());
            return closed_is_fine(history.export_series(series, &mut out).await.map(|_| ()));
        }
        return write_series(&history, &export.out, series).await;
    }
    let days = DayExport {
        from: export.from,
        to: export.to,
        include: Include {
            reference_id: export.include.contains(&PersonalField::ReferenceId),
            description: export.include.contains(&PersonalField::Description),
        },
        format: match export.format {
            ExportFormat::Csv => |include| Box::new(Csv(include)),
            ExportFormat::Jsonl => |include| Box::new(JsonLines(include)),
            ExportFormat::Focus | ExportFormat::Openmetrics => |_| Box::<Focus>::default(),
        },
    };
    if export.out.as_os_str() == "-" {
        let mut out = BufWriter::new(io::stdout());
        return closed_is_fine(history.export_days(&days, Out::Stream(&mut out)).await.map(|_| ()));
    }
    let changed = history.export_days(&days, Out::Directory(export.out.clone())).await?;
    let files = if changed == 1 { "file" } else { "files" };
    terminal.note(&format!("{changed} {files} written below {}", export.out.display()));
    Ok(())
}

/// Flags that go together.
fn check(export: &ExportFlags) -> Result<(), AppError> {
    let refused = |words: &str| Err(AppError::Refused(words.to_owned()));
    if let (Some(from), Some(to)) = (export.from, export.to)
        && from > to
    {
        return refused(&format!("--from: {from} is after --to, {to}"));
    }
    if !export.labels.is_empty() && export.format != ExportFormat::Openmetrics {
        return refused("--label: only series have labels: use --format openmetrics");
    }
    let mut names: Vec<&str> = export.labels.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair.first() == pair.get(1)) {
        return refused("--label: two labels have the same name");
    }
    let rows = matches!(export.format, ExportFormat::Csv | ExportFormat::Jsonl);
    if !export.include.is_empty() && !rows {
        return refused("--include: only transactions have personal fields: use --format csv or jsonl");
    }
    Ok(())
}

/// Who has seen enough closes the pipe.
fn closed_is_fine(outcome: Result<(), HistoryError>) -> Result<(), AppError> {
    match outcome {
        Err(HistoryError::Output { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// The series into a file below a directory.
pub(super) async fn write_series(
    history: &History<'_>,
    directory: &Path,
    series: SeriesExport<'_>,
) -> Result<(), AppError> {
    let path = directory.join(format!("account={}", history.account)).join("history.openmetrics");
    let samples = write_whole(directory, &path, async |out| history.export_series(series, out).await).await?;
    history.progress.note(&format!("{samples} samples are in {}", path.display()));
    Ok(())
}

/// Prints the statement.
///
/// # Errors
/// If the configuration or what is asked for is wrong, or the vendor does not answer.
pub async fn report(
    flags: &Flags,
    report: &ReportFlags,
    environment: Vec<(OsString, OsString)>,
    dependencies: &Dependencies,
) -> Result<(), AppError> {
    let config = Config::load(flags, environment, dependencies.clock.now())?;
    let wallet = Wallet::new(&config, report.account.as_deref(), dependencies)?;
    let recorded = Recorded::read(config.process.storage.as_deref(), SCHEMA, &wallet.config.account)?;
    let terminal = Terminal::new();
    let statement = wallet.history(dependencies, &terminal).statement(report.month, &recorded).await?;
    print(&match report.format {
        ReportFormat::Table => statement.table(),
        ReportFormat::Csv => statement.csv(),
        ReportFormat::Json => statement.json(),
    })
}
