//! The main job through its door: reports in, exposition out.

use std::time::Duration;

use chrono::TimeDelta;
use vendor_simulator::{CANARIES, CANARY_CARD_LAST4, CardEvent, Fault, NewRow, Operation};
use wallet_exporter::app;
use wallet_exporter::clock::Clock as _;
use wallet_exporter::exposition::Format;
use wallet_exporter::money::Usd;

use crate::rig::Rig;
use crate::serving::readers::{Said, read};

async fn busy() -> Rig {
    let mut rig = Rig::new().await;
    let now = rig.clock.now();
    rig.vendors.set_balance(Usd::parse("42.5000").unwrap());
    for number in 0..10 {
        let moment = now - TimeDelta::minutes(number);
        rig.vendors.spend(moment, "api_request", "/api/v1/address/verify", Usd::parse("0.1").unwrap());
    }
    rig.vendors.spend(now - TimeDelta::days(1), "list_builder_ui", "", Usd::parse("12.3456").unwrap());
    rig.vendors.top_up(Usd::from_cents(10_000));
    rig.vendors.refund(Usd::from_cents(2_500));
    rig.vendors.card(&CardEvent::failed(Usd::from_cents(5_000)));
    rig.vendors.card(&CardEvent::pending(Usd::from_cents(7_500)));
    let batch = rig.vendors.new_batch(
        Some("8ac1f4a6-1234-4abc-9d3e-001122334455"),
        false,
        "customer_ref",
        vec![
            NewRow::success("Bank of America", 284_351),
            NewRow::success("Wells \"Fargo\", N.A.\nNewport", -150),
            NewRow::failed("Wells Fargo", "NO_MATCH"),
        ],
    );
    rig.set("RIGHTFOOT_BATCH_IDS", &batch);
    rig.set("BATCHDATA_SOURCES", "balance,consumption,card_transactions,transactions");
    rig.set("BATCHDATA_COUNT_SINCE", "2026-05-01");
    rig.set("RIGHTFOOT_COUNT_SINCE", "2026-05-01");
    rig.set("BATCHDATA_WARNING_BALANCE_USD", "50");
    rig.set("BATCHDATA_CRITICAL_BALANCE_USD", "10");
    rig
}

/// The exposition without what differs from run to run.
fn stable(text: &str) -> String {
    let differs = [
        "wallet_exporter_vendor_request_duration",
        "wallet_exporter_build_info",
        "_last_poll_duration_",
        "_next_attempt_",
    ];
    let kept = text.lines().filter(|line| !differs.iter().any(|name| line.contains(name)));
    kept.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exposition_is_as_it_was_approved() {
    let mut rig = busy().await;
    rig.start().await;
    rig.first_polls().await;
    rig.catch_up().await;
    insta::assert_snapshot!(stable(&rig.metrics()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_format_carries_the_same_samples() {
    let mut rig = busy().await;
    rig.start().await;
    rig.first_polls().await;
    rig.catch_up().await;
    let exposition = rig.exposition();
    let whole = |format| read(format, &exposition.to_bytes(format));
    let slice = |format| read(format, &exposition.slice(format, &["default"]).unwrap());
    for said in [&whole as &dyn Fn(Format) -> Said, &slice] {
        let text = said(Format::Text);
        assert!(text.samples.len() > 100, "{text:?}");
        assert_eq!(text, said(Format::OpenMetrics));
        assert_eq!(text, said(Format::Protobuf));
        for (name, (kind, help)) in text.families {
            let family = app::families().find(|family| family.name == name);
            let family = family.unwrap_or_else(|| panic!("{name} is not in the catalog"));
            assert_eq!((family.kind.word(), family.help), (kind.as_str(), help.as_str()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_first_answer_nothing_is_claimed() {
    let mut rig = busy().await;
    // With 0s, a counter of history is absent until it is known.
    rig.set("METRICS_START_AT_ZERO", "2m");
    for operation in [
        Operation::Balance,
        Operation::ConsumptionReport,
        Operation::ConsumptionCsv,
        Operation::CreditCardTransactions,
        Operation::BalancesCsv,
    ] {
        rig.vendors.fault(operation, Fault::NoReply, None);
    }
    rig.start().await;
    rig.first_polls().await;
    let metrics = rig.metrics();
    for absent in [
        "batchdata_wallet_balance_usd",
        "batchdata_wallet_period_debit_usd",
        "batchdata_card_transactions_pending",
        "rightfoot_batches",
        "rightfoot_open_balance_checks",
        "wallet_exporter_source_last_success",
    ] {
        assert!(!metrics.contains(&format!("\n{absent}")), "{absent} is not known yet");
    }
    assert_eq!(
        rig.value(r#"batchdata_wallet_debit_usd_total{account="default"}"#),
        Some(0.0),
        "nothing is counted yet"
    );
    assert_eq!(
        rig.value(r#"rightfoot_balance_checks_total{account="default",status="success",submitted_via="api"}"#),
        Some(0.0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_personal_data_and_no_secret_leaves_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = busy().await;
    rig.set("STORAGE_PATH", directory.path().to_str().unwrap());
    rig.start().await;
    rig.first_polls().await;
    rig.catch_up().await;
    // A failing look, too: errors are where such things leak.
    rig.vendors.fault(Operation::BalancesCsv, Fault::CutInRecord, Some(1));
    rig.vendors.fault(Operation::CreditCardTransactions, Fault::CutInRecord, Some(1));
    rig.vendors.fault(Operation::ConsumptionCsv, Fault::CutInRecord, Some(1));
    rig.clock.advance(Duration::from_secs(120));
    rig.poll(&["batches", "card_transactions"]).await;
    rig.poll_within(&["transactions"], Duration::from_secs(7_200)).await;
    let metrics = rig.metrics();
    assert!(metrics.contains("\nbatchdata_wallet_transactions_total{"), "transactions are counted");
    let status = serde_json::to_string(&rig.snapshot().status(rig.clock.moment())).unwrap();
    rig.stop().await;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        files.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    assert!(files.len() > 10_000, "the ledger was written");
    let holds =
        |haystack: &[u8], needle: &str| haystack.windows(needle.len()).any(|window| window == needle.as_bytes());
    let secrets = [rig.settings["BATCHDATA_API_TOKEN"].as_str(), rig.settings["RIGHTFOOT_API_KEY"].as_str()];
    for needle in CANARIES.iter().copied().chain(secrets) {
        assert!(!metrics.contains(needle), "{needle} is in the metrics");
        assert!(!status.contains(needle), "{needle} is in the status");
        assert!(!holds(&files, needle), "{needle} is on the disk");
    }
    for column in ["last4", "phone", "creator", "reference_id", "description"] {
        assert!(!holds(&files, column), "the schema has a {column}");
    }
    assert!(!metrics.contains(CANARY_CARD_LAST4), "the card's digits are in the metrics");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_hangs_changes_nothing_for_the_others() {
    let mut rig = busy().await;
    rig.limits.total = Duration::from_secs(30);
    rig.vendors.fault(Operation::ConsumptionReport, Fault::Hang, None);
    rig.start().await;
    for source in ["balance", "card_transactions", "batches"] {
        rig.until("the others were polled", |rig| rig.source("up", source) == Some(1.0)).await;
    }
    rig.poll(&["balance", "card_transactions"]).await;
    assert_eq!(rig.source("up", "consumption"), None, "it still hangs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_token_waits_as_long_as_it_is_told() {
    let mut rig = busy().await;
    rig.set("BATCHDATA_BALANCE_INTERVAL", "1m");
    rig.start().await;
    rig.first_polls().await;
    rig.vendors.fault(Operation::Balance, Fault::throttled(Some("600")), Some(1));
    rig.poll(&["balance"]).await;
    assert_eq!(rig.source("failing=rate_limited", "balance"), Some(1.0));
    rig.vendors.clear_requests();
    rig.clock.advance(Duration::from_secs(590));
    rig.until("the other vendor's source goes on", |rig| {
        rig.vendors.requests().iter().any(|seen| seen.operation == Some(Operation::BalancesCsv))
    })
    .await;
    let wallet =
        |rig: &Rig| rig.vendors.requests().iter().filter(|seen| seen.operation != Some(Operation::BalancesCsv)).count();
    assert_eq!(wallet(&rig), 0, "every source of the token waits; the other vendor's goes on");
    rig.clock.advance(Duration::from_secs(15));
    rig.until("the token's sources go on", |rig| rig.source("up", "balance") == Some(1.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_secret_is_used_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let mut rig = busy().await;
    std::fs::write(&file, "revoked\n").unwrap();
    let good = rig.settings.remove("BATCHDATA_API_TOKEN").unwrap();
    rig.set("BATCHDATA_API_TOKEN_FILE", file.to_str().unwrap());
    rig.start().await;
    rig.first_polls().await;
    assert_eq!(rig.source("failing=unauthorized", "balance"), Some(1.0));
    std::fs::write(&file, good).unwrap();
    // Well before the slow retry of a permanent failure.
    rig.clock.advance(Duration::from_secs(6));
    rig.until("the new secret is used", |rig| {
        ["balance", "consumption", "card_transactions"].iter().all(|source| rig.source("up", source) == Some(1.0))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_on_another_day_is_believed_once_a_second_answer_agrees_and_it_takes_its_day() {
    let mut rig = busy().await;
    // Alone, so that no other source's answer has shown the vendor's clock before. Noon here, late on the day before there.
    rig.set("BATCHDATA_SOURCES", "consumption");
    let begin = rig.clock.now();
    rig.vendors.set_clock_offset(TimeDelta::hours(-13));
    rig.vendors.clear_requests();
    rig.start().await;
    rig.first_polls().await;
    let today = r#"batchdata_wallet_period_debit_usd{account="default",period="today"}"#;
    assert_eq!((rig.source("failing=client_error", "consumption"), rig.value(today)), (Some(1.0), None));
    for _ in 0..20 {
        if rig.source("up", "consumption") == Some(1.0) {
            break;
        }
        rig.poll(&["consumption"]).await;
    }
    assert!(rig.clock.now() >= begin + TimeDelta::seconds(60), "one answer is not enough");
    assert_eq!(rig.source("up", "consumption"), Some(1.0));
    let requests = rig.vendors.requests();
    let by_day = |query: &[(String, String)]| query.contains(&("group_by".to_owned(), "day".to_owned()));
    let reports = requests.iter().filter(|seen| seen.operation == Some(Operation::ConsumptionReport));
    let reports: Vec<_> = reports.filter(|seen| by_day(&seen.query)).collect();
    let ends: Vec<&str> = reports
        .iter()
        .filter_map(|seen| seen.query.iter().find(|(name, _)| name == "end_date"))
        .map(|(_, day)| day.as_str())
        .collect();
    assert!(ends.ends_with(&["2026-05-18", "2026-05-19"]), "the day is the vendor's last: {ends:?}");
    assert_eq!(ends.iter().filter(|day| **day == "2026-05-18").count(), 1, "asked for once two answers agree");
    assert_eq!(rig.value(today), Some(12.3456));
    let skew = r#"wallet_exporter_clock_skew_seconds{account="default",vendor="batchdata"}"#;
    assert_eq!(rig.value(skew), Some(-13.0 * 3_600.0));
}
