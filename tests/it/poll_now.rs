//! A poll on request: an attempt that begins after the request, shared, with its outcome, and nothing that a pause forbids.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rust_decimal::Decimal;
use serde_json::{Value, json};
use vendor_simulator::{Fault, Operation};

use crate::accounts::three_accounts;
use crate::rig::Rig;
use crate::serving::fixture::{Answer, ask, get, value};

/// How long a condition may take to come true before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

async fn rig() -> Rig {
    let mut rig = Rig::new().await;
    rig.set("WEB_ENABLE_LIFECYCLE", "true");
    rig.vendors.set_balance(Decimal::from(40));
    rig.start().await;
    rig.first_polls().await;
    rig.rest().await;
    rig.vendors.clear_requests();
    rig
}

async fn poll(web: SocketAddr, query: &str) -> Answer {
    ask(web, "POST", &format!("/-/poll?{query}"), &[], b"").await
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn requests(rig: &Rig, operation: Operation) -> usize {
    rig.vendors.requests().iter().filter(|seen| seen.operation == Some(operation)).count()
}

/// Waits until the exporter is answering so many requests beside the one that asks.
async fn until_answering(web: SocketAddr, count: u32) {
    let deadline = Instant::now() + PATIENCE;
    let in_flight = async || value(&get(web, "/metrics").await.text(), "wallet_exporter_http_requests_in_flight");
    while in_flight().await != Some(f64::from(count + 1)) {
        assert!(Instant::now() < deadline, "the request does not arrive");
    }
}

fn balance(rig: &Rig) -> Option<f64> {
    rig.value(r#"batchdata_wallet_balance_usd{account="default"}"#)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_is_the_outcome_and_what_was_learnt_is_shown_by_then() {
    let rig = rig().await;
    let web = rig.web().unwrap();
    rig.vendors.set_balance(Decimal::from(90));
    let answer = poll(web, "source=balance").await;
    assert_eq!((answer.code, body(&answer)), (200, json!({"source": "balance", "outcome": "ok"})));
    assert_eq!((balance(&rig), requests(&rig, Operation::Balance)), (Some(90.0), 1));
    assert_eq!(requests(&rig, Operation::ConsumptionReport), 0, "the other sources are left alone");

    rig.vendors.set_permission(Operation::Balance, false);
    let answer = poll(web, "account=default&source=balance").await;
    assert_eq!((answer.code, &body(&answer)["outcome"]), (502, &json!("forbidden")));
    assert!(body(&answer)["message"].as_str().unwrap().contains("the permission wallet-balance"), "{}", answer.text());
    // The next attempt of its own is some time away.
    rig.vendors.set_permission(Operation::Balance, true);
    assert_eq!(poll(web, "source=balance").await.code, 200);
    assert_eq!(rig.source("up", "balance"), Some(1.0));
    assert_eq!(body(&poll(web, "source=batches").await)["outcome"], "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_began_before_the_request_is_not_its_answer_and_the_next_is_shared() {
    let rig = rig().await;
    let web = rig.web().unwrap();
    rig.vendors.fault(Operation::Balance, Fault::Drip { every_ms: 20 }, Some(1));
    let first = tokio::spawn(async move { poll(web, "source=balance").await });
    rig.until("the vendor was asked", |rig| requests(rig, Operation::Balance) == 1).await;
    // What is on its way is the balance before the top-up.
    rig.vendors.set_balance(Decimal::from(90));
    let later: Vec<_> = (0..5).map(|_| tokio::spawn(async move { poll(web, "source=balance").await })).collect();
    for answer in later {
        assert_eq!(answer.await.unwrap().code, 200);
        assert_eq!(balance(&rig), Some(90.0));
    }
    assert_eq!(first.await.unwrap().code, 200);
    assert_eq!(requests(&rig, Operation::Balance), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_ten_seconds_the_answer_is_that_it_goes_on() {
    let rig = rig().await;
    let web = rig.web().unwrap();
    rig.vendors.fault(Operation::Balance, Fault::Hang, Some(1));
    let asked = tokio::spawn(async move { poll(web, "source=balance").await });
    rig.until("the vendor was asked", |rig| requests(rig, Operation::Balance) == 1).await;
    rig.clock.advance(Duration::from_millis(9_900));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!asked.is_finished(), "ten seconds have not passed");
    rig.clock.advance(Duration::from_millis(100));
    let answer = tokio::time::timeout(PATIENCE, asked).await.unwrap().unwrap();
    assert_eq!((answer.code, body(&answer)), (202, json!({"source": "balance", "outcome": "pending"})));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_budget_holds() {
    let mut rig = Rig::new().await;
    rig.set("WEB_ENABLE_LIFECYCLE", "true");
    rig.set("BATCHDATA_SOURCES", "balance");
    rig.set("BATCHDATA_REQUESTS_PER_MINUTE", "3");
    rig.start().await;
    rig.first_polls().await;
    let web = rig.web().unwrap();
    for _ in 0..2 {
        assert_eq!(poll(web, "source=balance").await.code, 200);
    }
    let asked = tokio::spawn(async move { poll(web, "source=balance").await });
    until_answering(web, 1).await;
    // Less than the minute in which three requests are allowed.
    for _ in 0..50 {
        rig.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(tokio::time::timeout(PATIENCE, asked).await.unwrap().unwrap().code, 202);
    assert_eq!(requests(&rig, Operation::Balance), 3, "the fourth request waits for the next minute");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_asked_in_a_pause() {
    let rig = rig().await;
    let web = rig.web().unwrap();
    rig.vendors.fault(Operation::Balance, Fault::throttled(Some("1800")), Some(1));
    let answer = poll(web, "source=balance").await;
    assert_eq!((answer.code, &body(&answer)["outcome"]), (502, &json!("rate_limited")));
    rig.vendors.clear_requests();
    // The pause is the credential's, and so are the other sources.
    for source in ["balance", "consumption"] {
        let answer = poll(web, &format!("source={source}")).await;
        assert_eq!((answer.code, body(&answer)), (429, json!({"source": source, "outcome": "paused"})));
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1_800..=1_805).contains(&seconds), "{seconds}");
    }
    assert!(rig.vendors.requests().is_empty());
    assert_eq!(poll(web, "source=batches").await.code, 200, "another credential is not paused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_begins_meanwhile_is_told_at_once() {
    let rig = rig().await;
    let web = rig.web().unwrap();
    // An attempt is under way. Before the one that is asked for can begin, another source brings a pause.
    rig.vendors.fault(Operation::Balance, Fault::Hang, Some(1));
    let first = tokio::spawn(async move { poll(web, "source=balance").await });
    rig.until("the vendor was asked", |rig| requests(rig, Operation::Balance) == 1).await;
    let second = tokio::spawn(async move { poll(web, "source=balance").await });
    until_answering(web, 2).await;
    rig.vendors.fault(Operation::ConsumptionReport, Fault::throttled(Some("600")), Some(1));
    let throttled = poll(web, "source=consumption").await;
    assert_eq!(throttled.code, 502);
    let second = tokio::time::timeout(PATIENCE, second).await.unwrap().unwrap();
    assert_eq!((second.code, &body(&second)["outcome"]), (429, &json!("paused")));
    first.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_wake_nobody() {
    let rig = rig().await;
    let web = rig.web().unwrap();
    for (query, code, named) in [
        ("", 400, "source is missing"),
        ("account=default", 400, "source is missing"),
        ("source=", 400, "source is empty"),
        ("source=balance&source=balance", 400, "source is there twice"),
        ("source=balance&x=CANARY", 400, "unknown: write account, source"),
        ("source=CANARY", 404, "No account of that name with that source"),
        ("source=balance&account=CANARY", 404, "No account of that name with that source"),
    ] {
        let answer = poll(web, query).await;
        assert_eq!(answer.code, code, "{query}");
        assert!(answer.text().contains(named) && !answer.text().contains("CANARY"), "{query}: {}", answer.text());
    }
    let foreign = [("Origin", "https://elsewhere.example")];
    assert_eq!(ask(web, "POST", "/-/poll?source=balance", &foreign, b"").await.code, 403);
    assert_eq!(ask(web, "GET", "/-/poll?source=balance", &[], b"").await.code, 405);
    assert!(rig.vendors.requests().is_empty());

    let mut off = Rig::new().await;
    off.start().await;
    off.first_polls().await;
    let answer = poll(off.web().unwrap(), "source=balance").await;
    assert_eq!(answer.code, 403);
    assert!(answer.text().contains("--web.enable-lifecycle"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_several_accounts_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    let web = rig.web().unwrap();
    let answer = poll(web, "source=balance").await;
    assert_eq!(
        (answer.code, answer.text().as_str()),
        (400, "Several accounts have that source: name one with account.\n")
    );
    assert_eq!(poll(web, "source=balance&account=growth").await.code, 200);
    let refused = poll(web, "source=balance&account=007").await;
    assert_eq!((refused.code, &body(&refused)["outcome"]), (502, &json!("unauthorized")));
    let batches = poll(web, "source=batches").await;
    assert_eq!((batches.code, &body(&batches)["outcome"]), (502, &json!("forbidden")), "one account has it");
    assert_eq!(poll(web, "source=card_transactions&account=growth").await.code, 404, "that source is off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_not_held_up() {
    let mut rig = rig().await;
    let web = rig.web().unwrap();
    rig.vendors.fault(Operation::Balance, Fault::Hang, Some(1));
    let asked = tokio::spawn(async move { poll(web, "source=balance").await });
    rig.until("the vendor was asked", |rig| requests(rig, Operation::Balance) == 1).await;
    tokio::time::timeout(PATIENCE, rig.stop()).await.unwrap();
    assert_eq!(asked.await.unwrap().code, 503);
}
