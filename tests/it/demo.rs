//! The demo with a directory: it starts again on other days, keeps its ledger, and looks alive at once.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use wallet_exporter::app::{Demo, DemoFlags, Dependencies, ScenarioName};
use wallet_exporter::clock::{Clock as _, ManualClock};
use wallet_exporter::config::Flags;
use wallet_exporter::snapshot::SourceView;

use crate::program::PATIENCE;
use crate::rig::at;

const DEBIT: &str = r#"batchdata_wallet_debit_usd_total{account="demo"}"#;
const HELD_BACK: &str = r#"batchdata_wallet_revised_down_usd{account="demo",report="debit"}"#;
const SETTLED: &str = r#"rightfoot_batches{account="demo",state="settled"}"#;

struct RunningDemo {
    clock: ManualClock,
    demo: Demo,
}

impl RunningDemo {
    async fn start(clock: &ManualClock, storage: &Path) -> RunningDemo {
        RunningDemo::of(ScenarioName::Story, clock, storage).await
    }

    async fn of(scenario: ScenarioName, clock: &ManualClock, storage: &Path) -> RunningDemo {
        RunningDemo::with(DemoFlags { scenario, ..DemoFlags::default() }, clock, storage).await
    }

    async fn with(of_demo: DemoFlags, clock: &ManualClock, storage: &Path) -> RunningDemo {
        RunningDemo::with_zero_starts(of_demo, clock, storage, Some("0s")).await
    }

    /// `zero_for` is `--metrics.start-at-zero`; the demo's own where it is not given.
    async fn with_zero_starts(
        of_demo: DemoFlags,
        clock: &ManualClock,
        storage: &Path,
        zero_for: Option<&str>,
    ) -> RunningDemo {
        let local = Some("127.0.0.1:0".to_owned());
        let flags = Flags {
            storage_path: Some(storage.to_str().unwrap().to_owned()),
            web_listen_address: local.clone(),
            webhook_listen_address: local,
            metrics_start_at_zero: zero_for.map(str::to_owned),
            ..Flags::default()
        };
        let around = Dependencies { clock: Arc::new(clock.clone()), ..Dependencies::default() };
        let demo = Demo::start(&flags, of_demo, Vec::new(), &around).await.unwrap();
        let running = RunningDemo { clock: clock.clone(), demo };
        // One whose first turn comes after the vendor has throttled another waits for the clock.
        let tried = |running: &RunningDemo| {
            let snapshot = running.demo.running.cell.current();
            snapshot.sources().count() == 5
                && snapshot.sources().all(|view| view.up.or(view.paused.map(|_| false)).is_some())
        };
        running.until("every source was tried", tried).await;
        running
    }

    fn metrics(&self) -> String {
        self.demo.running.exposition.to_text()
    }

    fn value(&self, series: &str) -> f64 {
        self.value_of(series).unwrap_or_else(|| panic!("{series} is not there:\n{}", self.metrics()))
    }

    fn value_of(&self, series: &str) -> Option<f64> {
        self.metrics().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Everything that is counted, by its series.
    fn counters(&self) -> Vec<(String, f64)> {
        let metrics = self.metrics();
        let lines = metrics.lines().filter(|line| line.starts_with("batchdata_") || line.starts_with("rightfoot_"));
        let counters = lines.filter(|line| line.split('{').next().unwrap().ends_with("_total"));
        counters
            .filter(|line| !line.starts_with("rightfoot_webhook"))
            .map(|line| line.rsplit_once(' ').unwrap())
            .map(|(series, value)| (series.to_owned(), value.parse().unwrap()))
            .collect()
    }

    fn cards(&self) -> f64 {
        let counters = self.counters().into_iter();
        counters
            .filter(|(name, _)| name.starts_with("batchdata_card_transactions_total{"))
            .map(|(_, value)| value)
            .sum()
    }

    async fn until(&self, what: &str, condition: impl Fn(&RunningDemo) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "in vain: {what}\n{}", self.metrics());
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// Lets time go by in small steps until the condition holds.
    async fn live(&self, what: &str, condition: impl Fn(&RunningDemo) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "in vain: {what}\n{}", self.metrics());
            self.clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn stop(self) {
        let store = Arc::clone(&self.demo.running.store);
        self.demo.running.stop_token().cancel();
        self.demo.run(Arc::new(self.clock.clone())).await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        while Arc::strong_count(&store) > 1 {
            assert!(Instant::now() < deadline, "somebody still holds the store");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_starts_again_on_another_day_with_its_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(at("2026-05-19T14:20:00Z"));
    let demo = RunningDemo::start(&clock, directory.path()).await;
    assert!(demo.value(DEBIT) > 0.0, "the first start counts a month of history");
    let first = demo.value(DEBIT);
    demo.live("money is spent", |demo| demo.value(DEBIT) > first).await;
    demo.live("batches settle", |demo| demo.value(SETTLED) >= 3.0).await;
    let mut before = demo.counters();
    demo.stop().await;

    // Minutes and a day later, and after more days than are gone through again.
    for pause in [TimeDelta::minutes(2), TimeDelta::days(1), TimeDelta::days(45)] {
        clock.pass_to(clock.now() + pause);
        let demo = RunningDemo::start(&clock, directory.path()).await;
        // They are read a day a second, and served once nothing is missing.
        demo.live("the transactions are served", |demo| demo.sum("batchdata_wallet_transactions_total", &[]) > 0.0)
            .await;
        let now = demo.counters();
        for (series, value) in &before {
            let kept = now.iter().find(|(name, _)| name == series).map(|(_, value)| *value);
            assert!(kept >= Some(*value), "after {pause}: {series} was {value} and is {kept:?}");
        }
        assert_eq!(demo.value(HELD_BACK), 0.0, "after {pause}: the vendor tells what it told before, and more");
        let (debit, settled, cards) = (demo.value(DEBIT), demo.value(SETTLED), demo.cards());
        demo.live("money is spent", |demo| demo.value(DEBIT) > debit).await;
        demo.live("the card is used", |demo| demo.cards() > cards).await;
        demo.live("batches settle", |demo| demo.value(SETTLED) > settled).await;
        before = demo.counters();
        demo.stop().await;
    }
}

const BALANCE: &str = r#"batchdata_wallet_balance_usd{account="demo"}"#;

impl RunningDemo {
    /// The sum of the series that begin so and have all of these labels.
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let metrics = self.metrics();
        let lines = metrics.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        let chosen = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
        chosen.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    }

    /// How many sources fail for this reason.
    fn failing(&self, reason: &str) -> f64 {
        self.sum("wallet_exporter_source_failing", &[&format!("reason=\"{reason}\"")])
    }

    /// A second goes by; what is due in it is polled.
    async fn second(&self) {
        self.clock.advance(Duration::from_secs(1));
        let now = self.clock.boot();
        let deadline = Instant::now() + PATIENCE;
        let is_due = |view: &SourceView| view.next_attempt.is_none_or(|next| next.boot <= now);
        while self.demo.running.cell.current().sources().any(is_due) {
            assert!(Instant::now() < deadline, "a poll does not end\n{}", self.metrics());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Lets time go by until the condition holds; the seconds since the start.
    async fn when(
        &self,
        began: chrono::DateTime<chrono::Utc>,
        what: &str,
        condition: impl Fn(&RunningDemo) -> bool,
    ) -> i64 {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "in vain: {what}\n{}", self.metrics());
            self.second().await;
        }
        (self.clock.now() - began).num_seconds()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_shows_everything_within_three_minutes() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(at("2026-05-19T14:20:00Z"));
    let began = clock.now();
    let demo = RunningDemo::of(ScenarioName::Story, &clock, directory.path()).await;
    assert!(demo.value(BALANCE) > 150.0, "it begins well");
    assert_eq!(demo.failing("rate_limited"), 0.0);
    let failed =
        |demo: &RunningDemo| demo.sum("batchdata_card_transactions_total", &["kind=\"top_up\"", "status=\"failed\""]);
    let failed_before = failed(&demo);

    let unavailable = demo.when(began, "an id is wrong", |demo| {
        demo.value(r#"rightfoot_batches{account="demo",state="unavailable"}"#) == 1.0
    });
    assert!(unavailable.await < 20);
    let open = demo.when(began, "a batch is open", |demo| demo.sum("rightfoot_open_balance_checks", &[]) > 5.0).await;
    assert!(open < 45, "{open}");
    let critical = demo.when(began, "the balance is critical", |demo| demo.value(BALANCE) < 50.0).await;
    assert!((40..70).contains(&critical), "{critical}");
    // What was under way at the start has settled by now.
    let settled_before = demo.value(SETTLED);
    let declined = demo.when(began, "a card is declined", |demo| failed(demo) > failed_before).await;
    assert!((70..105).contains(&declined), "{declined}");
    assert!(demo.value(BALANCE) < 50.0, "it is low for long enough to be seen");
    let unreconciled = || demo.value_of(r#"batchdata_wallet_unreconciled_usd{account="demo"}"#);
    let differs = demo.when(began, "a charge is missing", |_| unreconciled().is_some_and(|amount| amount < -9.0)).await;
    assert!((82..96).contains(&differs), "{differs}");
    assert!(unreconciled() >= Some(-12.8), "{:?}", unreconciled());
    let agrees = demo.when(began, "the report has it", |_| unreconciled() == Some(0.0)).await;
    assert!((96..104).contains(&agrees), "{agrees}");
    let topped_up = demo.when(began, "the balance recovers", |demo| demo.value(BALANCE) > 2_000.0).await;
    assert!((110..130).contains(&topped_up), "{topped_up}");
    let settled = demo.when(began, "a batch settles", |demo| demo.value(SETTLED) > settled_before).await;
    assert!((100..160).contains(&settled), "{settled}");
    let throttled = demo.when(began, "the vendor throttles", |demo| demo.failing("rate_limited") > 0.0).await;
    assert!((130..160).contains(&throttled), "{throttled}");
    let well = demo.when(began, "the vendor answers again", |demo| demo.failing("rate_limited") == 0.0).await;
    assert!((160..200).contains(&well), "{well}");
    demo.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_scenario_brings_what_it_says() {
    for (scenario, seconds, low, down) in [
        (ScenarioName::Calm, 60, false, false),
        (ScenarioName::LowBalance, 180, true, false),
        (ScenarioName::Outage, 120, false, true),
        (ScenarioName::Month, 60, false, false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(at("2026-05-19T14:20:00Z"));
        let began = clock.now();
        let demo = RunningDemo::of(scenario, &clock, directory.path()).await;
        let (mut was_low, mut was_down) = (0, 0);
        while (clock.now() - began).num_seconds() < seconds {
            demo.second().await;
            was_low += u32::from(demo.sum("batchdata_wallet_balance_usd", &[]) < 50.0);
            was_down += u32::from(demo.failing("server_error") > 0.0);
        }
        assert_eq!(was_low > 120, low, "{scenario:?}: low for {was_low} s");
        assert_eq!(was_down > 60, down, "{scenario:?}: down for {was_down} s");
        assert!(low || was_low == 0, "{scenario:?}: low for {was_low} s");
        demo.stop().await;
    }
}

/// The lines that a program prints, up to the first that begins so.
fn printed(arguments: &[&str], last: &str) -> Vec<String> {
    use std::io::BufRead as _;
    let settings = [("WEB_LISTEN_ADDRESS", "127.0.0.1:0"), ("WEBHOOK_LISTEN_ADDRESS", "127.0.0.1:0")];
    let mut command = crate::program::command(&settings);
    let mut child = command.args(arguments).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let out = std::io::BufReader::new(child.stdout.take().unwrap());
    let (send, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
    let mut found: Vec<String> = Vec::new();
    while !found.last().is_some_and(|line| line.starts_with(last)) {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => found.push(line),
            Err(error) => panic!("no line begins with {last:?}: {error}: {found:#?}"),
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    found
}

#[test]
fn what_will_happen_is_printed_before_and_when_it_does_and_plainly_without_a_terminal() {
    let lines = printed(&["demo"], "  now ");
    let heading = lines.iter().position(|line| line == "What will happen, in minutes from now:").unwrap();
    let ahead: Vec<&String> = lines[heading + 2..].iter().take_while(|line| !line.is_empty()).collect();
    assert_eq!(ahead.len(), 11, "{lines:#?}");
    assert!(ahead[0].starts_with("      0:0") && ahead[10].starts_with("      2:"), "{ahead:#?}");
    let now = lines.iter().find(|line| line.starts_with("  now 0:0")).expect("the first event");
    assert!(ahead[0].ends_with(now.split_once("  ").unwrap().1.split_once("  ").unwrap().1), "{now}");
    assert!(!lines.concat().contains('\u{1b}'), "{lines:#?}");
    assert!(!printed(&["demo", "--scenario", "calm"], "Press Ctrl-C").concat().contains("What will happen"));
    let month = printed(&["demo", "--scenario", "month"], "Press Ctrl-C").join("\n");
    assert!(month.contains("What will happen, for as long as it runs:\n\n  Spend follows"), "{month}");
    let simulated =
        printed(&["simulate", "--simulator.listen-address=127.0.0.1:0", "--simulator.scenario=outage"], "      3:");
    assert!(simulated.concat().contains("Both vendors are down"), "{simulated:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn about_seventy_percent_of_the_budgets_are_spent_on_any_day() {
    for start in ["2026-06-01T06:30:00Z", "2026-05-19T14:20:00Z", "2026-05-31T23:50:00Z"] {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(at(start));
        let demo = RunningDemo::of(ScenarioName::Calm, &clock, directory.path()).await;
        for period in ["day", "month"] {
            let value = |family: &str| {
                demo.value(&format!(
                    r#"batchdata_wallet_budget{family}_usd{{account="demo",budget="{period}",period="{period}"}}"#
                ))
            };
            let (amount, spent) = (value(""), value("_spent"));
            assert!((0.6..0.8).contains(&(spent / amount)), "{start}: {spent} of {amount} a {period}");
            let digits = format!("{amount}");
            assert!(digits.trim_end_matches('0').len() <= 2, "{start}: {amount} a {period}");
        }
        let status = serde_json::to_value(demo.demo.running.cell.current().status(clock.moment())).unwrap();
        let why = status["accounts"][0]["wallet"]["unreconciled_unknown"].as_str().unwrap();
        assert_eq!(why, "the balance must first be polled for 30 seconds, at least every five minutes");
        demo.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demos_past_joins_what_it_serves() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(at("2026-05-19T12:00:00Z"));
    let backfill = Some(folder.path().join("history"));
    let labels = vec![("job".to_owned(), "wallet-exporter".to_owned())];
    let flags = DemoFlags { scenario: ScenarioName::Calm, backfill, labels };
    // An imported counter would fall to a 0 that is shown first.
    let demo = RunningDemo::with_zero_starts(flags, &clock, &folder.path().join("data"), None).await;
    let text = std::fs::read_to_string(folder.path().join("history/account=demo/history.openmetrics")).unwrap();
    let series = r#"batchdata_wallet_debit_usd_total{account="demo",job="wallet-exporter"} "#;
    let samples: Vec<(f64, i64)> = text
        .lines()
        .filter_map(|line| line.strip_prefix(series)?.split_once(' '))
        .map(|(value, at)| (value.parse().unwrap(), at.parse().unwrap()))
        .collect();
    let (first, last) = (samples[0], samples[samples.len() - 1]);
    let now = clock.now().timestamp();
    assert!(last.1 <= now && now - last.1 < 240 && now - first.1 > 180 * 86_400, "{first:?} to {last:?}");
    assert!(first.0 == 0.0 && last.0 > 100_000.0, "{first:?} to {last:?}");
    let live = demo.value(DEBIT);
    assert!(live >= last.0 && live - last.0 < 60.0, "{live} joins {last:?}");
    demo.stop().await;
}
