//! The command line: the commands and flags, with their help. Also read by the generator of the manual page and of the
//! shell completions.

use clap::{CommandFactory as _, Parser, Subcommand};
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
    /// Variables that begin with BATCHDATA_ or RIGHTFOOT_ have no effect, and neither has STORAGE_PATH: nothing is stored
    /// unless --storage.path names a directory.
    #[cfg(feature = "demo")]
    Demo(wallet_exporter::app::DemoFlags),
    /// Validate the configuration and list all errors at once
    Check {
        /// Also call every endpoint once and say what to fix. Nothing is written
        #[arg(long)]
        online: bool,
        /// Print the accounts file (--config.file) that means the same as the variables; nothing is validated
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
    /// the vendor has restated it; an export that was interrupted goes on where it was. The exporter may be running, and
    /// nothing of its storage is changed.
    Export(Box<wallet_exporter::app::ExportFlags>),
    /// Print a month's statement of a wallet
    ///
    /// Balances, credits, debits by origin and API path, what does not reconcile, and what the card paid.
    Report(Box<wallet_exporter::app::ReportFlags>),
    /// Move, rename or copy what the exporter has stored
    #[command(subcommand)]
    Ledger(wallet_exporter::app::LedgerCommand),
    /// Run the vendor simulator alone
    #[cfg(feature = "demo")]
    Simulate(wallet_exporter::app::SimulateFlags),
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (revision ", env!("GIT_REVISION"), ")");

/// The command line, with the environment variables in the long help.
pub fn command() -> clap::Command {
    let listed: Vec<String> = variables()
        .map(|variable| match variable.default {
            "" => format!("  {}: {}", variable.name, variable.meaning),
            default => format!("  {}: {} [default: {default}]", variable.name, variable.meaning),
        })
        .collect();
    let help = format!("Environment:\n{}", listed.join("\n").replace('`', ""));
    Arguments::command().after_long_help(help)
}
