//! The commands.
//!
//! Flows in: arguments and the environment. Flows out: an exit code: 0 fine, 1 failed while running, 64 wrong usage or
//! configuration.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use wallet_exporter::app::{self, AppError, Config, Dependencies};
use wallet_exporter::config::{self, Flags, Process};
use wallet_exporter::printable::printable;

/// Prometheus exporter for prepaid data-API wallets: when does the money run out, and where does it go?
#[derive(Debug, Parser)]
#[command(name = "wallet-exporter", version = VERSION, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Poll the vendors in the background and serve the metrics (the default)
    Serve,
    /// Run the exporter with simulated vendors, without credentials
    ///
    /// Variables that begin with BATCHDATA_ or RIGHTFOOT_ have no effect, and neither has STORAGE_PATH: nothing is stored
    /// unless --storage.path names a directory.
    #[cfg(feature = "demo")]
    Demo(app::DemoFlags),
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
    /// Run the vendor simulator alone
    #[cfg(feature = "demo")]
    Simulate(app::SimulateFlags),
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (revision ", env!("GIT_REVISION"), ")");
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let listed: Vec<String> = app::variables()
        .map(|variable| match variable.default {
            "" => format!("  {}: {}", variable.name, variable.meaning),
            default => format!("  {}: {} [default: {default}]", variable.name, variable.meaning),
        })
        .collect();
    let help = format!("Environment:\n{}", listed.join("\n").replace('`', ""));
    let matches = Arguments::command().after_long_help(help).try_get_matches();
    let arguments = matches.and_then(|matches| {
        use clap::FromArgMatches as _;
        Arguments::from_arg_matches(&matches)
    });
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; clap tells them apart by where it prints.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(run(arguments));
            // A write to the storage that is under way ends by itself; nothing else is waited for.
            runtime.shutdown_timeout(std::time::Duration::from_secs(5));
            outcome
        }
        Err(error) => Err(AppError::System(format!("cannot start: {error}"))),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            match &error {
                // One line for each of its errors, which are printable already.
                AppError::Config(errors) => complain(&format!("wallet-exporter: {errors}")),
                other => complain(&printable(&format!("wallet-exporter: {other}"))),
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Says it on standard error. Where nobody reads that, there is nobody to tell; `eprintln!` would panic.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

async fn run(arguments: Arguments) -> Result<ExitCode, AppError> {
    let dependencies = Dependencies::default();
    let load = || Config::load(&arguments.flags, config::environment(), dependencies.clock.now());
    match arguments.command {
        None | Some(Command::Serve) => {
            let config = load()?;
            wallet_exporter::telemetry::start(config.process.log_level, config.process.log_format);
            app::serve(&config, &dependencies).await?;
        }
        #[cfg(feature = "demo")]
        Some(Command::Demo(flags)) => {
            app::demo(&arguments.flags, flags, config::environment(), &dependencies).await?;
        }
        Some(Command::Check { print_config: true, .. }) => app::print(&app::accounts_file(config::environment())?)?,
        Some(Command::Check { online, .. }) => {
            let (config, warnings) = app::check(&arguments.flags, config::environment(), &dependencies).await?;
            for warning in warnings {
                complain(&printable(&format!("warning: {warning}")));
            }
            app::print("the configuration is valid\n")?;
            if online {
                let (table, fine) = app::check_online(&config, &dependencies, complain).await?;
                app::print(&table)?;
                return Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
        }
        Some(Command::Dump) => {
            let config = load()?;
            wallet_exporter::telemetry::start(config.process.log_level, config.process.log_format);
            let (exposition, fine) = app::dump(&config, &dependencies).await?;
            app::print(&exposition)?;
            return Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Some(Command::Healthcheck) => {
            let process = Process::load(&arguments.flags, config::environment())?;
            if let Err(reason) = wallet_exporter::healthcheck::ask(&process) {
                complain(&printable(&reason));
                return Ok(ExitCode::FAILURE);
            }
        }
        #[cfg(feature = "demo")]
        Some(Command::Simulate(flags)) => app::simulate(&flags, &dependencies).await?,
    }
    Ok(ExitCode::SUCCESS)
}
