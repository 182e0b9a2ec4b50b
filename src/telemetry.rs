//! Logs.
//!
//! Flows in: events of `tracing`. Flows out: lines on standard error, as logfmt or as JSON. Invariant: standard output
//! belongs to what a command prints; a line holds no secret and no personal data, because no event has one.

use std::fmt;
use std::io::Write as _;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogFormat;
use crate::printable::{Lines, printable};

/// Starts logging. Events of libraries are kept from `warn` on: their details are about connections, not about this program.
pub fn start(level: LevelFilter, format: LogFormat) {
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("wallet_exporter", level);
    let lines = tracing_subscriber::fmt::layer().with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    // Only the first call of a process takes effect, which is what tests with several applications want.
    let _ = match format {
        LogFormat::Text => {
            let lines = lines.with_writer(|| Lines::text(std::io::stderr()));
            registry.with(lines.event_format(Logfmt)).try_init()
        }
        LogFormat::Json => {
            let lines = lines.with_writer(|| Lines::json(std::io::stderr()));
            registry.with(lines.json().flatten_event(true)).try_init()
        }
    };
}

/// Keeps what a panic says off the terminal and the log, because it may hold anything: where it was is enough to find it.
pub fn hide_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = "this is a defect of the program, please report it with the version";
        if tracing::dispatcher::has_been_set() {
            tracing::error!(location, "panic: {words}");
        } else {
            let _ = writeln!(std::io::stderr(), "wallet-exporter: panic at {location}: {words}");
        }
    }));
}

/// `time=… level=… msg=…` and the event's fields, as Prometheus' own exporters write them. `tracing-logfmt` escapes the
/// apostrophe, which readers of logfmt refuse.
struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        line.write_str("time=")?;
        SystemTime.format_time(&mut line)?;
        write!(line, " level={}", event.metadata().level())?;
        let mut fields = FieldWriter { line: line.by_ref(), outcome: Ok(()) };
        event.record(&mut fields);
        fields.outcome?;
        writeln!(line)
    }
}

struct FieldWriter<'a> {
    line: Writer<'a>,
    outcome: fmt::Result,
}

impl Visit for FieldWriter<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let name = if field.name() == "message" { "msg" } else { field.name() };
        // Where a library's event comes from.
        if self.outcome.is_err() || name.starts_with("log.") {
            return;
        }
        let value = printable(value);
        let plain = !value.is_empty() && !value.contains([' ', '"', '=', '\\']);
        self.outcome = match plain {
            true => write!(self.line, " {name}={value}"),
            false => write!(self.line, " {name}={}", serde_json::Value::from(value.as_ref())),
        };
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_line_is_logfmt() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = tracing_subscriber::fmt::layer().with_writer(Arc::new(file.reopen().unwrap()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines.event_format(Logfmt)), || {
            let path = std::path::Path::new("a \"b\"\n");
            tracing::warn!(count = 2, account = "growth", none = "", path = %path.display(), "the vendor's answer");
        });
        let line = std::fs::read_to_string(file.path()).unwrap();
        let (time, rest) = line.strip_prefix("time=").unwrap().split_once(' ').unwrap();
        assert!(time.parse::<chrono::DateTime<chrono::Utc>>().is_ok(), "{line}");
        let expected = r#"level=WARN msg="the vendor's answer" count=2 account=growth none="" path="a \"b\"\\n""#
            .to_owned()
            + "\n";
        assert_eq!(rest, expected);
    }
}
