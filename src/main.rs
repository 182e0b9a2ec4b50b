//! The commands.
//!
//! Flows in: arguments and the environment. Flows out: an exit code: 0 fine, 1 failed while running, 2 a closed gate, 64
//! wrong usage or configuration.

use std::io::Write as _;
use std::process::ExitCode;

use wallet_exporter::app::{self, AppError, Config, Dependencies};
use wallet_exporter::config::{self, Process};
use wallet_exporter::printable::printable;

// Not beside this file: there it would be a module of the library's list.
#[path = "main/arguments.rs"]
mod arguments;
use arguments::{Arguments, Command};

const USAGE: u8 = 64;

fn main() -> ExitCode {
    wallet_exporter::telemetry::hide_panics();
    let arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        // Help and version are no errors; clap tells them apart by where it prints.
        Err(error) if !error.use_stderr() => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            // It repeats the arguments. As text it has no colours, nor the escapes that are in them.
            let text = error.render().to_string();
            text.lines().for_each(|line| complain(&printable(line)));
            return ExitCode::from(USAGE);
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

/// Prints to standard error. If it is closed, nothing is printed; `eprintln!` would panic.
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
        Some(Command::Gate(flags)) => {
            let warn = |warning: &str| complain(&printable(&format!("warning: {warning}")));
            let code = app::gate(&arguments.flags, &flags, config::environment(), warn).await?;
            return Ok(ExitCode::from(code));
        }
        Some(Command::Export(export)) => {
            app::export(&arguments.flags, &export, config::environment(), &dependencies).await?;
        }
        Some(Command::Report(report)) => {
            app::report(&arguments.flags, &report, config::environment(), &dependencies).await?;
        }
        Some(Command::Ledger(command)) => {
            app::ledger(&arguments.flags, &command, config::environment(), dependencies.clock.now())?;
        }
        #[cfg(feature = "demo")]
        Some(Command::Simulate(flags)) => app::simulate(&flags, &dependencies).await?,
    }
    Ok(ExitCode::SUCCESS)
}
