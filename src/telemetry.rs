//! Logs.
//!
//! Flows in: events of `tracing`. Flows out: lines on standard error, for people or as JSON. Invariant: standard output
//! belongs to what a command prints; a line holds no secret and no personal data, because no event has one.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogFormat;
use crate::printable::Lines;

/// Starts logging. Events of libraries are kept from `warn` on: their details speak of connections, not of this program.
pub fn start(level: LevelFilter, format: LogFormat) {
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("wallet_exporter", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Lines(std::io::stderr())).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    // Only the first call of a process takes effect, which is what tests with several applications want.
    let _ = match format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    // What a panic says may hold anything; where it was is enough to find it.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, "panic: this is a defect of the program, please report it with the version");
    }));
}
