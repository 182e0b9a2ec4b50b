//! Output that ends early, because its reader goes away or the disk is full, and the progress that a terminal shows.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chrono::Days;
use vendor_simulator::{Fault, Operation};
use wallet_exporter::clock::SystemClock;

use super::program::vendors;
use crate::program::{command, run, settings};
use crate::serving::tools;
use crate::storage::shim;

/// So many days before today.
fn ago(days: u64) -> String {
    (SystemClock::shared().now().date_naive() - Days::new(days)).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let (_vendors, address) = vendors(40).await;
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("here");
    std::fs::create_dir(&here).unwrap();
    let settings = settings(folder.path(), &address);
    for format in ["csv", "jsonl", "focus", "openmetrics"] {
        let export = || {
            // More than a pipe holds.
            let mut export = command(&settings);
            export.args(["export", "--format", format, "--out", "-", "--from", &ago(40)]).current_dir(&here);
            export
        };
        let mut child = export().stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(line.ends_with('\n'), "{format}: {line:?}");
        assert_eq!(output.status.code(), Some(0), "{format}: {said}");
        assert!(!said.contains("panic") && !said.contains("pipe"), "{format}: {said}");

        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = export().stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{format}: {said}");
        assert!(said.contains("cannot write the output: No space left on device"), "{format}: {said}");
    }
    assert_eq!(contents(&here), BTreeMap::new());
}

/// The files below a directory, without the lock.
fn contents(directory: &Path) -> BTreeMap<PathBuf, String> {
    fn walk(root: &Path, directory: &Path, found: &mut BTreeMap<PathBuf, String>) {
        let Ok(entries) = std::fs::read_dir(directory) else { return };
        for path in entries.map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => walk(root, &path, found),
                false => drop(
                    found.insert(path.strip_prefix(root).unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()),
                ),
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(directory, directory, &mut found);
    found.remove(Path::new(".wallet-exporter.lock"));
    found
}

/// Exports while the call of this number finds no room. Returns the exit code, what was said, and how many calls there were.
fn export_without_room(arguments: &[&str], settings: &[(&str, &str)], out: &Path, at: u64) -> (i32, String, u64) {
    let (count, number) = (tempfile::NamedTempFile::new().unwrap(), at.to_string());
    let faults = [
        ("LD_PRELOAD", shim::library().to_str().unwrap()),
        ("STORAGE_FAULT_DIRECTORY", out.to_str().unwrap()),
        ("STORAGE_FAULT_COUNT", count.path().to_str().unwrap()),
        ("STORAGE_FAULT_AT", &number),
        ("STORAGE_FAULT_KIND", "ENOSPC"),
    ];
    let (code, _, said) = run(arguments, &[settings, &faults].concat());
    (code, said, std::fs::read(count.path()).unwrap().try_into().map_or(0, u64::from_ne_bytes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_named_with_the_file_and_the_next_run_completes() {
    let (_vendors, address) = vendors(10).await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let settings = settings(&root, &address);
    let (from, to) = (ago(3), ago(2));
    for format in ["csv", "openmetrics"] {
        let export = |out: &Path, at: u64| {
            let arguments =
                ["export", "--format", format, "--from", &from, "--to", &to, "--out", out.to_str().unwrap()];
            export_without_room(&arguments, &settings, out, at)
        };
        let whole = root.join(format!("whole-{format}"));
        let (code, said, calls) = export(&whole, u64::MAX);
        assert!(code == 0 && calls > 15, "{format}: {calls} calls, {said}");
        let whole = contents(&whole);
        let mut failed = 0;
        // Making the directories and files, some of the many writes, and putting files in their place.
        for at in (1..=calls).filter(|at| *at <= 24 || at % 97 == 0 || at + 8 > calls) {
            let out = root.join(format!("{format}-{at}"));
            let (code, said, _) = export(&out, at);
            let case = format!("{format}, call {at} of {calls}: {code}, {said}");
            let found = contents(&out);
            let is_whole = |(path, text): (&PathBuf, &String)| whole.get(path) == Some(text);
            assert!(found.iter().all(is_whole), "{case}: {:?}", found.keys());
            if code == 0 {
                assert_eq!(found, whole, "{case}");
                continue;
            }
            failed += 1;
            let words = format!("cannot write {}", out.display());
            let named = said.lines().find_map(|line| line.split_once(&words)).expect(&case).1;
            // The directory itself is named only where it, or the lock in it, cannot be made.
            assert!(at <= 2 || named.starts_with("/account="), "{case}");
            assert!(code == 1 && named.ends_with(": No space left on device (os error 28)"), "{case}");
            let (code, said, _) = export(&out, u64::MAX);
            assert_eq!(code, 0, "{case}, then {said}");
            assert_eq!(contents(&out), whole, "{case}");
        }
        assert!(failed > 10, "{format}: {failed} of {calls}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_shows_a_bar_and_a_file_has_none() {
    let Some(script) = tools::find("script") else { return };
    let (vendors, address) = vendors(10).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), &address);
    let (from, to) = (ago(4), ago(2));
    let days = ["export", "--format", "csv", "--from", &from, "--to", &to, "--out"];
    let [seen, unseen] = ["seen", "unseen"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());

    let program = command(&[]).get_program().to_str().unwrap().to_owned();
    let words = [&[&*program][..], &days, &[&*seen]].concat();
    let line = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let on_terminal = || {
        let mut terminal = Command::new(&script);
        terminal.args(["-qec", &line, "/dev/null"]).env_clear().envs(settings.iter().copied()).stdin(Stdio::null());
        let output = terminal.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let bars = ["0 of 3 days", "1 of 3 days", "2 of 3 days", "3 of 3 days\r\n"].map(|days| {
        let filled = 10 * days[..1].parse::<usize>().unwrap();
        format!("[{}{}] {days}", "#".repeat(filled), ".".repeat(30 - filled))
    });
    // The bar gives way to an error.
    vendors.fault(Operation::ConsumptionCsv, Fault::status(401), Some(1));
    let (code, shown) = on_terminal();
    let steps: Vec<&str> = shown.split("\r\u{1b}[K").collect();
    assert_eq!((code, &steps[..2]), (Some(1), &["", &*bars[0]][..]), "{shown:?}");
    assert!(steps.len() == 3 && steps[2].contains("unauthorized"), "{shown:?}");
    let (code, shown) = on_terminal();
    let steps: Vec<&str> = shown.split("\r\u{1b}[K").collect();
    assert_eq!((code, &steps[..5]), (Some(0), &["", &*bars[0], &*bars[1], &*bars[2], &*bars[3]][..]), "{shown:?}");
    assert!(steps.len() == 7 && steps[5].starts_with("wallet-exporter: 3 files written below "), "{shown:?}");

    let (code, shown, said) = run(&[&days[..], &[&*unseen]].concat(), &settings);
    assert_eq!((code, &*shown), (0, ""), "{said}");
    assert!(said.starts_with("wallet-exporter: 3 files written below ") && said.lines().count() == 1, "{said:?}");
    assert!(said.trim_end_matches('\n').chars().all(|letter| !letter.is_control()), "{said:?}");
}
