//! Reloads of the accounts file: what changes, and that nothing else does.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vendor_simulator::{CardEvent, Fault, NewRow, Operation};
use wallet_exporter::batchdata;
use wallet_exporter::instruments::account::AccountInstruments;
use wallet_exporter::money::Usd;
use wallet_exporter::store::{StorageFault, StorageFaultKind};

use crate::accounts::three_accounts;
use crate::rig::Rig;
use crate::serving::fixture::{Answer, ask, get};
use crate::webhook::event;

const SUCCESSFUL: &str = "wallet_exporter_config_last_reload_successful";
const DEBIT: &str = r#"batchdata_wallet_debit_usd_total{account="growth"}"#;

async fn reload(rig: &Rig) -> Answer {
    ask(rig.web().unwrap(), "POST", "/-/reload", &[], b"").await
}

fn change(directory: &Path, from: &str, to: &str) {
    let path = directory.join("accounts.yml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replace(from, to)).unwrap();
}

fn names(rig: &Rig) -> Vec<String> {
    let mut names: Vec<String> = rig.snapshot().accounts.iter().map(|view| view.name().to_owned()).collect();
    names.sort();
    names
}

/// What the process did for an account: another one after each start of it.
fn instruments(rig: &Rig, account: &str) -> Arc<AccountInstruments> {
    let snapshot = rig.snapshot();
    let view = snapshot.accounts.iter().find(|view| view.name() == account).unwrap();
    Arc::clone(&view.instruments)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_reload_adds_removes_or_changes_touches_no_other_account() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    let (growth, checks) = (instruments(&rig, "growth"), instruments(&rig, "checks"));
    rig.vendors.spend(rig.vendors.now(), "api_request", "/api/v1/x", wallet_exporter::money::Usd::from_cents(700));
    rig.until("the spend is counted", |rig| {
        rig.clock.advance(std::time::Duration::from_secs(5));
        rig.value(DEBIT) == Some(7.0)
    })
    .await;
    rig.rest().await;
    let requests =
        || (growth.requests(batchdata::BALANCE.operation), growth.requests(batchdata::CONSUMPTION.operation));
    let (before, debit) = (requests(), rig.value(DEBIT));

    std::fs::write(directory.path().join("eight.token"), "tok-eight").unwrap();
    std::fs::remove_file(directory.path().join("seven.token")).unwrap();
    change(directory.path(), "\"007\"", "\"008\"");
    change(directory.path(), "seven.token", "eight.token");
    let answer = reload(&rig).await;
    assert_eq!(answer.code, 200, "{}", answer.text());
    assert_eq!(names(&rig), ["008", "checks", "growth"]);
    assert!(!rig.metrics().contains(r#"account="007""#), "its series end at once");
    rig.until("the new account is polled", |rig| {
        rig.snapshot().source("008", batchdata::BALANCE).is_some_and(|view| view.up == Some(false))
    })
    .await;
    assert_eq!(get(rig.web().unwrap(), "/-/ready").await.code, 200);
    assert_eq!(requests(), before, "nobody who works was polled for it");

    change(directory.path(), "critical_balance_usd: 50", "critical_balance_usd: 60");
    change(directory.path(), "team: growth", "team: sales");
    assert_eq!(reload(&rig).await.code, 200);
    let critical = r#"batchdata_wallet_balance_threshold_usd{account="growth",severity="critical"}"#;
    assert_eq!(rig.value(critical), Some(60.0));
    assert!(rig.metrics().contains(r#"team="sales""#));
    assert!(!Arc::ptr_eq(&growth, &instruments(&rig, "growth")), "it was started again");
    assert!(Arc::ptr_eq(&checks, &instruments(&rig, "checks")));
    assert!(rig.value(DEBIT) >= debit, "its ledger goes on");
    assert_eq!(rig.value(SUCCESSFUL), Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_returns_has_its_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let storage = tempfile::tempdir().unwrap();
    let mut rig = three_accounts(directory.path()).await;
    rig.stop().await;
    rig.set("STORAGE_PATH", storage.path().to_str().unwrap());
    rig.start().await;
    let up =
        |rig: &Rig| rig.snapshot().source("growth", batchdata::CONSUMPTION).is_some_and(|view| view.up == Some(true));
    rig.until("the report was polled", up).await;
    let since = r#"batchdata_wallet_count_since_timestamp_seconds{account="growth"}"#;
    let began = rig.value(since);
    assert!(began.is_some());
    let path = directory.path().join("accounts.yml");
    let whole = std::fs::read_to_string(&path).unwrap();
    let only_checks = "accounts: [{account: checks, vendor: rightfoot, api_key_file: checks.key}]";
    std::fs::write(&path, only_checks).unwrap();
    assert_eq!(reload(&rig).await.code, 200);
    assert_eq!(names(&rig), ["checks"]);
    rig.clock.advance(std::time::Duration::from_secs(3_600));
    std::fs::write(&path, whole).unwrap();
    assert_eq!(reload(&rig).await.code, 200);
    rig.until("the report was polled", up).await;
    assert_eq!(rig.value(since), began);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_errors_keeps_its_accounts_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    let before = names(&rig);
    let path = directory.path().join("accounts.yml");
    let good = std::fs::read_to_string(&path).unwrap();
    for (bad, said) in [
        ("accounts: [".to_owned(), "accounts.yml:1"),
        (good.replace("balance_interval: 1m30s", "balance_intervall: 1m30s"), "balance_intervall"),
        ("accounts: []".to_owned(), "has no account"),
        (good.replace("critical_balance_usd: 50", "count_since: 2026-05-01"), "count_since"),
    ] {
        std::fs::write(&path, &bad).unwrap();
        let answer = reload(&rig).await;
        assert_eq!(answer.code, 500, "{bad}");
        assert_eq!(names(&rig), before, "{bad}");
        assert_eq!(rig.value(SUCCESSFUL), Some(0.0), "{bad}");
        let warnings = rig.snapshot().warnings.join("\n");
        assert!(warnings.to_lowercase().contains(said), "{bad}: {warnings}");
        assert!(!warnings.contains("tok-"), "{warnings}");
    }
    std::fs::write(&path, good).unwrap();
    assert_eq!(reload(&rig).await.code, 200);
    assert_eq!(rig.value(SUCCESSFUL), Some(1.0));
    assert!(!rig.snapshot().warnings.iter().any(|warning| warning.contains("not reloaded")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_directory_only_the_file_with_errors_stays_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    let rig = {
        let mut rig = rig;
        rig.stop().await;
        std::fs::remove_file(directory.path().join("accounts.yml")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("a.yml", "accounts: [{account: growth, vendor: batchdata, api_token_file: growth.token}]");
        write("b.yml", "accounts: [{account: seven, vendor: batchdata, api_token_file: seven.token}]");
        rig.set("CONFIG_FILE", directory.path().to_str().unwrap());
        rig.start().await;
        rig
    };
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("a.yml", "accounts: [{account: growth, vendor: batchdata, api_token: plain}]");
    write("b.yml", "accounts: [{account: eight, vendor: batchdata, api_token_file: seven.token}]");
    // The token of an account that stays because its file has errors: its money would count twice.
    write("c.yml", "accounts: [{account: twice, vendor: batchdata, api_token_file: growth.token}]");
    assert_eq!(reload(&rig).await.code, 500);
    assert_eq!(names(&rig), ["eight", "growth"]);
    let warnings = rig.snapshot().warnings.join("\n");
    assert!(warnings.contains("a.yml:1") && warnings.contains("twice: is not used"), "{warnings}");
    // A file that is gone takes its accounts along.
    for name in ["a.yml", "c.yml"] {
        std::fs::remove_file(directory.path().join(name)).unwrap();
    }
    assert_eq!(reload(&rig).await.code, 200);
    assert_eq!(names(&rig), ["eight"]);
}

/// Files of a directory, in the place of the one file, and an exporter on it.
async fn of_directory(directory: &Path, files: &[(&str, &str)]) -> Rig {
    let mut rig = three_accounts(directory).await;
    rig.stop().await;
    std::fs::remove_file(directory.join("accounts.yml")).unwrap();
    for (name, text) in files {
        std::fs::write(directory.join(name), text).unwrap();
    }
    rig.set("CONFIG_FILE", directory.to_str().unwrap());
    rig.start().await;
    rig
}

const GROWTH: &str = "{account: growth, vendor: batchdata, api_token_file: growth.token";
const SEVEN: &str = "{account: seven, vendor: batchdata, api_token_file: seven.token";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_moved_into_a_file_with_a_fault_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (growth, seven) = (format!("accounts: [{GROWTH}}}]"), format!("accounts: [{SEVEN}}}]"));
    let rig = of_directory(directory.path(), &[("a.yml", &growth), ("b.yml", &seven)]).await;
    let before = instruments(&rig, "growth");
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    for moved in [
        format!("accounts: [{SEVEN}}}, {GROWTH}, balance_interval: 0s}}]"),
        format!("accounts: [{SEVEN}}}, {{account: growth, vendor: batchdata, api_token_file: nowhere}}]"),
        format!("accounts: [{SEVEN}}}, {{account: growth, vendor: batchdata, api_token: plain}}]"),
        format!("accounts: [{SEVEN}}}, {{account: growth, vendr: batchdata, api_token_file: growth.token}}]"),
        format!("accounts: [{SEVEN}}}, {GROWTH}}}"),
    ] {
        write("a.yml", "accounts: []");
        write("b.yml", &moved);
        assert_eq!(reload(&rig).await.code, 500, "{moved}");
        assert_eq!(names(&rig), ["growth", "seven"], "{moved}");
        assert!(Arc::ptr_eq(&before, &instruments(&rig, "growth")), "{moved}");
    }
    // It cannot be told whether it was moved there: its token is not given to another.
    write("c.yml", &growth.replace("account: growth", "account: twice"));
    assert_eq!(reload(&rig).await.code, 500);
    assert_eq!(names(&rig), ["growth", "seven"]);
    let warnings = rig.snapshot().warnings.join("\n");
    assert!(warnings.contains("twice: is not used: its name or a secret is that of account growth"), "{warnings}");
    std::fs::remove_file(directory.path().join("c.yml")).unwrap();
    write("b.yml", &format!("accounts: [{SEVEN}}}, {GROWTH}}}]"));
    assert_eq!(reload(&rig).await.code, 200);
    assert!(Arc::ptr_eq(&before, &instruments(&rig, "growth")), "it goes on untouched");
    write("b.yml", &seven);
    assert_eq!(reload(&rig).await.code, 200);
    assert_eq!(names(&rig), ["seven"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_against_a_default_and_one_that_takes_what_is_anothers_keep_only_their_own_file() {
    let directory = tempfile::tempdir().unwrap();
    let (growth, seven) = (format!("accounts: [{GROWTH}}}]"), format!("accounts: [{SEVEN}}}]"));
    let defaults =
        "defaults: {batchdata: {warning_balance_usd: 200, critical_balance_usd: 50, max_age: 1h, sources: balance}}";
    let files = [("a.yml", growth.as_str()), ("defaults.yml", defaults), ("z.yml", &seven)];
    let rig = of_directory(directory.path(), &files).await;
    let threshold = |rig: &Rig, account: &str| {
        rig.value(&format!(r#"batchdata_wallet_balance_threshold_usd{{account="{account}",severity="warning"}}"#))
    };
    let write = |name: &str, text: String| std::fs::write(directory.path().join(name), text).unwrap();
    let twice = |taken: &str| format!("accounts: [{GROWTH}}}, {taken}}}]");
    for (round, (bad, said)) in (0_u32..).zip([
        (growth.replace("}]", ", warning_balance_usd: 40}]"), "critical_balance_usd (account growth, by default in "),
        (growth.replace("}]", ", balance_interval: 1h}]"), "max_age (account growth, by default in "),
        (growth.replace("}]", ", budget_day_usd: 40}]"), "sources (account growth, by default in "),
        (twice(SEVEN), "account (account seven): appears twice"),
        (twice("{account: eight, vendor: batchdata, api_token_file: seven.token"), "(account eight): is also used by"),
        (growth.replace("growth.token", "seven.token"), "(account growth): is also used by account seven"),
    ]) {
        write("a.yml", bad.clone());
        let warning = 300 + round;
        write("z.yml", seven.replace("}]", &format!(", warning_balance_usd: {warning}}}]")));
        let answer = reload(&rig).await;
        assert_eq!(answer.code, 500, "{bad}");
        let warnings = rig.snapshot().warnings.join("\n");
        assert!(warnings.contains(said) && warnings.contains("/a.yml:1: "), "{bad}: {warnings}");
        assert!(
            !warnings.contains(&format!("not reloaded: {}/z.yml", directory.path().display())),
            "{bad}: {warnings}"
        );
        assert_eq!(threshold(&rig, "seven"), Some(f64::from(warning)), "the other file is taken: {bad}");
        assert_eq!(
            (threshold(&rig, "growth"), names(&rig)),
            (Some(200.0), vec!["growth".into(), "seven".into()]),
            "{bad}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defaults_that_cannot_be_read_change_no_account() {
    let directory = tempfile::tempdir().unwrap();
    let growth = format!("accounts: [{GROWTH}}}]");
    let rig = {
        std::fs::write(directory.path().join("away"), "defaults: {batchdata: {warning_balance_usd: 7}}").unwrap();
        std::os::unix::fs::symlink(directory.path().join("away"), directory.path().join("defaults.yml")).unwrap();
        of_directory(directory.path(), &[("a.yml", &growth)]).await
    };
    let before = instruments(&rig, "growth");
    std::fs::remove_file(directory.path().join("away")).unwrap();
    assert_eq!(reload(&rig).await.code, 500);
    assert!(Arc::ptr_eq(&before, &instruments(&rig, "growth")));
    let warning = r#"batchdata_wallet_balance_threshold_usd{account="growth",severity="warning"}"#;
    assert_eq!(rig.value(warning), Some(7.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_cannot_be_used_is_on_the_page_until_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    let path = directory.path().join("growth.token");
    let token = std::fs::read(&path).unwrap();
    let said = "BATCHDATA_API_TOKEN_FILE (account growth): ";
    let is_said = |rig: &Rig| {
        rig.clock.advance(std::time::Duration::from_secs(5));
        rig.snapshot().status(wallet_exporter::clock::Clock::moment(&rig.clock)).warnings.join("\n").contains(said)
    };
    assert!(!is_said(&rig));
    std::fs::write(&path, "two words").unwrap();
    rig.until("it is said", is_said).await;
    for page in ["/", "/api/v1/status"] {
        let text = get(rig.web().unwrap(), page).await.text();
        assert!(text.contains("the previous secret stays in use") && !text.contains("two words"), "{text}");
    }
    std::fs::write(&path, token).unwrap();
    rig.until("it is no longer said", |rig| !is_said(rig)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_webhook_of_an_account_is_open_as_long_as_the_account_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = three_accounts(directory.path()).await;
    rig.stop().await;
    let secrets = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"];
    for (name, secret) in [("first", secrets[0]), ("second", secrets[1])] {
        std::fs::write(directory.path().join(name), secret).unwrap();
    }
    rig.start().await;
    assert_eq!(rig.webhook(), None);
    change(directory.path(), "checks.key", "checks.key\n    webhook_secret_file: first");
    assert_eq!(reload(&rig).await.code, 200);
    assert!(rig.snapshot().warnings.join("\n").contains("opens with the next restart"));
    rig.stop().await;
    rig.set("WEBHOOK_LISTEN_ADDRESS", "127.0.0.1:0");
    rig.start().await;
    let address = rig.webhook().unwrap();
    let status = async |secret: &str| {
        let body = br#"{"type":"BALANCE_THRESHOLD_ALERT","alerts":[]}"#;
        ask(address, "POST", &format!("/webhooks/rightfoot/{secret}"), &[], body).await.code
    };
    assert_eq!((status(secrets[0]).await, status(secrets[1]).await), (200, 404));
    change(directory.path(), "webhook_secret_file: first", "webhook_secret_file: second");
    assert_eq!(reload(&rig).await.code, 200);
    assert_eq!((status(secrets[0]).await, status(secrets[1]).await), (404, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_account_keeps_the_pause_and_the_budget_of_its_credential() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    let web = rig.web().unwrap();
    let poll = async || ask(web, "POST", "/-/poll?account=growth&source=balance", &[], b"").await.code;
    rig.vendors.fault(Operation::Balance, Fault::throttled(Some("1800")), Some(1));
    assert_eq!(poll().await, 502);
    rig.vendors.clear_requests();
    let requests = |rig: &Rig| {
        let wallet = [Some(Operation::Balance), Some(Operation::ConsumptionReport)];
        let all = rig.vendors.requests().into_iter();
        all.filter(|request| request.authorized && wallet.contains(&request.operation)).collect::<Vec<_>>()
    };
    let asked = |rig: &Rig| requests(rig).len();
    change(directory.path(), "team: growth", "team: sales");
    assert_eq!(reload(&rig).await.code, 200);
    assert_eq!(poll().await, 429, "the vendor's pause goes on");
    change(directory.path(), "account: growth", "account: renamed");
    assert_eq!(reload(&rig).await.code, 200);
    let renamed = ask(web, "POST", "/-/poll?account=renamed&source=balance", &[], b"").await;
    assert_eq!(renamed.code, 429, "also under another name");
    change(directory.path(), "account: renamed", "account: growth");
    assert_eq!(reload(&rig).await.code, 200);
    assert_eq!(asked(&rig), 0);

    // Another credential has a pause and a budget of its own.
    std::fs::write(directory.path().join("other.token"), "tok-other").unwrap();
    change(directory.path(), "growth.token", "other.token");
    assert_eq!(reload(&rig).await.code, 200);
    assert_eq!(poll().await, 502, "it is asked");
    change(directory.path(), "other.token", "growth.token");
    change(directory.path(), "critical_balance_usd: 50", "requests_per_minute: 2");
    assert_eq!(reload(&rig).await.code, 200);
    rig.until("both sources were polled", |rig| asked(rig) == 2).await;
    change(directory.path(), "team: sales", "team: growth");
    assert_eq!(reload(&rig).await.code, 200);
    rig.until("the next request", |rig| {
        rig.clock.advance(std::time::Duration::from_secs(1));
        asked(rig) > 2
    })
    .await;
    let times: Vec<_> = requests(&rig).iter().map(|request| request.at).collect();
    assert!(times[2] - times[0] >= chrono::TimeDelta::seconds(59), "the budget of a minute was used up: {times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_cannot_change_is_not_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    let growth = instruments(&rig, "growth");
    change(directory.path(), "critical_balance_usd: 50", "count_since: 2026-05-01");
    assert_eq!(reload(&rig).await.code, 500);
    assert!(Arc::ptr_eq(&growth, &instruments(&rig, "growth")), "its base line would move");
    change(directory.path(), "count_since: 2026-05-01", "critical_balance_usd: 50");

    let (store, kind) = (rig.store(), StorageFaultKind::Full);
    store.set_fault(Some(StorageFault { skip: 0, kind }));
    change(directory.path(), "team: growth", "team: sales");
    std::fs::write(directory.path().join("new.token"), "tok-new").unwrap();
    let added = "accounts:\n  - {account: new, vendor: batchdata, api_token_file: new.token}\n";
    change(directory.path(), "accounts:\n", added);
    let answer = reload(&rig).await;
    assert_eq!((answer.code, answer.text().contains("storage: ")), (500, true), "{}", answer.text());
    assert!(Arc::ptr_eq(&growth, &instruments(&rig, "growth")), "nothing of it could be written");
    assert_eq!(names(&rig), ["007", "checks", "growth"]);
    assert!(!store.is_frozen(), "a reload keeps no account's counters from increasing");
    store.set_fault(None);
    assert_eq!(reload(&rig).await.code, 200);
    assert_eq!(names(&rig), ["007", "checks", "growth", "new"]);
    assert!(rig.metrics().contains(r#"team="sales""#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_account_that_changes_is_shown_with_its_sources_at_all_times() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    let (done, web) = (Arc::new(AtomicBool::new(false)), rig.web().unwrap());
    let watching = {
        let (done, cell) = (Arc::clone(&done), rig.cell());
        std::thread::spawn(move || {
            let (mut seen, mut without) = (0_u64, 0_u64);
            while !done.load(Ordering::Relaxed) {
                let snapshot = cell.current();
                let growth = snapshot.accounts.iter().find(|view| view.name() == "growth");
                seen += 1;
                without += u64::from(growth.is_none_or(|view| view.sources.len() != 2));
            }
            (seen, without)
        })
    };
    for (from, to) in [("growth, cost", "sales, cost"), ("sales, cost", "growth, cost")].repeat(30) {
        change(directory.path(), &format!("team: {from}"), &format!("team: {to}"));
        assert_eq!(reload(&rig).await.code, 200);
        let code = ask(web, "POST", "/-/poll?source=consumption&account=growth", &[], b"").await.code;
        assert!([200, 202, 502].contains(&code), "{code}");
    }
    done.store(true, Ordering::Relaxed);
    let (seen, without) = watching.join().unwrap();
    assert!(seen > 1_000, "{seen}");
    assert_eq!(without, 0, "of {seen}");
}

/// Polls, webhooks and writes are under way while accounts are started again: nothing is lost, and nothing counts twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reloads_over_polls_and_writes_under_way_lose_nothing_and_count_nothing_twice() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = three_accounts(directory.path()).await;
    rig.stop().await;
    let secret = "0123456789abcdef0123456789abcdef";
    std::fs::write(directory.path().join("hook"), secret).unwrap();
    change(directory.path(), "sources: [balance, consumption]", "balance_interval: 30s");
    change(
        directory.path(),
        "checks.key",
        "checks.key\n    count_since: 2026-05-01\n    webhook_secret_file: hook\n    interval: 31s\n    settle_after: 1s",
    );
    rig.set("WEBHOOK_LISTEN_ADDRESS", "127.0.0.1:0");
    rig.set("METRICS_START_AT_ZERO", "0s");
    let storage = tempfile::tempdir().unwrap();
    rig.set("STORAGE_PATH", storage.path().to_str().unwrap());
    rig.start().await;
    rig.until("every source was tried", |rig| rig.snapshot().sources().all(|view| view.up.is_some())).await;
    rig.rest().await;

    let path = directory.path().join("accounts.yml");
    let text = std::fs::read_to_string(&path).unwrap();
    let webhook = rig.webhook().unwrap();
    let cards = r#"batchdata_card_transactions_total{account="growth",kind="top_up",status="paid",card_brand="visa"}"#;
    let checks = |rig: &Rig| -> f64 {
        let metrics = rig.metrics();
        let lines =
            metrics.lines().filter(|line| line.starts_with("rightfoot_balance_checks_total{account=\"checks\""));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    let counted = |rig: &Rig| [rig.value(DEBIT).unwrap_or(0.0), rig.value(cards).unwrap_or(0.0), checks(rig)];
    let mut before = counted(&rig);
    let rounds = 30_u32;
    for round in 0..rounds {
        rig.vendors.spend(rig.vendors.now(), "api_request", "/api/v1/x", Usd::from_cents(100));
        rig.vendors.card(&CardEvent::paid(Usd::from_cents(500)));
        let batch = rig.vendors.batch(vec![NewRow::success("Chase", 100)]);
        let event = event(uuid::Uuid::from_u128(u128::from(round) + 1), &batch);
        let seconds = 30 + round % 2;
        std::fs::write(
            &path,
            text.replace("balance_interval: 30s", &format!("balance_interval: {seconds}s"))
                .replace("interval: 31s", &format!("interval: {}s", 61 - seconds)),
        )
        .unwrap();
        // Every source is due, and attempts begin while the accounts are stopped.
        rig.clock.advance(std::time::Duration::from_secs(301));
        let hook = async {
            loop {
                let target = format!("/webhooks/rightfoot/{secret}");
                let answer = ask(webhook, "POST", &target, &[], event.as_bytes()).await;
                match answer.code {
                    200 => break,
                    503 => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                    code => panic!("{code}: {}", answer.text()),
                }
            }
        };
        let (answer, ()) = tokio::join!(reload(&rig), hook);
        assert_eq!(answer.code, 200, "{}", answer.text());
        let now = counted(&rig);
        assert!(now.iter().zip(&before).all(|(now, before)| now >= before), "round {round}: {before:?}, then {now:?}");
        before = now;
    }
    let expected = [f64::from(rounds), f64::from(rounds), f64::from(rounds)];
    rig.until("everything is counted", |rig| {
        rig.clock.advance(std::time::Duration::from_secs(30));
        counted(rig) == expected
    })
    .await;
    for _ in 0..5 {
        rig.clock.advance(std::time::Duration::from_secs(301));
        rig.rest().await;
    }
    assert_eq!(counted(&rig), expected, "nothing counts twice");
}
