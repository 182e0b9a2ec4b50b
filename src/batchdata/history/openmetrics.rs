//! The past as OpenMetrics, for an import into Prometheus or VictoriaMetrics.
//!
//! Flows in: the report by hour, the transactions' balances, what the exporter's ledger knows. Flows out: one stream of
//! samples every 4 minutes that ends in `# EOF`. Invariant: no sample is at or after the first that the exporter itself
//! served; a counter ends at the exporter's first value where that counts history, and is a run of its own otherwise.

use std::collections::BTreeMap;
use std::io::{self, Write};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rust_decimal::{Decimal, RoundingStrategy};

use super::amounts::{Line, SeriesLines};
use super::balances::Balances;
use super::recorded::{Counters, Recorded};
use super::sums::Sums;
use super::{History, HistoryError, days, midnight, reach};
use crate::batchdata::DayConsumption;
use crate::batchdata::balance::families::BALANCE;
use crate::batchdata::consumption::families::{CREDIT, DEBIT, ORIGIN_CREDIT, ORIGIN_DEBIT, PATH_DEBIT};
use crate::batchdata::consumption::series::SeriesKind;
use crate::batchdata::transactions::{Transaction, TransactionSink};
use crate::catalog::FamilySpec;

/// Seconds between two samples: below the 5 minutes after which Prometheus takes a series for stale, and a part of an
/// hour, so that each hour ends on a sample.
pub const STEP: i64 = 240;

/// Decimals of a value between two hours.
const DECIMALS: u32 = 6;

/// What is exported.
pub struct SeriesExport<'a> {
    /// The first day.
    pub from: Option<NaiveDate>,
    /// The last day; by default up to what the exporter served itself.
    pub to: Option<NaiveDate>,
    /// `*_COUNT_SINCE`, as it is configured.
    pub count_since: Option<NaiveDate>,
    /// What the exporter's storage knows.
    pub recorded: Recorded,
    /// More labels of every sample.
    pub labels: &'a [(String, String)],
}

/// From when to when.
struct Span {
    from: NaiveDate,
    /// The last day whose amounts are in it.
    to: NaiveDate,
    /// No sample is after it.
    end: i64,
}

impl Span {
    fn new(
        export: &SeriesExport<'_>,
        since: Option<NaiveDate>,
        today: NaiveDate,
        now: DateTime<Utc>,
    ) -> Result<Span, HistoryError> {
        let usage = |text: String| Err(HistoryError::Usage(text));
        let Recorded { counters_since, balance_since, .. } = export.recorded;
        let end = match export.to {
            None => before(counters_since, now),
            Some(to) if to > today => {
                return usage(format!("--to: {to} is in the future: it is {today} at the vendor"));
            }
            Some(to) => {
                let end = midnight(to.succ_opt().unwrap_or(to));
                let live = counters_since.into_iter().chain(balance_since).min();
                if let Some(live) = live.filter(|live| end >= *live) {
                    let words = "imported samples would contradict them: leave --to out, or write an earlier day";
                    return usage(format!(
                        "--to: the exporter has samples of its own since {}, and {words}",
                        live.to_rfc3339()
                    ));
                }
                end.min(now)
            }
        };
        let from = export.from.unwrap_or_else(|| since.unwrap_or_default().max(reach(today)));
        if let Some(since) = since.filter(|since| from < *since) {
            let words = "the counters count from there, so that nothing before it could be joined to them";
            return usage(format!("--from: {from} is before BATCHDATA_COUNT_SINCE, {since}: {words}"));
        }
        if midnight(from) >= end {
            return usage(format!("--from: {from} is after the end of the range, {}", end.to_rfc3339()));
        }
        Ok(Span::ending(from, end))
    }

    fn ending(from: NaiveDate, end: DateTime<Utc>) -> Span {
        Span { from, to: (end - TimeDelta::seconds(1)).date_naive(), end: end.timestamp() }
    }

    fn start(&self) -> i64 {
        midnight(self.from).timestamp()
    }
}

/// The last moment before the exporter served a value itself.
fn before(live_since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    live_since.map_or(now, |live| (live - TimeDelta::seconds(1)).min(now))
}

/// A day's transactions.
struct Day {
    balances: Balances,
    sums: Sums,
}

impl TransactionSink for Day {
    fn row(&mut self, row: &Transaction<'_>) {
        self.balances.row(row);
        self.sums.add(row);
    }
}

/// The labels of a sample, as they are written.
struct Labelled {
    account: String,
    more: String,
}

impl Labelled {
    fn new(account: &str, labels: &[(String, String)]) -> Labelled {
        let more = labels.iter().map(|(name, value)| format!(",{name}=\"{}\"", escaped(value))).collect();
        Labelled { account: escaped(account), more }
    }

    fn series(&self, name: &str, label: Option<(&str, &str)>) -> String {
        let own = label.map(|(name, value)| format!(",{name}=\"{}\"", escaped(value))).unwrap_or_default();
        format!("{name}{{account=\"{}\"{own}{}}}", self.account, self.more)
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// `# TYPE` and `# HELP`: of a counter, the family is named without `_total`.
fn head(out: &mut dyn Write, spec: &FamilySpec, kind: &str) -> io::Result<()> {
    let name = spec.name.strip_suffix("_total").unwrap_or(spec.name);
    writeln!(out, "# TYPE {name} {kind}\n# HELP {name} {}", escaped(spec.help))
}

impl History<'_> {
    /// Writes the stream. Returns how many samples are in it.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn export_series(
        &self,
        export: SeriesExport<'_>,
        out: &mut (dyn Write + Send),
    ) -> Result<u64, HistoryError> {
        let today = self.today().await?;
        let now = self.client.credential().now();
        let since = export.recorded.counters.as_ref().map_or(export.count_since, Counters::since);
        let span = Span::new(&export, since, today, now)?;
        self.warn(&export, since, today);
        self.warn_of_old_days(span.from, today);
        let labelled = Labelled::new(self.account, export.labels);
        let of_balance = match export.to {
            None => Span::ending(span.from, before(export.recorded.balance_since, now)),
            Some(_) => Span { ..span },
        };
        let (ledger, first) = match export.recorded.counters {
            Some(Counters { ledger, first }) => (Some(ledger), first.filter(|_| since.is_some())),
            None => (None, None),
        };
        // A line is joined where the exporter's first report was, which may be long after the end.
        let last = first.as_ref().map_or(span.to, |first| first.at.date_naive().min(today).max(span.to));
        let begin = since.unwrap_or(span.from).max(reach(today)).min(span.from);
        let days = self.by_day(begin, last).await?;
        // A day is compared when it is over, and if the report was asked for it.
        let open = last.succ_opt().map_or(today, |next| next.min(today));
        let mut samples = self.balances(&of_balance, (open, &days), &labelled, out).await?;
        let lines = self.lines((span.from, last), &days, ledger, first).await?;
        let broken = HistoryError::output("cannot write the output");
        samples += counters(&lines, &span, &labelled, out).map_err(broken)?;
        Ok(samples)
    }

    /// Where the exporter's own first samples show all history at once, an import cannot undo that.
    fn warn(&self, export: &SeriesExport<'_>, since: Option<NaiveDate>, today: NaiveDate) {
        if let Some(since) = since.filter(|since| export.from.is_none() && *since < reach(today)) {
            let words = "the vendor answers for 365 days: what is before is not exported";
            self.progress.note(&format!("BATCHDATA_COUNT_SINCE is {since}, and {words}"));
        }
        if export.recorded.counters.is_some() && since.is_some() {
            self.progress.note(
                "if the exporter was first started without --metrics.start-at-zero=0s, Prometheus shows its history as one \
                 increase at that moment, beside what is imported: docs/history.md says how to remove it",
            );
        }
    }

    /// The balances, day by day, and where the transactions do not add up to the report.
    async fn balances(
        &self,
        span: &Span,
        (open, report): (NaiveDate, &BTreeMap<NaiveDate, DayConsumption>),
        labelled: &Labelled,
        out: &mut (dyn Write + Send),
    ) -> Result<u64, HistoryError> {
        let broken = || HistoryError::output("cannot write the output");
        head(out, &BALANCE, "gauge").map_err(broken())?;
        let series = labelled.series(BALANCE.name, None);
        let (mut balance, mut samples) = (None, 0);
        let moments = usize::try_from(86_400 / STEP).unwrap_or_default() + 1;
        let of = days(span.from, span.to).count();
        for (done, day) in days(span.from, span.to).enumerate() {
            self.progress.step(done, of);
            let from = midnight(day).timestamp();
            let sink = || Ok(Day { balances: Balances::new(from, STEP, moments), sums: Sums::default() });
            let (Day { balances: found, sums }, _) = self.transactions((day, day), sink).await?;
            self.compare(day, open, &sums, report);
            balance = balance.or_else(|| found.before());
            for (place, after) in (0_i64..).zip(found.after()) {
                balance = after.or(balance);
                let at = from + place * STEP;
                // What the last moment holds is what the next day begins with.
                let next_day = place * STEP == 86_400;
                if let Some(balance) = balance.filter(|_| at <= span.end && !next_day) {
                    writeln!(out, "{series} {} {at}", balance.decimal().normalize()).map_err(broken())?;
                    samples += 1;
                }
            }
        }
        self.progress.step(of, of);
        // The midnight after the last day.
        let last = midnight(span.to).timestamp() + 86_400;
        if let Some(balance) = balance.filter(|_| last <= span.end) {
            writeln!(out, "{series} {} {last}", balance.decimal().normalize()).map_err(broken())?;
            samples += 1;
        }
        Ok(samples)
    }
}

fn counters(lines: &SeriesLines, span: &Span, labelled: &Labelled, out: &mut dyn Write) -> io::Result<u64> {
    let mut samples = 0;
    for (spec, report, label) in [
        (&DEBIT, SeriesKind::Debit, None),
        (&CREDIT, SeriesKind::Credit, None),
        (&ORIGIN_DEBIT, SeriesKind::OriginDebit, Some("origin")),
        (&ORIGIN_CREDIT, SeriesKind::OriginCredit, Some("origin")),
        (&PATH_DEBIT, SeriesKind::PathDebit, Some("api_path")),
    ] {
        head(out, spec, "counter")?;
        for (series, line) in lines.iter().filter(|(series, _)| series.report() == report) {
            let name = labelled.series(spec.name, label.map(|label| (label, series.label())));
            samples += self::line(&name, line, span, out)?;
        }
    }
    writeln!(out, "# EOF")?;
    out.flush()?;
    Ok(samples)
}

/// The samples of a line: exact at each full hour, and on a straight line between two of them.
fn line(name: &str, line: &Line, span: &Span, out: &mut dyn Write) -> io::Result<u64> {
    let parts = 3_600 / STEP;
    let (mut value, mut samples, mut at) = (line.start, 0, span.start());
    for hour in 0_u32.. {
        let adds = line.hours.get(&hour).copied().unwrap_or_default();
        for part in 0..parts {
            if at > span.end {
                return Ok(samples);
            }
            let share = adds.decimal() * Decimal::from(part) / Decimal::from(parts);
            let share = share.round_dp_with_strategy(DECIMALS, RoundingStrategy::ToZero);
            writeln!(out, "{name} {} {at}", (value.decimal() + share).normalize())?;
            samples += 1;
            at += STEP;
        }
        value += adds;
    }
    Ok(samples)
}

/// Names that a label of every sample may have: valid, and none of a series' own.
///
/// # Errors
/// What is wrong with it.
pub fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write name=value")?;
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let valid = name.chars().all(letters) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty();
    if !valid || name.starts_with("__") {
        return Err("the name is not a valid label name".to_owned());
    }
    if ["account", "origin", "api_path"].contains(&name) {
        return Err(format!("{name} is a label that the exporter sets itself"));
    }
    Ok((name.to_owned(), value.to_owned()))
}
