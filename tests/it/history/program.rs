//! The commands themselves: exit codes, standard output, an accounts file, a kill in the middle.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use vendor_simulator::{CANARIES, Fault, Operation, Options, Simulator};
use wallet_exporter::app::SimulatorClock;
use wallet_exporter::clock::SystemClock;

use crate::program::{PATIENCE, command, run, settings};

pub async fn vendors(history_days: u32) -> (Simulator, String) {
    let clock = Arc::new(SimulatorClock(SystemClock::shared()));
    let vendors = Simulator::new(Options { history_days, ..Options::quiet(clock) });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(vendors.clone().serve(listener, std::future::pending()));
    (vendors, address)
}

fn files(directory: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let count = |path: std::path::PathBuf| match path.is_dir() {
        true => files(&path),
        false => usize::from(path.file_name().is_some_and(|name| name == "transactions.csv")),
    };
    entries.map(|entry| count(entry.unwrap().path())).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_killed_goes_on_where_it_was() {
    let (vendors, address) = vendors(120).await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let settings = settings(folder.path(), &address);
    let arguments = ["export", "--format", "csv", "--out", out.to_str().unwrap()];
    let mut child = command(&settings).args(arguments).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while files(&out) < 20 {
        assert!(Instant::now() < deadline, "it does not begin");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let done = files(&out);
    assert!((20..366).contains(&done), "{done}");
    vendors.clear_requests();
    let (code, _, said) = run(&arguments, &settings);
    assert_eq!(code, 0, "{said}");
    assert_eq!(files(&out), 366);
    let asked = vendors.requests();
    let asked = asked.iter().filter(|seen| seen.operation == Some(Operation::ConsumptionCsv)).count();
    assert!(asked <= 366 - done + 1, "{asked} of 366 days were asked for again after {done}");
    assert!(CANARIES.iter().all(|canary| !said.contains(canary)), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_and_standard_output() {
    let (_vendors, address) = vendors(3).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), &address);
    let csv = ["export", "--format", "csv", "--out", "-"];
    let (code, out, said) = run(&csv, &settings);
    assert_eq!((code, out.lines().filter(|line| line.starts_with("date,")).count()), (0, 1), "{said}");
    assert!(out.lines().count() > 200);
    for (more, code, words) in [
        (&["--to", "2999-01-01"][..], 64, "is in the future"),
        (&["--from", "2024-01-02", "--to", "2024-01-01"], 64, "is after --to"),
        (&["--from", "soon"], 64, "invalid value"),
        (&["--label", "job=x"], 64, "--format openmetrics"),
        (&["--account", "other"], 64, "write one of default"),
    ] {
        let (found, _, said) = run(&[&csv[..], more].concat(), &settings);
        assert_eq!(found, code, "{more:?}: {said}");
        assert!(said.contains(words), "{more:?}: {said}");
    }
    let (code, out, _) = run(&["export", "--format", "openmetrics", "--out", "-"], &settings);
    assert!(code == 0 && out.ends_with("# EOF\n"));
    let focus = ["export", "--format", "focus", "--out", "-", "--include", "description"];
    assert_eq!(run(&focus, &settings).0, 64);
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (code, _, said) = run(&["export", "--format", "csv", "--out", file.to_str().unwrap()], &settings);
    assert!(code == 1 && said.contains("cannot write"), "{said}");
    let wrong: Vec<_> = settings.iter().filter(|(name, _)| *name != "BATCHDATA_API_TOKEN").copied().collect();
    let wrong = [&wrong[..], &[("BATCHDATA_API_TOKEN", "another")]].concat();
    let (code, _, said) = run(&csv, &wrong);
    assert!(code == 1 && said.contains("unauthorized"), "{said}");
    assert_eq!(run(&csv, &[]).0, 64, "nothing is configured");
    let month = SystemClock::shared().now().format("%Y-%m").to_string();
    let (code, out, said) = run(&["report", "--month", &month], &settings);
    assert!(code == 0 && out.contains("Closing balance"), "{said}");
    assert_eq!(run(&["report", "--month", "October"], &settings).0, 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_come_from_a_file_as_well() {
    let (_vendors, address) = vendors(2).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "sim-batchdata-token\n").unwrap();
    std::fs::write(folder.path().join("other"), "another\n").unwrap();
    let accounts = folder.path().join("accounts.yml");
    let entry =
        |name: &str, file: &str| format!("  - {{account: {name}, vendor: batchdata, api_token_file: {file}}}\n");
    std::fs::write(&accounts, format!("accounts:\n{}{}", entry("growth", "token"), entry("ops", "other"))).unwrap();
    let settings = [
        ("CONFIG_FILE", accounts.to_str().unwrap()),
        ("BATCHDATA_BASE_URL", address.as_str()),
        ("STORAGE_PATH", folder.path().to_str().unwrap()),
    ];
    let out = folder.path().join("out");
    let arguments = ["export", "--format", "jsonl", "--out", out.to_str().unwrap()];
    let (code, _, said) = run(&arguments, &settings);
    assert!(code == 64 && said.contains("--account: growth, ops"), "{said}");
    let days = wallet_days();
    let arguments = [&arguments[..], &["--account", "growth", "--from", &days]].concat();
    let (code, _, said) = run(&arguments, &settings);
    assert_eq!(code, 0, "{said}");
    assert!(out.join("account=growth").is_dir());
}

/// Yesterday.
fn wallet_days() -> String {
    SystemClock::shared().now().date_naive().pred_opt().unwrap().to_string()
}

/// Runs to its end. Returns the most memory it took, in KiB.
async fn peak(arguments: &[&str], settings: &[(&str, &str)]) -> u64 {
    let mut child = command(settings).args(arguments).stderr(std::process::Stdio::null()).spawn().unwrap();
    let (mut peak, deadline) = (0, Instant::now() + 10 * PATIENCE);
    let code = loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak = kib.unwrap_or(peak);
        if let Some(code) = child.try_wait().unwrap() {
            break code;
        }
        assert!(Instant::now() < deadline, "it does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(code.success(), "{code}");
    peak
}

/// A day of many transactions: more bytes than memory may be taken for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_day_takes_no_more_memory_than_a_small_one() {
    const BYTES: u64 = 100 * 1024 * 1024;
    const MOST_KIB: u64 = 48 * 1024;
    let (vendors, address) = vendors(3).await;
    let folder = tempfile::tempdir().unwrap();
    let (out, yesterday) = (folder.path().join("out"), wallet_days());
    let settings = settings(folder.path(), &address);
    let parts: Vec<&str> = yesterday.split('-').collect();
    let rows = format!("year={}/month={}/day={}/transactions.jsonl", parts[0], parts[1], parts[2]);
    // The series have as many samples as they have moments, however many transactions there are.
    for (format, file, least) in [("jsonl", &*rows, BYTES / 2), ("openmetrics", "history.openmetrics", 100_000)] {
        vendors.clear_requests();
        vendors.fault(Operation::ConsumptionCsv, Fault::Repeat { bytes: BYTES }, Some(1));
        let arguments = ["export", "--format", format, "--out", out.to_str().unwrap()];
        let peak = peak(&[&arguments[..], &["--from", &yesterday, "--to", &yesterday]].concat(), &settings).await;
        let asked = vendors.requests();
        assert!(asked.iter().filter(|seen| seen.operation == Some(Operation::ConsumptionCsv)).count() == 1, "{format}");
        let written = std::fs::metadata(out.join("account=default").join(file)).unwrap().len();
        assert!(written > least, "{format}: {written} bytes");
        assert!((1_024..MOST_KIB).contains(&peak), "{format}: {peak} KiB");
    }
}
