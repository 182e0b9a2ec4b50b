//! A month's statement, against the simulator's books.

use rust_decimal::Decimal;
use vendor_simulator::{CardEvent, Fault, Operation, Part};
use wallet_exporter::app::SCHEMA;
use wallet_exporter::batchdata::history::HistoryError;
use wallet_exporter::batchdata::history::recorded::Recorded;
use wallet_exporter::batchdata::history::statement::{Statement, month};
use wallet_exporter::money::Usd;

use super::{Past, day};
use crate::rig::at;

fn digits(amount: Option<wallet_exporter::batchdata::history::statement::Amount>) -> Decimal {
    amount.unwrap().0.decimal()
}

async fn april(past: &Past) -> Statement {
    past.history().statement(day("2026-04-01"), &Recorded::default()).await.unwrap()
}

#[tokio::test]
async fn a_month_adds_up_to_the_books() {
    let past = Past::of_days(60).await;
    let statement = april(&past).await;
    assert_eq!((statement.from, statement.to), (day("2026-04-01"), day("2026-04-30")));
    let expected = past.rig.vendors.expected();
    let (mut debit, mut credit) = (Decimal::ZERO, Decimal::ZERO);
    for (_, flow) in expected.by_day.range(statement.from..=statement.to) {
        debit += flow.debit;
        credit += flow.credit;
    }
    assert_eq!((statement.debits_usd.0.decimal(), statement.credits_usd.0.decimal()), (debit, credit));
    assert_eq!(statement.top_ups_usd, statement.credits_usd, "this wallet is topped up by card alone");
    let origins: Decimal = statement.debits_by_origin_usd.values().map(|amount| amount.0.decimal()).sum();
    let paths: Decimal = statement.debits_by_api_path_usd.values().map(|amount| amount.0.decimal()).sum();
    assert_eq!((origins, paths), (debit, debit));
    let unattributed = |parts: &std::collections::BTreeMap<_, _>| digits(parts.get("(unattributed)").copied());
    assert!(unattributed(&statement.debits_by_origin_usd) > Decimal::ZERO);
    assert!((Decimal::ZERO..debit / Decimal::TWO).contains(&unattributed(&statement.debits_by_api_path_usd)));
    // Refunds by card move the balance and are in no report: that is the unreconciled amount.
    let difference = digits(statement.closing_balance_usd) - digits(statement.opening_balance_usd) - credit + debit;
    assert_eq!(digits(statement.unreconciled_usd), difference);
    assert_eq!(difference, -statement.card.as_ref().unwrap().refunded_usd.0.decimal());
    let card = statement.card.as_ref().unwrap();
    assert!(card.refunds > 0 && card.purchases > 0);
    let charged = card.purchased_usd.0 - card.refunded_usd.0 + card.processing_fees_usd.0 + card.sales_tax_usd.0;
    assert_eq!(charged, card.charged_usd.0);
    assert_eq!(statement.differences, [""; 0]);
    let next = past.history().statement(day("2026-05-01"), &Recorded::default()).await.unwrap();
    assert_eq!(next.to, day("2026-05-19"), "a month that runs ends today");
}

#[tokio::test]
async fn a_statement_is_printed_in_three_forms() {
    let past = Past::of_days(0).await;
    let vendors = &past.rig.vendors;
    vendors.set_balance(Usd::from_cents(5_000));
    vendors.spend(at("2026-04-03T10:00:00Z"), "api_request", "/api/v1/address/verify", Usd::from_cents(1_280));
    vendors.spend(at("2026-04-03T11:00:00Z"), "=1+1", "", Usd::from_ten_thousandths(7));
    let event = CardEvent { at: Some(at("2026-04-04T10:00:00Z")), ..CardEvent::paid(Usd::from_cents(10_000)) };
    vendors.card(&CardEvent {
        sales_tax: Some(Decimal::new(825, 2)),
        processing_fee: Some(Decimal::new(320, 2)),
        ..event
    });
    vendors.restate(day("2026-04-05"), &Part::Total, Usd::from_cents(12), Usd::ZERO);
    let statement = april(&past).await;
    insta::assert_snapshot!("statement_table", statement.table());
    assert_eq!(
        statement.csv(),
        "section,name,amount_usd\n\
         Opening balance,,50.00\n\
         Credits,,100.00\n\
         Credits by origin,wallet_card_top_up,100.00\n\
         Debits,,12.9207\n\
         Debits by origin,(unattributed),0.12\n\
         Debits by origin,'=1+1,0.0007\n\
         Debits by origin,api_request,12.80\n\
         Debits by API path,(unattributed),0.1207\n\
         Debits by API path,/api/v1/address/verify,12.80\n\
         Closing balance,,137.1993\n\
         Not reconciled,,0.12\n\
         Card,purchases,100.00\n\
         Card,refunds,0.00\n\
         Card,processing fees,3.20\n\
         Card,sales tax,8.25\n\
         Card,charged,111.45\n\
         Difference,\"2026-04-05: debits: the transactions add up to $0.00, the report says $0.12\",\n"
    );
    let json: serde_json::Value = serde_json::from_str(&statement.json()).unwrap();
    assert_eq!((&json["closing_balance_usd"], &json["currency"]), (&"137.1993".into(), &"USD".into()));
    assert_eq!(json["differences"][0], "2026-04-05: debits: the transactions add up to $0.00, the report says $0.12");
    // A month without a transaction: what is not known is no zero.
    let march = past.history().statement(day("2026-03-01"), &Recorded::default()).await.unwrap();
    assert_eq!((march.opening_balance_usd, march.unreconciled_usd), (None, None));
    assert!(march.table().contains("unknown") && march.json().contains("\"closing_balance_usd\": null"));
    let future = past.history().statement(day("2026-06-01"), &Recorded::default()).await;
    assert!(matches!(future, Err(HistoryError::Usage(_))));
    assert!(
        month("2026-10").is_ok()
            && ["2026-13", "2026", "2026-1", "2026-10-01", ""].iter().all(|text| month(text).is_err())
    );
}

#[tokio::test]
async fn what_the_vendor_may_no_longer_have_is_not_shown_as_nothing() {
    let past = Past::of_days(0).await;
    let statement = async |month| past.history().statement(day(month), &Recorded::default()).await;
    let refused = statement("2025-04-01").await.unwrap_err().to_string();
    assert!(
        refused.contains("the vendor has nothing of 2025-04") && refused.contains("from 2025-05-19 on"),
        "{refused}"
    );
    past.rig.vendors.spend(at("2025-05-25T10:00:00Z"), "api_request", "/x", Usd::from_cents(100));
    let incomplete = statement("2025-05-01").await.unwrap();
    let words = "days before 2025-05-19 may be missing: the vendor's report covers the last 365 days";
    assert_eq!(
        (incomplete.differences.as_slice(), digits(Some(incomplete.debits_usd))),
        (&[words.to_owned()][..], 1.into())
    );
    assert_eq!(statement("2025-06-01").await.unwrap().differences, [""; 0], "all of it is covered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_of_a_running_exporter_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let mut past = Past::of_days(60).await;
    past.rig.set("STORAGE_PATH", folder.path().to_str().unwrap());
    past.rig.start().await;
    past.rig.first_polls().await;
    let read = || Recorded::read(Some(folder.path()), SCHEMA, "default").unwrap();
    let month = day("2026-04-01");
    let same = past.history().statement(month, &read()).await.unwrap();
    assert_eq!(same.differences, [""; 0]);
    // The vendor restates a day that the exporter has not read again yet.
    let everywhere = Part::Everywhere { origin: "api_request".into(), path: "/api/v1/address/verify".into() };
    past.rig.vendors.restate(day("2026-04-10"), &everywhere, Usd::from_cents(100), Usd::ZERO);
    let changed = past.history().statement(month, &read()).await.unwrap();
    assert!(changed.differences.iter().any(|line| line.starts_with("2026-04-10: the exporter's ledger has debits of")));
}

#[tokio::test]
async fn without_the_permission_for_card_transactions_the_rest_is_printed() {
    let past = Past::of_days(60).await;
    let whole = april(&past).await;
    past.rig.vendors.set_permission(Operation::CreditCardTransactions, false);
    let statement = april(&past).await;
    assert_eq!((statement.debits_usd, statement.card.clone()), (whole.debits_usd, None));
    assert!(statement.differences[0].starts_with("what the card paid is unknown: "), "{:?}", statement.differences);
    assert!(statement.differences[0].contains("wallet-credit-card-transactions"), "{:?}", statement.differences);
    assert_eq!(statement.table().matches(" unknown\n").count(), 5, "{}", statement.table());
    assert!(statement.csv().contains("Card,charged,\n") && statement.json().contains("\"card\": null"));
}

#[tokio::test]
async fn what_is_spent_while_the_running_month_is_read_does_not_look_unreconciled() {
    let past = Past::of_days(0).await;
    let vendors = &past.rig.vendors;
    vendors.set_balance(Usd::from_cents(5_000));
    vendors.spend(at("2026-05-19T10:00:00Z"), "api_request", "/api/v1/address/verify", Usd::from_cents(100));
    // Between the transactions and the report that is read after them: both have to be asked twice, a while apart.
    vendors.fault(Operation::ConsumptionCsv, Fault::status(503), Some(1));
    let recorded = Recorded::default();
    let history = past.history();
    let statement = history.statement(day("2026-05-01"), &recorded);
    let spending = async {
        let asked =
            |operation: Operation| vendors.requests().iter().filter(|seen| seen.operation == Some(operation)).count();
        let pass = async || {
            past.rig.clock.advance(std::time::Duration::from_secs(1));
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        };
        while asked(Operation::ConsumptionCsv) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let before = asked(Operation::ConsumptionReport);
        vendors.fault(Operation::ConsumptionReport, Fault::status(503), Some(1));
        while asked(Operation::ConsumptionReport) == before {
            pass().await;
        }
        vendors.spend(at("2026-05-19T12:00:00Z"), "api_request", "/api/v1/address/verify", Usd::from_cents(300));
        loop {
            pass().await;
        }
    };
    let statement = tokio::select! { statement = statement => statement.unwrap(), () = spending => unreachable!() };
    assert_eq!(digits(statement.unreconciled_usd), Decimal::ZERO);
    assert_eq!(digits(Some(statement.debits_usd)), Decimal::from(4));
    assert_eq!(statement.differences, [""; 0]);
}

#[tokio::test]
async fn a_month_that_begins_with_neither_a_debit_nor_a_credit_has_no_opening_balance() {
    let past = Past::of_days(0).await;
    let text = "Date,Type,Amount,Balance After,Origin,Reference ID,Endpoint,Description\n\
                2026-04-02T10:00:00,Hold,5,95,api_request,,,\n\
                2026-04-02T11:00:00,Debit,2,93,api_request,,address-verify,\n";
    let body = Fault::Body { content_type: "text/csv".to_owned(), text: text.to_owned() };
    past.rig.vendors.fault(Operation::ConsumptionCsv, body, None);
    let statement = april(&past).await;
    assert_eq!((statement.opening_balance_usd, statement.unreconciled_usd), (None, None));
    assert_eq!(digits(statement.closing_balance_usd), Decimal::from(93));
    assert!(statement.differences[0].starts_with("the opening balance is unknown"), "{:?}", statement.differences);

    // Nor is the balance of an earlier row that at the end of the month.
    let text = text.replace("2026-04-02T11:00:00,Debit,2,93,", "2026-04-02T11:00:00,Debit,2,,");
    past.rig.vendors.clear_faults(None);
    let body = Fault::Body { content_type: "text/csv".to_owned(), text };
    past.rig.vendors.fault(Operation::ConsumptionCsv, body, None);
    let statement = april(&past).await;
    assert_eq!(statement.closing_balance_usd, None);
    assert!(statement.differences[1].starts_with("the closing balance is unknown"), "{:?}", statement.differences);
}
