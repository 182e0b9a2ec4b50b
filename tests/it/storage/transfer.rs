//! An account's ledger goes to another storage or gets another name, and its counters go on.

use std::path::Path;

use vendor_simulator::{Fault, Operation};
use wallet_exporter::app::SCHEMA;
use wallet_exporter::batchdata;
use wallet_exporter::store::{AccountKey, FILE_NAME, Move, Store, StoreError, TransferError};

use super::files::mode;
use super::migration::rig_on_the_fixture;
use super::{after_fixture, answer, newest_version, sqlite, wallet, write};
use crate::program::run;
use crate::rig::{Rig, copy_of};

const KEY: AccountKey<'_> = AccountKey { vendor: "batchdata", name: "default" };
const COUNTER: &str = r#"batchdata_wallet_debit_usd_total{account="default"}"#;
/// What it shows in the fixture.
const COUNTED: Option<f64> = Some(421.26);

/// An exporter on a storage, whose vendors do not answer.
async fn rig_on(directory: &Path) -> Rig {
    let rig = rig_on_the_fixture(directory).await;
    for operation in
        [Operation::Balance, Operation::ConsumptionReport, Operation::CreditCardTransactions, Operation::BalancesCsv]
    {
        rig.vendors.fault(operation, Fault::Hang, None);
    }
    rig
}

fn open(from: &Path, to: &Path, key: AccountKey<'_>) -> Result<Move, TransferError> {
    Move::open(from, to, key, false, after_fixture(), SCHEMA)
}

/// Where the storage at the other end of an earlier move is lost.
fn open_alone(from: &Path, to: &Path) -> Result<Move, TransferError> {
    Move::open(from, to, KEY, true, after_fixture(), SCHEMA)
}

/// Does the first of the commits of a move, as if it was then killed.
fn interrupt(mut moving: Move, commits: usize) {
    type Step = fn(&mut Move) -> Result<(), TransferError>;
    let steps: [Step; 3] = [Move::identify, Move::copy, Move::mark];
    steps.iter().take(commits).for_each(|step| step(&mut moving).unwrap());
    if commits > steps.len() {
        moving.finish().unwrap();
    }
}

fn refused(from: &Path, to: &Path, key: AccountKey<'_>) -> String {
    open(from, to, key).err().map(|error| error.to_string()).unwrap()
}

/// Whether an exporter with this storage would serve the account.
fn serves(directory: &Path) -> Result<(), String> {
    let store = Store::open(Some(directory), after_fixture(), SCHEMA).unwrap().0;
    match store.account(batchdata::INTEGRATION.vendor, KEY.name) {
        Ok(_) => Ok(()),
        Err(error @ StoreError::Elsewhere(_)) => Err(error.to_string()),
        Err(error) => panic!("{error}"),
    }
}

/// Asserts that one storage serves the account and the others do not.
fn only(serving: &Path, others: &[&Path]) {
    assert_eq!(serves(serving), Ok(()));
    for other in others {
        assert!(serves(other).is_err(), "{} serves it, too", other.display());
    }
}

/// A ledger that can be told from the others by its rows.
fn marked(name: &str) -> tempfile::TempDir {
    let directory = newest_version();
    let sql = "UPDATE source SET answer = ?1 WHERE account = (SELECT id FROM account WHERE vendor = 'batchdata')";
    sqlite(directory.path().join(FILE_NAME)).execute(sql, [name]).unwrap();
    directory
}

/// What is stored of the account, but for the names of accounts.
fn rows(directory: &Path) -> Vec<String> {
    let file = sqlite(directory.join(FILE_NAME));
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%account INTEGER%' ORDER BY 1";
    let tables: Vec<String> =
        file.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let id: i64 = file.query_row("SELECT id FROM account WHERE vendor = 'batchdata'", [], |row| row.get(0)).unwrap();
    let mut found = Vec::new();
    for table in tables.iter().filter(|table| *table != "account_move") {
        let mut statement = file.prepare(&format!("SELECT * FROM {table} WHERE account = {id}")).unwrap();
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values = columns.iter().enumerate().filter(|(_, name)| *name != "account");
            let values: Vec<_> = values.map(|(place, _)| row.get_ref(place).unwrap()).collect();
            found.push(format!("{table} {values:?}"));
        }
    }
    assert!(found.len() > 50, "{found:?}");
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_counters_of_a_moved_account_go_on_at_the_target_and_nowhere_else() {
    let (from, to) = (newest_version(), tempfile::tempdir().unwrap());
    let target = to.path().join("shard-1");
    let arguments =
        ["ledger", "move", "--vendor", "batchdata", "--account", "default", "--to", target.to_str().unwrap()];
    let settings = [("STORAGE_PATH", from.path().to_str().unwrap())];
    let (code, said, complaint) = run(&arguments, &settings);
    assert_eq!((code, complaint.as_str()), (0, ""));
    assert!(said.starts_with("batchdata account default was moved from ") && said.ends_with("there\n"), "{said}");
    assert_eq!(run(&arguments, &settings).0, 0, "again is no harm");
    let another = arguments.map(|argument| if argument == "default" { "another" } else { argument });
    let (code, _, complaint) = run(&another, &settings);
    assert!(
        code == 64 && complaint.contains("another") && !complaint.contains("batchdata default"),
        "{code}: {complaint}"
    );
    let refused = rig_on(from.path()).await.try_start().await.unwrap_err().to_string();
    assert!(refused.contains("batchdata account default was moved to ") && refused.contains("shard-1"), "{refused}");
    let mut rig = rig_on(&target).await;
    rig.start().await;
    assert_eq!(rig.value(COUNTER), COUNTED);
    rig.stop().await;
    // And back, over what was left behind.
    open(&target, from.path(), KEY).unwrap().run().unwrap();
    let mut rig = rig_on(from.path()).await;
    rig.start().await;
    assert_eq!(rig.value(COUNTER), COUNTED);
}

#[test]
fn a_move_that_is_interrupted_anywhere_leaves_one_side_serving_and_can_be_finished() {
    for (commits, is_renamed) in (0..=4).flat_map(|commits| [(commits, false), (commits, true)]) {
        let case = format!("after {commits} commits, renamed: {is_renamed}");
        let (source, place) = (newest_version(), tempfile::tempdir().unwrap());
        let [mut from, mut to] = ["from", "to"].map(|name| place.path().join(name));
        std::fs::rename(source.path(), &from).unwrap();
        let before = rows(&from);
        interrupt(open(&from, &to, KEY).unwrap(), commits);
        if is_renamed {
            for path in [&mut from, &mut to] {
                let now = path.with_extension("now");
                std::fs::rename(&path, &now).unwrap();
                *path = now;
            }
        }
        // A storage that has nothing yet would serve the account from zero, as any new one.
        let source = serves(&from);
        let target = if commits < 2 { Err("is not finished".to_owned()) } else { serves(&to) };
        match commits {
            0..=2 => assert!(source.is_ok() && target.clone().unwrap_err().contains("is not finished"), "{target:?}"),
            3 if is_renamed => {
                assert!(source.is_err(), "{case}");
                let refused = target.unwrap_err();
                assert!(refused.contains("ledger move --storage.path ") && refused.contains("as they are named now"));
            }
            _ => assert!(source.clone().unwrap_err().contains("was moved to") && target.is_ok(), "{source:?}"),
        }
        open(&from, &to, KEY).unwrap().run().unwrap();
        open(&from, &to, KEY).unwrap().run().unwrap();
        assert_eq!(rows(&to), before, "{case}");
        assert_eq!(rows(&from), before, "{case}: nothing is deleted");
        only(&to, &[&from]);
        let elsewhere = place.path().join("elsewhere");
        let refused = refused(&from, &elsewhere, KEY);
        assert!(refused.contains("was moved to") && refused.contains(to.to_str().unwrap()), "{refused}");
        assert!(!elsewhere.exists());
        open(&to, &from, KEY).unwrap().run().unwrap();
        only(&from, &[&to]);
    }
}

#[test]
fn a_target_that_is_lost_after_the_mark_is_not_taken_for_one_that_has_the_ledger() {
    for (commits, again) in [3, 4].into_iter().flat_map(|commits| (0..=4).map(move |again| (commits, again))) {
        let (from, place) = (newest_version(), tempfile::tempdir().unwrap());
        let [to, new] = ["to", "new"].map(|name| place.path().join(name));
        let before = rows(from.path());
        interrupt(open(from.path(), &to, KEY).unwrap(), commits);
        let said = open_alone(from.path(), &new).err().unwrap().to_string();
        assert!(said.contains("was moved to") && !new.exists(), "it is there: {said}");
        let lost = place.path().join("lost");
        std::fs::rename(&to, &lost).unwrap();
        let told = refused(from.path(), &to, KEY);
        assert!(told.contains("was moved to") && told.contains("--other-is-lost --to DIRECTORY"), "{told}");
        assert!(!to.exists(), "nothing is made");
        // An exporter there would have begun from zero.
        assert_eq!(serves(&to), Ok(()));
        assert!(refused(from.path(), &to, KEY).contains("was moved to"));

        interrupt(open_alone(from.path(), &new).unwrap(), again);
        if again == 3 {
            open(from.path(), &new, KEY).unwrap().run().unwrap();
        } else {
            open_alone(from.path(), &new).unwrap().run().unwrap();
        }
        assert_eq!(rows(&new), before);
        only(&new, &[from.path()]);
        // What is found again and was never served does not come in the way.
        if commits == 3 {
            assert!(serves(&lost).unwrap_err().contains("is not finished"));
            open(&new, &lost, KEY).unwrap().run().unwrap();
            only(&lost, &[&new, from.path()]);
        }
    }
}

#[test]
fn a_source_that_is_lost_before_the_end_leaves_its_copy_which_can_go_on() {
    let (from, place) = (newest_version(), tempfile::tempdir().unwrap());
    let [to, new] = ["to", "new"].map(|name| place.path().join(name));
    let before = rows(from.path());
    interrupt(open(from.path(), &to, KEY).unwrap(), 3);
    assert!(open_alone(&to, &new).err().unwrap().to_string().contains("is not finished"), "the source is there");
    drop(from);
    assert!(serves(&to).unwrap_err().contains("--other-is-lost"));
    assert!(refused(&to, &new, KEY).contains("is not finished"));
    interrupt(open_alone(&to, &new).unwrap(), 2);
    open_alone(&to, &new).unwrap().run().unwrap();
    assert_eq!(rows(&new), before);
    only(&new, &[&to]);
}

#[test]
fn a_copy_that_may_be_the_only_one_is_not_written_over_by_another_ledger() {
    for commits in [3, 4] {
        let (a, d, place) = (marked("a"), marked("d"), tempfile::tempdir().unwrap());
        let [b, c] = ["b", "c"].map(|name| place.path().join(name));
        let of_a = rows(a.path());
        interrupt(open(a.path(), &b, KEY).unwrap(), commits);
        let told = refused(d.path(), &b, KEY);
        let expected = if commits == 3 { "is not finished" } else { "already has a ledger" };
        assert!(told.contains(expected) && told.contains("`wallet-exporter ledger "), "{told}");
        assert_eq!(rows(&b), of_a);
        open(a.path(), &b, KEY).unwrap().run().unwrap();
        only(&b, &[a.path()]);

        // Its way on is no reason either, before it has arrived.
        interrupt(open(&b, &c, KEY).unwrap(), 3);
        for other in [&d, &a] {
            let told = refused(other.path(), &b, KEY);
            assert!(told.contains("is not finished") || told.contains("was moved to"), "{told}");
        }
        open(&b, &c, KEY).unwrap().run().unwrap();
        assert_eq!(rows(&c), of_a);
        only(&c, &[&b, a.path()]);
        open(d.path(), &b, KEY).unwrap().run().unwrap();
        assert_eq!((rows(&b), rows(&c)), (rows(d.path()), of_a));
        // By the tokens of both moves, and not by the one of the last.
        open(&c, a.path(), KEY).unwrap().run().unwrap();
        only(a.path(), &[&c]);
    }
}

#[test]
fn a_copy_whose_source_went_elsewhere_does_not_stay_in_the_way() {
    let (a, d, place) = (marked("a"), marked("d"), tempfile::tempdir().unwrap());
    let [b, c] = ["b", "c"].map(|name| place.path().join(name));
    let of_a = rows(a.path());
    interrupt(open(a.path(), &b, KEY).unwrap(), 2);
    open(a.path(), &c, KEY).unwrap().run().unwrap();
    assert!(serves(&b).is_err());
    let hidden = place.path().join("hidden");
    std::fs::rename(a.path(), &hidden).unwrap();
    assert!(refused(d.path(), &b, KEY).contains("is not finished"), "its source cannot be seen");
    open(&c, &b, KEY).unwrap().run().unwrap();
    assert_eq!(rows(&b), of_a);
    only(&b, &[&c]);
    std::fs::rename(&hidden, a.path()).unwrap();

    let (a, b) = (marked("a"), place.path().join("another"));
    interrupt(open(a.path(), &b, KEY).unwrap(), 2);
    open(d.path(), &b, KEY).unwrap().run().unwrap();
    assert_eq!(rows(&b), rows(d.path()));
    only(&b, &[d.path()]);
    assert_eq!(serves(a.path()), Ok(()), "it never left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_names_all_accounts_that_were_moved() {
    let (from, to) = (newest_version(), tempfile::tempdir().unwrap());
    for vendor in ["batchdata", "rightfoot"] {
        open(from.path(), to.path(), AccountKey { vendor, ..KEY }).unwrap().run().unwrap();
    }
    let refused = rig_on(from.path()).await.try_start().await.unwrap_err().to_string();
    let named = ["batchdata", "rightfoot"].map(|vendor| format!("storage: {vendor} account default was moved to "));
    assert!(named.iter().all(|named| refused.contains(named)), "{refused}");
    let mut rig = rig_on(to.path()).await;
    rig.start().await;
    assert_eq!(rig.value(COUNTER), COUNTED);
}

#[test]
fn a_look_at_a_ledger_that_is_being_written_leaves_its_log() {
    let directory = newest_version();
    let (store, _) = Store::open(Some(directory.path()), after_fixture(), SCHEMA).unwrap();
    let account = wallet(&store);
    let path = directory.path().join(FILE_NAME);
    let (log, copy) = (path.with_extension("db-wal"), directory.path().join("copy.db"));
    let backup = ["ledger", "backup", "--to", copy.to_str().unwrap()];
    let storage = ("STORAGE_PATH", directory.path().to_str().unwrap());
    // The storage is this process's, so the exporter that is checked could not start on it.
    for (look, expected, said) in [(&backup[..], 0, ""), (&["check"], 64, "is in use by another process")] {
        write(&store, account, "before").unwrap();
        sqlite(&path).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let written = store.write(|writer| {
            // More than the cache holds.
            writer.execute("INSERT INTO probe (id, filler) VALUES (1, randomblob(4 * 1024 * 1024))", &[])?;
            writer.execute("DELETE FROM probe", &[])?;
            assert!(std::fs::metadata(&log).unwrap().len() > 0, "the log has a part of it");
            let (token, address) =
                (("BATCHDATA_API_TOKEN", "sim-batchdata-token"), ("WEB_LISTEN_ADDRESS", "127.0.0.1:0"));
            let (code, _, complaint) = run(look, &[storage, token, address]);
            assert_eq!(code, expected, "{look:?}: {complaint}");
            assert!(complaint.contains(said), "{look:?}: {complaint}");
            assert!(log.exists(), "{look:?}");
            Ok(())
        });
        written.unwrap();
        write(&store, account, look[0]).unwrap();
        store.probe().unwrap();
        let kept = copy_of(directory.path());
        let (kept, _) = Store::open(Some(kept.path()), after_fixture(), SCHEMA).unwrap();
        assert_eq!(answer(&kept, account).as_deref(), Some(look[0]), "it is in the file");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_lose_a_ledger_or_disturb_an_exporter_is_refused() {
    let (from, other, place) = (newest_version(), newest_version(), tempfile::tempdir().unwrap());
    let occupied = refused(from.path(), other.path(), KEY);
    assert!(occupied.contains("already has a ledger of batchdata account default"), "{occupied}");
    assert!(refused(from.path(), &from.path().join("."), KEY).contains("name another directory"));
    let known = refused(from.path(), other.path(), AccountKey { name: "nobody", ..KEY });
    assert!(known.ends_with("it has: batchdata default, rightfoot default"), "{known}");
    assert!(refused(place.path(), other.path(), KEY).contains("has no ledger"));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing is made where nothing is");

    let mut rig = rig_on(from.path()).await;
    rig.start().await;
    let target = place.path().join("new");
    assert!(refused(from.path(), &target, KEY).contains("is in use by another process"));
    assert!(!target.exists());
    let settings = [("STORAGE_PATH", from.path().to_str().unwrap())];
    let to = format!("--to={}", target.display());
    for arguments in [
        ["ledger", "move", "--vendor=batchdata", "--account=default", &to],
        ["ledger", "rename", "--vendor=batchdata", "--account=default", "--to=growth"],
    ] {
        let (code, _, complaint) = run(&arguments, &settings);
        assert!(code == 1 && complaint.contains("in use"), "{code}: {complaint}");
    }
    // A copy can be had all the same, and is a whole storage.
    let copy = place.path().join(FILE_NAME);
    let backup = ["ledger", "backup", "--to", copy.to_str().unwrap()];
    let (code, said, complaint) = run(&backup, &settings);
    assert!(code == 0 && said.contains("was copied to"), "{complaint}");
    assert_eq!(mode(&copy), 0o600);
    assert_eq!(rows(place.path()), rows(from.path()));
    let (code, _, complaint) = run(&backup, &settings);
    assert!(code == 64 && complaint.contains("exists: name a file that does not"), "{code}: {complaint}");
    let beside: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, [FILE_NAME], "nothing else is left");
    let mut rig = rig_on(place.path()).await;
    rig.start().await;
    assert_eq!(rig.value(COUNTER), COUNTED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_account_goes_on_under_its_new_name() {
    let directory = newest_version();
    let rename = |to: &str| {
        let arguments = ["ledger", "rename", "--vendor", "batchdata", "--account", "default", "--to", to];
        run(&arguments, &[("STORAGE_PATH", directory.path().to_str().unwrap())])
    };
    let (code, _, complaint) = rename("Not A Name");
    assert!(code == 64 && complaint.contains("--to"), "{code}: {complaint}");
    let (code, said, _) = rename("growth");
    assert_eq!(
        (code, said.as_str()),
        (0, "batchdata account default is now growth: change the name in the configuration, too\n")
    );
    let (code, _, complaint) = rename("growth");
    assert!(code == 64 && complaint.contains("it has: batchdata growth, rightfoot default"), "{code}: {complaint}");
    let mut rig = rig_on(directory.path()).await;
    rig.set("BATCHDATA_ACCOUNT", "growth");
    rig.start().await;
    assert_eq!(rig.value(&COUNTER.replace("default", "growth")), COUNTED);
    rig.stop().await;
    // A start with the former name has made an account that never counted.
    let mut rig = rig_on(directory.path()).await;
    rig.start().await;
    rig.stop().await;
    let back = ["ledger", "rename", "--vendor", "batchdata", "--account", "growth", "--to", "default"];
    assert_eq!(run(&back, &[("STORAGE_PATH", directory.path().to_str().unwrap())]).0, 0);
    rig.start().await;
    assert_eq!(rig.value(COUNTER), COUNTED);
}
