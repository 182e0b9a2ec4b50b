//! The demo with a directory: it starts again on other days, keeps its ledger, and looks alive at once.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use wallet_exporter::app::{Demo, Dependencies};
use wallet_exporter::clock::{Clock as _, ManualClock};
use wallet_exporter::config::Flags;
use wallet_exporter::exposition::Format;

use crate::program::PATIENCE;
use crate::rig::at;

const DEBIT: &str = r#"batchdata_wallet_debit_usd_total{account="demo"}"#;
const HELD_BACK: &str = r#"batchdata_wallet_revised_down_usd{account="demo",report="debit"}"#;
const SETTLED: &str = r#"rightfoot_batches{account="demo",state="settled"}"#;

struct Running {
    clock: ManualClock,
    demo: Demo,
}

impl Running {
    async fn start(clock: &ManualClock, storage: &Path) -> Running {
        let local = Some("127.0.0.1:0".to_owned());
        let flags = Flags {
            storage_path: Some(storage.to_str().unwrap().to_owned()),
            web_listen_address: local.clone(),
            webhook_listen_address: local,
            metrics_start_at_zero: Some("0s".to_owned()),
            ..Flags::default()
        };
        let around = Dependencies { clock: Arc::new(clock.clone()), ..Dependencies::default() };
        let demo = Demo::start(&flags, Vec::new(), &around).await.unwrap();
        let running = Running { clock: clock.clone(), demo };
        running.until("every source is up", |running| running.metrics().matches("source_up{").count() == 4).await;
        running
    }

    fn metrics(&self) -> String {
        self.demo.running.exposition.to_text(Format::Text)
    }

    fn value(&self, series: &str) -> f64 {
        let metrics = self.metrics();
        let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("{series} is not there:\n{metrics}"))
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

    async fn until(&self, what: &str, condition: impl Fn(&Running) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "in vain: {what}\n{}", self.metrics());
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// Lets time go by in small steps until the condition holds.
    async fn live(&self, what: &str, condition: impl Fn(&Running) -> bool) {
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
        self.demo.run().await.unwrap();
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
    let demo = Running::start(&clock, directory.path()).await;
    assert!(demo.value(DEBIT) > 0.0, "the first start counts a month of history");
    let first = demo.value(DEBIT);
    demo.live("money is spent", |demo| demo.value(DEBIT) > first).await;
    demo.live("batches settle", |demo| demo.value(SETTLED) >= 3.0).await;
    let mut before = demo.counters();
    demo.stop().await;

    // Minutes and a day later, and after more days than are gone through again.
    for pause in [TimeDelta::minutes(2), TimeDelta::days(1), TimeDelta::days(45)] {
        clock.pass_to(clock.now() + pause);
        let demo = Running::start(&clock, directory.path()).await;
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
