//! The fault matrix: each source, each fault that a vendor or a network can have, through the whole exporter.
//!
//! Every case begins healthy, breaks one endpoint, and asserts: `source_up` and the one reason, that the last success
//! stood still, that gauges kept their value and vanished at `max_age`, that the other sources went on, how many
//! requests one attempt costs, and that recovery needs nobody.

use std::sync::Arc;
use std::time::Duration;
use strum::VariantArray as _;
use wallet_exporter::names::Label as _;

use chrono::{TimeDelta, Timelike as _};
use vendor_simulator::{CsvChange, ErrorBody, Fault, NewRow, Operation};
use wallet_exporter::clock::Clock as _;
use wallet_exporter::money::Usd;
use wallet_exporter::upstream::RequestLimits;

use crate::rig::Rig;

const SOURCES: [(&str, Operation); 4] = [
    ("balance", Operation::Balance),
    ("consumption", Operation::ConsumptionReport),
    ("card_transactions", Operation::CreditCardTransactions),
    ("batches", Operation::BalancesCsv),
];

/// A gauge of each source that must keep its value through failures and vanish at `max_age`.
fn gauge(source: &str) -> &'static str {
    match source {
        "balance" => r#"batchdata_wallet_balance_usd{account="default"}"#,
        "consumption" => r#"batchdata_wallet_period_debit_usd{account="default",period="today"}"#,
        "card_transactions" => {
            r#"batchdata_card_transactions_pending{account="default",kind="top_up",card_brand="visa"}"#
        }
        _ => r#"rightfoot_open_balance_checks{account="default",status="success",submitted_via="api"}"#,
    }
}

fn status(code: u16, body: ErrorBody) -> Fault {
    Fault::Status { code, body, retry_after: None }
}

fn body(text: &str) -> Fault {
    Fault::Body { content_type: "application/json".to_owned(), text: text.to_owned() }
}

/// An export whose one row is this.
fn table(row: &str) -> Fault {
    let text = format!("Authorizer ID,Batch ID,Institution,Phone,Zip,Balance,Status,Creator,Timestamp\n{row}");
    Fault::Body { content_type: "text/csv; charset=utf-8".to_owned(), text }
}

fn json(code: u16) -> Fault {
    status(code, ErrorBody::Json)
}

/// Faults that every endpoint can have: name, fault, reason.
fn common() -> Vec<(&'static str, Fault, &'static str)> {
    vec![
        ("hang before headers", Fault::Hang, "timeout"),
        ("drip", Fault::Drip { every_ms: 100 }, "timeout"),
        ("no reply", Fault::NoReply, "truncated"),
        ("reset mid-body", Fault::ResetMidBody, "truncated"),
        ("short content-length", Fault::ShortContentLength, "truncated"),
        ("aborted chunk", Fault::AbortedChunk, "truncated"),
        ("400", json(400), "client_error"),
        ("401", json(401), "unauthorized"),
        ("403", json(403), "forbidden"),
        ("404", json(404), "client_error"),
        ("422", json(422), "client_error"),
        ("429", Fault::throttled(None), "rate_limited"),
        ("429 with seconds", Fault::throttled(Some("90")), "rate_limited"),
        ("429 with a date", Fault::throttled(Some("Tue, 19 May 2026 12:30:00 GMT")), "rate_limited"),
        ("500 with HTML", Fault::html(500), "server_error"),
        ("503", status(503, ErrorBody::Empty), "server_error"),
        ("redirect", Fault::Redirect { code: 302, location: "http://127.0.0.1:9/elsewhere".to_owned() }, "redirect"),
        ("HTML under 200", Fault::Html, "decode"),
        ("empty body", Fault::EmptyBody, "truncated"),
    ]
}

/// Faults of the three JSON endpoints. The paths name a number, an object or list, and what must be there.
fn of_json(source: &str) -> Vec<(&'static str, Fault, &'static str)> {
    let (amount, required) = match source {
        "balance" => ("results.balance", "results.balance"),
        "consumption" => ("results.data.debit", "results.summary.total_debit"),
        _ => ("results.data.credits", "results.data.id"),
    };
    vec![
        ("1 GB body", Fault::Flood { bytes: 1 << 30 }, "too_large"),
        ("cut inside, no framing", Fault::CutInRecord, "truncated"),
        ("error envelope", Fault::Envelope { code: 403 }, "refused"),
        ("JSON that ends early", Fault::MalformedJson, "truncated"),
        ("malformed JSON", body("{\"results\": nope}"), "decode"),
        ("wrong type", Fault::replaced(amount, "{}"), "decode"),
        ("missing field", Fault::missing(required), "decode"),
        ("null", Fault::replaced(required, "null"), "decode"),
        ("NaN-like text", Fault::amounts("\"NaN\""), "decode"),
        ("huge number", Fault::amounts("1e400"), "implausible"),
    ]
}

/// Faults that only one endpoint can have.
fn of_source(source: &str) -> Vec<(&'static str, Fault, &'static str)> {
    match source {
        "balance" => vec![("EUR", Fault::replaced("results.currency", "\"EUR\""), "implausible")],
        "consumption" => {
            vec![("totals that do not add up", Fault::replaced("results.summary.total_debit", "9999"), "implausible")]
        }
        "card_transactions" => vec![
            ("endless last_page", Fault::EndlessPages, "too_large"),
            ("meta that does not add up", Fault::replaced("results.meta.total", "500"), "implausible"),
        ],
        _ => vec![
            ("1 GB of rows", Fault::Repeat { bytes: 1 << 30 }, "too_large"),
            ("1 GB in one record", Fault::Flood { bytes: 1 << 30 }, "decode"),
            ("cut inside a record", Fault::CutInRecord, "truncated"),
            ("cut at a line end", Fault::CutAtLineEnd, "truncated"),
            ("no framing", Fault::Unframed, "truncated"),
            ("missing column", Fault::csv(CsvChange::Drop("Status".to_owned())), "decode"),
            ("every row rejected", Fault::csv(CsvChange::Set("Timestamp".to_owned(), "soon".to_owned())), "decode"),
            ("a quote that is never closed", table("\"authz"), "truncated"),
        ],
    }
}

async fn healthy() -> Rig {
    healthy_at("none").await
}

async fn healthy_at(storage: &str) -> Rig {
    let mut rig = Rig::new().await;
    rig.set("STORAGE_PATH", storage);
    rig.limits = RequestLimits {
        pages: 20,
        total: Duration::from_millis(900),
        csv_idle: Duration::from_millis(400),
        csv_total: Duration::from_secs(3),
        ..rig.limits
    };
    let now = rig.clock.now();
    rig.vendors.set_balance(Usd::from_cents(4_250));
    rig.vendors.spend(now - TimeDelta::minutes(5), "api_request", "/api/v1/address/verify", Usd::from_cents(45));
    for _ in 0..3 {
        rig.vendors.top_up(Usd::from_cents(10_000));
    }
    let rows = (0..50).map(|number| NewRow::success("Chase", 1_000 + number)).collect();
    let batch = rig.vendors.batch(rows);
    rig.set("RIGHTFOOT_BATCH_IDS", &batch);
    // Each case takes an hour or two: the batch must not settle meanwhile.
    rig.set("RIGHTFOOT_SETTLE_AFTER", "168h");
    for name in ["BALANCE_INTERVAL", "CONSUMPTION_INTERVAL", "CARD_INTERVAL"] {
        rig.set(&format!("BATCHDATA_{name}"), "1m");
    }
    rig.start().await;
    rig.first_polls().await;
    for (source, _) in SOURCES {
        assert_eq!(rig.source("up", source), Some(1.0), "{source} begins healthy");
        assert!(rig.value(gauge(source)).is_some(), "{source} shows its gauge");
    }
    rig
}

async fn case(rig: &Rig, source: &str, operation: Operation, name: &str, fault: Fault, reason: &str) {
    let what = format!("{source}: {name}");
    // A day's figures end with the day, so no case may reach midnight.
    if rig.clock.now().hour() >= 18 {
        let morning = rig.clock.now().date_naive().succ_opt().unwrap().and_hms_opt(6, 0, 0).unwrap().and_utc();
        rig.clock.pass_to(morning);
        rig.until("everything is polled in the morning", |rig| {
            SOURCES.iter().all(|(source, _)| {
                rig.source("last_success_timestamp_seconds", source) >= Some(morning.timestamp() as f64)
            })
        })
        .await;
    }
    // Each listing and report has something in it that can be broken.
    rig.vendors.spend(rig.clock.now(), "api_request", "/api/v1/address/verify", Usd::from_cents(45));
    rig.vendors.top_up(Usd::from_cents(10_000));
    if source != "batches" {
        rig.poll(&[source]).await;
    }
    let before = rig.value(gauge(source));
    assert!(before.is_some(), "{what}: healthy before");
    rig.vendors.clear_requests();
    rig.vendors.fault(operation, fault, None);
    // A batch that does not change is not due at every pass, and a pass with nothing due succeeds.
    let mut passes = 0;
    let success = loop {
        passes += 1;
        assert!(passes < 50, "{what}: never asked");
        // One that is under way may still succeed.
        rig.rest().await;
        let success = rig.source("last_success_timestamp_seconds", source);
        rig.poll(&[source]).await;
        if rig.vendors.requests().iter().any(|seen| seen.operation == Some(operation)) {
            break success;
        }
    };

    assert_eq!(rig.source("up", source), Some(0.0), "{what}: up");
    let failing: Vec<&str> = wallet_exporter::upstream::Reason::VARIANTS
        .iter()
        .map(|reason| reason.as_str())
        .filter(|reason| rig.source(&format!("failing={reason}"), source) == Some(1.0))
        .collect();
    assert_eq!(failing, [reason], "{what}: reason");
    assert_eq!(rig.source("last_success_timestamp_seconds", source), success, "{what}: the last success stands still");
    let seen = rig.vendors.requests();
    let mine = seen.iter().filter(|seen| seen.operation == Some(operation)).count();
    let most = match name {
        "endless last_page" => 20,
        "meta that does not add up" => 3,
        // What is too large by hour is asked for by day.
        "1 GB body" if operation == Operation::ConsumptionReport => 2,
        // A connection that was closed before an answer may have been idle for too long.
        "no reply" => 2,
        _ => 1,
    };
    assert!((1..=most).contains(&mine), "{what}: one attempt cost {mine} requests");
    assert!(seen.iter().all(|seen| seen.authorized), "{what}: every request bore its own token");
    // The gauge is kept while it is young (a day's figures only within their day, which these steps stay in).
    assert_eq!(rig.value(gauge(source)), before, "{what}: the gauge is kept");

    // The others go on. A 429 slows all sources of its token, which is what it is for.
    let same_token = |other: &str| (other == "batches") == (source == "batches");
    for (other, _) in SOURCES.iter().filter(|(other, _)| *other != source) {
        if reason == "rate_limited" && same_token(other) {
            // A pass of several requests that was under way is cut short by it.
            let paused = rig.source("failing=rate_limited", other) == Some(1.0);
            assert!(paused || rig.source("up", other) == Some(1.0), "{what}: {other} waits or is untouched");
            continue;
        }
        rig.poll(&[other]).await;
        assert_eq!(rig.source("up", other), Some(1.0), "{what}: {other} is untouched");
    }

    // Then the gauge vanishes, and recovery is automatic.
    let gone = wallet_exporter::clock::delta(Duration::from_secs(3_601));
    let last = rig.snapshot().sources().find(|view| view.source.name == source).unwrap().last_success.unwrap();
    rig.clock.pass_to(last.wall + gone);
    assert_eq!(rig.value(gauge(source)), None, "{what}: the gauge vanishes at max_age");
    rig.vendors.clear_faults(None);
    rig.until_recovered(source, &what).await;
    assert!(rig.value(gauge(source)).is_some(), "{what}: the gauge is back");
}

impl Rig {
    /// Moves the clock to each next attempt until the source is up; a failure that was under way may still end first.
    async fn until_recovered(&self, source: &str, what: &str) {
        for _ in 0..4 {
            self.poll_within(&[source], Duration::from_secs(2 * 3_600)).await;
            if self.source("up", source) == Some(1.0) {
                return;
            }
        }
        panic!("{what}: no recovery\n{}", self.metrics());
    }
}

async fn matrix(source: &str) {
    let rig = healthy().await;
    let (_, operation) = SOURCES.into_iter().find(|(name, _)| *name == source).unwrap();
    let mut cases = common();
    if source != "batches" {
        cases.extend(of_json(source));
    }
    cases.extend(of_source(source));
    assert!(cases.len() >= 25, "{source} has {} cases", cases.len());
    for (name, fault, reason) in cases {
        case(&rig, source, operation, name, fault, reason).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn balance_survives_every_fault() {
    matrix("balance").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumption_survives_every_fault() {
    matrix("consumption").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn card_transactions_survive_every_fault() {
    matrix("card_transactions").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_survive_every_fault() {
    matrix("batches").await;
}

/// The transactions have no gauge: their counters do not increase while polls fail, and go on afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_survive_every_fault() {
    let source = "transactions";
    let mut rig = Rig::new().await;
    rig.limits = RequestLimits {
        total: Duration::from_millis(900),
        csv_idle: Duration::from_millis(400),
        csv_total: Duration::from_secs(3),
        ..rig.limits
    };
    rig.set("BATCHDATA_SOURCES", "balance,transactions");
    rig.set("BATCHDATA_TRANSACTIONS_INTERVAL", "1m");
    let spend = |rig: &Rig| {
        rig.vendors.spend(rig.vendors.now(), "api_request", "/api/v1/address/verify", Usd::from_cents(45));
    };
    spend(&rig);
    rig.start().await;
    rig.first_polls().await;
    let calls = r#"batchdata_wallet_transactions_total{account="default",type="debit",endpoint_name="address-verify"}"#;
    let header = "Date,Type,Amount,Balance After,Origin,Reference ID,Endpoint,Description";
    let quote = Fault::Body { content_type: "text/csv".to_owned(), text: format!("{header}\n\"req_") };
    let mut cases = common();
    cases.extend([
        ("1 GB of rows", Fault::Repeat { bytes: 1 << 30 }, "too_large"),
        ("1 GB in one record", Fault::Flood { bytes: 1 << 30 }, "decode"),
        ("cut inside a record", Fault::CutInRecord, "truncated"),
        ("cut at a line end", Fault::CutAtLineEnd, "truncated"),
        ("no framing", Fault::Unframed, "truncated"),
        ("missing column", Fault::csv(CsvChange::Drop("Endpoint".to_owned())), "decode"),
        ("every row rejected", Fault::csv(CsvChange::Set("Amount".to_owned(), "much".to_owned())), "decode"),
        ("a quote that is never closed", quote, "truncated"),
    ]);
    let mut spent = 0.0;
    for (name, fault, reason) in cases {
        rig.rest().await;
        let success = rig.source("last_success_timestamp_seconds", source);
        spend(&rig);
        rig.vendors.fault(Operation::ConsumptionCsv, fault, None);
        rig.poll_within(&[source], Duration::from_secs(7_200)).await;
        assert_eq!(rig.source("up", source), Some(0.0), "{name}");
        assert_eq!(rig.source(&format!("failing={reason}"), source), Some(1.0), "{name}");
        assert_eq!(rig.source("last_success_timestamp_seconds", source), success, "{name}");
        assert_eq!(rig.value(calls), Some(spent), "{name}: nothing is counted of what cannot be read");
        rig.vendors.clear_faults(None);
        rig.until_recovered(source, name).await;
        spent += 1.0;
        assert_eq!(rig.value(calls), Some(spent), "{name}: caught up");
        if reason != "rate_limited" {
            rig.poll(&["balance"]).await;
            assert_eq!(rig.source("up", "balance"), Some(1.0), "{name}: the balance is untouched");
        }
    }
}

/// What is odd and harmless: a success with the right values.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn harmless_oddities_are_successes_with_the_right_values() {
    let rig = healthy().await;
    let cases = [
        ("balance", Operation::Balance, Fault::AmountsAsStrings),
        ("consumption", Operation::ConsumptionReport, Fault::AmountsAsStrings),
        ("consumption", Operation::ConsumptionReport, Fault::replaced("results.data.by_origin", "[]")),
        ("consumption", Operation::ConsumptionReport, Fault::replaced("results.data.by_endpoint", "null")),
        ("card_transactions", Operation::CreditCardTransactions, Fault::AmountsAsStrings),
        ("batches", Operation::BalancesCsv, Fault::csv(CsvChange::Bom)),
        ("batches", Operation::BalancesCsv, Fault::csv(CsvChange::Crlf)),
        ("batches", Operation::BalancesCsv, Fault::csv(CsvChange::Reverse)),
        ("batches", Operation::BalancesCsv, Fault::csv(CsvChange::NoFinalNewline)),
        ("batches", Operation::BalancesCsv, Fault::csv(CsvChange::Extra("Note".to_owned()))),
    ];
    for (source, operation, fault) in cases {
        let what = format!("{source}: {fault:?}");
        let before = rig.value(gauge(source));
        rig.vendors.clear_requests();
        rig.vendors.fault(operation, fault, None);
        while rig.vendors.requests().iter().all(|seen| seen.operation != Some(operation)) {
            rig.poll(&[source]).await;
        }
        assert_eq!(rig.source("up", source), Some(1.0), "{what}");
        assert_eq!(rig.value(gauge(source)), before, "{what}");
        rig.vendors.clear_faults(None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_status_is_counted_as_unknown() {
    let rig = healthy().await;
    rig.vendors.top_up(Usd::from_cents(500));
    let unknown = Fault::replaced("results.data.status", "7");
    rig.vendors.fault(Operation::CreditCardTransactions, unknown, None);
    rig.poll(&["card_transactions"]).await;
    let series =
        r#"batchdata_card_transactions_total{account="default",kind="top_up",status="unknown",card_brand="visa"}"#;
    assert_eq!(
        rig.value(series),
        Some(4.0),
        "three were known as paid and are now also seen as unknown, and one is new"
    );

    let odd = Fault::csv(CsvChange::Set("Status".to_owned(), "FROZEN".to_owned()));
    rig.vendors.clear_requests();
    rig.vendors.fault(Operation::BalancesCsv, odd, None);
    while rig.vendors.requests().iter().all(|seen| seen.operation != Some(Operation::BalancesCsv)) {
        rig.poll(&["batches"]).await;
    }
    let series = r#"rightfoot_open_balance_checks{account="default",status="unknown",submitted_via="api"}"#;
    assert_eq!(rig.value(series), Some(50.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_cannot_be_used_are_counted_once_and_fail_nothing() {
    let rig = healthy().await;
    let rejected = |reason: &str| {
        rig.value(&format!(r#"rightfoot_balance_check_rows_rejected_total{{account="default",reason="{reason}"}}"#))
    };
    for (change, reason) in [
        (CsvChange::SetInRow(2, "Balance".to_owned(), "12,5".to_owned()), "balance"),
        (CsvChange::SetInRow(2, "Timestamp".to_owned(), "soon".to_owned()), "timestamp"),
        (CsvChange::RaggedLong(2), "columns"),
        (CsvChange::ForeignRows(1), "batch_id"),
    ] {
        assert_eq!(rejected(reason), Some(0.0), "{reason}: known values are 0 from the start");
        rig.vendors.fault(Operation::BalancesCsv, Fault::csv(change), None);
        // The later looks come after passes with nothing due.
        for _ in 0..4 {
            rig.vendors.clear_requests();
            while !rig.vendors.requests().iter().any(|seen| seen.operation == Some(Operation::BalancesCsv)) {
                rig.poll(&["batches"]).await;
            }
        }
        assert_eq!(rig.source("up", "batches"), Some(1.0), "{reason}");
        assert_eq!(rejected(reason), Some(1.0), "{reason}: one row, looked at again and again, counts once");
        rig.vendors.clear_faults(None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_foreign_batch_never_blinds_the_others_and_all_refused_is_a_failure() {
    let mut rig = Rig::new().await;
    let good = rig.vendors.batch(vec![NewRow::success("Chase", 100)]);
    let foreign = rig.vendors.foreign_batch();
    rig.set("RIGHTFOOT_BATCH_IDS", &format!("{good},{foreign}"));
    rig.set("BATCHDATA_SOURCES", "balance");
    rig.start().await;
    rig.first_polls().await;
    let batches = |state: &str| rig.value(&format!(r#"rightfoot_batches{{account="default",state="{state}"}}"#));
    assert_eq!((batches("open"), batches("unavailable")), (Some(2.0), Some(0.0)), "one refusal may be a stray answer");
    rig.poll(&["batches"]).await;
    assert_eq!((batches("open"), batches("unavailable")), (Some(1.0), Some(1.0)));
    assert_eq!(rig.source("up", "batches"), Some(1.0));

    let mut rig = Rig::new().await;
    let foreign = rig.vendors.foreign_batch();
    rig.set("RIGHTFOOT_BATCH_IDS", &foreign);
    rig.set("BATCHDATA_SOURCES", "balance");
    rig.start().await;
    rig.first_polls().await;
    assert_eq!(rig.source("failing=forbidden", "batches"), Some(1.0));
    assert_eq!(
        rig.value(r#"rightfoot_batches{account="default",state="unavailable"}"#),
        None,
        "no batch changes state"
    );
}

/// A TLS listener of the vendor's, with a certificate for `name` that ends on the first of January of `year`.
async fn tls(rig: &Rig, name: &str, year: i32) -> (String, rustls_pki_types::CertificateDer<'static>) {
    let mut parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
    let pair = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&pair).unwrap().der().clone();
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(pair.serialize_der()).into();
    let server = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(rig.vendors.clone().serve_tls(listener, Arc::new(server), std::future::pending()));
    (address, certificate)
}

/// What is wrong before a request can be made, for every source at once: the vendor was well in a previous run, cannot
/// be reached in this one, and is well again in the next. No token goes to a host that cannot show who it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_cannot_be_reached_is_connect_for_every_source() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = healthy_at(directory.path().to_str().unwrap()).await;
    rig.limits.connect = Duration::from_secs(20);
    rig.limits.total = Duration::from_secs(20);
    let stranger = Rig::new().await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let (unknown, _) = tls(&stranger, "localhost", 2090).await;
    let (wrong_name, trusted) = tls(&stranger, "elsewhere.invalid", 2090).await;
    let (expired, also_trusted) = tls(&stranger, "localhost", 2021).await;
    rig.roots = vec![trusted, also_trusted];
    let right = rig.settings["BATCHDATA_BASE_URL"].clone();
    for (name, url) in [
        ("refused connection", closed.as_str()),
        ("a name that does not resolve", "https://vendor.invalid"),
        ("a certificate of an unknown authority", unknown.as_str()),
        ("a certificate of another name", wrong_name.as_str()),
        ("an expired certificate", expired.as_str()),
    ] {
        let gauges = SOURCES.map(|(source, _)| rig.value(gauge(source)));
        let successes = SOURCES.map(|(source, _)| rig.source("last_success_timestamp_seconds", source));
        assert!(gauges.iter().chain(&successes).all(Option::is_some), "{name}: healthy before");
        rig.stop().await;
        rig.set("BATCHDATA_BASE_URL", url);
        rig.set("RIGHTFOOT_BASE_URL", url);
        rig.start().await;
        rig.until("every source has tried", |rig| SOURCES.iter().all(|(source, _)| rig.source("up", source).is_some()))
            .await;
        for (source, _) in SOURCES {
            assert_eq!(rig.source("up", source), Some(0.0), "{name}: {source}");
            assert_eq!(rig.source("failing=connect", source), Some(1.0), "{name}: {source}");
        }
        assert_eq!(SOURCES.map(|(source, _)| rig.value(gauge(source))), gauges, "{name}: gauges are kept");
        let still = SOURCES.map(|(source, _)| rig.source("last_success_timestamp_seconds", source));
        assert_eq!(still, successes, "{name}: the last successes stand still");
        rig.clock.advance(Duration::from_secs(3_700));
        assert!(SOURCES.iter().all(|(source, _)| rig.value(gauge(source)).is_none()), "{name}: gauges vanish");
        rig.stop().await;
        rig.set("BATCHDATA_BASE_URL", &right);
        rig.set("RIGHTFOOT_BASE_URL", &right);
        rig.start().await;
        rig.until("every source is well again", |rig| {
            SOURCES.iter().all(|(source, _)| rig.source("up", source) == Some(1.0))
        })
        .await;
    }
    assert!(stranger.vendors.requests().is_empty(), "no request and no token reached the strangers");
}
