//! The storage together with something else: webhooks, lists, older copies.

use std::path::Path;
use std::time::Duration;

use uuid::Uuid;
use vendor_simulator::NewRow;
use wallet_exporter::app::SCHEMA;
use wallet_exporter::store::FILE_NAME;

use super::migration::rig_on_the_fixture;
use super::shim::Switch;
use super::{fixture, user_version};
use crate::rig::Rig;
use crate::webhook::{SECRET, event, post};

const SUCCESS: &str = r#"rightfoot_balance_checks_total{account="default",status="success",submitted_via="api"}"#;

fn rows(count: i64) -> Vec<NewRow> {
    (0..count).map(|number| NewRow::success("Chase", number)).collect()
}

async fn until_settled(rig: &Rig, count: f64) {
    let settled = r#"rightfoot_batches{account="default",state="settled"}"#;
    for _ in 0..60 {
        if rig.value(settled) == Some(count) {
            return;
        }
        rig.clock.advance(Duration::from_secs(900));
        rig.poll(&["batches"]).await;
    }
    panic!("never {count} settled\n{}", rig.metrics());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_old_ledger_on_a_full_disk_takes_no_webhook_and_counts_its_batch_once_when_it_can() {
    let name = "storage::together::an_old_ledger_on_a_full_disk_takes_no_webhook_and_counts_its_batch_once_when_it_can";
    let Some(switch) = Switch::of(name) else { return };
    for error in ["EROFS", "ENOSPC"] {
        let place = switch.place();
        let file = place.path().join(FILE_NAME);
        std::fs::copy(fixture(1), &file).unwrap();
        let mut rig = rig_on_the_fixture(place.path()).await;
        rig.set("RIGHTFOOT_WEBHOOK_SECRET", SECRET);
        switch.on(error);
        rig.start().await;
        let before = rig.value(SUCCESS).unwrap();
        let settled = rig.value(r#"rightfoot_batches{account="default",state="settled"}"#);
        let batch = rig.vendors.batch(rows(3));
        let webhook = rig.webhook().unwrap();
        let send = |number: u128| {
            post(webhook, &format!("/webhooks/rightfoot/{SECRET}"), &event(Uuid::from_u128(number), &batch))
        };
        assert_eq!(send(1), 503, "{error}: it could not be kept");
        rig.poll(&["batches"]).await;
        assert_eq!((rig.value(SUCCESS), rig.value("wallet_exporter_storage_up")), (Some(before), Some(0.0)), "{error}");
        switch.off();
        rig.poll(&["balance", "batches"]).await;
        rig.until("the storage works", |rig| rig.value("wallet_exporter_storage_up") == Some(1.0)).await;
        assert_eq!((send(1), send(1)), (200, 200), "{error}: sent again, and again");
        until_settled(&rig, settled.unwrap_or(2.0) + 1.0).await;
        assert_eq!(rig.value(SUCCESS), Some(before + 3.0), "{error}");
        rig.stop().await;
        assert_eq!(user_version(&file), SCHEMA.version(), "{error}: migrated");
        rig.start().await;
        rig.first_polls().await;
        assert_eq!(rig.value(SUCCESS), Some(before + 3.0), "{error}: durable");
        rig.stop().await;
    }
}

/// The database as it is while nobody has it open.
fn copy(directory: &Path) -> Vec<u8> {
    std::fs::read(directory.join(FILE_NAME)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_that_is_put_back_while_the_list_is_edited_counts_each_batch_once() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let ids = directory.path().join("ids");
    let mut rig = Rig::new().await;
    rig.set("RIGHTFOOT_BATCH_IDS_FILE", ids.to_str().unwrap());
    rig.set("STORAGE_PATH", data.to_str().unwrap());
    rig.set("RIGHTFOOT_COUNT_SINCE", "2026-05-01");
    rig.set("BATCHDATA_SOURCES", "balance");
    let list = |batches: &[&String]| {
        std::fs::write(&ids, batches.iter().map(|id| format!("{id}\n")).collect::<String>()).unwrap();
    };
    let (first, open) = (rig.vendors.batch(rows(2)), rig.vendors.batch(rows(30)));
    list(&[&first]);
    rig.start().await;
    until_settled(&rig, 1.0).await;
    list(&[&first, &open]);
    rig.clock.advance(Duration::from_secs(60));
    let listed = |rig: &Rig, state: &str, count| {
        rig.value(&format!(r#"rightfoot_batches{{account="default",state="{state}"}}"#)) == Some(count)
    };
    rig.until("the second is open", |rig| listed(rig, "open", 1.0)).await;
    rig.stop().await;
    let older = copy(&data);

    rig.start().await;
    let third = rig.vendors.batch(rows(100));
    list(&[&first, &open, &third]);
    rig.clock.advance(Duration::from_secs(60));
    until_settled(&rig, 3.0).await;
    assert_eq!(rig.value(SUCCESS), Some(132.0));
    rig.stop().await;

    std::fs::write(data.join(FILE_NAME), older).unwrap();
    let fourth = rig.vendors.batch(rows(1_000));
    list(&[&open, &fourth, &third]);
    rig.start().await;
    assert_eq!(rig.value(SUCCESS), None, "the copy is too old to be served before a poll");
    until_settled(&rig, 4.0).await;
    assert_eq!(rig.value(SUCCESS), Some(1_132.0), "each once: the first is not listed any more and stays counted");
    list(&[&first, &open, &third, &fourth]);
    rig.clock.advance(Duration::from_secs(60));
    rig.stop().await;
    rig.start().await;
    for _ in 0..8 {
        rig.clock.advance(Duration::from_secs(900));
        rig.poll(&["batches"]).await;
    }
    assert_eq!(rig.value(SUCCESS), Some(1_132.0), "a settled batch that returns to the list is not counted again");
}
