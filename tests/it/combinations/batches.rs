//! Lists of batches, webhooks, refusals and the storage.

use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;
use vendor_simulator::{CsvChange, Fault, NewRow, Operation};
use wallet_exporter::app::SCHEMA;
use wallet_exporter::clock::{Clock as _, Moment};
use wallet_exporter::rightfoot;
use wallet_exporter::rightfoot::batches::batch::{Batch, BatchState};
use wallet_exporter::rightfoot::batches::table::{BatchesCommit, Noted};
use wallet_exporter::store::{Store, Success};

use super::until_up;
use crate::rig::{Log, Rig, at};

const SUCCESS: &str = r#"rightfoot_balance_checks_total{account="default",status="success",submitted_via="api"}"#;

fn rows(count: i64) -> Vec<NewRow> {
    (0..count).map(|number| NewRow::success("Chase", 100 + number)).collect()
}

fn batches(rig: &Rig, state: &str) -> Option<f64> {
    rig.value(&format!(r#"rightfoot_batches{{account="default",state="{state}"}}"#))
}

/// A rig whose ids come from a file and whose rows all count.
async fn listed(directory: &Path, ids: &[String]) -> Rig {
    let mut rig = Rig::new().await;
    let file = directory.join("ids");
    std::fs::write(&file, ids.join("\n")).unwrap();
    rig.set("RIGHTFOOT_BATCH_IDS_FILE", file.to_str().unwrap());
    rig.set("STORAGE_PATH", directory.join("data").to_str().unwrap());
    rig.set("RIGHTFOOT_COUNT_SINCE", "2026-05-01");
    rig.set("BATCHDATA_SOURCES", "balance");
    rig
}

async fn until_settled(rig: &Rig, count: f64) {
    for _ in 0..40 {
        if batches(rig, "settled") == Some(count) {
            return;
        }
        rig.clock.advance(Duration::from_secs(900));
        rig.poll(&["batches"]).await;
    }
    panic!("never {count} settled\n{}", rig.metrics());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settled_batch_that_is_still_listed_after_400_days_is_not_counted_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = listed(directory.path(), &[]).await;
    let first = rig.vendors.batch(rows(7));
    std::fs::write(directory.path().join("ids"), &first).unwrap();
    rig.start().await;
    rig.first_polls().await;
    until_settled(&rig, 1.0).await;
    assert_eq!(rig.value(SUCCESS), Some(7.0));
    rig.clock.advance(Duration::from_secs(401 * 24 * 3_600));
    rig.poll(&["batches"]).await;
    rig.poll(&["batches"]).await;
    let second = rig.vendors.batch(rows(1));
    std::fs::write(directory.path().join("ids"), format!("{first}\n{second}\n")).unwrap();
    rig.clock.advance(Duration::from_secs(6));
    rig.until("the new id is followed", |rig| batches(rig, "open") == Some(1.0)).await;
    until_settled(&rig, 2.0).await;
    assert_eq!(rig.value(SUCCESS), Some(8.0));
    // Nor after it left the list for so long that its details are forgotten.
    std::fs::write(directory.path().join("ids"), &second).unwrap();
    for _ in 0..2 {
        rig.clock.advance(Duration::from_secs(401 * 24 * 3_600));
        rig.poll(&["batches"]).await;
    }
    std::fs::write(directory.path().join("ids"), format!("{first}\n{second}\n")).unwrap();
    rig.clock.advance(Duration::from_secs(6));
    for _ in 0..15 {
        rig.poll(&["batches"]).await;
    }
    assert_eq!((rig.value(SUCCESS), batches(&rig, "settled")), (Some(8.0), Some(2.0)));
}

#[test]
fn no_write_makes_a_settled_batch_open_again() {
    let (store, _) = Store::open(None, at("2026-05-19T12:00:00Z"), SCHEMA).unwrap();
    let account = store.account(rightfoot::VENDOR, "default").unwrap();
    let now = Moment { wall: at("2026-05-19T12:00:00Z"), boot: wallet_exporter::clock::BootTime::default() };
    let id = Uuid::from_u128(7);
    let success = Success {
        account,
        source: rightfoot::BATCHES,
        at: None,
        boot_id: String::new(),
        count_since: now.wall,
        configured_since: None,
        answer: None,
    };
    let commit = |batch: &Batch| {
        let batches = [batch];
        let commit = BatchesCommit {
            success: &success,
            now,
            batches: &batches,
            totals: None,
            institutions: &[],
            new_series: &[],
        };
        store.commit_batches(&commit).unwrap();
    };
    let mut batch = Batch::new(id, now);
    commit(&batch);
    let read_before = store.batch(account, id, now).unwrap().unwrap();
    batch.state = BatchState::Settled;
    commit(&batch);
    // Whoever read it before it settled writes it back now.
    commit(&read_before);
    assert_eq!(store.batch(account, id, now).unwrap().unwrap().state, BatchState::Settled);
    assert_eq!(store.note_completed(account, id, true, now).unwrap(), Noted::Settled);
    assert_eq!(store.batch(account, id, now).unwrap().unwrap().state, BatchState::Settled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_row_without_a_batch_counts_once_through_regrouping_and_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = listed(directory.path(), &[]).await;
    let ids: Vec<String> = (0..5).map(|_| rig.vendors.batch(rows(2))).collect();
    std::fs::write(directory.path().join("ids"), ids.join("\n")).unwrap();
    // Of the second batch, wherever its rows stand in an answer, one has a column too many.
    rig.vendors.break_row(&ids[1], 0);
    rig.start().await;
    rig.first_polls().await;
    let rejected = r#"rightfoot_balance_check_rows_rejected_total{account="default",reason="columns"}"#;
    assert_eq!(rig.value(rejected), Some(1.0));
    for list in [&ids[..], &ids[1..], &ids[..3], &ids[1..2], &ids[..]] {
        std::fs::write(directory.path().join("ids"), list.join("\n")).unwrap();
        rig.clock.advance(Duration::from_secs(6));
        for _ in 0..4 {
            rig.poll(&["batches"]).await;
        }
        rig.stop().await;
        rig.start().await;
        rig.poll(&["batches"]).await;
        assert_eq!(rig.value(rejected), Some(1.0), "{} listed", list.len());
    }
}

#[tokio::test]
async fn five_hundred_refused_ids_become_unavailable_in_a_few_lines_and_blind_no_batch() {
    let log = Log::begin();
    let directory = tempfile::tempdir().unwrap();
    let mut rig = listed(directory.path(), &[]).await;
    rig.set("RIGHTFOOT_REQUESTS_PER_MINUTE", "100000");
    let good = rig.vendors.batch(rows(3));
    let mut ids: Vec<String> = (0..500).map(|_| rig.vendors.foreign_batch()).collect();
    ids.insert(250, good);
    std::fs::write(directory.path().join("ids"), ids.join("\n")).unwrap();
    rig.start().await;
    rig.first_polls().await;
    for _ in 0..60 {
        if batches(&rig, "unavailable") == Some(500.0) {
            break;
        }
        rig.poll(&["batches"]).await;
    }
    assert_eq!((batches(&rig, "unavailable"), batches(&rig, "open")), (Some(500.0), Some(1.0)));
    until_up(&rig, "batches", 3).await;
    let lines = log.lines("they are unavailable");
    let count =
        |line: &String| line.split_once(" count=").unwrap().1.split(' ').next().unwrap().parse::<u32>().unwrap();
    assert_eq!(lines.iter().map(count).sum::<u32>(), 500);
    assert!(lines.len() < 20, "{} lines", lines.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_wrong_id_beside_settled_batches_is_unavailable_and_the_source_works() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = listed(directory.path(), &[]).await;
    let good = rig.vendors.batch(rows(3));
    std::fs::write(directory.path().join("ids"), &good).unwrap();
    rig.start().await;
    rig.first_polls().await;
    until_settled(&rig, 1.0).await;
    let wrong = rig.vendors.foreign_batch();
    std::fs::write(directory.path().join("ids"), format!("{good}\n{wrong}")).unwrap();
    rig.clock.advance(Duration::from_secs(6));
    for _ in 0..5 {
        rig.poll(&["batches"]).await;
    }
    assert_eq!((batches(&rig, "unavailable"), rig.source("up", "batches")), (Some(1.0), Some(1.0)));
    // A key that lost its access is another thing: then no batch changes state.
    rig.vendors.refuse_batch(&good, Some(403));
    let other = rig.vendors.foreign_batch();
    std::fs::write(directory.path().join("ids"), format!("{good}\n{other}")).unwrap();
    rig.clock.advance(Duration::from_secs(6));
    for _ in 0..3 {
        rig.poll(&["batches"]).await;
    }
    assert_eq!(rig.source("failing=forbidden", "batches"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_429_nothing_more_is_asked_to_find_out_what_a_refusal_before_it_meant() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = listed(directory.path(), &[]).await;
    let good = rig.vendors.batch(rows(3));
    std::fs::write(directory.path().join("ids"), &good).unwrap();
    rig.start().await;
    rig.first_polls().await;
    until_settled(&rig, 1.0).await;
    let wrong = [rig.vendors.foreign_batch(), rig.vendors.foreign_batch()];
    std::fs::write(directory.path().join("ids"), wrong.join("\n")).unwrap();
    rig.vendors.clear_requests();
    // Both are refused together, then one alone, then the vendor has had enough.
    rig.vendors.fault(Operation::BalancesCsv, Fault::Csv { changes: Vec::new() }, Some(2));
    rig.vendors.fault(Operation::BalancesCsv, Fault::throttled(None), Some(1));
    rig.clock.advance(Duration::from_secs(6));
    rig.until("the vendor has had enough", |rig| rig.source("failing=rate_limited", "batches") == Some(1.0)).await;
    let requests = rig.vendors.requests();
    assert_eq!(requests.iter().filter(|seen| seen.operation == Some(Operation::BalancesCsv)).count(), 3);
    for _ in 0..6 {
        rig.poll(&["batches"]).await;
    }
    assert_eq!((batches(&rig, "unavailable"), rig.source("up", "batches")), (Some(2.0), Some(1.0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_nothing_but_settled_batches_costs_no_request() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = listed(directory.path(), &[]).await;
    let good = rig.vendors.batch(rows(3));
    std::fs::write(directory.path().join("ids"), &good).unwrap();
    rig.start().await;
    rig.first_polls().await;
    until_settled(&rig, 1.0).await;
    rig.vendors.clear_requests();
    for _ in 0..5 {
        rig.poll(&["batches"]).await;
    }
    assert!(rig.vendors.requests().iter().all(|seen| seen.operation != Some(Operation::BalancesCsv)));
    assert_eq!(rig.source("up", "batches"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_batch_that_left_the_list_shows_its_newest_results() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = listed(directory.path(), &[]).await;
    let id = rig.vendors.batch(rows(1));
    std::fs::write(directory.path().join("ids"), &id).unwrap();
    rig.start().await;
    rig.first_polls().await;
    let shown = format!(r#"rightfoot_batch_results{{account="default",batch_id="{id}",status="success"}}"#);
    assert_eq!(rig.value(&shown), Some(1.0));
    let file = directory.path().join("ids");
    std::fs::write(&file, "").unwrap();
    rig.clock.advance(Duration::from_secs(6));
    rig.until("it left the list", |rig| batches(rig, "open") == Some(0.0)).await;
    rig.poll(&["batches"]).await;
    assert_eq!(rig.value(&shown), Some(1.0));
    rig.vendors.add_rows(&id, rows(2));
    std::fs::write(&file, &id).unwrap();
    rig.clock.advance(Duration::from_secs(6));
    rig.until("all three are seen", |rig| rig.value(&shown) == Some(3.0)).await;
    std::fs::write(&file, "").unwrap();
    rig.clock.advance(Duration::from_secs(6));
    rig.until("it left the list", |rig| batches(rig, "open") == Some(0.0)).await;
    rig.poll(&["batches"]).await;
    assert_eq!(rig.value(&shown), Some(3.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_dated_9999_keeps_its_batch_open_no_longer_than_others() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = listed(directory.path(), &[]).await;
    let id = rig.vendors.batch(rows(2));
    std::fs::write(directory.path().join("ids"), &id).unwrap();
    let change = CsvChange::SetInRow(0, "Timestamp".to_owned(), "9999-12-31T00:00:00+00:00".to_owned());
    rig.vendors.fault(Operation::BalancesCsv, Fault::csv(change), None);
    rig.start().await;
    rig.first_polls().await;
    let newest = format!(r#"rightfoot_batch_last_result_timestamp_seconds{{account="default",batch_id="{id}"}}"#);
    assert!(rig.value(&newest) <= Some((rig.clock.now() + TimeDelta::days(1)).timestamp() as f64));
    until_settled(&rig, 1.0).await;
    assert_eq!(rig.value(SUCCESS), Some(2.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_group_held_is_shown_although_the_batch_then_fails_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = listed(directory.path(), &[]).await;
    let ids = [3, 4].map(|count| rig.vendors.batch(rows(count)));
    ids.iter().for_each(|id| rig.vendors.break_row(id, 0));
    std::fs::write(directory.path().join("ids"), ids.join("\n")).unwrap();
    // Both together, then one by one, because of the rejected rows: the first of them fails.
    rig.vendors.fault(Operation::BalancesCsv, Fault::Csv { changes: Vec::new() }, Some(1));
    rig.vendors.fault(Operation::BalancesCsv, Fault::status(500), Some(1));
    rig.start().await;
    rig.first_polls().await;
    assert_eq!(batches(&rig, "failing"), Some(1.0));
    let open = r#"rightfoot_open_balance_checks{account="default",status="success",submitted_via="api"}"#;
    assert_eq!(rig.value(open), Some(5.0), "all rows but the two that are rejected");
}
