//! The literal examples of the vendors' two documents, byte for byte.

use vendor_simulator::NewRow;
use wallet_exporter::money::Usd;

use super::wire::{moment, quiet};

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

#[tokio::test]
async fn the_balance_has_four_decimals() {
    let running = quiet("2026-05-19T18:43:21Z").await;
    running.simulator.set_balance(usd("42.5"));
    let answer = running.wallet("/api/v1/wallet/balance").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("date"), Some("Tue, 19 May 2026 18:43:21 GMT"));
    assert_eq!(
        answer.text(),
        r#"{"results":{"balance":42.5000,"currency":"USD","asOf":"2026-05-19T18:43:21+00:00"},"status":{"code":200,"message":"OK"}}"#
    );
}

#[tokio::test]
async fn the_report_is_the_documents_sample() {
    let running = quiet("2026-05-19T18:43:21Z").await;
    let at = moment("2026-05-01T14:10:00Z");
    let simulator = &running.simulator;
    simulator.spend(at, "address_verification_single_ui", "/api/v1/address/verify", usd("0.135"));
    simulator.spend(at, "phone_verification_single_ui", "/api/v1/phone/verification", usd("0.007"));
    // The sample's parts do not add up to its total.
    simulator.spend(at, "", "", usd("0.308"));
    simulator.spend(moment("2026-05-15T23:59:59Z"), "api_request", "", usd("12"));
    simulator.credit(moment("2026-05-02T00:00:00Z"), "wallet_card_top_up", usd("100"));
    let report = "/api/v1/wallet/consumption-report?start_date=2026-05-01&end_date=2026-05-15";
    let answer = running.wallet(&format!("{report}&group_by=hour")).await;
    assert_eq!(
        answer.text(),
        concat!(
            r#"{"results":{"summary":{"total_debit":12.4500,"total_credit":100.0000,"net_change":87.5500,"#,
            r#""period_start":"2026-05-01","period_end":"2026-05-15"},"data":["#,
            r#"{"period":"2026-05-01T14:00:00","debit":0.45,"credit":0,"#,
            r#""by_origin":{"address_verification_single_ui":{"debit":0.135},"phone_verification_single_ui":{"debit":0.007}},"#,
            r#""by_endpoint":{"/api/v1/address/verify":0.135,"/api/v1/phone/verification":0.007}},"#,
            r#"{"period":"2026-05-02T00:00:00","debit":0,"credit":100,"by_origin":{"wallet_card_top_up":{"credit":100}},"by_endpoint":{}},"#,
            r#"{"period":"2026-05-15T23:00:00","debit":12,"credit":0,"by_origin":{"api_request":{"debit":12}},"by_endpoint":{}}"#,
            r#"]},"status":{"code":200,"message":"OK"}}"#
        )
    );
    assert_eq!(running.wallet(report).await.text(), answer.text(), "hour is the default");
}

#[tokio::test]
async fn a_balance_check_is_the_documents_row() {
    let running = quiet("2026-05-17T19:24:12Z").await;
    let id = "8ac1f4a6-1234-4abc-9d3e-001122334455";
    let mut dashboard = NewRow::success("Bank of America", 284_351);
    dashboard.by_dashboard = true;
    let rows = vec![NewRow::failed("Wells Fargo", "NO_MATCH"), dashboard];
    running.simulator.new_batch(Some(id), false, "", rows);
    let answer = running.checks(&format!("/v1/balances/csv?batch_ids={id}")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(
        answer.header("content-disposition"),
        Some(r#"attachment; filename="batch-export-20260517T192412Z.csv""#)
    );
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(
        answer.text(),
        concat!(
            "Authorizer ID,Batch ID,Institution,Phone,Zip,Balance,Status,Creator,Timestamp\n",
            "authz-canary-000001,8ac1f4a6-1234-4abc-9d3e-001122334455,Wells Fargo,,99950-7391,,NO_MATCH,,2026-05-17T19:24:12+00:00\n",
            "authz-canary-000002,8ac1f4a6-1234-4abc-9d3e-001122334455,Bank of America,+15550137964,99950-7391,2843.51,SUCCESS,canary.creator@example.test,2026-05-17T19:24:12+00:00\n",
        )
    );
}
