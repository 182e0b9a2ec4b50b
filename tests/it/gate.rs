//! The gate: enough money, too little, or a balance that nobody should rely on; over HTTP and as a command.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rcgen::ExtendedKeyUsagePurpose;
use rust_decimal::Decimal;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vendor_simulator::Operation;

use crate::accounts::three_accounts;
use crate::program;
use crate::rig::Rig;
use crate::serving::fixture::{ask, get};
use crate::serving::tools;
use crate::serving::web_config::{Authority, TLS, hash};

async fn rig(balance: &str) -> Rig {
    let mut rig = Rig::new().await;
    rig.vendors.set_balance(balance.parse::<Decimal>().unwrap());
    rig.start().await;
    rig.first_polls().await;
    rig
}

/// Code, reason and the whole answer.
async fn gate(web: SocketAddr, query: &str) -> (u16, String, Value) {
    let answer = get(web, &format!("/api/v1/gate?{query}")).await;
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.code, json["reason"].as_str().unwrap_or_default().to_owned(), json)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amounts_are_compared_to_the_last_digit() {
    let rig = rig("0.3").await;
    let web = rig.web().unwrap();
    for (query, code, reason) in [
        ("", 200, "sufficient"),
        ("min_usd=0.3", 200, "sufficient"),
        ("min_usd=0.300000000001", 409, "insufficient"),
        // In binary fractions 0.3 - 0.2 is less than 0.1.
        ("min_usd=0.1&cost_usd=0.2", 200, "sufficient"),
        ("min_usd=0.1&cost_usd=0.200000000001", 409, "insufficient"),
        ("cost_usd=3e-1", 200, "sufficient"),
        ("account=default&max_age=1m30s", 200, "sufficient"),
    ] {
        let (answered, because, json) = gate(web, query).await;
        assert_eq!((answered, because.as_str()), (code, reason), "{query}: {json}");
        assert_eq!(json["open"], code == 200, "{query}");
    }
    let (_, _, json) = gate(web, "min_usd=0.20&cost_usd=1000&max_age=1h").await;
    let expected = serde_json::json!({
        "open": false,
        "reason": "insufficient",
        "message": "account default: the balance $0.30 less $1,000.00 is below $0.20",
        "account": "default",
        "balance_usd": "0.3000",
        "min_usd": "0.20",
        "cost_usd": "1000",
        "age_seconds": 0.0,
        "max_age_seconds": 3600.0,
    });
    assert_eq!(json, expected);
    assert_eq!(get(web, "/api/v1/gate").await.header("content-type"), "application/json");
    let head = ask(web, "HEAD", "/api/v1/gate?min_usd=1", &[], b"").await;
    assert_eq!((head.code, head.body.len()), (409, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_with_an_error_is_never_answered() {
    let rig = rig("1000").await;
    let web = rig.web().unwrap();
    for (query, code, named) in [
        ("min=5", 400, "unknown: write account, min_usd, cost_usd, max_age"),
        ("min_usd=", 400, "min_usd is empty"),
        ("min_usd", 400, "min_usd is empty"),
        ("account=", 400, "account is empty"),
        ("min_usd=1&min_usd=1", 400, "min_usd is there twice"),
        ("min_usd=CANARY", 400, "min_usd: write an amount"),
        ("min_usd=1,000", 400, "min_usd: write an amount"),
        ("min_usd=NaN", 400, "min_usd: write an amount"),
        ("min_usd=-1", 400, "min_usd: write an amount"),
        ("cost_usd=-0.01", 400, "cost_usd: write an amount"),
        ("cost_usd=1e13", 400, "cost_usd: write an amount"),
        ("max_age=5", 400, "max_age: write a duration"),
        ("max_age=0s", 400, "max_age: write a duration from 1s"),
        ("account=CANARY", 404, "No account of that name"),
    ] {
        let answer = get(web, &format!("/api/v1/gate?{query}")).await;
        assert_eq!(answer.code, code, "{query}");
        assert!(answer.text().contains(named), "{query}: {}", answer.text());
        assert!(!answer.text().contains("CANARY"), "{query}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balance_that_is_too_old_or_unknown_closes_it() {
    let mut rig = Rig::new().await;
    let directory = tempfile::tempdir().unwrap();
    rig.set("STORAGE_PATH", directory.path().to_str().unwrap());
    rig.set("BATCHDATA_BALANCE_INTERVAL", "10s");
    rig.vendors.set_permission(Operation::Balance, false);
    rig.vendors.set_balance(Decimal::from(100));
    rig.start().await;
    rig.first_polls().await;
    let (code, reason, json) = gate(rig.web().unwrap(), "").await;
    assert_eq!((code, reason.as_str()), (409, "unknown"), "{json}");
    assert_eq!(json["message"], "account default: the balance is unknown; the last poll failed: forbidden");
    assert!(json["balance_usd"].is_null() && json["age_seconds"].is_null());

    rig.vendors.set_permission(Operation::Balance, true);
    rig.poll(&["balance"]).await;
    rig.until("it is known", |rig| rig.source("up", "balance") == Some(1.0)).await;
    rig.rest().await;
    rig.vendors.set_permission(Operation::Balance, false);
    let calls = || rig.vendors.requests().iter().filter(|seen| seen.operation == Some(Operation::Balance)).count();
    let (before, web) = (calls(), rig.web().unwrap());
    assert_eq!(gate(web, "min_usd=100").await.0, 200);
    assert_eq!(calls(), before, "no vendor is asked");
    // Three intervals, to the millisecond, and not what the gauge lives.
    rig.clock.advance(Duration::from_secs(30));
    assert_eq!(gate(web, "").await.0, 200);
    rig.until("it fails", |rig| rig.source("up", "balance") == Some(0.0)).await;
    rig.clock.advance(Duration::from_millis(1));
    let (code, reason, json) = gate(web, "").await;
    assert_eq!((code, reason.as_str()), (409, "stale"));
    assert_eq!(
        json["message"],
        "account default: the balance was polled 31s ago, more than 30s ago; the last poll failed: forbidden"
    );
    assert_eq!((&json["age_seconds"], &json["balance_usd"]), (&30.001.into(), &"100.0000".into()));
    assert_eq!(gate(web, "max_age=31s").await.0, 200);

    // A restart forgets neither the balance nor its age.
    rig.stop().await;
    rig.start().await;
    let web = rig.web().unwrap();
    assert_eq!(gate(web, "").await.1, "stale");
    assert_eq!(gate(web, "max_age=31s&min_usd=100").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_whose_balance_is_not_polled_is_unknown() {
    let mut rig = Rig::new().await;
    rig.set("BATCHDATA_SOURCES", "consumption");
    rig.start().await;
    rig.first_polls().await;
    let (code, reason, json) = gate(rig.web().unwrap(), "").await;
    assert_eq!((code, reason.as_str()), (409, "unknown"));
    assert_eq!(json["message"], "account default: the balance is unknown: the source balance is not polled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_several_accounts_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    let web = rig.web().unwrap();
    let answer = get(web, "/api/v1/gate?min_usd=1").await;
    assert_eq!(
        (answer.code, answer.text().as_str()),
        (400, "Several accounts have a balance: name one with account.\n")
    );
    assert_eq!(gate(web, "account=growth").await.2["account"], "growth");
    // Its token is refused.
    assert_eq!(gate(web, "account=007").await.1, "unknown");
    for without in ["checks", "nobody"] {
        assert_eq!(gate(web, &format!("account={without}")).await.0, 404, "{without}");
    }
    let (code, out, errors) = command(web, &["--account", "growth", "--min-usd", "0"]);
    assert_eq!((code, out.lines().count()), (0, 1), "{out}{errors}");
    assert_eq!(command(web, &[]).0, 64);
}

/// Exit code, standard output, standard error.
fn command(web: SocketAddr, arguments: &[&str]) -> (i32, String, String) {
    let url = format!("http://{web}");
    tokio::task::block_in_place(|| program::run(&[&["gate", "--url", &url], arguments].concat(), &[]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_says_it_in_one_line_and_an_exit_code() {
    let rig = rig("42.5").await;
    let web = rig.web().unwrap();
    let (code, out, errors) = command(web, &["--min-usd", "22.5", "--cost-usd=20"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(out, "open: account default: the balance $42.50 less $20.00 is at least $22.50\n");
    let (code, out, errors) = command(web, &["--min-usd", "42.51", "--max-age", "5m", "--account", "default"]);
    assert_eq!((code, errors.as_str()), (2, ""));
    assert_eq!(out, "closed: account default: the balance $42.50 is below $42.51\n");
    for (arguments, named) in [
        (&["--min-usd", "much"][..], "--min-usd: \"much\" is not valid: write an amount"),
        (&["--account", "nobody"], "No account of that name"),
        (&["--max-age", "5"], "--max-age: \"5\" is not valid: write a duration"),
        (&["--minimum", "5"], "--minimum"),
        (&["--username", "me"], "--password-file"),
        (&["--ca-file", "/nowhere"], "--ca-file: cannot read /nowhere"),
        (&["--url", "ftp://x"], "cannot be used multiple times"),
    ] {
        let (code, out, errors) = command(web, arguments);
        assert_eq!((code, out.as_str()), (64, ""), "{arguments:?}: {errors}");
        assert!(errors.contains(named), "{arguments:?}: {errors}");
    }
    for url in ["ftp://127.0.0.1", "127.0.0.1:10700", "http://user:secret@127.0.0.1", "http://127.0.0.1/?a=b"] {
        let (code, _, errors) = tokio::task::block_in_place(|| program::run(&["gate", "--url", url], &[]));
        assert_eq!(code, 64, "{errors}");
        assert!(errors.contains("--url: ") && !errors.contains("secret"), "{errors}");
    }
    // Without a URL it asks where an exporter with the same settings listens.
    let listen = format!(":{}", web.port());
    let local = |listen: &str| program::run(&["gate"], &[("WEB_LISTEN_ADDRESS", listen)]);
    let (code, out, errors) = tokio::task::block_in_place(|| local(&listen));
    assert_eq!(code, 0, "{out}{errors}");
}

#[test]
fn a_wrong_question_is_refused_although_nobody_answers() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{unused}");
    let ask = |arguments: &[&str]| program::run(&[&["gate", "--url", &url], arguments].concat(), &[]);
    for (arguments, named) in [
        (["--min-usd", "abc"], "--min-usd: \"abc\" is not valid: write an amount"),
        (["--min-usd", ""], "--min-usd: \"\" is not valid: write an amount"),
        (["--cost-usd", "1,000"], "--cost-usd: \"1,000\" is not valid: write an amount"),
        (["--max-age", "0s"], "--max-age: \"0s\" is not valid: write a duration from 1s"),
        (["--account", "Growth Team"], "--account: \"Growth Team\" is not valid: write 1 to 64"),
        (["--url", "x"], "cannot be used multiple times"),
    ] {
        let (code, out, errors) = ask(&arguments);
        assert_eq!((code, out.as_str()), (64, ""), "{arguments:?}: {errors}");
        assert!(errors.contains(named), "{arguments:?}: {errors}");
    }
    let (code, _, errors) = ask(&["--min-usd", "abc", "--cost-usd=-1", "--max-age", "x", "--ca-file", "/nowhere"]);
    assert_eq!(code, 64);
    for flag in ["--min-usd: ", "--cost-usd: ", "--max-age: ", "--ca-file: "] {
        assert!(errors.contains(flag), "{flag}: {errors}");
    }
    // A question without an error finds that nobody answers.
    assert_eq!(ask(&["--min-usd", "50", "--max-age", "5m", "--account", "growth"]).0, 1);
}

#[test]
fn the_command_warns_of_a_variable_that_only_resembles_its_own() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ask = |more: &[(&str, &str)]| {
        program::run(&["gate"], &[&[("WEB_LISTEN_ADDRESS", unused.as_str()), ("LOG_LEVL", "x")], more].concat())
    };
    let warning = "warning: LOG_LEVL is not a variable of this program and has no effect: did you mean LOG_LEVEL?\n";
    for (more, code) in [(&[][..], 1), (&[("LOG_FORMAT", "loud")], 64)] {
        let (found, _, errors) = ask(more);
        assert_eq!(found, code, "{errors}");
        assert!(errors.contains(warning), "{errors}");
    }
}

/// A server that gives everybody this answer.
async fn impostor(answer: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_words_of_a_gate_are_taken_for_one() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (code, out, errors) = command(unused, &[]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(errors.contains("connection refused"), "{errors}");
    let not_a_gate = "is it the URL of a wallet-exporter?";
    for (answer, words) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK", not_a_gate),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 28\r\nConnection: close\r\n\r\n{\"open\":false,\"message\":\"\"}\n",
            not_a_gate,
        ),
        ("HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "status 409: is it"),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "status 302: is it",
        ),
        ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "status 503: is it"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nConnection: close\r\n\r\n{\"open\":true,\"message\":\"\"}",
            "no answer from",
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", "no answer from"),
    ] {
        let (code, out, errors) = command(impostor(answer).await, &[]);
        assert_eq!((code, out.as_str()), (1, ""), "{answer}: {errors}");
        assert!(errors.contains(words), "{answer}: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_signs_in_with_files() {
    let authority = Authority::new();
    authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    authority.sign("client", ExtendedKeyUsagePurpose::ClientAuth);
    let web = authority.config(&format!(
        "{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\nbasic_auth_users:\n  \
         alice: {}\n",
        hash()
    ));
    let file = |name: &str| authority.path(name).display().to_string();
    std::fs::write(authority.path("password"), "correct horse\n").unwrap();
    std::fs::write(authority.path("wrong"), "SECRET-CANARY").unwrap();
    let mut rig = Rig::new().await;
    rig.set("WEB_CONFIG_FILE", web.to_str().unwrap());
    rig.vendors.set_balance(Decimal::from(10));
    rig.start().await;
    rig.first_polls().await;
    let address = rig.web().unwrap();
    let url = format!("https://{address}");
    let asked = |url: &str, files: &[(&str, &str)]| {
        let files = files.iter().flat_map(|(flag, name)| {
            let value = if *flag == "--username" { (*name).to_owned() } else { file(name) };
            [(*flag).to_owned(), value]
        });
        let files: Vec<String> = files.collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        tokio::task::block_in_place(|| program::run(&[&["gate", "--url", url][..], &files].concat(), &[]))
    };
    let (ca, cert, key) = (("--ca-file", "ca.crt"), ("--cert-file", "client.crt"), ("--key-file", "client.key"));
    let (user, password) = (("--username", "alice"), ("--password-file", "password"));
    let wrong = ("--password-file", "wrong");
    let (code, out, errors) = asked(&url, &[ca, cert, key, user, password]);
    assert_eq!((code, errors.as_str()), (0, ""), "{out}");
    for (url, files, code, named) in [
        (url.as_str(), &[cert, key, user, password][..], 1, "the certificate's issuer is unknown"),
        (&url, &[ca, user, password], 1, "no answer"),
        (&url, &[ca, cert, key], 1, "401: give --username"),
        (&url, &[ca, cert, key, user, wrong], 1, "401: the user or the password is wrong"),
        (&format!("http://{address}"), &[user, password], 1, "no answer"),
        ("http://192.0.2.1:10700", &[user, password], 64, "--url: write https"),
        (&url, &[ca, cert, ("--key-file", "server.key"), user, password], 64, "do not belong together"),
        (&url, &[("--ca-file", "password")], 64, "--ca-file: there is no PEM certificate"),
        (&url, &[ca, cert, ("--key-file", "password")], 64, "--key-file: there is no PEM key"),
    ] {
        let (found, out, errors) = asked(url, files);
        assert_eq!((found, out.as_str()), (code, ""), "{url} {files:?}: {errors}");
        assert!(errors.contains(named), "{url} {files:?}: {errors}");
        assert!(!errors.contains("CANARY") && !errors.contains("horse"), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readmes_commands_hold_a_job_back() {
    assert!(tools::find("curl").is_some(), "curl is missing: install it");
    let readme = include_str!("../../README.md");
    let section = readme.split("\n## Budgets and gate\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let commands = section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let rig = rig("60").await;
    let web = rig.web().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_wallet-exporter")).parent().unwrap();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", program.display());
    std::fs::write(directory.path().join("paid-job"), "#!/bin/sh\necho paid\n").unwrap();
    let mut played = 0;
    for line in commands.lines() {
        let line = line.split('#').next().unwrap().replace("127.0.0.1:10700", &web.to_string());
        assert!(line.contains("./paid-job"), "{line}");
        for (balance, runs) in [(70, true), (69, false)] {
            rig.vendors.set_balance(Decimal::from(balance));
            rig.poll(&["balance"]).await;
            let output = tokio::task::block_in_place(|| {
                std::process::Command::new("sh")
                    .args(["-c", &line.replace("./paid-job", "sh ./paid-job")])
                    .current_dir(directory.path())
                    .env_clear()
                    .envs([("PATH", path.as_str()), ("WEB_LISTEN_ADDRESS", &web.to_string())])
                    .output()
                    .unwrap()
            });
            let out = String::from_utf8(output.stdout).unwrap();
            assert_eq!(out.contains("paid"), runs, "{line}: {out}");
            assert_eq!(output.status.success(), runs, "{line}");
        }
        played += 1;
    }
    assert_eq!(played, 2);
}
