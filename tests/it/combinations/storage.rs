//! A storage that fails while something else happens.

use std::time::Duration;

use chrono::TimeDelta;
use vendor_simulator::{CardEvent, Fault, NewRow, Operation, Part};
use wallet_exporter::clock::Clock as _;
use wallet_exporter::money::Usd;
use wallet_exporter::store::{StorageFault, StorageFaultKind};

use crate::rig::Rig;
use crate::webhook::{SECRET, event, post};

const STORAGE_UP: &str = "wallet_exporter_storage_up";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_one_failed_webhook_the_storage_is_up_with_the_next_poll_even_of_a_vendor_that_is_down() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = crate::webhook::rig(directory.path().to_str().unwrap()).await;
    rig.start().await;
    rig.first_polls().await;
    let (address, path) = (rig.webhook().unwrap(), format!("/webhooks/rightfoot/{SECRET}"));
    let batch = rig.vendors.batch(vec![NewRow::success("Chase", 100)]);
    rig.store().set_fault(Some(StorageFault { skip: 0, kind: StorageFaultKind::ReadOnly }));
    assert_eq!(post(address, &path, &event(uuid::Uuid::from_u128(1), &batch)), 503);
    assert_eq!(rig.value(STORAGE_UP), Some(0.0));
    rig.store().set_fault(None);
    for operation in Operation::ALL {
        rig.vendors.fault(operation, Fault::status(503), None);
    }
    rig.poll(&["balance"]).await;
    rig.until("the storage is up", |rig| rig.value(STORAGE_UP) == Some(1.0)).await;
    assert_eq!(rig.source("up", "balance"), Some(0.0));
    assert_eq!(post(address, &path, &event(uuid::Uuid::from_u128(1), &batch)), 200, "what was refused is taken now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_read_that_could_not_be_kept_is_not_repeated_at_every_pass() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::new().await;
    rig.set("STORAGE_PATH", directory.path().to_str().unwrap());
    rig.start().await;
    rig.first_polls().await;
    rig.clock.advance(Duration::from_secs(24 * 3_600));
    rig.store().set_fault(Some(StorageFault { skip: 0, kind: StorageFaultKind::ReadOnly }));
    rig.poll(&["consumption", "card_transactions"]).await;
    rig.vendors.clear_requests();
    let begin = rig.clock.boot();
    while rig.clock.boot().since(begin) < Duration::from_secs(3_000) {
        rig.poll(&["consumption", "card_transactions"]).await;
    }
    let first_day = |seen: &vendor_simulator::Seen| {
        seen.query.iter().find(|(name, _)| name == "start_date").map(|(_, day)| day.clone())
    };
    for operation in [Operation::ConsumptionReport, Operation::CreditCardTransactions] {
        let requests = rig.vendors.requests();
        let long = requests
            .iter()
            .filter(|seen| seen.operation == Some(operation))
            .filter(|seen| first_day(seen).is_some_and(|day| day.as_str() < "2026-01-01"));
        assert!(long.count() <= 1, "{operation:?} within an hour");
    }
}

/// Other accounts whose vendor hangs may hold all permits for a long time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_other_accounts_read_long_histories_the_short_polls_of_an_account_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::new().await;
    rig.set("STORAGE_PATH", directory.path().to_str().unwrap());
    rig.start().await;
    rig.first_polls().await;
    let debit = |rig: &Rig| rig.value(r#"batchdata_wallet_debit_usd_total{account="default"}"#).unwrap();
    let before = debit(&rig);
    let held = rig.long_reads.acquire_many(8).await.unwrap();
    rig.clock.advance(Duration::from_secs(24 * 3_600));
    let old = (rig.clock.now() - TimeDelta::days(30)).date_naive();
    rig.vendors.restate(old, &Part::Total, Usd::from_cents(500), Usd::ZERO);
    rig.vendors.spend(rig.vendors.now(), "api_request", "/api/v1/x", Usd::from_cents(300));
    for _ in 0..4 {
        rig.poll(&["consumption"]).await;
    }
    assert_eq!((debit(&rig), rig.source("up", "consumption")), (before + 3.0, Some(1.0)));
    drop(held);
    rig.poll(&["consumption"]).await;
    rig.until("all days are read", |rig| debit(rig) == before + 8.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_of_an_old_storage_are_back_soon_after_a_storage_that_failed_at_the_start_works() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::new().await;
    rig.set("STORAGE_PATH", directory.path().to_str().unwrap());
    rig.vendors.card(&CardEvent::failed(Usd::from_cents(100)));
    rig.start().await;
    rig.first_polls().await;
    rig.stop().await;
    rig.clock.advance(Duration::from_secs(7 * 24 * 3_600));
    for operation in Operation::ALL {
        rig.vendors.fault(operation, Fault::status(503), Some(1));
    }
    rig.start().await;
    rig.first_polls().await;
    rig.store().set_fault(Some(StorageFault { skip: 0, kind: StorageFaultKind::Full }));
    let counters = ["batchdata_wallet_debit_usd_total{", "batchdata_card_transactions_total{"];
    let shown = |rig: &Rig| counters.map(|family| rig.metrics().contains(&format!("\n{family}")));
    for _ in 0..3 {
        rig.poll(&["consumption", "card_transactions"]).await;
    }
    assert_eq!(shown(&rig), [false; 2], "they may be an older copy's");
    rig.store().set_fault(None);
    let works = rig.clock.boot();
    while shown(&rig) != [true; 2] {
        assert!(rig.clock.boot().since(works) < Duration::from_secs(2_400), "{:?}", shown(&rig));
        rig.poll(&["consumption", "card_transactions"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_is_not_taken_for_a_young_one_after_a_short_read_that_could_be_written() {
    let failed = r#"kind="top_up",status="failed",card_brand="visa""#;
    for (source, series, counted) in [
        ("consumption", r#"batchdata_wallet_debit_usd_total{account="default"}"#.to_owned(), 5.0),
        ("card_transactions", format!(r#"batchdata_card_transactions_total{{account="default",{failed}}}"#), 1.0),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (data, copy) = (directory.path().join("data"), directory.path().join("copy"));
        let mut rig = Rig::new().await;
        // Alone, because the end of another source's attempt would find out that the storage works.
        rig.set("BATCHDATA_SOURCES", source);
        for name in ["RIGHTFOOT_API_KEY", "RIGHTFOOT_BASE_URL"] {
            rig.settings.remove(name);
        }
        rig.set("STORAGE_PATH", data.to_str().unwrap());
        rig.start().await;
        rig.first_polls().await;
        rig.stop().await;
        std::fs::create_dir(&copy).unwrap();
        for name in [wallet_exporter::store::FILE_NAME, "wallet-exporter.lock"] {
            std::fs::copy(data.join(name), copy.join(name)).unwrap();
        }
        rig.start().await;
        rig.first_polls().await;
        // Late, so that only a read of all days brings it: the second of the next day.
        let late = rig.vendors.now() - TimeDelta::days(10);
        rig.vendors.spend(late, "api_request", "/api/v1/address/verify", Usd::from_cents(500));
        rig.vendors.card(&CardEvent { at: Some(late), ..CardEvent::failed(Usd::from_cents(100)) });
        rig.clock.advance(Duration::from_secs(24 * 3_600));
        for _ in 0..3 {
            rig.poll(&[source]).await;
        }
        assert_eq!(rig.value(&series), Some(counted));
        rig.stop().await;
        // The copy is put back a week later, and the first long read cannot be written.
        rig.clock.advance(Duration::from_secs(7 * 24 * 3_600));
        rig.set("STORAGE_PATH", copy.to_str().unwrap());
        let fail_once =
            |rig: &Rig| Operation::ALL.map(|operation| rig.vendors.fault(operation, Fault::status(503), Some(1)));
        fail_once(&rig);
        rig.start().await;
        rig.first_polls().await;
        rig.store().set_fault(Some(StorageFault { skip: 0, kind: StorageFaultKind::Full }));
        rig.poll(&[source]).await;
        rig.until("the storage is down", |rig| rig.value(STORAGE_UP) == Some(0.0)).await;
        rig.store().set_fault(None);
        rig.poll(&[source]).await;
        rig.stop().await;
        fail_once(&rig);
        rig.start().await;
        rig.first_polls().await;
        let shown = rig.value(&series);
        assert!(shown.is_none_or(|shown| shown >= counted), "{series} is {shown:?}, and was {counted}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_of_events_for_one_batch_costs_neither_rows_nor_requests() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = crate::webhook::rig(directory.path().to_str().unwrap()).await;
    rig.start().await;
    rig.first_polls().await;
    let (address, path) = (rig.webhook().unwrap(), format!("/webhooks/rightfoot/{SECRET}"));
    let batch = rig.vendors.batch(vec![NewRow::success("Chase", 100)]);
    post(address, &path, &event(uuid::Uuid::from_u128(1), &batch));
    rig.until("the batch is looked at", |rig| {
        rig.value(r#"rightfoot_open_balance_checks{account="default",status="success",submitted_via="api"}"#)
            == Some(1.0)
    })
    .await;
    let size = || -> u64 {
        let entries = std::fs::read_dir(directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    let before = size();
    rig.vendors.clear_requests();
    for number in 2..500 {
        assert_eq!(post(address, &path, &event(uuid::Uuid::from_u128(number), &batch)), 200);
    }
    assert!(size() <= before + 64 * 1024, "{} bytes more", size() - before);
    let asked = rig.vendors.requests().iter().filter(|seen| seen.operation == Some(Operation::BalancesCsv)).count();
    assert!(asked <= 2, "{asked} requests");
    // And it settles all the same.
    for _ in 0..12 {
        rig.poll(&["batches"]).await;
        post(address, &path, &event(uuid::Uuid::new_v4(), &batch));
    }
    rig.until("settled", |rig| rig.value(r#"rightfoot_batches{account="default",state="settled"}"#) == Some(1.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_webhook_for_a_settled_batch_while_the_storage_cannot_be_read_counts_it_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = crate::webhook::rig(directory.path().to_str().unwrap()).await;
    rig.start().await;
    rig.first_polls().await;
    let (address, path) = (rig.webhook().unwrap(), format!("/webhooks/rightfoot/{SECRET}"));
    let batch = rig.vendors.batch((0..7).map(|number| NewRow::success("Chase", number)).collect());
    assert_eq!(post(address, &path, &event(uuid::Uuid::from_u128(1), &batch)), 200);
    let settled = |rig: &Rig| rig.value(r#"rightfoot_batches{account="default",state="settled"}"#) == Some(1.0);
    for _ in 0..20 {
        if settled(&rig) {
            break;
        }
        rig.poll(&["batches"]).await;
    }
    assert!(settled(&rig));
    for skip in 0..4 {
        rig.store().set_fault(Some(StorageFault { skip, kind: StorageFaultKind::Io }));
        post(address, &path, &event(uuid::Uuid::new_v4(), &batch));
        rig.poll(&["batches"]).await;
        rig.store().set_fault(None);
        for _ in 0..8 {
            rig.poll(&["batches"]).await;
        }
    }
    let counted = r#"rightfoot_balance_checks_total{account="default",status="success",submitted_via="api"}"#;
    assert_eq!((rig.value(counted), settled(&rig)), (Some(7.0), true));
}
