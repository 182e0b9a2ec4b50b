//! `cargo bench --bench report_intake`: a consumption report of a year of hours, 8 MB, exact, against typed serde with
//! `f64`. Ours also adds the hours up by day and judges them.

#![allow(clippy::unwrap_used, reason = "a bench, as a test, stops at the first surprise")]

#[path = "stopwatch.rs"]
mod stopwatch;

use std::collections::HashMap;
use std::fmt::Write;

use chrono::{NaiveDate, TimeDelta};
use serde::Deserialize;
use wallet_exporter::batchdata::Grain;
use wallet_exporter::batchdata::intake::read_consumption;
use wallet_exporter::money::Usd;

const ORIGINS: [&str; 5] =
    ["api_request", "list_builder_ui", "wallet_card_top_up", "address_verification_single_ui", "admin_adjustment"];

fn report(from: NaiveDate, days: i64) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut data, mut debit, mut credit) = (String::new(), 0_u64, 0_u64);
    for hour in 0..days * 24 {
        let at = from.and_hms_opt(0, 0, 0).unwrap() + TimeDelta::hours(hour);
        let mut amount = || {
            let units = random.u64(..1_000_000);
            (units, format!("{}.{:04}", units / 10_000, units % 10_000))
        };
        let (spent, spent_text) = amount();
        let (paid, paid_text) = amount();
        debit += spent;
        credit += paid;
        if hour > 0 {
            data.push(',');
        }
        write!(data, r#"{{"period":"{}","debit":{spent_text},"credit":{paid_text},"by_origin":{{"#, at.format("%FT%T"))
            .unwrap();
        for (index, origin) in ORIGINS.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(data, r#"{comma}"{origin}":{{"debit":{},"credit":{}}}"#, amount().1, amount().1).unwrap();
        }
        data.push_str(r#"},"by_endpoint":{"#);
        for index in 0..11 {
            let comma = if index == 0 { "" } else { "," };
            write!(data, r#"{comma}"/api/v1/property/lookup/kind-{index:02}":{}"#, amount().1).unwrap();
        }
        data.push_str("}}");
    }
    let money = |units: u64| format!("{}.{:04}", units / 10_000, units % 10_000);
    format!(
        r#"{{"results":{{"summary":{{"total_debit":{},"total_credit":{},"net_change":0}},"data":[{data}]}},"status":{{"code":200,"message":"OK"}}}}"#,
        money(debit),
        money(credit)
    )
}

#[derive(Deserialize)]
struct Answer {
    results: Results,
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    code: u16,
}

#[derive(Deserialize)]
struct Results {
    summary: Summary,
    data: Vec<Period>,
}

#[derive(Deserialize)]
struct Summary {
    total_debit: f64,
    total_credit: f64,
}

#[derive(Deserialize)]
struct Period {
    period: String,
    debit: f64,
    credit: f64,
    by_origin: HashMap<String, Flow>,
    by_endpoint: HashMap<String, f64>,
}

#[derive(Deserialize)]
struct Flow {
    #[serde(default)]
    debit: f64,
    #[serde(default)]
    credit: f64,
}

/// Parses, and looks at every number once, so that none is left out.
fn typed(body: &[u8]) -> u64 {
    let answer: Answer = serde_json::from_slice(body).unwrap();
    assert!(answer.status.code < 400);
    let mut rest = 0.0;
    let mut debit = 0.0;
    for period in &answer.results.data {
        assert_eq!(period.period.len(), 19);
        debit += period.debit;
        rest += period.credit + period.by_origin.values().map(|flow| flow.debit + flow.credit).sum::<f64>();
        rest += period.by_endpoint.values().sum::<f64>();
    }
    assert!(rest > answer.results.summary.total_credit && (answer.results.summary.total_debit - debit).abs() < 0.01);
    (debit * 100.0).round() as u64
}

fn ours(body: &[u8], from: NaiveDate, to: NaiveDate) -> u64 {
    let report = read_consumption(body, from, to, Grain::Hour).unwrap();
    let debit: Usd = report.days.values().map(|day| day.total.debit).sum();
    let cents = (debit.decimal() * rust_decimal::Decimal::ONE_HUNDRED).round();
    u64::try_from(cents.mantissa()).unwrap()
}

fn main() {
    let days = if std::env::args().any(|argument| argument == "--test") { 3 } else { 365 };
    let from = NaiveDate::from_ymd_opt(2025, 5, 1).unwrap();
    let to = from + TimeDelta::days(days - 1);
    let body = report(from, days).into_bytes();
    stopwatch::compare(
        "consumption report",
        body.len(),
        &mut [
            ("ours, exact, added up by day, judged", &mut || ours(&body, from, to)),
            ("typed serde, f64, parsed alone", &mut || typed(&body)),
        ],
    );
}
