//! The command line: the commands and flags, with their help. Also read by the generator of the manual page and of the
//! shell completions.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args as _, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use wallet_exporter::app::variables;
use wallet_exporter::config::Flags;

/// Prometheus exporter for prepaid data-API wallets: when does the money run out, and where does it go?
#[derive(Debug, Parser)]
#[command(name = "wallet-exporter", version = VERSION, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub flags: Flags,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Poll the vendors in the background and serve the metrics (the default)
    Serve,
    /// Run the exporter with simulated vendors, without credentials
    ///
    /// The vendors' variables have no effect, and neither do STORAGE_PATH, CONFIG_FILE, SECRETS_DIRECTORY and SHARD:
    /// nothing is stored unless --storage.path names a directory.
    #[cfg(feature = "demo")]
    Demo(wallet_exporter::app::DemoFlags),
    /// Validate the configuration and list all errors at once
    Check {
        /// Also call every endpoint once and say what to fix. Nothing is written
        #[arg(long)]
        online: bool,
        /// Print the accounts file (--config.file) that is equivalent to the variables; nothing is validated
        #[arg(long, conflicts_with = "online")]
        print_config: bool,
    },
    /// Poll every source once and print the metrics. Nothing is written
    Dump,
    /// Ask the exporter on this machine whether it is healthy
    Healthcheck,
    /// Ask a running exporter whether there is enough money
    ///
    /// Prints one line and exits with 0 if there is, 2 if not, 1 if the exporter does not answer, 64 if it does not know the
    /// account or an option is wrong. The answer is the exporter's last poll of the balance; no vendor is called.
    Gate(Box<wallet_exporter::app::GateFlags>),
    /// Write a wallet's history to files: transactions, costs, series
    ///
    /// Transactions as CSV or JSON lines, cost data in FOCUS 1.2, or series for an import into Prometheus. There is a file
    /// for each UTC day, below account=, year=, month= and day=, and one for all series. A day is written again only if
    /// the vendor has restated it; an interrupted export continues where it stopped. The exporter may be running, and
    /// nothing of its storage is changed.
    Export(Box<wallet_exporter::app::ExportFlags>),
    /// Print a month's statement of a wallet
    ///
    /// Balances, credits, debits by origin and API path, the unreconciled amount, and the card payments.
    Report(Box<wallet_exporter::app::ReportFlags>),
    /// Move, rename or copy what the exporter has stored
    #[command(subcommand)]
    Ledger(wallet_exporter::app::LedgerCommand),
    /// Run the vendor simulator alone
    #[cfg(feature = "demo")]
    Simulate(wallet_exporter::app::SimulateFlags),
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (revision ", env!("GIT_REVISION"), ")");

/// Flags of what is served.
const SERVING: [&str; 7] = [
    "web_listen_address",
    "web_telemetry_path",
    "web_config_file",
    "web_enable_lifecycle",
    "webhook_listen_address",
    "webhook_config_file",
    "metrics_start_at_zero",
];
const LOG: [&str; 2] = ["log_level", "log_format"];
const ACCOUNTS: [&str; 3] = ["config_file", "secrets_directory", "shard"];

/// The process flags that a command and its own commands do not read: they hide them in their help and refuse them.
fn unread(command: &str) -> Vec<String> {
    let listed = |lists: &[&[&str]]| lists.concat().into_iter().map(str::to_owned).collect();
    match command {
        "demo" => listed(&[&ACCOUNTS]),
        "dump" => listed(&[&SERVING, &["storage_path"]]),
        "export" | "report" => listed(&[&SERVING, &LOG]),
        "ledger" => listed(&[&SERVING, &LOG, &ACCOUNTS]),
        "gate" => all_but(&["web_listen_address"]),
        "healthcheck" => all_but(&["web_listen_address", "web_config_file"]),
        "simulate" => all_but(&[]),
        _ => Vec::new(),
    }
}

fn all_but(read: &[&str]) -> Vec<String> {
    let flags = Flags::augment_args(clap::Command::new(""));
    let ids = flags.get_arguments().map(|arg| arg.get_id().to_string());
    ids.filter(|id| !read.contains(&id.as_str())).collect()
}

/// Hides flags of a command and of its own commands. In place: `mut_arg` changes the order, and a command that is built finds
/// its flags by their place.
fn hide(command: clap::Command, unread: &[String]) -> clap::Command {
    let hidden = command.mut_args(|arg| {
        let hide = unread.iter().any(|of_unread| of_unread == arg.get_id().as_str());
        if hide { arg.hide(true) } else { arg }
    });
    hidden.mut_subcommands(|command| hide(command, unread))
}

/// The command line, with the environment variables in the long help.
pub fn command() -> clap::Command {
    let listed: Vec<String> = variables()
        .map(|variable| match variable.default {
            "" => format!("  {}: {}", variable.name, variable.meaning),
            default => format!("  {}: {} [default: {default}]", variable.name, variable.meaning),
        })
        .collect();
    let help = format!("Environment:\n{}", listed.join("\n").replace('`', ""));
    let mut command = Arguments::command().after_long_help(help);
    // Gives every command the process flags, so that they can be hidden.
    command.build();
    command.mut_subcommands(|command| {
        let name = command.get_name().to_owned();
        let command = hide(command, &unread(&name));
        if name != "demo" {
            return command;
        }
        command.mut_args(|arg| match arg.get_id().as_str() {
            "storage_path" => arg.help("Directory of the storage; without it, nothing is stored"),
            "metrics_start_at_zero" => {
                arg.help("How long a new counter series shows 0 [env: METRICS_START_AT_ZERO] [default: 4s]")
            }
            _ => arg,
        })
    })
}

/// Parses the command line.
///
/// # Errors
/// What clap refuses, a process flag that the command does not read, and the texts of `--help` and `--version`.
pub fn parse() -> Result<Arguments, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    let (mut names, mut flags) = (Vec::new(), &matches);
    while let Some((name, of_command)) = flags.subcommand() {
        names.push(name);
        flags = of_command;
    }
    let set = |id: &String| flags.value_source(id) == Some(ValueSource::CommandLine);
    if let Some(id) = names.first().and_then(|name| unread(name).into_iter().find(set)) {
        let long = command.get_arguments().find(|arg| arg.get_id() == id.as_str()).and_then(clap::Arg::get_long);
        let text = format!("--{} has no effect on {}: leave it out", long.unwrap_or(&id), names.join(" "));
        return Err(command.error(ErrorKind::ArgumentConflict, text));
    }
    Arguments::from_arg_matches(&matches)
}
