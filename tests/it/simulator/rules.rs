//! What the vendors' documents say of requests: who may ask, for what, and how a refusal looks.

use chrono::TimeDelta;
use rust_decimal::Decimal;
use vendor_simulator::{CANARIES, CardEvent, NewRow, Operation, Part};

use super::wire::{moment, quiet, start};

const REPORT: &str = "/api/v1/wallet/consumption-report";
const CARDS: &str = "/api/v1/wallet/credit-card-transactions";

fn usd(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[tokio::test]
async fn every_endpoint_wants_its_own_credential() {
    let running = quiet("2026-05-19T18:43:21Z").await;
    for operation in Operation::ALL {
        let wrong = if operation == Operation::BalancesCsv { "sim-batchdata-token" } else { "rf_live_simulator" };
        for token in [None, Some(wrong)] {
            assert_eq!(running.send("GET", operation.path(), token, "").await.status, 401, "{operation:?}");
        }
    }
    let refused = running.send("GET", "/api/v1/wallet/balance", None, "").await;
    assert_eq!(refused.json()["status"]["code"], 401);
    let seen = running.simulator.requests();
    assert_eq!(seen.len(), 9);
    assert!(seen.iter().all(|seen| !seen.authorized && seen.status == Some(401)));
    assert_eq!(seen.iter().filter(|seen| seen.had_authorization).count(), 4);
}

#[tokio::test]
async fn a_replaced_token_and_a_revoked_permission_are_refused() {
    let running = quiet("2026-05-19T18:43:21Z").await;
    running.simulator.set_permission(Operation::ConsumptionReport, false);
    let report = format!("{REPORT}?start_date=2026-05-01&end_date=2026-05-02");
    assert_eq!(running.wallet(&report).await.status, 403);
    assert_eq!(running.wallet(CARDS).await.status, 200, "the others work");
    running.simulator.set_permission(Operation::ConsumptionReport, true);
    assert_eq!(running.wallet(&report).await.status, 200);
    running.simulator.set_batchdata_token("rotated");
    assert_eq!(running.wallet(CARDS).await.status, 401);
    assert_eq!(running.send("GET", CARDS, Some("rotated"), "").await.status, 200);
}

#[tokio::test]
async fn the_reports_dates_are_checked_against_the_vendors_own_day() {
    let running = quiet("2026-05-19T23:30:00Z").await;
    for (query, field) in [
        ("", "start_date"),
        ("?start_date=2026-05-01", "end_date"),
        ("?startDate=2026-05-01&endDate=2026-05-02", "start_date"),
        ("?start_date=2026-05-01&end_date=2026-05-20", "end_date"),
        ("?start_date=2026-05-20&end_date=2026-05-20", "start_date"),
        ("?start_date=2026-05-02&end_date=2026-05-01", "end_date"),
        ("?start_date=2025-05-17&end_date=2026-05-19", "end_date"),
        ("?start_date=01.05.2026&end_date=2026-05-19", "start_date"),
        ("?start_date=2026-05-01&end_date=2026-05-19&group_by=year", "group_by"),
        ("?start_date=2026-05-01&end_date=2026-05-19&format=xml", "format"),
    ] {
        let answer = running.wallet(&format!("{REPORT}{query}")).await;
        assert_eq!(answer.status, 422, "{query}");
        let json = answer.json();
        assert!(json["message"].is_string() && json["errors"][field].is_array(), "{query}: {json}");
    }
    let longest = "?start_date=2025-05-18&end_date=2026-05-19";
    assert_eq!(running.wallet(&format!("{REPORT}{longest}")).await.status, 200);

    let tomorrow = format!("{REPORT}?start_date=2026-05-01&end_date=2026-05-20");
    running.simulator.set_clock_offset(TimeDelta::hours(1));
    let answer = running.wallet(&tomorrow).await;
    assert_eq!((answer.status, answer.header("date")), (200, Some("Wed, 20 May 2026 00:30:00 GMT")));
    running.simulator.set_clock_offset(TimeDelta::hours(-24));
    let today = running.wallet(&format!("{REPORT}?start_date=2026-05-01&end_date=2026-05-19")).await;
    assert_eq!((today.status, today.header("date")), (422, Some("Mon, 18 May 2026 23:30:00 GMT")));
}

#[tokio::test]
async fn periods_are_named_as_documented_in_every_grain() {
    let running = quiet("2026-05-19T18:00:00Z").await;
    running.simulator.spend(moment("2026-05-01T14:10:00Z"), "api_request", "/api/v1/phone/dnc", usd("0.45"));
    for (grain, period) in
        [("hour", "2026-05-01T14:00:00"), ("day", "2026-05-01"), ("week", "2026-W18"), ("month", "2026-05")]
    {
        let query = format!("{REPORT}?start_date=2026-05-01&end_date=2026-05-15&group_by={grain}");
        assert_eq!(running.wallet(&query).await.json()["results"]["data"][0]["period"], period);
    }
    // The ISO year of the last days of December.
    running.simulator.spend(moment("2025-12-31T23:59:59Z"), "api_request", "", usd("1"));
    let query = format!("{REPORT}?start_date=2025-12-31&end_date=2025-12-31&group_by=week");
    assert_eq!(running.wallet(&query).await.json()["results"]["data"][0]["period"], "2026-W01");
}

#[tokio::test]
async fn one_origin_alone_is_reported() {
    let running = quiet("2026-05-19T18:00:00Z").await;
    let at = moment("2026-05-01T14:10:00Z");
    running.simulator.spend(at, "api_request", "/api/v1/phone/dnc", usd("0.45"));
    running.simulator.spend(at, "list_builder_ui", "/api/v1/property/search", usd("0.1"));
    let ask = async |origin: &str| {
        let query = format!("{REPORT}?start_date=2026-05-01&end_date=2026-05-15&origin={origin}");
        running.wallet(&query).await.text().to_owned()
    };
    let only = ask("list_builder_ui").await;
    assert!(only.contains(r#""total_debit":0.1000"#), "{only}");
    assert!(only.contains(r#""by_endpoint":{"/api/v1/property/search":0.1}"#), "{only}");
    assert!(ask("nobody").await.contains(r#""data":[]"#));
}

#[tokio::test]
async fn the_csv_report_is_a_streamed_attachment_of_all_transactions() {
    let running = quiet("2026-05-19T18:00:00Z").await;
    let simulator = &running.simulator;
    simulator.set_balance(usd("42.5"));
    let at = moment("2026-05-01T14:00:00Z");
    simulator.spend(at, "api_request", "/api/v1/property/lookup/all-attributes", usd("0.45"));
    simulator.credit(moment("2026-05-02T00:00:00Z"), "wallet_card_top_up", usd("100"));
    let answer = running.wallet(&format!("{REPORT}?start_date=2026-05-01&end_date=2026-05-15&format=csv")).await;
    assert_eq!(answer.header("content-disposition"), Some(r#"attachment; filename="wallet-consumption.csv""#));
    assert!(answer.header("content-type").unwrap().starts_with("text/csv"));
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(
        answer.text(),
        concat!(
            "Date,Type,Amount,Balance After,Origin,Reference ID,Endpoint,Description\n",
            "2026-05-01 14:00:00,Debit,0.45,42.05,api_request,req_canary000000,property-lookup-all-attributes,Canary description: property-lookup-all-attributes\n",
            "2026-05-02 00:00:00,Credit,100,142.05,wallet_card_top_up,req_canary000001,,Canary description: credit\n",
        )
    );
}

#[tokio::test]
async fn a_card_transaction_is_the_documents_row() {
    let running = quiet("2026-05-19T18:00:00Z").await;
    let at = Some("2026-05-15T14:30:21Z".parse().unwrap());
    let event = CardEvent { processing_fee: Some(usd("3.27")), at, ..CardEvent::paid(usd("100")) };
    running.simulator.card(&event);
    assert_eq!(
        running.wallet(&format!("{CARDS}?status=1&per_page=25")).await.text(),
        concat!(
            r#"{"results":{"data":[{"id":12345,"credits":100.0,"sales_tax_charge":8.25,"card_processing_fee":3.27,"#,
            r#""card_brand":"visa","card_last4":"9373","status":1,"created_at":"2026-05-15T14:30:21.000000Z"}],"#,
            r#""meta":{"current_page":1,"last_page":1,"per_page":25,"total":1}},"status":{"code":200,"message":"OK"}}"#
        )
    );
}

#[tokio::test]
async fn the_card_listing_is_paged_and_filtered() {
    let running = quiet("2026-05-19T18:00:00Z").await;
    for number in 0..73_i64 {
        let at = moment("2026-05-01T12:00:00Z") + TimeDelta::hours(6 * number);
        let event = CardEvent { status: Some(number % 3), at: Some(at), ..CardEvent::paid(usd("10")) };
        running.simulator.card(&event);
    }
    let first = running.wallet(CARDS).await;
    assert!(first.text().contains(r#""meta":{"current_page":1,"last_page":5,"per_page":15,"total":73}}"#));
    let mut ids = Vec::new();
    for page in 1..=5 {
        let json = running.wallet(&format!("{CARDS}?page={page}")).await.json();
        ids.extend(json["results"]["data"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()));
    }
    assert_eq!(ids, (12_345..12_345 + 73).rev().collect::<Vec<_>>());
    for (query, total) in [
        ("status=0", 25),
        ("start_date=2026-05-02&end_date=2026-05-02", 4),
        ("start_date=2026-05-19", 3),
        ("page=9", 73),
    ] {
        let json = running.wallet(&format!("{CARDS}?{query}")).await.json();
        assert_eq!(json["results"]["meta"]["total"], total, "{query}");
    }
    for query in [
        "per_page=101",
        "per_page=0",
        "page=0",
        "page=x",
        "status=3",
        "start_date=x",
        "start_date=2026-05-02&end_date=2026-05-01",
    ] {
        assert_eq!(running.wallet(&format!("{CARDS}?{query}")).await.status, 422, "{query}");
    }
    assert_eq!(running.wallet(&format!("{CARDS}?per_page=100")).await.status, 200);
}

#[tokio::test]
async fn one_foreign_batch_voids_the_whole_export() {
    let running = quiet("2026-05-17T19:24:12Z").await;
    let own = running.simulator.batch(vec![NewRow::success("Chase", 100)]);
    let foreign = running.simulator.foreign_batch();
    let unknown = "00000000-0000-4000-8000-000000000000";
    for (query, status) in [
        (String::new(), 400),
        ("?batch_ids=".to_owned(), 400),
        ("?batch_ids=not-a-uuid".to_owned(), 400),
        (format!("?batch_ids={own}&batch_ids=x"), 400),
        (format!("?batch_ids={own}"), 200),
        (format!("?batch_ids={own}&batch_ids={foreign}"), 403),
        (format!("?batch_ids={own}&batch_ids={unknown}"), 403),
    ] {
        let answer = running.checks(&format!("/v1/balances/csv{query}")).await;
        assert_eq!(answer.status, status, "{query}");
        assert_eq!(answer.header("content-disposition").is_some(), status == 200, "{query}");
    }
    assert_eq!(running.simulator.batch_ids(), std::slice::from_ref(&own));
    for status in [403, 404, 500] {
        running.simulator.refuse_batch(&own, Some(status));
        assert_eq!(running.checks(&format!("/v1/balances/csv?batch_ids={own}")).await.status, status);
    }
    running.simulator.refuse_batch(&own, None);
    assert_eq!(running.checks(&format!("/v1/balances/csv?batch_ids={own}")).await.status, 200);
}

#[tokio::test]
async fn metadata_columns_come_in_alphabetical_order_with_hard_texts_quoted() {
    let running = quiet("2026-05-17T19:24:12Z").await;
    let rows = || vec![NewRow::success("Savings, \"First\"\nof the Plains", -375)];
    let late = running.simulator.new_batch(None, false, "zone", rows());
    let early = running.simulator.new_batch(None, false, "campaign", rows());
    let empty = running.simulator.new_batch(None, false, "middle", Vec::new());
    let query = format!("?batch_ids={late}&batch_ids={early}&batch_ids={empty}");
    let answer = running.checks(&format!("/v1/balances/csv{query}")).await;
    let mut reader = csv::Reader::from_reader(answer.body.as_slice());
    let columns: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(columns[8..], ["Timestamp", "meta_campaign", "meta_zone"], "no row has metadata of the third batch");
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!((&row[2], &row[5]), ("Savings, \"First\"\nof the Plains", "-3.75"));
    }
    assert_eq!((rows[0][9].is_empty(), rows[0][10].contains('\n')), (true, true));
}

#[tokio::test]
async fn restatements_go_up_and_down_in_the_part_that_is_meant() {
    let running = quiet("2026-05-19T18:00:00Z").await;
    let simulator = &running.simulator;
    let path = "/api/v1/phone/dnc";
    simulator.spend(moment("2026-05-01T14:10:00Z"), "api_request", path, usd("10"));
    let day = "2026-05-01".parse().unwrap();
    simulator.restate(day, &Part::Total, usd("-1"), usd("0"));
    simulator.restate(day, &Part::Origin("api_request".to_owned()), usd("-2"), usd("0"));
    simulator.restate(day, &Part::Path(path.to_owned()), usd("3"), usd("0"));
    let everywhere = Part::Everywhere { origin: "api_request".to_owned(), path: path.to_owned() };
    simulator.restate(day, &everywhere, usd("0.5"), usd("0"));
    let expected = simulator.expected();
    assert_eq!(expected.total.debit, usd("9.5"));
    assert_eq!(expected.by_origin["api_request"].debit, usd("8.5"));
    assert_eq!(expected.by_path[path], usd("13.5"));
    assert_eq!(expected.by_day[&day].debit, usd("9.5"));
    assert_eq!(expected.balance, usd("-10"), "a restatement moves no money");
    let query = format!("{REPORT}?start_date=2026-05-01&end_date=2026-05-01&group_by=hour");
    let text = running.wallet(&query).await.text().to_owned();
    let expected = r#"{"period":"2026-05-01T14:00:00","debit":9.5,"credit":0,"by_origin":{"api_request":{"debit":8.5}},"by_endpoint":{"/api/v1/phone/dnc":13.5}}"#;
    assert!(text.contains(expected), "{text}");
}

#[tokio::test]
async fn more_requests_than_the_limit_are_refused_until_the_next_minute() {
    let running = start("2026-05-19T18:00:00Z", |options| options.requests_per_minute = 3).await;
    for expected in [200, 200, 200, 429] {
        assert_eq!(running.wallet("/api/v1/wallet/balance").await.status, expected);
    }
    running.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(running.wallet("/api/v1/wallet/balance").await.status, 200);
}

#[tokio::test]
async fn every_personal_field_carries_its_canary() {
    let running = quiet("2026-05-17T19:24:12Z").await;
    let id = running.simulator.batch(Vec::new());
    assert!(running.simulator.fill(&id, 60));
    running.simulator.spend(moment("2026-05-17T01:00:00Z"), "api_request", "", usd("1"));
    let checks = running.checks(&format!("/v1/balances/csv?batch_ids={id}")).await;
    let report = running.wallet(&format!("{REPORT}?start_date=2026-05-17&end_date=2026-05-17&format=csv")).await;
    let all = format!("{}{}", checks.text(), report.text());
    for canary in CANARIES {
        assert!(all.contains(canary), "{canary}");
    }
}
