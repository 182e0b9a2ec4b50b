//! The clients as the tests hold them: settings, one call for each endpoint, good answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use wallet_exporter::names::Label as _;

use chrono::{DateTime, NaiveDate, Utc};
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;
use wallet_exporter::batchdata::Grain;
use wallet_exporter::clock::ManualClock;
use wallet_exporter::config::secret::Secret;
use wallet_exporter::names::Operation;
use wallet_exporter::rightfoot::{CheckRow, RowReject, RowSink};
use wallet_exporter::upstream::{ClientSettings, Observe, RequestError, RequestLimits};
use wallet_exporter::{batchdata, rightfoot};

use super::fake::Reply;

pub const TOKEN: &str = "tok-do-not-tell-5f2a";
pub const BATCH: &str = "8ac1f4a6-1234-4abc-9d3e-001122334455";
pub const HEADER: &str = "Authorizer ID,Batch ID,Institution,Phone,Zip,Balance,Status,Creator,Timestamp";

/// Remembers what was observed.
#[derive(Default)]
pub struct Observed(Mutex<Vec<(Operation, Option<u16>, Duration)>>);

impl Observed {
    pub fn codes(&self) -> Vec<Option<u16>> {
        self.0.lock().unwrap().iter().map(|(_, code, _)| *code).collect()
    }
}

impl Observe for Observed {
    fn request(&self, operation: Operation, code: Option<u16>, _: u64, took: Duration) {
        self.0.lock().unwrap().push((operation, code, took));
    }
}

pub fn noon() -> DateTime<Utc> {
    "2026-05-19T12:00:00Z".parse().unwrap()
}

pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

pub fn batch() -> Uuid {
    BATCH.parse().unwrap()
}

pub fn settings(base_url: Url) -> ClientSettings {
    settings_at(base_url, &ManualClock::new(noon()))
}

pub fn settings_at(base_url: Url, clock: &ManualClock) -> ClientSettings {
    ClientSettings {
        base_url,
        secret: Secret::fixed(SecretString::from(TOKEN)),
        requests_per_minute: 10_000,
        clock: Arc::new(clock.clone()),
        limits: RequestLimits::default(),
        observer: Arc::new(Observed::default()),
        extra_roots: Vec::new(),
        transport: None,
        clients: Arc::default(),
        rate_limit: Arc::default(),
    }
}

/// Writes rows down.
#[derive(Debug, Default, PartialEq)]
pub struct Rows {
    pub taken: Vec<String>,
    pub rejected: Vec<(RowReject, Option<Uuid>)>,
}

impl RowSink for Rows {
    fn row(&mut self, row: &CheckRow<'_>) {
        let balance = row.balance.map_or("-".to_owned(), |balance| balance.to_string());
        let institution = row.institution;
        let (status, via) = (row.status.as_str(), row.via.as_str());
        assert_eq!(row.batch_id, batch());
        self.taken.push(format!("{institution}|{balance}|{status}|{via}|{}", row.timestamp.format("%FT%T")));
    }

    fn rejected(&mut self, reason: RowReject, batch_id: Option<Uuid>) {
        self.rejected.push((reason, batch_id));
    }
}

pub const BALANCE: Operation = batchdata::BALANCE.operation;
pub const CONSUMPTION: Operation = batchdata::CONSUMPTION.operation;
pub const CARDS: Operation = batchdata::CARD_TRANSACTIONS.operation;
pub const BATCHES: Operation = rightfoot::BATCHES.operation;
pub const OPERATIONS: [Operation; 4] = [BALANCE, CONSUMPTION, CARDS, BATCHES];

/// Calls an endpoint; a success is told as text.
pub async fn call(operation: Operation, settings: ClientSettings) -> Result<String, RequestError> {
    let dates = (day("2026-05-01"), day("2026-05-19"));
    match operation {
        BALANCE => {
            let balance = batchdata::Client::new(settings, true).unwrap().balance().await?;
            Ok(format!("{} at {}", balance.amount, balance.as_of.format("%FT%TZ")))
        }
        CONSUMPTION => {
            let report =
                batchdata::Client::new(settings, true).unwrap().consumption(dates.0, dates.1, Grain::Day).await?;
            Ok(format!("{:?}", report.days))
        }
        CARDS => {
            let rows =
                batchdata::Client::new(settings, true).unwrap().card_transactions(Some(dates.0), Some(dates.1)).await?;
            Ok(format!("{rows:?}"))
        }
        _ => {
            let mut rows = Rows::default();
            let summary = rightfoot::Client::new(settings).unwrap().balances_csv(&[batch()], &mut rows).await?;
            assert_eq!((summary.rows, summary.rejected), (rows.taken.len() as u64, rows.rejected.len() as u64));
            Ok(rows.taken.join("; "))
        }
    }
}

/// A good body.
pub fn good_body(operation: Operation) -> String {
    match operation {
        BALANCE => enveloped(r#"{"balance":42.5000,"currency":"USD","asOf":"2026-05-19T11:43:21+00:00"}"#),
        CONSUMPTION => report("[]", 0, 0),
        CARDS => page(&[], 1, 1, 0),
        _ => format!("{HEADER}\n{}\n", row("12.50", "SUCCESS")),
    }
}

/// A good answer.
pub fn good(operation: Operation) -> Reply {
    Reply::ok(content_type(operation), good_body(operation))
}

pub fn content_type(operation: Operation) -> &'static str {
    if operation == rightfoot::BATCHES.operation { "text/csv; charset=utf-8" } else { "application/json" }
}

pub fn enveloped(results: &str) -> String {
    format!(r#"{{"results":{results},"status":{{"code":200,"message":"OK"}}}}"#)
}

/// A consumption report with these periods, whose summary is in cents.
pub fn report(data: &str, debit_cents: i64, credit_cents: i64) -> String {
    let money = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
    enveloped(&format!(
        r#"{{"summary":{{"total_debit":{},"total_credit":{},"net_change":0,"period_start":"2026-05-01","period_end":"2026-05-19"}},"data":{data}}}"#,
        money(debit_cents),
        money(credit_cents),
    ))
}

/// A page of card transactions.
pub fn page(rows: &[String], current: u32, last: u32, total: u64) -> String {
    enveloped(&format!(
        r#"{{"data":[{}],"meta":{{"current_page":{current},"last_page":{last},"per_page":100,"total":{total}}}}}"#,
        rows.join(",")
    ))
}

/// A card transaction.
pub fn card(id: i64) -> String {
    format!(
        r#"{{"id":{id},"credits":50.00,"sales_tax_charge":4.13,"card_processing_fee":1.50,"card_brand":"visa","card_last4":"4242","status":1,"created_at":"2026-05-15T14:30:21.000000Z"}}"#
    )
}

/// A row of the export.
pub fn row(balance: &str, status: &str) -> String {
    format!(
        "authz-001,{BATCH},Bank of America,+15551234567,10001,{balance},{status},jane.doe@acme.com,2026-05-17T19:24:12+00:00"
    )
}
