//! `check`: the faults that `serve` would find, all at once, and not a byte written.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use rcgen::ExtendedKeyUsagePurpose;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wallet_exporter::clock::SystemClock;

use crate::program::{Exporter, run, settings, vendors};
use crate::serving::web_config::{Authority, TLS};

/// Name, content and time of every file.
fn files(directory: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let changed = entry.metadata().unwrap().modified().unwrap();
            (entry.file_name().into_string().unwrap(), (std::fs::read(entry.path()).unwrap(), changed))
        })
        .collect()
}

/// What the listed faults are about.
fn named(errors: &str) -> Vec<&str> {
    errors.lines().filter_map(|line| line.strip_prefix("  ")?.split_once(':')).map(|(name, _)| name).collect()
}

/// Checks these settings with others beside them.
fn check<'a>(settings: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> (i32, String, String) {
    run(&["check"], &[settings, more].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_lists_faults_of_every_kind_at_once_whether_or_not_the_exporter_runs() {
    let directory = tempfile::tempdir().unwrap();
    let storage = directory.path().join("data");
    let (vendors, address) = vendors().await;
    let batch = vendors.batch(vec![vendor_simulator::NewRow::success("Chase", 100)]);
    let web = directory.path().join("web.yml");
    std::fs::write(&web, "basic_auth_user: {}\n").unwrap();
    let mut settings = settings(&storage, &address);
    settings.extend([
        ("RIGHTFOOT_API_KEY", "rf_live_simulator"),
        ("RIGHTFOOT_BASE_URL", address.as_str()),
        ("RIGHTFOOT_BATCH_IDS", batch.as_str()),
    ]);
    let with = |more: &[(&'static str, &'static str)]| [&settings, more].concat();
    let since = |wallet: &'static str, checks: &'static str| {
        with(&[("BATCHDATA_COUNT_SINCE", wallet), ("RIGHTFOOT_COUNT_SINCE", checks)])
    };
    let counted = since("2026-05-01", "2026-05-02");
    let mut moved = since("2026-05-03", "2026-05-02T00:00:01Z");
    moved.extend([("WEB_CONFIG_FILE", web.to_str().unwrap()), ("LOG_LEVEL", "loud"), ("BATCHDATA_MAX_AGE", "1s")]);
    let web_and_values = ["LOG_LEVEL", "BATCHDATA_MAX_AGE", "WEB_CONFIG_FILE"];

    let judge = |when: &str, own: &[(&str, &str)]| {
        let (code, out, errors) = check(&counted, own);
        assert_eq!((code, out.as_str()), (0, "the configuration is valid\n"), "{when}: {errors}");
        assert!(!errors.contains("no *_COUNT_SINCE was compared"), "{when}: {errors}");
        let (code, _, errors) = check(&moved, own);
        assert_eq!(code, 64, "{when}");
        let mut found = named(&errors);
        found.sort_unstable();
        let mut expected = [&web_and_values[..], &["BATCHDATA_COUNT_SINCE", "RIGHTFOOT_COUNT_SINCE"]].concat();
        expected.sort_unstable();
        assert_eq!(found, expected, "{when}: {errors}");
        assert!(errors.contains("set it back to 2026-05-01,"), "{when}: {errors}");
        assert!(errors.contains("set it back to 2026-05-02T00:00:00+00:00,"), "{when}: {errors}");
    };

    let (code, _, errors) = run(&["check"], &moved);
    assert_eq!((code, named(&errors).len()), (64, 3), "without a storage: {errors}");
    assert!(!storage.exists(), "check makes no storage");

    let mut exporter = Exporter::start(&counted);
    exporter.until_ready();
    let address = exporter.address.to_string();
    judge("while it runs", &[("WEB_LISTEN_ADDRESS", &address)]);
    // Another one, with a storage of its own or none, would not start on that address.
    let another = directory.path().join("another");
    for storage in [another.to_str().unwrap(), "none"] {
        let (code, _, errors) = check(&counted, &[("WEB_LISTEN_ADDRESS", &address), ("STORAGE_PATH", storage)]);
        assert_eq!((code, named(&errors)), (64, vec!["WEB_LISTEN_ADDRESS"]), "{storage}: {errors}");
    }
    exporter.signal("-KILL");
    exporter.wait();
    assert!(storage.join("wallet-exporter.db-wal").exists(), "it was killed before it could tidy up");
    let before = files(&storage);
    judge("after it was killed", &[]);
    assert_eq!(files(&storage), before);

    let mut exporter = Exporter::start(&counted);
    exporter.until_ready();
    exporter.signal("-TERM");
    exporter.wait();
    let before = files(&storage);
    judge("after it has ended", &[]);
    assert_eq!(files(&storage), before);

    // What `serve` itself says of it.
    let (code, _, errors) = run(&[], &since("2026-05-03", "2026-05-02"));
    assert_eq!((code, named(&errors)), (64, vec!["BATCHDATA_COUNT_SINCE"]), "{errors}");
}

#[test]
fn check_leaves_a_file_that_is_not_ours_and_says_so_with_the_other_faults() {
    let directory = tempfile::tempdir().unwrap();
    let storage = directory.path().to_str().unwrap();
    let settings = [("BATCHDATA_API_TOKEN", "token"), ("STORAGE_PATH", storage), ("LOG_LEVEL", "loud")];
    let file = directory.path().join("wallet-exporter.db");
    let pragmas = "PRAGMA application_id = 0x574c5458; PRAGMA user_version = 9999; CREATE TABLE t (x);";
    for (sql, words) in [("CREATE TABLE t (x);", "not written by this program"), (pragmas, "schema version 9999")] {
        rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
        let before = files(directory.path());
        let (code, _, errors) = run(&["check"], &settings);
        assert_eq!(code, 64);
        assert_eq!(named(&errors), ["LOG_LEVEL", "--storage.path"], "{errors}");
        assert!(errors.contains(words) && errors.matches("--storage.path").count() == 1, "{errors}");
        assert_eq!(files(directory.path()), before);
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn check_refuses_a_storage_that_the_exporter_would_refuse() {
    let directory = tempfile::tempdir().unwrap();
    let storage = directory.path().to_str().unwrap();
    let settings = [("BATCHDATA_API_TOKEN", "token"), ("STORAGE_PATH", storage)];
    let file = directory.path().join("wallet-exporter.db");
    let pragmas = "PRAGMA application_id = 0x574c5458; PRAGMA user_version = 1; CREATE TABLE t (x);
        CREATE TRIGGER other AFTER INSERT ON t BEGIN DELETE FROM t; END;";
    rusqlite::Connection::open(&file).unwrap().execute_batch(pragmas).unwrap();
    for words in ["a trigger \"other\"", "is a symbolic link"] {
        for arguments in [&["check"][..], &[]] {
            let (code, _, errors) = run(arguments, &settings);
            assert_eq!(code, 64, "{errors}");
            assert!(errors.contains("--storage.path: ") && errors.contains(words), "{errors}");
        }
        let target = directory.path().join("elsewhere.db");
        std::fs::rename(&file, &target).unwrap();
        std::os::unix::fs::symlink(&target, &file).unwrap();
    }
    // A FIFO without another end would hold up who opens it.
    for name in ["wallet-exporter.db", "wallet-exporter.lock"] {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let settings = [("BATCHDATA_API_TOKEN", "token"), ("STORAGE_PATH", directory.path().to_str().unwrap())];
        for arguments in [&["check"][..], &[]] {
            let (code, _, errors) = run(arguments, &settings);
            assert_eq!(code, 64, "{name}: {errors}");
            let words = format!("{} is not a regular file", fifo.display());
            assert!(errors.contains(&words), "{name}: {errors}");
        }
    }
}

#[test]
fn check_judges_a_storage_that_it_cannot_read_by_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [("BATCHDATA_API_TOKEN", "token"), ("STORAGE_PATH", directory.path().to_str().unwrap())];
    // The mark is ours, the tables are not there.
    let file = directory.path().join("wallet-exporter.db");
    let pragmas = "PRAGMA application_id = 0x574c5458; PRAGMA user_version = 1;";
    rusqlite::Connection::open(file).unwrap().execute_batch(pragmas).unwrap();
    let (code, out, errors) = run(&["check"], &settings);
    assert_eq!((code, out.as_str()), (0, "the configuration is valid\n"));
    assert!(
        errors.contains("warning: the storage cannot be read, so no *_COUNT_SINCE was compared with it: "),
        "{errors}"
    );
}

#[test]
fn check_finds_what_would_stop_the_exporter() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below_a_file = file.join("data");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let (good, bad) = (directory.path().to_str().unwrap(), below_a_file.to_str().unwrap());
    let secret = "0123456789abcdef0123456789abcdef";
    let with = |listen, webhook, storage| {
        [
            ("BATCHDATA_API_TOKEN", "token"),
            ("RIGHTFOOT_API_KEY", "key"),
            ("RIGHTFOOT_WEBHOOK_SECRET", secret),
            ("WEB_LISTEN_ADDRESS", listen),
            ("WEBHOOK_LISTEN_ADDRESS", webhook),
            ("STORAGE_PATH", storage),
        ]
    };
    let any = "127.0.0.1:0";
    let (code, out, errors) = run(&["check"], &with(any, any, good));
    assert_eq!((code, out.as_str()), (0, "the configuration is valid\n"), "{errors}");
    for (settings, name, words) in [
        (with(&taken, any, good), "WEB_LISTEN_ADDRESS", "address in use; another program listens there"),
        (with(any, &taken, good), "WEBHOOK_LISTEN_ADDRESS", "another program listens there"),
        (with("192.0.2.1:10700", any, good), "WEB_LISTEN_ADDRESS", "this machine has no such address"),
        (with(any, any, bad), "--storage.path", "not a directory"),
    ] {
        let (code, _, errors) = run(&["check"], &settings);
        assert_eq!((code, named(&errors)), (64, vec![name]), "{errors}");
        assert!(errors.contains(words) && !errors.contains("os error"), "{errors}");
        // It is so: the exporter does not start.
        let (code, _, errors) = run(&[], &settings);
        assert_eq!(code, 1, "{errors}");
    }
}

#[test]
fn a_start_that_is_refused_makes_no_storage() {
    let directory = tempfile::tempdir().unwrap();
    let (storage, web) = (directory.path().join("data"), directory.path().join("web.yml"));
    std::fs::write(&web, "rate_limit: {interval: soon}\n").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let settings = [
        ("RIGHTFOOT_API_KEY", "key"),
        ("RIGHTFOOT_WEBHOOK_SECRET", "0123456789abcdef0123456789abcdef"),
        ("STORAGE_PATH", storage.to_str().unwrap()),
        ("WEB_LISTEN_ADDRESS", "127.0.0.1:0"),
        ("WEBHOOK_LISTEN_ADDRESS", "127.0.0.1:0"),
    ];
    for (name, value, code) in [
        ("WEB_LISTEN_ADDRESS", taken.as_str(), 1),
        ("WEBHOOK_LISTEN_ADDRESS", &taken, 1),
        ("WEB_CONFIG_FILE", web.to_str().unwrap(), 64),
    ] {
        let (found, _, errors) = run(&[], &[&settings[..], &[(name, value)]].concat());
        assert_eq!(found, code, "{errors}");
        assert!(!storage.exists(), "{name}");
    }
}

#[test]
fn check_lists_every_error_of_a_web_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let web = directory.path().join("web.yml");
    let text = "tls_server_config: {cert_file: no.crt, key_file: no.key, curve_preferences: [A, B]}\n\
                basic_auth_users: {alice: CANARY, bob: CANARY}\nrate_limit: {interval: soon}\n\
                http_server_config: {headers: {X-Own: x}}\n";
    std::fs::write(&web, text).unwrap();
    let settings = [("BATCHDATA_API_TOKEN", "token"), ("STORAGE_PATH", "none"), ("WEB_LISTEN_ADDRESS", "127.0.0.1:0")];
    let (code, _, errors) = check(&settings, &[("WEB_CONFIG_FILE", web.to_str().unwrap())]);
    assert_eq!((code, named(&errors)), (64, vec!["WEB_CONFIG_FILE"; 8]), "{errors}");
    let words = [
        "\"A\" is not supported",
        "\"B\" is not supported",
        "no.crt",
        "no.key",
        "X-Own",
        "\"alice\"",
        "\"bob\"",
        "rate_limit.interval",
    ];
    for (line, words) in errors.lines().skip(1).zip(words) {
        assert!(line.contains(": web configuration ") && line.contains(words), "{words}: {errors}");
    }
    assert!(!errors.contains("CANARY"), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_count_start_before_what_the_vendor_keeps_is_warned_of_until_something_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (_vendors, address) = vendors().await;
    let (token, file) = (directory.path().join("token"), directory.path().join("accounts.yml"));
    std::fs::write(&token, "sim-batchdata-token").unwrap();
    let fields = "account: growth, vendor: batchdata, api_token_file: token, count_since: 2020-01-01";
    std::fs::write(&file, format!("accounts: [{{{fields}}}]\n")).unwrap();
    let (storage, old) = (directory.path().join("data"), [("BATCHDATA_COUNT_SINCE", "2020-01-01")]);
    let settings = settings(&storage, &address);
    let words = "COUNT_SINCE is 2020-01-01, and the vendor's report covers the last 365 days: what was spent before 20";
    let of_file = words.replace("COUNT_SINCE", "account growth: count_since");
    let files = [("CONFIG_FILE", file.to_str().unwrap()), ("STORAGE_PATH", "none"), ("WEB_LISTEN_ADDRESS", ":0")];
    let warned = |errors: &str, words: &str| errors.matches(words).count();
    for command in ["check", "dump"] {
        let (_, _, errors) = run(&[command], &[&settings[..], &old].concat());
        assert_eq!(warned(&errors, &format!("BATCHDATA_{words}")), 1, "{command}: {errors}");
        let (_, _, errors) = run(&[command], &[&files[..], &[("BATCHDATA_BASE_URL", &address)]].concat());
        assert_eq!(warned(&errors, &of_file), 1, "{command}: {errors}");
    }
    let yesterday = (SystemClock::shared().now() - chrono::TimeDelta::days(1)).format("%Y-%m-%d").to_string();
    let (code, _, errors) = check(&settings, &[("BATCHDATA_COUNT_SINCE", &yesterday)]);
    assert_eq!((code, warned(&errors, "COUNT_SINCE")), (0, 0), "{errors}");
    let mut exporter = Exporter::start(&[&settings[..], &old].concat());
    exporter.until_ready();
    exporter.signal("-TERM");
    exporter.wait();
    let (code, _, errors) = check(&settings, &old);
    assert_eq!((code, warned(&errors, words)), (0, 0), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_without_ids_is_not_said_to_be_polled() {
    let directory = tempfile::tempdir().unwrap();
    let (_vendors, address) = vendors().await;
    let mut settings = settings(directory.path(), &address);
    settings.extend([("RIGHTFOOT_API_KEY", "rf_live_simulator"), ("RIGHTFOOT_BASE_URL", &address)]);
    let mut exporter = Exporter::start(&settings);
    exporter.until_ready();
    exporter.signal("-TERM");
    exporter.wait();
    exporter.until_logged("msg=\"nothing to request yet: no id is known\" vendor=rightfoot source=batches");
    exporter.until_logged("msg=\"the first poll succeeded\" vendor=batchdata source=balance");
    let log = exporter.log.lock().unwrap();
    assert!(!log.contains("msg=\"the first poll succeeded\" vendor=rightfoot"), "{log}");
}

#[test]
fn check_takes_the_running_exporter_for_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path(), "http://127.0.0.1:9");
    let exporter = Exporter::start(&settings);
    let address = exporter.address.to_string();
    settings.retain(|(name, _)| *name != "WEB_LISTEN_ADDRESS");
    settings.push(("WEB_LISTEN_ADDRESS", &address));
    let (code, _, errors) = run(&["check"], &settings);
    assert_eq!(code, 0, "{errors}");
    assert!(
        errors.contains(&format!("warning: WEB_LISTEN_ADDRESS: {address} is in use, and an exporter runs")),
        "{errors}"
    );
    let storage = directory.path().display();
    assert!(
        errors.contains(&format!("warning: --storage.path: {storage} is in use, and an exporter runs")),
        "{errors}"
    );
    // It has not been disturbed.
    assert_eq!(exporter.get("/-/healthy").0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_online_says_what_it_calls_and_fails_for_an_unavailable_batch() {
    let (vendors, address) = vendors().await;
    let batch = vendors.batch(vec![vendor_simulator::NewRow::success("Chase", 100)]);
    let ids = format!("{batch},{}", vendors.foreign_batch());
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path(), &address);
    settings.extend([("RIGHTFOOT_API_KEY", "rf_live_simulator"), ("RIGHTFOOT_BASE_URL", &address)]);
    for (ids, expected) in [(batch.as_str(), 0), (ids.as_str(), 1)] {
        let settings = [&settings[..], &[("RIGHTFOOT_BATCH_IDS", ids)]].concat();
        let (code, out, errors) = run(&["check", "--online"], &settings);
        assert_eq!(code, expected, "{out}{errors}");
        assert_eq!(out.contains("unavailable"), expected == 1, "{out}");
        let called = errors.lines().filter(|line| line.starts_with("calling "));
        assert_eq!(called.count(), 4, "{errors}");
        assert!(errors.contains("calling batchdata balance for account default ...\n"), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_open_to_other_users_are_named_by_check_the_log_the_page_and_json() {
    use std::os::unix::fs::PermissionsExt as _;
    let authority = Authority::new();
    authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    let config = authority.config(TLS);
    let (token, storage) = (authority.path("token"), authority.path("data"));
    std::fs::write(&token, "sim-batchdata-token\n").unwrap();
    std::fs::create_dir(&storage).unwrap();
    let (_vendors, address) = vendors().await;
    let mut settings = settings(&storage, &address);
    settings.retain(|(name, _)| *name != "BATCHDATA_API_TOKEN");
    let secret = "s".repeat(32);
    settings.extend([
        ("BATCHDATA_API_TOKEN_FILE", token.to_str().unwrap()),
        ("RIGHTFOOT_API_KEY", "rf_live_simulator"),
        ("RIGHTFOOT_BASE_URL", address.as_str()),
        ("RIGHTFOOT_WEBHOOK_SECRET", secret.as_str()),
        ("WEBHOOK_LISTEN_ADDRESS", "127.0.0.1:0"),
        ("WEBHOOK_CONFIG_FILE", config.to_str().unwrap()),
    ]);
    for (path, open, closed) in
        [(&storage, 0o755, 0o700), (&token, 0o644, 0o600), (&authority.path("server.key"), 0o604, 0o600)]
    {
        let chmod = |mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        for other in [&storage, &token, &authority.path("server.key")] {
            let mode = if other.is_dir() { 0o700 } else { 0o600 };
            std::fs::set_permissions(other, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        chmod(open);
        let path = path.display();
        let words = format!("{path} is open to other users (mode {open:04o}): chmod {closed:o} {path}");
        let (code, _, errors) = run(&["check"], &settings);
        assert_eq!((code, errors.contains(&format!("warning: {words}\n"))), (0, true), "{errors}");
        let exporter = Exporter::start(&settings);
        assert!(exporter.start.contains(&words), "{}", exporter.start);
        assert_eq!(exporter.start.matches("is open to other users").count(), 1, "{}", exporter.start);
        assert!(exporter.get("/").1.contains(&format!("<li>{words}</li>")));
        let status: serde_json::Value = serde_json::from_str(&exporter.get("/api/v1/status").1).unwrap();
        let warnings = status["warnings"].as_array().unwrap();
        assert!(warnings.iter().any(|warning| warning == words.as_str()), "{warnings:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_lines_in_the_file_of_batch_ids_are_warned_of_by_their_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let (vendors, address) = vendors().await;
    let batch = vendors.batch(vec![vendor_simulator::NewRow::success("Chase", 100)]);
    let file = directory.path().join("ids");
    std::fs::write(&file, format!("# ours\nCANARY-one\n{batch}\n\nCANARY-two # three\n")).unwrap();
    let storage = directory.path().join("data");
    let mut settings = settings(&storage, &address);
    settings.extend([
        ("RIGHTFOOT_API_KEY", "rf_live_simulator"),
        ("RIGHTFOOT_BASE_URL", address.as_str()),
        ("RIGHTFOOT_BATCH_IDS_FILE", file.to_str().unwrap()),
    ]);
    let words = "RIGHTFOOT_BATCH_IDS_FILE: lines 2, 5 are not batch ids and are skipped";
    let (code, _, errors) = run(&["check"], &settings);
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains(&format!("warning: {words}\n")) && !errors.contains("CANARY"), "{errors}");

    let exporter = Exporter::start(&settings);
    exporter.until_ready();
    assert!(exporter.get("/").1.contains(&format!("<li>{words}</li>")));
    let status: serde_json::Value = serde_json::from_str(&exporter.get("/api/v1/status").1).unwrap();
    let warnings: Vec<&str> = status["warnings"].as_array().unwrap().iter().filter_map(|text| text.as_str()).collect();
    assert!(warnings.contains(&words), "{warnings:?}");

    drop(exporter);
    std::fs::write(&file, format!("{batch}\n{}", "x\n".repeat(30))).unwrap();
    let (_, _, errors) = run(&["check"], &settings);
    assert!(errors.contains("lines 2, 3, ") && errors.contains(", 21 and 10 more are not batch ids"), "{errors}");
    std::fs::write(&file, format!("{batch}\n")).unwrap();
    assert!(!run(&["check"], &settings).2.contains("RIGHTFOOT_BATCH_IDS_FILE"));
}

#[test]
fn check_refuses_a_storage_that_another_exporter_holds() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), "http://127.0.0.1:9");
    let mut exporter = Exporter::start(&settings);
    // Both would listen elsewhere.
    for arguments in [&["check"][..], &[]] {
        let (code, _, errors) = run(arguments, &settings);
        assert_eq!(code, if arguments.is_empty() { 1 } else { 64 }, "{errors}");
        assert!(errors.contains("--storage.path: ") && errors.contains("is in use by another process"), "{errors}");
    }
    exporter.signal("-TERM");
    exporter.wait();
    let before = files(directory.path());
    let (code, _, errors) = check(&settings, &[]);
    assert_eq!(code, 0, "{errors}");
    assert!(!errors.contains("in use"), "{errors}");
    assert_eq!(files(directory.path()), before);
}

#[test]
fn check_refuses_accounts_that_are_served_from_another_storage() {
    let directory = tempfile::tempdir().unwrap();
    let (here, there) = (directory.path().join("here"), directory.path().join("there"));
    let from = settings(&here, "http://127.0.0.1:9");
    let mut exporter = Exporter::start(&from);
    exporter.signal("-TERM");
    exporter.wait();
    let account = ["--vendor", "batchdata", "--account", "default", "--to", there.to_str().unwrap()];
    let (code, _, errors) =
        run(&[&["ledger", "move"], &account[..]].concat(), &[("STORAGE_PATH", here.to_str().unwrap())]);
    assert_eq!(code, 0, "{errors}");
    let before = files(&here);
    let words = format!("batchdata account default was moved to {}", there.display());
    let (code, _, errors) = check(&from, &[("LOG_LEVEL", "loud")]);
    assert_eq!((code, named(&errors)), (64, vec!["LOG_LEVEL", "--storage.path"]), "{errors}");
    assert!(errors.contains(&words), "{errors}");
    assert_eq!(files(&here), before);
    let (code, _, errors) = run(&[], &from);
    assert_eq!(code, 1);
    assert!(errors.contains(&words), "{errors}");
    let (code, _, errors) = check(&settings(&there, "http://127.0.0.1:9"), &[]);
    assert_eq!(code, 0, "{errors}");
    // Another account of the same storage is served from it.
    let (code, _, errors) = check(&from, &[("BATCHDATA_ACCOUNT", "other")]);
    assert_eq!(code, 0, "{errors}");
}

#[test]
fn errors_do_not_hide_the_warning_about_a_misspelt_variable() {
    let settings =
        [("BATCHDATA_API_TOKEN", "token"), ("STORAGE_PAHT", "/x"), ("STORAGE_PATH", "none"), ("LOG_LEVEL", "loud")];
    for arguments in [&["check"][..], &["serve"], &["dump"]] {
        let (code, _, errors) = run(arguments, &settings);
        assert_eq!((code, named(&errors)), (64, vec!["LOG_LEVEL"]), "{errors}");
        assert_eq!(errors.matches("warning: STORAGE_PAHT is not a variable").count(), 1, "{arguments:?}: {errors}");
    }
}

#[test]
fn a_taken_address_and_a_missing_directory_are_said_in_words_with_a_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let with = |web, webhook| {
        [
            ("BATCHDATA_API_TOKEN", "token"),
            ("RIGHTFOOT_API_KEY", "key"),
            ("RIGHTFOOT_WEBHOOK_SECRET", "0123456789abcdef0123456789abcdef"),
            ("WEB_LISTEN_ADDRESS", web),
            ("WEBHOOK_LISTEN_ADDRESS", webhook),
            ("STORAGE_PATH", directory.path().to_str().unwrap()),
        ]
    };
    let any = "127.0.0.1:0";
    for (command, settings, flag) in [
        ("serve", with(&taken, any), "--web.listen-address"),
        ("demo", with(&taken, any), "--web.listen-address"),
        ("serve", with(any, &taken), "--webhook.listen-address"),
    ] {
        let (code, _, errors) = run(&[command], &settings);
        assert_eq!(code, 1, "{errors}");
        let said = format!(
            "cannot listen on {taken}: the address is in use; stop the program that listens there, or name another address with {flag}"
        );
        assert!(errors.contains(&said) && !errors.contains("os error"), "{command}: {errors}");
    }
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    for (path, words) in [("/proc/x", "no such file or directory"), (file.to_str().unwrap(), "not a directory")] {
        for (command, expected) in [("serve", 1), ("check", 64)] {
            let (code, _, errors) = run(&[command, "--storage.path", path], &with(any, any));
            assert_eq!(code, expected, "{errors}");
            assert!(errors.contains("cannot write ") && errors.contains(words), "{command}: {errors}");
        }
    }
}

/// A vendor that lets every request wait until so many are open at once, and then refuses the token. Returns its address
/// and the most that were ever open.
async fn refusing(wait_for: usize) -> (String, std::sync::Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (most, open) = (std::sync::Arc::new(AtomicUsize::new(0)), std::sync::Arc::new(AtomicUsize::new(0)));
    let seen = std::sync::Arc::clone(&most);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (most, open) = (std::sync::Arc::clone(&seen), std::sync::Arc::clone(&open));
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let enough = async {
                    while most.load(Ordering::SeqCst) < wait_for {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    // Time for one too many.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                };
                let _ = tokio::time::timeout(Duration::from_secs(5), enough).await;
                open.fetch_sub(1, Ordering::SeqCst);
                let _ = stream
                    .write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .await;
            });
        }
    });
    (address, most)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_online_asks_for_eight_accounts_at_a_time_and_names_accounts_and_fields_of_a_file() {
    let (address, most) = refusing(8).await;
    let directory = tempfile::tempdir().unwrap();
    let names = ["zeta", "alpha", "mid", "beta", "eta", "iota", "nu", "xi", "pi"];
    let mut text = "defaults: {batchdata: {sources: [balance, consumption]}}\naccounts:\n".to_owned();
    for name in names {
        std::fs::write(directory.path().join(name), format!("tok-{name}")).unwrap();
        text += &format!("- {{account: {name}, vendor: batchdata, api_token_file: {name}}}\n");
    }
    let file = directory.path().join("accounts.yml");
    std::fs::write(&file, text).unwrap();
    let settings = [
        ("CONFIG_FILE", file.to_str().unwrap()),
        ("BATCHDATA_BASE_URL", &address),
        ("STORAGE_PATH", "none"),
        ("WEB_LISTEN_ADDRESS", "127.0.0.1:0"),
    ];
    let (code, out, errors) = tokio::task::block_in_place(|| run(&["check", "--online"], &settings));
    assert_eq!(code, 1, "{errors}");
    assert_eq!(most.load(Ordering::SeqCst), 8, "{errors}");
    let rows: Vec<&str> = out.lines().filter(|line| line.contains("unauthorized")).collect();
    let expected = names.map(|name| [(name, "balance"), (name, "consumption")]);
    assert_eq!(rows.len(), 18, "{out}");
    for ((name, operation), row) in expected.iter().flatten().zip(&rows) {
        let words: Vec<&str> = row.split_whitespace().take(3).collect();
        assert_eq!(words, [*name, "batchdata", *operation], "{out}");
        assert!(row.ends_with("; check api_token_file"), "{row}");
    }
    assert!(!out.contains("BATCHDATA_") && !errors.contains("BATCHDATA_"), "{out}{errors}");
    assert!(errors.contains("calling batchdata balance for account zeta ...\n"), "{errors}");
    // Without a file, a remedy names the variables.
    let alone = [("BATCHDATA_API_TOKEN", "x"), ("BATCHDATA_SOURCES", "balance")];
    let (code, out, _) =
        tokio::task::block_in_place(|| run(&["check", "--online"], &[&settings[1..], &alone].concat()));
    assert_eq!(code, 1);
    assert!(out.lines().nth(2).is_some_and(|row| row.starts_with("batchdata balance ")), "{out}");
    assert!(out.contains("; check BATCHDATA_API_TOKEN or BATCHDATA_API_TOKEN_FILE\n"), "{out}");
}

#[test]
fn durations_are_read_as_prometheus_reads_them() {
    use wallet_exporter::config::values::{duration, written};
    for (text, milliseconds) in [
        ("1y", 365 * 86_400_000),
        ("10y", 3_650 * 86_400_000),
        ("1y2w3d4h5m6s7ms", (382 * 86_400 + 4 * 3_600 + 5 * 60 + 6) * 1_000 + 7),
        ("5ms", 5),
        ("1m5ms", 60_005),
        ("0ms", 0),
        ("1500ms", 1_500),
    ] {
        assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        assert_eq!(duration(&written(Duration::from_millis(milliseconds))), duration(text), "{text}");
    }
    for text in ["11y", "10y1ms", "18446744073709551615y", "18446744073709551615ms1ms", "99999999999999999999ms"] {
        assert!(duration(text).is_err(), "{text}");
    }
    for text in ["1ms1s", "1d1y", "ms", "y", "5mss", "1y1y"] {
        assert!(duration(text).unwrap_err().starts_with("write a duration such as"), "{text}");
    }
    assert_eq!(written(Duration::from_millis(1_500)), "1s500ms");
}
