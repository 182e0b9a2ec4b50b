//! The command line: the commands and flags, with their help. Also read by the generator of the manual page and of the
//! shell completions.

use clap::{CommandFactory as _, Parser, Subcommand};
use wallet_exporter::config::{Flags, VARIABLES};

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
    /// Try it out: exporter and vendor simulator in one process, no credentials
    #[cfg(feature = "demo")]
    Demo,
    /// Validate the configuration; all errors are listed at once
    Check {
        /// Also call every endpoint once and say what to fix; nothing is written
        #[arg(long)]
        online: bool,
    },
    /// Poll every source once and print the exposition; nothing is written
    Dump,
    /// Ask the exporter that runs here whether it is healthy, for container engines
    Healthcheck,
    /// Run the vendor simulator alone
    #[cfg(feature = "demo")]
    Simulate(wallet_exporter::app::SimulateFlags),
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (revision ", env!("GIT_REVISION"), ")");

/// The command line, with the environment variables in the long help.
pub fn command() -> clap::Command {
    let listed: Vec<String> = VARIABLES
        .iter()
        .map(|variable| match variable.default {
            "" => format!("  {}: {}", variable.name, variable.meaning),
            default => format!("  {}: {} [default: {default}]", variable.name, variable.meaning),
        })
        .collect();
    let help = format!("Environment:\n{}", listed.join("\n").replace('`', ""));
    Arguments::command().after_long_help(help)
}
