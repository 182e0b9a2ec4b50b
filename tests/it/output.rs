//! What is printed, and what happens where nobody reads it.

use std::io::BufRead as _;
use std::process::{Command, Output, Stdio};

use wallet_exporter::config::LogFormat;

use crate::program::{Exporter, command, settings, vendors};
use crate::serving::tools;

/// A pipe whose reader has gone, as `head` goes.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let (_vendors, address) = vendors().await;
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), &address);
    let run = |arguments: &[&str], out: Stdio, errors: Stdio| -> Output {
        command(&settings).args(arguments).stdout(out).stderr(errors).output().unwrap()
    };
    for arguments in [&["check"][..], &["check", "--online"], &["dump"], &["--help"]] {
        let output = run(arguments, unread(), Stdio::piped());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
        assert!(!errors.contains("panic"), "{arguments:?}: {errors}");
        assert_eq!(run(arguments, unread(), unread()).status.code(), Some(0), "{arguments:?}, both closed");
    }
    // A fault keeps its code although nobody can be told.
    assert_eq!(run(&["check", "--storage.path=none", "--log.level=loud"], unread(), unread()).status.code(), Some(64));

    if let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") {
        let output = run(&["check"], full.into(), Stdio::piped());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("cannot write to standard output"), "{errors}");
    }
}

/// journald, restarted, closes the pipe that a service logs to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_on_when_nobody_reads_its_log() {
    let (vendors, address) = vendors().await;
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path(), &address);
    settings.push(("WEB_ENABLE_LIFECYCLE", "true"));
    let mut child = command(&settings).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let address = loop {
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended: {line}");
        if let Some(address) = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()) {
            break address.parse().unwrap();
        }
    };
    drop(lines);
    let mut exporter = Exporter { child, address, start: String::new(), log: std::sync::Arc::default() };
    exporter.until_ready();
    assert!(exporter.ask("POST", "/-/reload").starts_with("HTTP/1.1 200 "), "a reload logs a line");
    // So does a source that fails, in a task of its own.
    vendors.set_permission(vendor_simulator::Operation::Balance, false);
    let down = "wallet_exporter_source_up{account=\"default\",vendor=\"batchdata\",source=\"balance\"} 0\n";
    exporter.until("the failure shows", |exporter| exporter.get("/metrics").1.contains(down));
    exporter.signal("-TERM");
    assert_eq!(exporter.wait(), 0);
}

/// Not a test: what the next one runs in a process of its own.
#[test]
#[ignore = "it panics on purpose"]
fn panics_on_purpose() {
    wallet_exporter::telemetry::hide_panics();
    wallet_exporter::telemetry::start(tracing::level_filters::LevelFilter::INFO, LogFormat::Json);
    panic!("the payload holds a secret");
}

#[test]
fn a_panic_is_logged_with_its_location_in_the_chosen_format_and_without_its_payload() {
    let arguments = ["--ignored", "--exact", "output::panics_on_purpose", "--nocapture"];
    let output = std::process::Command::new(std::env::current_exe().unwrap()).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let line = errors.lines().find(|line| line.contains("this is a defect")).expect("a line");
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    assert!(event["location"].as_str().unwrap().starts_with("tests/it/output.rs:"), "{line}");
    assert!(!errors.contains("the payload"), "{errors}");
}

/// A library with which no process can start a thread: what that makes panic is in no code of this program.
fn without_threads() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("threads.c");
    std::fs::write(&source, "#include <errno.h>\nint pthread_create(void) { return EAGAIN; }\n").unwrap();
    let mut compiler = std::process::Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-fno-builtin", "-o"]).arg(place.path().join("threads.so")).arg(source);
    assert!(compiler.status().unwrap().success());
    place
}

#[test]
fn no_command_shows_what_a_panic_says() {
    let place = without_threads();
    let library = place.path().join("threads.so");
    let mut panicked = 0;
    for arguments in [["check"], ["serve"], ["dump"], ["healthcheck"], ["export"], ["gate"]] {
        let settings = [("LD_PRELOAD", library.to_str().unwrap())];
        let output = command(&settings).args(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!errors.contains("spawn"), "{arguments:?}: {errors}");
        if output.status.code() != Some(64) {
            panicked += 1;
            let (before, after) = errors.split_once("wallet-exporter: panic at ").expect(&errors);
            assert!(
                before.is_empty() && after.contains(": this is a defect of the program"),
                "{arguments:?}: {errors}"
            );
        }
    }
    assert!(panicked >= 4, "the library has no effect");
}

#[test]
fn nothing_that_an_operator_names_moves_the_cursor_of_a_terminal() {
    // Short: a long one might be a secret in the wrong place, and is not shown at all.
    let path = "/no/\u{1b}[2J\nforged:line";
    for arguments in [["check", "--storage.path=none"], ["serve", "--storage.path=none"]] {
        let settings = [("BATCHDATA_API_TOKEN_FILE", path), ("WEB_CONFIG_FILE", path)];
        let output = command(&settings).args(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!errors.contains('\u{1b}') && !errors.contains("\nforged"), "{errors:?}");
        assert!(errors.contains("\\u{1b}[2J\\nforged"), "{errors}");
    }
    // On a terminal, errors about arguments have colours, and repeat the arguments.
    if let Some(script) = tools::find("script") {
        let program = command(&[]).get_program().to_str().unwrap().to_owned();
        let line = format!("'{program}' check '--ev\u{1b}[2Jil\u{7}'");
        let output = Command::new(script).args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(64), "{shown:?}");
        assert!(shown.contains("unexpected argument '--ev"), "{shown:?}");
        assert!(!shown.contains("\u{1b}[2J") && !shown.contains('\u{7}'), "{shown:?}");
    }

    let (from, folder) = (crate::storage::newest_version(), tempfile::tempdir().unwrap());
    let to = folder.path().join("a\u{1b}[2J\nforged");
    let storage = format!("--storage.path={}", from.path().display());
    let mut backup = command(&[]);
    let output = backup.args(["ledger", "backup", &storage, "--to"]).arg(to).stdout(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.ends_with("/a\\u{1b}[2J\\nforged\n") && said.lines().count() == 1, "{said:?}");
}

#[test]
fn each_flag_of_a_command_is_read_as_itself() {
    let errors = |arguments: [&str; 2]| {
        let output = command(&[]).args(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let refused = ["web.listen-address", "webhook.listen-address", "metrics.start-at-zero", "log.level", "log.format"];
    for command in ["demo", "serve", "check"] {
        for flag in refused {
            let shown = errors([command, &format!("--{flag}=/dev/null/x")]);
            assert!(shown.contains(&format!("--{flag}: \"/dev/null/x\" is not valid")), "{command}: {shown}");
        }
    }
    let shown = errors(["demo", "--storage.path=/dev/null/x"]);
    assert!(shown.contains("--storage.path: cannot write"), "{shown}");
    for flag in ["simulator.seed", "simulator.history-days", "simulator.scenario"] {
        let shown = errors(["simulate", &format!("--{flag}=x")]);
        assert!(shown.contains(&format!("invalid value 'x' for '--{flag} ")), "{shown}");
    }
    for (command, flag) in [("demo", "config.file"), ("demo", "shard"), ("simulate", "storage.path")] {
        let shown = errors([command, &format!("--{flag}=x")]);
        assert!(shown.contains(&format!("--{flag} has no effect on {command}")), "{shown}");
    }
}

#[test]
fn a_flag_that_a_command_does_not_read_is_hidden_and_refused() {
    let server = [
        "--web.listen-address=:1",
        "--web.telemetry-path=/x",
        "--web.config.file=x",
        "--web.enable-lifecycle",
        "--webhook.listen-address=:1",
        "--webhook.config.file=x",
        "--metrics.start-at-zero=1m",
    ];
    let log = ["--log.level=debug", "--log.format=json"];
    let accounts = ["--config.file=x", "--secrets.directory=x", "--shard=0/3"];
    let storage = ["--storage.path=x"];
    let none: [&str; 0] = [];
    let ledger = [&server[..], &log, &accounts].concat();
    let history = [&server[..], &log].concat();
    let account = ["--vendor=batchdata", "--account=a", "--to=x"];
    let all = [&server[..], &log, &accounts, &storage].concat();
    let all_but = |read: &[&str]| all.iter().copied().filter(|flag| !read.contains(flag)).collect();
    for (name, more, unread) in [
        (&["dump"][..], &none[..], [&server[..], &storage].concat()),
        (&["report"], &["--month=2026-05"], history.clone()),
        (&["export"], &["--format=csv", "--out=-"], history),
        (&["ledger", "move"], &account, ledger.clone()),
        (&["ledger", "rename"], &account, ledger.clone()),
        (&["ledger", "backup"], &["--to=x"], ledger),
        (&["gate"], &none, all_but(&["--web.listen-address=:1"])),
        (&["healthcheck"], &none, all_but(&["--web.listen-address=:1", "--web.config.file=x"])),
    ] {
        let run = |more: &[&str]| {
            let output = command(&[]).args(name).args(more).stdout(Stdio::piped()).output().unwrap();
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            (output.status.code(), text(output.stdout), text(output.stderr))
        };
        let (_, help, _) = run(&["--help"]);
        for flag in &all {
            let long = flag.split('=').next().unwrap();
            let reads = !unread.contains(flag);
            let listed = help.lines().any(|line| line.trim_start().split([' ', ',']).any(|word| word == long));
            assert_eq!(listed, reads, "{name:?} {long}: {help}");
            if !reads {
                let (code, _, errors) = run(&[more, &[flag]].concat());
                let said = format!("{long} has no effect on {}: leave it out", name.join(" "));
                assert!(code == Some(64) && errors.contains(&said), "{name:?}: {errors}");
                // Before the command as well.
                let output = command(&[]).arg(flag).args(name).args(more).output().unwrap();
                assert_eq!(output.status.code(), Some(64), "{flag} {name:?}");
            }
        }
    }
}

#[test]
fn a_date_that_is_none_is_refused_with_an_example() {
    for flag in ["--from", "--to"] {
        let arguments = ["export", "--format=csv", "--out=-", flag, "x"];
        let output = command(&[]).args(arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{errors}");
        assert!(errors.contains("invalid value 'x'") && errors.contains("expected a date like 2026-01-31"), "{errors}");
    }
}
