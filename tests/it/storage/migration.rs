//! A ledger of an older version becomes one of the newest, or stays as it is.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use uuid::Uuid;
use vendor_simulator::{Fault, NewRow, Operation, Options};
use wallet_exporter::app::SCHEMA;
use wallet_exporter::clock::{Clock as _, ManualClock};
use wallet_exporter::exposition::Format;
use wallet_exporter::money::Usd;
use wallet_exporter::store::{FILE_NAME, OpenError, Schema, Store};

use super::{after_fixture, ask, contents, fixture, ledger_of, newest_version, sqlite, user_version, version_1};
use crate::program::{PATIENCE, command, run, settings, vendors};
use crate::rig::{Rig, at, vendor_clock};
use crate::serving::readers::{messages, starts};

const COPY: &str = "wallet-exporter.db.v1";

fn open(directory: &Path) -> Result<Store, OpenError> {
    Store::open(Some(directory), after_fixture(), SCHEMA).map(|(store, _)| store)
}

fn schema(path: &Path) -> Vec<(String, String, Option<String>)> {
    let connection = sqlite(path);
    let mut statement = connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The whole contents as SQL values.
fn rows(path: &Path) -> Vec<String> {
    let connection = sqlite(path);
    let mut found = Vec::new();
    for (_, table, _) in schema(path).iter().filter(|(kind, ..)| kind == "table") {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<_> = (0..columns).map(|column| row.get_ref(column).unwrap()).collect();
            found.push(format!("{table} {values:?}"));
        }
    }
    found
}

pub async fn rig_on_the_fixture(directory: &Path) -> Rig {
    let clock = ManualClock::new(after_fixture());
    let options = Options::quiet(vendor_clock(&clock));
    let mut rig = Rig::with(clock, options).await;
    rig.set("STORAGE_PATH", directory.to_str().unwrap());
    rig.set("BATCHDATA_COUNT_SINCE", "2026-05-01");
    rig.set("RIGHTFOOT_COUNT_SINCE", "2026-05-01");
    rig.set("RIGHTFOOT_BATCH_IDS", &(1..=4).map(batch).collect::<Vec<_>>().join(","));
    rig
}

/// The ids of the fixture's batches: 1 and 6 have settled, 5 is open.
fn batch(number: u128) -> String {
    Uuid::from_u128(0xb000_0000_0000_4000_8000_0000_0000_0000 + number).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_of_version_1_shows_the_same_counters_and_its_settled_batches_stay_settled() {
    let directory = version_1();
    let mut rig = rig_on_the_fixture(directory.path()).await;
    for operation in
        [Operation::Balance, Operation::ConsumptionReport, Operation::CreditCardTransactions, Operation::BalancesCsv]
    {
        rig.vendors.fault(operation, Fault::Hang, None);
    }
    rig.start().await;
    let served = rig.metrics();
    // One family has another name now.
    let expected = include_str!("fixtures/v1.prom").replace("_card_credits_usd_total", "_card_amount_usd_total");
    // The histogram of balances starts again, because what it has counted is in no native bucket.
    let again = |line: &&str| line.starts_with("rightfoot_balance_check_balance_usd_");
    for line in expected.lines().filter(|line| !line.starts_with('#') && !again(line)) {
        assert!(served.contains(&format!("{line}\n")), "{line} is not served:\n{served}");
    }
    assert!(expected.lines().count() > 100);
    assert_eq!(expected.lines().filter(again).count(), 18);
    for line in served.lines().filter(again) {
        assert!(line.ends_with(" 0"), "{line}");
    }
    rig.stop().await;

    // The vendor still has them, with one row more than was counted.
    rig.vendors.clear_faults(None);
    for settled in [1, 6] {
        let row = NewRow { at: Some(at("2026-05-19T13:00:00Z").timestamp()), ..NewRow::success("Chase", 100) };
        rig.vendors.new_batch(Some(&batch(settled)), false, "customer_ref", vec![row; 60]);
    }
    rig.vendors.new_batch(Some(&batch(2)), false, "customer_ref", Vec::new());
    for refused in [3, 4, 5] {
        rig.vendors.refuse_batch(&batch(refused), Some(403));
    }
    rig.start().await;
    for _ in 0..30 {
        rig.clock.advance(Duration::from_secs(3_600));
        rig.poll(&["batches"]).await;
    }
    let served = rig.metrics();
    for line in expected.lines().filter(|line| line.starts_with("rightfoot_balance_checks_total")) {
        assert!(served.contains(&format!("{line}\n")), "{line} is served no longer:\n{served}");
    }
    assert_eq!(rig.value(r#"rightfoot_batches{account="default",state="settled"}"#), Some(2.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_of_version_3_shows_the_same_counters_and_begins_to_be_compared() {
    let directory = ledger_of(3);
    let path = directory.path().join(FILE_NAME);
    let before = rows(&path);
    let now = at("2026-11-27T07:18:16Z");
    drop(Store::open(Some(directory.path()), now, Schema(&SCHEMA.0[..4])).unwrap());
    assert_eq!((user_version(&path), user_version(path.with_extension("db.v3"))), (4, 3));
    assert_eq!(rows(&path), before, "what is new is empty");

    let clock = ManualClock::new(now);
    let mut rig = Rig::with(clock.clone(), Options::quiet(vendor_clock(&clock))).await;
    rig.set("STORAGE_PATH", directory.path().to_str().unwrap());
    rig.set("BATCHDATA_COUNT_SINCE", "2026-11-20");
    for operation in [Operation::Balance, Operation::ConsumptionReport, Operation::CreditCardTransactions] {
        rig.vendors.fault(operation, Fault::Hang, None);
    }
    rig.start().await;
    let (served, expected) = (rig.metrics(), include_str!("fixtures/v3.prom"));
    for line in expected.lines().filter(|line| !line.starts_with('#')) {
        assert!(served.contains(&format!("{line}\n")), "{line} is not served:\n{served}");
    }
    assert!(expected.lines().count() > 50);
    rig.stop().await;

    // The vendor shows the same seven days, as their sum on the first.
    rig.vendors.clear_faults(None);
    rig.vendors.spend(at("2026-11-20T12:00:00Z"), "api_request", "/api/v1/x", Usd::parse("6935.9125").unwrap());
    rig.vendors.credit(at("2026-11-20T12:00:00Z"), "wallet_card_top_up", Usd::parse("7875").unwrap());
    rig.start().await;
    rig.first_polls().await;
    for _ in 0..70 {
        rig.clock.advance(Duration::from_secs(60));
        rig.rest().await;
    }
    assert_eq!(rig.value(r#"batchdata_wallet_unreconciled_usd{account="default"}"#), Some(0.0));
}

/// What is new is empty, so that the transactions begin with a base line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_of_version_5_shows_the_same_counters_and_begins_to_count_transactions() {
    let directory = ledger_of(5);
    let path = directory.path().join(FILE_NAME);
    let before = rows(&path);
    let now = at("2026-11-27T11:30:50Z");
    drop(Store::open(Some(directory.path()), now, Schema(&SCHEMA.0[..6])).unwrap());
    assert_eq!((user_version(&path), user_version(path.with_extension("db.v5"))), (6, 5));
    assert_eq!(rows(&path), before, "what is new is empty");

    let clock = ManualClock::new(now);
    let mut rig = Rig::with(clock.clone(), Options::quiet(vendor_clock(&clock))).await;
    rig.set("STORAGE_PATH", directory.path().to_str().unwrap());
    rig.set("BATCHDATA_SOURCES", "consumption,card_transactions,transactions");
    rig.set("BATCHDATA_COUNT_SINCE", "2026-11-20");
    for operation in [Operation::ConsumptionReport, Operation::CreditCardTransactions] {
        rig.vendors.fault(operation, Fault::html(500), None);
    }
    rig.vendors.spend(at("2026-11-20T12:00:00Z"), "api_request", "/api/v1/x", Usd::from_cents(10));
    rig.start().await;
    let (served, expected) = (rig.metrics(), include_str!("fixtures/v5.prom"));
    for line in expected.lines().filter(|line| !line.starts_with('#')) {
        assert!(served.contains(&format!("{line}\n")), "{line} is not served:\n{served}");
    }
    assert!(expected.lines().count() > 50);
    rig.until("the first day is read", |rig| rig.source("up", "transactions") == Some(1.0)).await;
    let calls = r#"batchdata_wallet_transactions_total{account="default",type="debit",endpoint_name="x"}"#;
    assert_eq!(rig.value(calls), Some(1.0), "history counts from the same day");
}

/// Version 4 had neither start timestamps nor native buckets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_of_version_4_start_when_they_were_made_and_the_histogram_starts_again() {
    let directory = version_1();
    let path = directory.path().join(FILE_NAME);
    let before = Schema(&SCHEMA.0[..4]);
    drop(Store::open(Some(directory.path()), after_fixture(), before).unwrap());
    assert_eq!(ask(&sqlite(&path), "SELECT count(*) FROM check_histogram"), "1");
    let made: Vec<(String, String)> = {
        let file = sqlite(&path);
        let mut rows = file.prepare("SELECT key, created_at FROM series").unwrap();
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let mut rig = rig_on_the_fixture(directory.path()).await;
    rig.start().await;
    assert_eq!(ask(&sqlite(&path), "SELECT count(*) FROM check_histogram"), "0");
    for (key, created) in &made {
        let started = ask(&sqlite(&path), &format!("SELECT started_at FROM series WHERE key = '{key}'"));
        assert_eq!(&started, created, "{key}");
    }
    assert!(made.len() > 10);
    let exposition = rig.exposition();
    let starts = starts(exposition.rendered(Format::Protobuf).plain());
    assert_eq!(starts[r#"rightfoot_balance_check_balance_usd{account="default"}"#], Some(rig.clock.now()));
    let checks = r#"rightfoot_balance_checks_total{account="default",status="success",submitted_via="api"}"#;
    assert_eq!(starts[checks], Some(at("2026-05-19T12:00:00Z")));
    assert!(rig.value(checks).unwrap() > 0.0);

    // From now on both kinds of buckets count, and agree: else the native ones would be left out.
    rig.clock.advance(Duration::from_secs(120));
    let row = NewRow { at: Some(rig.clock.now().timestamp()), ..NewRow::success("Chase", 12_345) };
    rig.vendors.new_batch(Some(&batch(2)), false, "customer_ref", vec![row; 3]);
    let count = r#"rightfoot_balance_check_balance_usd_count{account="default"}"#;
    for _ in 0..30 {
        rig.clock.advance(Duration::from_secs(3_600));
        rig.poll(&["batches"]).await;
    }
    assert_eq!(rig.value(count), Some(3.0));
    let families = messages(rig.exposition().rendered(Format::Protobuf).plain());
    let family = families.iter().find(|family| family.name == "rightfoot_balance_check_balance_usd").unwrap();
    let histogram = family.metric[0].histogram.as_ref().unwrap();
    assert_eq!((histogram.sample_count, histogram.positive_delta.as_slice()), (3, &[3][..]));
    // 2^(55/8) is 117, 2^(56/8) is 128.
    assert_eq!((histogram.schema, histogram.positive_span[0].offset), (3, 56));
}

#[test]
fn a_fresh_file_and_a_migrated_one_have_the_same_schema() {
    let (fresh, migrated) = (tempfile::tempdir().unwrap(), newest_version());
    drop(open(fresh.path()).unwrap());
    let (fresh, migrated) = (fresh.path().join(FILE_NAME), migrated.path().join(FILE_NAME));
    assert_eq!(schema(&fresh), schema(&migrated));
    assert!(schema(&fresh).iter().any(|(_, name, _)| name == "card_base"));
    for path in [fresh, migrated] {
        assert_eq!(user_version(&path), SCHEMA.version());
        let connection = sqlite(path);
        for pragma in ["application_id", "integrity_check"] {
            let value: rusqlite::types::Value = connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap();
            let expected: rusqlite::types::Value =
                if pragma == "application_id" { 0x574c_5458.into() } else { "ok".to_owned().into() };
            assert_eq!(value, expected, "{pragma}");
        }
        let mut broken = connection.prepare("PRAGMA foreign_key_check").unwrap();
        assert!(!broken.exists([]).unwrap());
    }
}

#[test]
fn migrating_keeps_every_row_and_fills_what_is_new() {
    let directory = version_1();
    let path = directory.path().join(FILE_NAME);
    sqlite(&path)
        .execute_batch(
            "INSERT INTO account (id, vendor, name) VALUES (7, 'batchdata', 'early'), (8, 'batchdata', 'late');
             INSERT INTO source (account, source, last_success, count_since, configured_since) VALUES
             (7, 'card_transactions', '2026-05-19T12:00:00.000000Z', '2026-05-19T12:00:00.000000Z', '2020-02-03'),
             (8, 'card_transactions', '2026-05-19T12:00:00.000000Z', '2026-05-19T12:00:00.000000Z', NULL);
             INSERT INTO batch (account, id, state, first_seen, by_webhook, confirmed, newest_result) VALUES
             (2, 'c1', 'settled', '2026-05-19T12:00:00.000000Z', 0, 1, '2026-05-20T01:02:03.000000Z'),
             (2, 'c2', 'settled', '2026-05-19T12:00:00.000000Z', 0, 1, '2026-05-01T00:00:00.000000Z'),
             (2, 'c3', 'settled', '2026-05-19T12:00:00.000000Z', 0, 1, NULL);",
        )
        .unwrap();
    let before = rows(&path);
    drop(open(directory.path()).unwrap());
    let file = sqlite(&path);
    let base = "SELECT group_concat(account || ' ' || listed_from, ', ') FROM card_base";
    // The first was configured from the first of May on, later than a year before it was first listed.
    assert_eq!(ask(&file, base), "1 2025-05-01, 7 2020-02-03, 8 2025-05-19");
    let settled = |id: &str| ask(&file, &format!("SELECT settled_at FROM batch WHERE id = '{id}'"));
    assert_eq!(settled("c1"), "2026-05-20T01:02:03.000000Z");
    assert_eq!(settled("c2"), "2026-05-19T12:00:00.000000Z");
    assert_eq!(settled("c3"), "2026-05-19T12:00:00.000000Z");
    assert_eq!(ask(&file, "SELECT count(*) FROM batch WHERE (state = 'settled') <> (settled_at IS NOT NULL)"), "0");
    assert_eq!(ask(&file, "SELECT count(*) FROM source WHERE boot_id IS NOT NULL OR boot_time IS NOT NULL"), "0");
    file.execute("UPDATE source SET last_success = NULL", []).unwrap();

    // Everything else is as it was: the new columns are last and null, or the time of settling.
    drop(file);
    let new = ["card_base", "probe", "webhook_event", "balance_poll", "reconciliation"];
    let comparable = |rows: Vec<String>| -> Vec<String> {
        rows.into_iter()
            .filter(|row| {
                !new.iter()
                    .chain(&[
                        "source",
                        "batch",
                        "birth",
                        "series",
                        "label",
                        "check_histogram",
                        "consumption_counter",
                        "consumption_covered",
                    ])
                    .any(|table| row.starts_with(&format!("{table} ")))
            })
            .collect()
    };
    let (before, after) = (comparable(before), comparable(rows(&path)));
    assert!(before.len() > 70, "{}", before.len());
    assert_eq!(before, after);
    let (old, new) = (sqlite(directory.path().join(COPY)), sqlite(&path));
    assert_eq!(ask(&new, "SELECT count(first_usd) FROM consumption_counter"), "0");
    assert_eq!(ask(&new, "SELECT count(first_at) FROM consumption_covered"), "0");
    // From when on the balance was served: at the earliest with the first counter.
    let balance = "SELECT group_concat(account || ' ' || created_at) FROM series WHERE key = 'balance'";
    let earliest =
        "SELECT group_concat(account || ' ' || born_at) FROM (SELECT account, min(born_at) AS born_at FROM birth
                    WHERE account IN (SELECT account FROM source WHERE source = 'balance') GROUP BY account)";
    assert_eq!(ask(&new, balance), ask(&old, earliest));
    assert_eq!(ask(&new, "SELECT count(*) FROM series WHERE key = 'balance'"), "1");
    for query in [
        "SELECT group_concat(account || report || label || reported_usd || counted_usd) FROM consumption_counter",
        "SELECT group_concat(account || first_day || last_day || full_read_on) FROM consumption_covered",
        "SELECT group_concat(account || source || count_since || coalesce(configured_since, '') || coalesce(answer, '')) FROM source",
        "SELECT group_concat(id || state || first_seen || by_webhook || coalesce(completed_at, '') || coalesce(next_look, '') || coalesce(newest_result, '') || coalesce(tally, '')) FROM batch",
    ] {
        assert_eq!(ask(&old, query), ask(&new, query));
    }
    // These have other names now.
    for (before, after) in [
        (
            "SELECT group_concat(account || series || born_at || shown) FROM birth",
            "SELECT group_concat(account || key || started_at || shown) FROM series WHERE key <> 'balance'",
        ),
        (
            "SELECT group_concat(account || label || value || admitted_at) FROM label",
            "SELECT group_concat(account || label || value || allowed_at) FROM label",
        ),
    ] {
        assert!(ask(&old, before).len() > 100);
        assert_eq!(ask(&old, before), ask(&new, after));
    }
}

/// A directory whose database has its last write in the log alone.
fn with_log(from: &Path, write: &str) -> tempfile::TempDir {
    let source = sqlite(from);
    source.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(())).unwrap();
    source.execute_batch(write).unwrap();
    let directory = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("{}{suffix}", from.file_name().unwrap().to_str().unwrap());
        std::fs::copy(from.with_file_name(name), directory.path().join(format!("{FILE_NAME}{suffix}"))).unwrap();
    }
    directory
}

#[test]
fn the_copy_beside_is_the_whole_file_of_before_and_goes_in_time() {
    let place = version_1();
    let directory = with_log(&place.path().join(FILE_NAME), "UPDATE account SET name = 'in-the-log' WHERE id = 1");
    let path = |name: &str| directory.path().join(name);
    // Left by an earlier migration, and by one that was killed.
    std::fs::write(path("wallet-exporter.db.v0"), "older").unwrap();
    std::fs::write(path("wallet-exporter.db.copy"), "unfinished").unwrap();
    std::fs::write(path("wallet-exporter.db.v1-my-own"), "not ours").unwrap();
    drop(open(directory.path()).unwrap());
    let names: Vec<String> = contents(directory.path()).into_keys().collect();
    let expected = [FILE_NAME, COPY, "wallet-exporter.db.v1-my-own", "wallet-exporter.lock"];
    assert_eq!(names, expected);
    assert_eq!(std::fs::metadata(path(COPY)).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(user_version(path(COPY)), 1);
    assert_eq!(ask(&sqlite(path(COPY)), "SELECT name FROM account WHERE id = 1"), "in-the-log");
    assert_eq!(schema(&path(COPY)), schema(&fixture_copy(&place)));

    let kept = |days: i64| {
        drop(Store::open(Some(directory.path()), after_fixture() + TimeDelta::days(days), SCHEMA).unwrap());
        path(COPY).exists()
    };
    assert!(kept(0) && kept(30));
    assert!(kept(-400), "a copy from the future says nothing about its age");
    assert!(!kept(31));
    assert!(path("wallet-exporter.db.v1-my-own").exists());
}

fn fixture_copy(place: &tempfile::TempDir) -> std::path::PathBuf {
    let path = place.path().join("fixture");
    std::fs::copy(fixture(1), &path).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_fails_changes_nothing_and_says_what_to_do() {
    let directory = version_1();
    let path = directory.path().join(FILE_NAME);
    sqlite(&path).execute_batch("UPDATE source SET count_since = 'last Tuesday'").unwrap();
    let before = (schema(&path), rows(&path));
    let error = open(directory.path()).map(drop).unwrap_err();
    let known = SCHEMA.version();
    assert!(matches!(error, OpenError::Migration { found: 1, known: to, .. } if to == known), "{error}");
    let (_vendors, address) = vendors().await;
    let (code, _, errors) = run(&[], &settings(directory.path(), &address));
    assert_eq!(code, 1);
    let versions = format!("version 1 to {known}");
    for words in ["--storage.path", FILE_NAME, &versions, "nothing was changed", "run the version that wrote it"] {
        assert!(errors.contains(words), "{words}: {errors}");
    }
    assert_eq!((schema(&path), rows(&path)), before);
    assert_eq!(user_version(&path), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_version_is_refused_untouched_also_if_only_its_log_says_so() {
    let place = newest_version();
    let path = place.path().join(FILE_NAME);
    let (known, newer) = (SCHEMA.version(), SCHEMA.version() + 1);
    let newer_version = format!("PRAGMA user_version = {newer}");
    let logged = with_log(&path, &newer_version);
    sqlite(&path).execute_batch(&newer_version).unwrap();
    let (_vendors, address) = vendors().await;
    for directory in [place.path(), logged.path()] {
        let before = contents(directory);
        let (code, _, errors) = run(&[], &settings(directory, &address));
        assert_eq!(code, 64, "{errors}");
        let said = [format!("schema version {newer}"), format!("up to {known}")];
        assert!(said.iter().all(|said| errors.contains(said)), "{errors}");
        let mut after = contents(directory);
        after.retain(|name, _| name != "wallet-exporter.lock" || before.contains_key(name));
        assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
        assert!(after == before, "a file was touched");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_start_at_once_on_an_old_file_one_migrates_it_and_the_other_is_refused() {
    let (_vendors, address) = vendors().await;
    for _ in 0..4 {
        let directory = version_1();
        let settings = settings(directory.path(), &address);
        let mut children: Vec<_> = (0..2).map(|_| command(&settings).spawn().unwrap()).collect();
        // Each either listens or ends.
        let mut listening = 0;
        for child in &mut children {
            let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
            let said = lines.find(|line| line.contains("address=") || line.contains("in use by another process"));
            listening += usize::from(said.expect("it says why it ends").contains("address="));
        }
        assert_eq!(listening, 1);
        let deadline = Instant::now() + PATIENCE;
        let mut ended = Vec::new();
        while ended.is_empty() {
            assert!(Instant::now() < deadline, "neither ends");
            ended.extend(children.iter_mut().filter_map(|child| child.try_wait().unwrap()));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(ended.iter().map(|status| status.code()).collect::<Vec<_>>(), [Some(1)]);
        for child in &mut children {
            let _ = child.kill();
            child.wait().unwrap();
        }
        assert_eq!(user_version(directory.path().join(FILE_NAME)), SCHEMA.version());
        assert_eq!(user_version(directory.path().join(COPY)), 1);
    }
}
