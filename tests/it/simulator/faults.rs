//! Each fault really happens, hits as many requests as it should, and is over then.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vendor_simulator::{CsvChange, ErrorBody, Fault, NewRow, Operation};
use wallet_exporter::money::Usd;

use super::wire::{Raw, RunningSimulator, quiet};

const BALANCE: &str = "/api/v1/wallet/balance";
const REPORT: &str = "/api/v1/wallet/consumption-report?start_date=2026-05-01&end_date=2026-05-19";
const CARDS: &str = "/api/v1/wallet/credit-card-transactions";

async fn prepared() -> (RunningSimulator, String) {
    let running = quiet("2026-05-19T18:00:00Z").await;
    let simulator = &running.simulator;
    let usd = |text| Usd::parse(text).unwrap();
    simulator.spend("2026-05-01T14:10:00Z".parse().unwrap(), "api_request", "/api/v1/phone/dnc", usd("0.45"));
    for _ in 0..3 {
        simulator.top_up(usd("100"));
    }
    let rows =
        vec![NewRow::success("Chase", 100), NewRow::success("Ally", 284_351), NewRow::failed("Citi", "NO_MATCH")];
    let id = simulator.new_batch(None, false, "", rows);
    (running, format!("/v1/balances/csv?batch_ids={id}"))
}

async fn ask(running: &RunningSimulator, operation: Operation, csv: &str) -> Raw {
    match operation {
        Operation::Balance => running.wallet(BALANCE).await,
        Operation::ConsumptionReport => running.wallet(REPORT).await,
        Operation::ConsumptionCsv => running.wallet(&format!("{REPORT}&format=csv")).await,
        Operation::CreditCardTransactions => running.wallet(CARDS).await,
        Operation::BalancesCsv => running.checks(csv).await,
    }
}

/// Injects the fault once into each endpoint, checks what comes, then that the next answer is right again.
async fn everywhere(fault: Fault, check: impl Fn(Operation, &Raw, &Raw)) {
    let (running, csv) = prepared().await;
    for operation in Operation::ALL {
        let right = ask(&running, operation, &csv).await;
        assert_eq!((right.status, right.complete, right.reset), (200, true, false));
        running.simulator.fault(operation, fault.clone(), Some(1));
        let wrong = ask(&running, operation, &csv).await;
        check(operation, &wrong, &right);
        assert_eq!(ask(&running, operation, &csv).await, right, "{operation:?} recovers");
    }
    assert_eq!(running.simulator.requests().iter().filter(|seen| seen.fault.is_some()).count(), 4);
}

#[tokio::test]
async fn connections_that_end_without_an_answer() {
    everywhere(Fault::NoReply, |_, wrong, _| assert_eq!((wrong.status, wrong.reset), (0, false))).await;
    everywhere(Fault::ResetAtOnce, |_, wrong, _| assert_eq!((wrong.status, wrong.reset), (0, true))).await;
}

#[tokio::test]
async fn a_hang_sends_nothing_and_ends_with_the_client() {
    let (running, _) = prepared().await;
    running.simulator.fault(Operation::Balance, Fault::Hang, Some(1));
    let mut stream = TcpStream::connect(&running.address).await.unwrap();
    stream.write_all(format!("GET {BALANCE} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
    assert!(nothing.is_err(), "neither an answer nor an end: {nothing:?}");
    let seen = running.simulator.requests();
    assert_eq!((seen[0].status, seen[0].fault.as_deref()), (None, Some("hang")));
    assert_eq!(running.wallet(BALANCE).await.status, 200, "others are not held up");
}

#[tokio::test]
async fn a_drip_comes_byte_by_byte() {
    everywhere(Fault::Drip { every_ms: 0 }, |_, wrong, right| assert_eq!(wrong.body, right.body)).await;
    let (running, _) = prepared().await;
    running.simulator.fault(Operation::Balance, Fault::Drip { every_ms: 3_600_000 }, None);
    let mut stream = TcpStream::connect(&running.address).await.unwrap();
    let head = format!("GET {BALANCE} HTTP/1.1\r\nAuthorization: Bearer sim-batchdata-token\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    while !all.ends_with(b"\r\n\r\n{") {
        assert!(stream.read_buf(&mut all).await.unwrap() > 0);
    }
    let more = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
    assert!(more.is_err(), "one byte, then a long wait");
}

#[tokio::test]
async fn bodies_that_are_cut() {
    everywhere(Fault::ResetMidBody, |_, wrong, right| {
        assert!(wrong.reset && !wrong.complete && wrong.body.len() < right.body.len());
    })
    .await;
    everywhere(Fault::ShortContentLength, |_, wrong, right| {
        assert_eq!(wrong.header("content-length"), Some(right.body.len().to_string().as_str()));
        assert!(!wrong.reset && !wrong.complete && wrong.body.len() == right.body.len() / 2);
    })
    .await;
    everywhere(Fault::AbortedChunk, |_, wrong, right| {
        assert_eq!(wrong.header("transfer-encoding"), Some("chunked"));
        assert!(!wrong.reset && !wrong.complete && wrong.body.len() == right.body.len() / 2);
    })
    .await;
    let unframed = |raw: &Raw| raw.header("content-length").or(raw.header("transfer-encoding")).is_none();
    everywhere(Fault::CutInRecord, |_, wrong, right| {
        assert!(unframed(wrong) && right.body.starts_with(&wrong.body) && !wrong.body.ends_with(b"\n"));
        assert!(wrong.body.len() < right.body.len());
    })
    .await;
    everywhere(Fault::CutAtLineEnd, |operation, wrong, right| {
        assert!(unframed(wrong) && right.body.starts_with(&wrong.body) && wrong.body.len() < right.body.len());
        assert_eq!(wrong.body.ends_with(b"\n"), operation == Operation::BalancesCsv);
    })
    .await;
    everywhere(Fault::Unframed, |_, wrong, right| assert!(unframed(wrong) && wrong.body == right.body)).await;
}

#[tokio::test]
async fn statuses_with_their_bodies() {
    for code in [400, 401, 403, 404, 422, 429, 500, 502, 503] {
        everywhere(Fault::status(code), |_, wrong, _| {
            assert_eq!(wrong.status, code);
            assert!(wrong.json().is_object());
        })
        .await;
    }
    everywhere(Fault::html(500), |_, wrong, _| {
        assert_eq!((wrong.status, wrong.header("content-type")), (500, Some("text/html; charset=UTF-8")));
    })
    .await;
    let empty = Fault::Status { code: 503, body: ErrorBody::Empty, retry_after: None };
    everywhere(empty, |_, wrong, _| assert_eq!((wrong.status, wrong.body.len()), (503, 0))).await;
    for value in ["120", "Tue, 19 May 2026 18:02:00 GMT"] {
        everywhere(Fault::throttled(Some(value)), |_, wrong, _| {
            assert_eq!((wrong.status, wrong.header("retry-after")), (429, Some(value)));
        })
        .await;
    }
    let redirect = Fault::Redirect { code: 302, location: "http://127.0.0.1:9/elsewhere".to_owned() };
    everywhere(redirect, |_, wrong, _| {
        assert_eq!((wrong.status, wrong.header("location")), (302, Some("http://127.0.0.1:9/elsewhere")));
    })
    .await;
}

#[tokio::test]
async fn a_good_status_with_a_bad_body() {
    everywhere(Fault::Envelope { code: 403 }, |_, wrong, _| {
        assert_eq!((wrong.status, wrong.json()["status"]["code"].as_u64()), (200, Some(403)));
    })
    .await;
    everywhere(Fault::Html, |_, wrong, _| assert!(wrong.status == 200 && wrong.text().starts_with("<!DOCTYPE"))).await;
    everywhere(Fault::EmptyBody, |_, wrong, _| assert!(wrong.status == 200 && wrong.complete && wrong.body.is_empty()))
        .await;
    everywhere(Fault::MalformedJson, |_, wrong, right| {
        assert!(wrong.complete && wrong.body == right.body[..right.body.len() / 2]);
    })
    .await;
    let plain = Fault::ContentType { content_type: "text/plain".to_owned() };
    everywhere(plain, |_, wrong, right| {
        assert_eq!((wrong.header("content-type"), &wrong.body), (Some("text/plain"), &right.body));
    })
    .await;
    let text = Fault::Body { content_type: "application/json".to_owned(), text: "[]".to_owned() };
    everywhere(text, |_, wrong, _| assert_eq!(wrong.text(), "[]")).await;
}

#[tokio::test]
async fn members_that_are_not_what_they_should_be() {
    let (running, csv) = prepared().await;
    let cases = [
        (Operation::Balance, Fault::AmountsAsStrings, r#""balance":"299.5500""#),
        (Operation::Balance, Fault::amounts("null"), r#""balance":null"#),
        (Operation::Balance, Fault::amounts("1e400"), r#""balance":1e400"#),
        (Operation::Balance, Fault::amounts(r#""NaN""#), r#""balance":"NaN""#),
        (Operation::Balance, Fault::replaced("results.currency", r#""EUR""#), r#""currency":"EUR""#),
        (Operation::Balance, Fault::missing("results.balance"), r#""results":{"currency":"USD""#),
        (Operation::Balance, Fault::replaced("results", "null"), r#"{"results":null,"#),
        (Operation::ConsumptionReport, Fault::AmountsAsStrings, r#""by_endpoint":{"/api/v1/phone/dnc":"0.45"}"#),
        (Operation::ConsumptionReport, Fault::replaced("results.data.by_origin", "[]"), r#""by_origin":[]"#),
        (Operation::ConsumptionReport, Fault::replaced("results.summary.total_debit", "9"), r#""total_debit":9,"#),
        (Operation::ConsumptionReport, Fault::missing("results.summary"), r#"{"results":{"data":"#),
        (Operation::CreditCardTransactions, Fault::replaced("results.data.status", "7"), r#""status":7,"#),
        (Operation::CreditCardTransactions, Fault::amounts("true"), r#""credits":true,"sales_tax_charge":true"#),
        (Operation::CreditCardTransactions, Fault::replaced("results.meta.total", "70"), r#""total":70}"#),
    ];
    for (operation, fault, expected) in cases {
        running.simulator.fault(operation, fault.clone(), Some(1));
        let wrong = ask(&running, operation, &csv).await;
        assert!(wrong.text().contains(expected), "{fault:?}: {}", wrong.text());
    }
}

#[tokio::test]
async fn files_that_are_not_what_they_should_be() {
    let (running, csv) = prepared().await;
    let right = running.checks(&csv).await;
    let lines = |raw: &Raw| raw.body.split(|byte| *byte == b'\n').count() - 1;
    assert_eq!(lines(&right), 4);
    let ask = async |change: CsvChange| {
        running.simulator.fault(Operation::BalancesCsv, Fault::csv(change), Some(1));
        running.checks(&csv).await
    };
    assert!(ask(CsvChange::Bom).await.body.starts_with(b"\xEF\xBB\xBFAuthorizer ID,"));
    assert_eq!(ask(CsvChange::Crlf).await.text().replace("\r\n", "\n"), right.text());
    assert!(ask(CsvChange::Reverse).await.text().starts_with("Timestamp,Creator,Status,Balance,"));
    assert!(
        ask(CsvChange::Drop("Balance".to_owned()))
            .await
            .text()
            .starts_with("Authorizer ID,Batch ID,Institution,Phone,Zip,Status,")
    );
    assert!(ask(CsvChange::Extra("Region".to_owned())).await.text().starts_with("Region,Authorizer ID,"));
    let renamed = ask(CsvChange::Rename("Status".to_owned(), "State".to_owned())).await;
    assert!(renamed.text().contains(",Balance,State,Creator"));
    let set = ask(CsvChange::Set("Status".to_owned(), "ON_HOLD".to_owned())).await;
    assert_eq!(set.text().matches(",ON_HOLD,").count(), 3);
    let one = ask(CsvChange::SetInRow(1, "Balance".to_owned(), "NaN".to_owned())).await;
    assert_eq!(one.text().matches(",NaN,SUCCESS,").count(), 1);
    assert!(std::str::from_utf8(&ask(CsvChange::NotUtf8("Institution".to_owned())).await.body).is_err());
    let fields = |raw: &Raw, line: usize| raw.text().lines().nth(line).unwrap().matches(',').count() + 1;
    assert_eq!(fields(&ask(CsvChange::RaggedShort(0)).await, 1), 8);
    assert_eq!(fields(&ask(CsvChange::RaggedLong(0)).await, 1), 10);
    let foreign = ask(CsvChange::ForeignRows(2)).await;
    assert_eq!((lines(&foreign), foreign.text().matches("f0f0f0f0-").count()), (6, 2));
    assert_eq!(format!("{}\n", ask(CsvChange::NoFinalNewline).await.text()), right.text());
    assert_eq!(lines(&ask(CsvChange::HeaderOnly).await), 1);
    assert!(ask(CsvChange::OpenQuote(1)).await.text().lines().nth(2).unwrap().starts_with('"'));
}

#[tokio::test]
async fn bodies_of_any_size_are_made_while_they_are_sent() {
    let (running, csv) = prepared().await;
    for operation in Operation::ALL {
        running.simulator.fault(operation, Fault::Flood { bytes: 3_000_000 }, Some(1));
        let wrong = ask(&running, operation, &csv).await;
        assert_eq!((wrong.body.len(), wrong.complete), (3_000_000, true), "{operation:?}");
    }
    running.simulator.fault(Operation::BalancesCsv, Fault::Repeat { bytes: 1_000_000 }, Some(1));
    let long = running.checks(&csv).await;
    let rows = csv::Reader::from_reader(long.body.as_slice()).into_records().map(Result::unwrap).count();
    assert!(long.body.len() >= 1_000_000 && rows.is_multiple_of(3));
}

#[tokio::test]
async fn pages_that_shift_and_pages_without_end() {
    let (running, _) = prepared().await;
    let ids = async |page: u32| -> Vec<i64> {
        let json = running.wallet(&format!("{CARDS}?per_page=2&page={page}")).await.json();
        json["results"]["data"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    assert_eq!((ids(1).await, ids(2).await), (vec![12_347, 12_346], vec![12_345]));
    running.simulator.fault(Operation::CreditCardTransactions, Fault::PageDrift { remove: false }, Some(2));
    assert_eq!((ids(1).await, ids(2).await), (vec![12_348, 12_347], vec![12_347, 12_346]), "one comes twice");
    running.simulator.fault(Operation::CreditCardTransactions, Fault::PageDrift { remove: true }, Some(2));
    assert_eq!((ids(1).await, ids(2).await), (vec![12_348, 12_347], vec![12_345]), "one is jumped over");

    running.simulator.fault(Operation::CreditCardTransactions, Fault::EndlessPages, None);
    let (first, second) = (ids(1).await, ids(2).await);
    assert!(first.len() == 2 && second.len() == 2 && first.iter().all(|id| !second.contains(id)));
    let meta = running.wallet(&format!("{CARDS}?page=7000")).await.json()["results"]["meta"].clone();
    assert_eq!(meta["last_page"], 7_001);
    running.simulator.clear_faults(None);
    assert_eq!(ids(1).await, [12_347, 12_346]);
}

#[tokio::test]
async fn faults_come_in_their_order_and_each_for_its_number_of_requests() {
    let (running, _) = prepared().await;
    running.simulator.fault(Operation::Balance, Fault::status(500), Some(2));
    running.simulator.fault(Operation::Balance, Fault::status(503), Some(1));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(running.wallet(BALANCE).await.status);
    }
    assert_eq!(statuses, [500, 500, 503, 200]);
}
