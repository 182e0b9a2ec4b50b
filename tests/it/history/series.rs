//! The past as series: exact at each midnight, never falling, and joined to what the exporter serves.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use vendor_simulator::Part;
use wallet_exporter::app::SCHEMA;
use wallet_exporter::batchdata::history::HistoryError;
use wallet_exporter::batchdata::history::openmetrics::{SeriesExport, label};
use wallet_exporter::batchdata::history::recorded::Recorded;
use wallet_exporter::clock::Clock as _;
use wallet_exporter::money::Usd;

use super::{Past, day, everything, midnight};

const DEBIT: &str = r#"batchdata_wallet_debit_usd_total{account="default"}"#;
const BALANCE: &str = r#"batchdata_wallet_balance_usd{account="default"}"#;

/// Samples by series and time.
pub type Samples = BTreeMap<String, BTreeMap<i64, Decimal>>;

/// Reads a stream, and holds it against the rules of the format.
pub fn samples(text: &str) -> Samples {
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    let mut all = Samples::new();
    let (mut family, mut last) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["gauge", "counter"].contains(&kind) && !name.ends_with("_total"), "{line}");
            family = name.to_owned();
        }
        if line.starts_with('#') {
            continue;
        }
        let (series, rest) = line.rsplit_once("} ").unwrap();
        let series = format!("{series}}}");
        assert!(series.starts_with(&family), "{series} is in the family {family}");
        let (value, at) = rest.split_once(' ').unwrap();
        assert!(series == last || !all.contains_key(&series), "the samples of {series} stand together");
        last.clone_from(&series);
        let known = all.entry(series.clone()).or_default();
        let (at, value) = (at.parse().unwrap(), value.parse().unwrap());
        if let Some((before, earlier)) = known.last_key_value() {
            assert_eq!(at - before, 240, "{series}: every four minutes");
            assert!(series.contains("_balance_") || value >= *earlier, "{series} falls at {at}");
        }
        known.insert(at, value);
    }
    all
}

/// What a series gained on a day.
fn gained(samples: &Samples, series: &str, day: chrono::NaiveDate) -> Decimal {
    let at = |day| samples[series][&midnight(day).timestamp()];
    at(day.succ_opt().unwrap()) - at(day)
}

#[tokio::test]
async fn each_day_of_a_year_is_exact_by_total_origin_and_path() {
    let past = Past::of_days(366).await;
    let text = past.series(SeriesExport { to: Some(day("2026-05-18")), ..everything() }).await.unwrap();
    assert_eq!(past.notes.take(), [""; 0]);
    let samples = samples(&text);
    println!("a year: {} MB, {} series", text.len() / 1_000_000, samples.len());
    let expected = past.rig.vendors.expected();
    let mut days = 0;
    for (date, flow) in expected.by_day.range(day("2025-05-19")..=day("2026-05-18")) {
        days += 1;
        assert_eq!(gained(&samples, DEBIT, *date), flow.debit, "{date}");
        let credit = r#"batchdata_wallet_credit_usd_total{account="default"}"#;
        assert_eq!(gained(&samples, credit, *date), flow.credit, "{date}");
    }
    assert_eq!(days, 365);
    // The whole span, part by part.
    let (first, last) = (midnight(day("2025-05-19")).timestamp(), midnight(day("2026-05-19")).timestamp());
    let whole = |series: &str| samples[series][&last] - samples[series][&first];
    let report = past.client.consumption(day("2025-05-19"), day("2026-05-18"), wallet_exporter::batchdata::Grain::Day);
    let report = report.await.unwrap();
    let mut parts: BTreeMap<String, Usd> = BTreeMap::new();
    for day in report.days.values() {
        for (name, flow) in &day.by_origin {
            let series =
                |kind| format!("batchdata_wallet_origin_{kind}_usd_total{{account=\"default\",origin=\"{name}\"}}");
            *parts.entry(series("debit")).or_default() += flow.debit;
            *parts.entry(series("credit")).or_default() += flow.credit;
        }
        for (name, debit) in &day.by_path {
            let series =
                format!("batchdata_wallet_api_path_debit_usd_total{{account=\"default\",api_path=\"{name}\"}}");
            *parts.entry(series).or_default() += *debit;
        }
    }
    parts.retain(|_, amount| !amount.is_zero());
    assert!(parts.len() > 10);
    for (series, amount) in parts {
        assert_eq!(whole(&series), amount.decimal(), "{series}");
    }
    // The balance is that of the last transaction up to each moment.
    let now = past.client.transactions(day("2026-05-18"), day("2026-05-18"), &mut LastBalance::default()).await;
    assert!(now.unwrap().rows > 0);
    let mut last_of_day = LastBalance::default();
    past.client.transactions(day("2026-05-18"), day("2026-05-18"), &mut last_of_day).await.unwrap();
    assert_eq!(samples[BALANCE][&last], last_of_day.0.unwrap().decimal());
    assert_eq!(samples[BALANCE].first_key_value().unwrap().0, &first, "known from the start on");
}

#[tokio::test]
async fn a_day_whose_transactions_do_not_add_up_to_the_report_is_said() {
    let past = Past::of_days(0).await;
    let at = |text: &str| text.parse().unwrap();
    for day in ["2026-05-01", "2026-05-19"] {
        let moment = at(&format!("{day}T09:00:00Z"));
        past.rig.vendors.spend(moment, "api_request", "/api/v1/address/verify", Usd::from_cents(45));
        let everywhere = Part::Everywhere { origin: "api_request".into(), path: "/api/v1/address/verify".into() };
        past.rig.vendors.restate(moment.date_naive(), &everywhere, Usd::from_cents(5), Usd::ZERO);
    }
    let text = past.series(SeriesExport { from: Some(day("2026-04-30")), ..everything() }).await.unwrap();
    // Not of the day that is not over.
    let expected = [
        "2026-05-01: debits: the transactions add up to $0.45, the report says $0.50",
        "2026-05-01: debits with an endpoint: the transactions add up to $0.45, the report says $0.50",
        "2026-05-01: debits of api_request: the transactions add up to $0.45, the report says $0.50",
    ];
    assert_eq!(past.notes.take(), expected);
    assert_eq!(gained(&samples(&text), DEBIT, day("2026-05-01")), Decimal::new(50, 2), "the report counts");
}

#[derive(Default)]
struct LastBalance(Option<Usd>);

impl wallet_exporter::batchdata::transactions::TransactionSink for LastBalance {
    fn row(&mut self, row: &wallet_exporter::batchdata::transactions::Transaction<'_>) {
        self.0 = row.balance_after;
    }
}

fn recorded(past: &Past) -> Recorded {
    let storage = std::path::PathBuf::from(&past.rig.settings["STORAGE_PATH"]);
    Recorded::read(Some(&storage), SCHEMA, "default").unwrap()
}

/// The value of a series as the exporter serves it.
fn served(past: &Past, series: &str) -> Decimal {
    past.rig.value(series).unwrap_or_else(|| panic!("{series}\n{}", past.rig.metrics())).to_string().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_install_joins_the_past_without_a_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut past = Past::of_days(60).await;
    past.rig.set("STORAGE_PATH", folder.path().join("data").to_str().unwrap());
    past.rig.set("BATCHDATA_COUNT_SINCE", "2026-04-01");
    assert!(recorded(&past).counters_since.is_none(), "no storage yet");
    let export = SeriesExport { count_since: Some(day("2026-04-01")), ..everything() };
    let samples = samples(&past.series(export).await.unwrap());
    let (at, value) = samples[DEBIT].last_key_value().unwrap();
    assert!(past.rig.clock.now().timestamp() - at < 240);
    // Then the exporter starts; a zero would be a reset to Prometheus, so there is none, not even before the first poll.
    past.rig.vendors.fault(vendor_simulator::Operation::ConsumptionReport, vendor_simulator::Fault::status(503), None);
    past.rig.start().await;
    past.rig.until("it has failed", |rig| rig.source("up", "consumption") == Some(0.0)).await;
    assert_eq!(past.rig.value(DEBIT), None, "nothing is known of it yet");
    past.rig.vendors.clear_faults(None);
    past.rig.poll(&["consumption"]).await;
    let live = served(&past, DEBIT);
    assert!(live >= *value && live - value < Decimal::from(60), "{value} is joined by {live}");
    let first = samples[DEBIT].first_key_value().unwrap();
    assert_eq!((first.0, first.1), (&midnight(day("2026-04-01")).timestamp(), &Decimal::ZERO));
    for series in samples.keys().filter(|series| series.contains("_usd_total")) {
        assert!(served(&past, series) >= *samples[series].last_key_value().unwrap().1, "{series}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_running_exporter_nothing_is_written_over_what_it_served() {
    let folder = tempfile::tempdir().unwrap();
    let mut past = Past::of_days(60).await;
    past.rig.set("STORAGE_PATH", folder.path().to_str().unwrap());
    past.rig.set("BATCHDATA_COUNT_SINCE", "2026-04-01");
    past.rig.start().await;
    past.rig.first_polls().await;
    let started = past.rig.clock.now();
    let counters = |past: &Past| -> BTreeMap<String, Decimal> {
        let metrics = past.rig.metrics();
        let lines =
            metrics.lines().filter(|line| line.starts_with("batchdata_wallet_") && line.contains("_usd_total{"));
        let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
        pairs.map(|(series, value)| (series.to_owned(), value.parse().unwrap())).collect()
    };
    past.rig.until("its first values are shown", |rig| rig.value(DEBIT).is_some_and(|value| value > 0.0)).await;
    let first = counters(&past);
    // What was spent before the start and reported after it, by an origin that nobody knew; and more in the same hour.
    let late = |at, origin: &str, cents| {
        past.rig.vendors.spend(at, origin, "/api/v1/address/verify", Usd::from_cents(cents));
    };
    late(started - TimeDelta::hours(3), "late_origin", 700);
    late(started - TimeDelta::minutes(5), "late_origin", 11);
    late(started + TimeDelta::minutes(5), "api_request", 900);
    // A day later, with an amount that the vendor has taken back since.
    past.rig.clock.pass_to(started + TimeDelta::days(1));
    past.rig.poll(&["consumption"]).await;
    // The attempt that was under way has not seen them.
    while served(&past, DEBIT) < first[DEBIT] + Decimal::new(1_611, 2) {
        past.rig.poll(&["consumption"]).await;
    }
    let path = Part::Everywhere { origin: "api_request".into(), path: "/api/v1/address/verify".into() };
    past.rig.vendors.restate(day("2026-05-18"), &path, -Usd::from_cents(300), Usd::ZERO);
    past.rig.poll(&["consumption"]).await;
    past.rig.clock.pass_to(started + TimeDelta::days(2));
    past.rig.poll(&["consumption"]).await;
    let held = r#"batchdata_wallet_revised_down_usd{account="default",report="debit"}"#;
    past.rig.until("it is held back", |rig| rig.value(held) == Some(3.0)).await;

    let export = SeriesExport { recorded: recorded(&past), ..everything() };
    let samples = samples(&past.series(export).await.unwrap());
    assert!(past.notes.take().iter().any(|note| note.contains("as one increase")), "the step at its start is named");
    // Nothing ends above what was served first, so that no seam is a reset, and what ends below ends by less than an hour's.
    assert!(first.len() > 10 && !first.keys().any(|series| series.contains("late_origin")));
    for (series, values) in samples.iter().filter(|(series, _)| series.contains("_usd_total{")) {
        let (last, live) = (*values.last_key_value().unwrap().1, first.get(series).copied().unwrap_or_default());
        assert!(
            last <= live && live - last < Decimal::from(60),
            "{series} ends at {last}, and {live} was served first"
        );
    }
    assert!(first.iter().filter(|(_, value)| !value.is_zero()).all(|(series, _)| samples.contains_key(series)));
    // Whole days are what the report says of them.
    let taken_back = past.rig.vendors.expected().by_day[&day("2026-05-18")].debit;
    assert_eq!(gained(&samples, DEBIT, day("2026-05-18")), taken_back);
    let (last, value) = samples[DEBIT].last_key_value().unwrap();
    let last: DateTime<Utc> = DateTime::from_timestamp(*last, 0).unwrap();
    assert!(last < started && started - last <= TimeDelta::seconds(240), "{last} is before {started}");
    assert!(*value <= first[DEBIT]);

    for (from, to, words) in [
        (None, Some("2026-05-19"), "leave --to out, or write an earlier day"),
        (None, Some("2027-05-19"), "--to: 2027-05-19 is in the future: it is 2026-05-21 at the vendor"),
        (Some("2026-03-31"), None, "--from: 2026-03-31 is before BATCHDATA_COUNT_SINCE, 2026-04-01"),
        (Some("2026-05-20"), None, "--from: 2026-05-20 is after the end of the range"),
    ] {
        let (from, to) = (from.map(day), to.map(day));
        let export = SeriesExport { from, to, recorded: recorded(&past), ..everything() };
        match past.series(export).await {
            Err(HistoryError::Usage(text)) => assert!(text.contains(words), "{text}"),
            other => panic!("{words}: {other:?}"),
        }
    }
    let export = SeriesExport { to: Some(day("2026-05-18")), recorded: recorded(&past), ..everything() };
    past.series(export).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_counting_began_at_the_first_poll_the_past_is_a_run_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut past = Past::of_days(20).await;
    past.rig.set("STORAGE_PATH", folder.path().to_str().unwrap());
    past.rig.start().await;
    past.rig.first_polls().await;
    let (started, spent) = (past.rig.clock.now(), past.rig.vendors.expected().total.debit);
    past.rig.vendors.spend(started, "api_request", "/api/v1/address/verify", Usd::from_cents(500));
    past.rig.poll(&["consumption"]).await;
    assert_eq!(served(&past, DEBIT), Decimal::from(5));
    let labels = [label("job=wallet-exporter").unwrap(), label("instance=a\"b").unwrap()];
    let export = SeriesExport { recorded: recorded(&past), labels: &labels, ..everything() };
    let text = past.series(export).await.unwrap();
    let samples = samples(&text);
    let series = r#"batchdata_wallet_debit_usd_total{account="default",job="wallet-exporter",instance="a\"b"}"#;
    let (first, last) = (samples[series].first_key_value().unwrap(), samples[series].last_key_value().unwrap());
    assert_eq!(*first.1, Decimal::ZERO);
    assert!(*last.0 < started.timestamp());
    // In the hour of the start, what has been spent is spread over the hour.
    assert!(*last.1 <= spent + Decimal::from(5) && *last.1 > spent - Decimal::from(60), "{} of {spent}", last.1);
    assert_eq!(past.notes.take(), [""; 0]);
}

/// The series are created when the exporter starts, and the first report may come long after that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_spent_before_a_late_first_report_is_an_increase_at_the_seam() {
    let folder = tempfile::tempdir().unwrap();
    let mut past = Past::of_days(60).await;
    past.rig.set("STORAGE_PATH", folder.path().to_str().unwrap());
    past.rig.set("BATCHDATA_COUNT_SINCE", "2026-04-01");
    past.rig.vendors.set_permission(vendor_simulator::Operation::ConsumptionReport, false);
    past.rig.start().await;
    past.rig.first_polls().await;
    let started = past.rig.clock.now();
    past.rig.vendors.spend(
        started + TimeDelta::hours(30),
        "api_request",
        "/api/v1/address/verify",
        Usd::from_cents(4_200),
    );
    past.rig.clock.pass_to(started + TimeDelta::days(2));
    assert!(recorded(&past).counters.is_none() && recorded(&past).counters_since.is_some_and(|since| since <= started));
    past.rig.vendors.set_permission(vendor_simulator::Operation::ConsumptionReport, true);
    while past.rig.value(DEBIT).is_none() {
        past.rig.poll(&["consumption"]).await;
    }
    let first = served(&past, DEBIT);
    let mut recorded = recorded(&past);
    let samples = samples(&past.series(SeriesExport { recorded, ..everything() }).await.unwrap());
    let (begin, end) = (samples[DEBIT].first_key_value().unwrap(), samples[DEBIT].last_key_value().unwrap());
    assert_eq!((begin.0, begin.1), (&midnight(day("2026-04-01")).timestamp(), &Decimal::ZERO), "nothing is moved");
    assert!(*end.0 < started.timestamp());
    let gap = first - end.1;
    assert!(gap >= Decimal::from(42) && gap < Decimal::from(42 + 60), "{} and then {first}", end.1);

    // A machine that was ahead of the vendor: no day is asked for that the vendor does not have.
    recorded = self::recorded(&past);
    recorded.counters.as_mut().unwrap().first.as_mut().unwrap().at += TimeDelta::days(30);
    past.series(SeriesExport { recorded, ..everything() }).await.unwrap();
}

#[tokio::test]
async fn what_the_vendor_no_longer_answers_for_is_left_out_with_a_note() {
    let past = Past::of_days(10).await;
    let export = SeriesExport { count_since: Some(day("2025-01-01")), ..everything() };
    let samples = samples(&past.series(export).await.unwrap());
    assert_eq!(samples[DEBIT].first_key_value().unwrap().0, &midnight(day("2025-05-19")).timestamp());
    let notes = past.notes.take();
    assert!(
        notes[0].starts_with("BATCHDATA_COUNT_SINCE is 2025-01-01, and the vendor answers for 365 days"),
        "{notes:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balance_that_was_served_before_the_counters_ends_the_balances_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut past = Past::of_days(20).await;
    past.rig.set("STORAGE_PATH", folder.path().to_str().unwrap());
    past.rig.set("BATCHDATA_SOURCES", "balance");
    past.rig.start().await;
    past.rig.first_polls().await;
    let started = past.rig.clock.now();
    past.rig.clock.pass_to(started + TimeDelta::hours(6));
    past.rig.poll(&["balance"]).await;
    let export = SeriesExport { recorded: recorded(&past), ..everything() };
    let samples = samples(&past.series(export).await.unwrap());
    let ends = |series: &str| DateTime::from_timestamp(*samples[series].last_key_value().unwrap().0, 0).unwrap();
    let (balance, debit) = (ends(BALANCE), ends(DEBIT));
    assert!(balance < started && started - balance <= TimeDelta::seconds(240), "{balance} is before {started}");
    assert!(past.rig.clock.now() - debit <= TimeDelta::seconds(240), "{debit} is now: no counter was served");
    let overlap = SeriesExport { to: Some(day("2026-05-19")), recorded: recorded(&past), ..everything() };
    assert!(
        matches!(past.series(overlap).await, Err(HistoryError::Usage(text)) if text.contains("samples of its own since"))
    );
}

#[test]
fn labels_are_names_that_are_free() {
    assert_eq!(label("job=a=b"), Ok(("job".to_owned(), "a=b".to_owned())));
    for wrong in ["job", "=x", "1a=x", "a-b=x", "__name__=x", "account=x", "origin=x", "api_path=x", "é=x"] {
        assert!(label(wrong).is_err(), "{wrong}");
    }
}
