//! A wallet over time, as those on call are notified of it: simulator, exporter, Prometheus, Alertmanager, inbox.
//!
//! Flows in: what happens to the wallet. Flows out: which notifications arrive, in which words, and that they end; and
//! what the dashboards show of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use vendor_simulator::{CardEvent, ErrorBody, Fault, NewRow, Operation, Options, Simulator};
use wallet_exporter::app::SimulatorClock;
use wallet_exporter::clock::{Clock as _, SystemClock};
use wallet_exporter::money::Usd;

use super::servers::{ServerProcess, alertmanager, batch_ids, exporter, free_port, get, prometheus};
use super::shipped;
use super::sink::{Message, Sink};
use super::tools::{find, run, versions};
use crate::dashboards::live::{Query, every_query_answers};

/// Far more than any step takes, also on a busy machine; a step that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(120);

struct Stage {
    simulator: Simulator,
    token: PathBuf,
    sink: Sink,
    prometheus: u16,
    alertmanager: u16,
    watched_since: DateTime<Utc>,
    folder: tempfile::TempDir,
    /// Dropped, and so ended, with the stage.
    processes: Vec<ServerProcess>,
}

impl Stage {
    /// Everything but Alertmanager, and no balance checks yet.
    async fn start(prometheus_program: &PathBuf) -> Stage {
        let folder = tempfile::tempdir().expect("a folder");
        let simulator = Simulator::new(Options::quiet(std::sync::Arc::new(SimulatorClock(SystemClock::shared()))));
        simulator.set_batchdata_token("first-token");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let vendor = listener.local_addr().expect("an address").port();
        tokio::spawn(simulator.clone().serve(listener, std::future::pending()));
        simulator.card(&CardEvent::paid(dollars(500)));
        simulator.set_balance(dollars(500));

        std::fs::write(batch_ids(folder.path()), "# none yet\n").expect("a file is written");
        let token = folder.path().join("token");
        std::fs::write(&token, "first-token\n").expect("a file is written");
        let sink = Sink::start();
        let (metrics, prometheus_port, alertmanager_port) = (free_port(), free_port(), free_port());
        let mut processes = vec![exporter(folder.path(), metrics, vendor, &token)];
        until("the exporter is ready", folder.path(), || get(metrics, "/-/ready").is_some()).await;
        processes.push(prometheus(prometheus_program, folder.path(), prometheus_port, metrics, alertmanager_port));
        until("Prometheus is ready", folder.path(), || get(prometheus_port, "/-/ready").is_some()).await;
        Stage {
            simulator,
            token,
            sink,
            prometheus: prometheus_port,
            alertmanager: alertmanager_port,
            watched_since: SystemClock.now(),
            folder,
            processes,
        }
    }

    async fn start_alertmanager(&mut self, program: &PathBuf) {
        self.processes.push(alertmanager(program, self.folder.path(), self.alertmanager, &self.sink));
        self.until("Alertmanager is ready", || get(self.alertmanager, "/-/ready").is_some()).await;
    }

    /// Makes these the batches that the exporter asks for.
    fn list_batches(&self, ids: &[&str]) {
        std::fs::write(batch_ids(self.folder.path()), ids.join("\n")).expect("a file is written");
    }

    /// Waits until a query has a result.
    async fn until_seen(&self, what: &str, query: &str) {
        self.until(what, || !self.query(query).is_empty()).await;
    }

    /// Waits until no alert fires.
    async fn until_quiet(&self) {
        self.until("all is quiet", || self.query("ALERTS{alertstate=\"firing\"}").is_empty()).await;
    }

    async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let said = || format!("{:#?}", self.sink.messages());
        let start = Instant::now();
        while !condition() {
            if start.elapsed() > PATIENCE {
                panic!("{what}: not within {PATIENCE:?}\n{}\n{}", said(), logs(self.folder.path()));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        eprintln!("{what}: {:.1} s", start.elapsed().as_secs_f32());
    }

    /// Waits for a page whose summary begins so (the time left follows); returns its description.
    async fn paged(&self, status: &str, alert: &str, summary: &str) -> String {
        self.until(&format!("page: {status} {alert}"), || self.page(status, alert, summary).is_some()).await;
        self.page(status, alert, summary).unwrap_or_default()
    }

    /// The description in the newest page on an alert, if it has this status and its summary begins so.
    fn page(&self, status: &str, alert: &str, summary: &str) -> Option<String> {
        let newest = self.pages().into_iter().rev().find(|page| page["labels"]["alertname"] == alert)?;
        (newest["status"] == status && newest["annotations"]["summary"].as_str()?.starts_with(summary))
            .then(|| newest["annotations"]["description"].as_str().unwrap_or_default().to_owned())
    }

    fn pages(&self) -> Vec<Value> {
        let bodies = self.to("/page").into_iter().map(|message| serde_json::from_str::<Value>(&message.body));
        bodies.flat_map(|body| body.expect("JSON")["alerts"].as_array().cloned().unwrap_or_default()).collect()
    }

    fn to(&self, whom: &str) -> Vec<Message> {
        self.sink.messages().into_iter().filter(|message| message.to == whom).collect()
    }

    /// Waits for a chat message that holds all of these.
    async fn chatted(&self, what: &str, parts: &[&str]) {
        let found = || self.to("/chat").iter().any(|message| parts.iter().all(|part| message.body.contains(part)));
        self.until(&format!("chat: {what}"), found).await;
    }

    fn query(&self, query: &str) -> Vec<Value> {
        self.ask("query?", query)
    }

    /// As a panel asks: now, or over the time since the beginning.
    fn show(&self, query: &Query) -> Vec<Value> {
        if query.instant {
            return self.query(&query.expression);
        }
        let (start, end) = (self.watched_since.timestamp(), SystemClock.now().timestamp());
        self.ask(&format!("query_range?start={start}&end={end}&step=1&"), &query.expression)
    }

    fn ask(&self, how: &str, query: &str) -> Vec<Value> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = get(self.prometheus, &format!("/api/v1/{how}query={encoded}"));
        let value: Value = serde_json::from_str(&answer.expect("Prometheus answers")).expect("JSON");
        value["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    /// Whether Alertmanager holds an alert back because of another.
    fn inhibited(&self, alert: &str) -> bool {
        let alerts: Value =
            serde_json::from_str(&get(self.alertmanager, "/api/v2/alerts").expect("Alertmanager answers"))
                .expect("JSON");
        let all = alerts.as_array().cloned().unwrap_or_default();
        all.iter().any(|entry| {
            entry["labels"]["alertname"] == alert
                && entry["status"]["inhibitedBy"].as_array().is_some_and(|by| !by.is_empty())
        })
    }
}

fn dollars(amount: i64) -> Usd {
    Usd::from_cents(amount * 100)
}

fn logs(folder: &Path) -> String {
    let names = ["exporter.log", "prometheus.log", "alertmanager.log"];
    names.iter().map(|name| std::fs::read_to_string(folder.join(name)).unwrap_or_default()).collect()
}

async fn until(what: &str, folder: &Path, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}\n{}", logs(folder));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_people_hear_of_it_in_plain_words_and_hear_when_it_is_over() {
    // Debian names the program with a prefix.
    let alertmanagers = versions("prometheus-alertmanager");
    for (prometheus, alertmanager) in versions("prometheus").iter().zip(&alertmanagers) {
        let mut stage = Stage::start(prometheus).await;
        healthy(&mut stage, alertmanager).await;
        let batch = settled(&stage).await;
        live(&stage).await;
        shown(&stage, &batch).await;
        linted(&stage);
    }
}

/// The rules have data, and nobody is told anything.
async fn healthy(stage: &mut Stage, alertmanager: &PathBuf) {
    stage.until_seen("healthy", "account:batchdata_wallet_balance_usd:known == 500").await;
    // Rules are evaluated before the first scrape, and find that nothing is watched.
    stage.until_quiet().await;
    stage.start_alertmanager(alertmanager).await;
    let begin = Instant::now();
    let evaluated = || {
        let since = begin.elapsed().as_secs() + 1;
        !stage.query(&format!("count_over_time(account:batchdata_wallet_balance_usd:known[{since}s]) > 6")).is_empty()
    };
    stage.until("some more evaluations", evaluated).await;
    assert!(stage.sink.messages().is_empty(), "{:#?}", stage.sink.messages());
}

/// A batch of balance checks, submitted only now: one that settles before Prometheus looks is no increase to it.
async fn settled(stage: &Stage) -> String {
    let mut rows = vec![NewRow::success("Chase", 120_000); 40];
    rows.extend(["NO_MATCH", "RETRIEVAL_FAILED"].map(|status| NewRow::failed("Truist", status)));
    let batch = stage.simulator.batch(rows);
    stage.list_batches(&[&batch]);
    stage.until_seen("rows of an open batch", "sum(rightfoot_open_balance_checks) == 42").await;
    stage.until_seen("the batch is settled", "rightfoot_batches{state=\"settled\"} == 1").await;
    for counter in [
        "rightfoot_balance_checks_total",
        "rightfoot_balance_checks_by_institution_total",
        "rightfoot_balance_check_balance_usd_bucket",
    ] {
        stage.until_seen(&format!("{counter} rises"), &format!("sum(increase({counter}[5m])) > 0")).await;
    }
    batch
}

async fn live(stage: &Stage) {
    let simulator = &stage.simulator;

    // Draining: the chat hears of it, with the amount.
    simulator.set_balance(Usd::from_cents(12_345));
    let runbook = "/runbooks#walletbalancelow";
    stage
        .chatted("low", &["Wallet default is low: 123.45 USD left", "threshold of 150.00 USD", "WARNING: ", runbook])
        .await;

    // It goes fast: a page, although the critical threshold is not reached. The spend takes the balance with it.
    simulator.set_balance(dollars(540));
    simulator.spend(SystemClock.now(), "api_request", "/api/v1/property/search", dollars(480));
    let summary = |page: &Value| page["annotations"]["summary"].as_str().unwrap_or_default().to_owned();
    let short = || {
        stage.pages().iter().any(|page| {
            summary(page).starts_with("Wallet default will be empty in ") && summary(page).ends_with(": 60.00 USD left")
        })
    };
    stage.until("page: runway", short).await;

    // Critical, then empty: pages and mail; the warning is held back.
    simulator.set_balance(dollars(40));
    let text = stage.paged("firing", "WalletBalanceCritical", "Wallet default is almost empty: 40.00 USD left").await;
    assert!(text.contains("below the critical threshold of 50.00 USD"), "{text}");
    stage.until("the warning is inhibited", || stage.inhibited("WalletBalanceLow")).await;
    simulator.set_balance(dollars(0));
    stage.paged("firing", "WalletEmpty", "Wallet default is empty: 0.00 USD left").await;
    stage.until("mail", || stage.to("mail").iter().any(|mail| mail.body.contains("Subject: CRITICAL: "))).await;
    stage.until("the lesser page is inhibited", || stage.inhibited("WalletBalanceCritical")).await;

    // The automatic top-up fails.
    simulator.card(&CardEvent::failed(dollars(300)));
    stage.chatted("card", &["Wallet default: a card top-up failed, none was paid since"]).await;

    // Topped up: all of it is over, and says so.
    simulator.top_up(dollars(2_000));
    stage.until("page: all resolved", || resolved(stage, &["WalletEmpty"])).await;
    stage.chatted("card resolved", &["RESOLVED: ", "card top-up failed"]).await;
    stage
        .until("nothing on money fires", || {
            stage.query("ALERTS{alertstate=\"firing\", topic=~\"money|card\"}").is_empty()
        })
        .await;

    // The token is revoked, then replaced in its file.
    simulator.set_batchdata_token("second-token");
    let rejected = "batchdata rejects the token of default";
    stage.paged("firing", "WalletTokenRejected", rejected).await;
    std::fs::write(&stage.token, "second-token\n").expect("a file is written");
    stage.paged("resolved", "WalletTokenRejected", rejected).await;
    stage.until_quiet().await;

    // The vendor goes down while the wallet is critical: the alert stays, and another says that nobody knows.
    simulator.set_balance(dollars(45));
    let critical = "Wallet default is almost empty: 45.00 USD left";
    stage.paged("firing", "WalletBalanceCritical", critical).await;
    for operation in Operation::ALL {
        simulator.fault(operation, Fault::Status { code: 503, body: ErrorBody::default(), retry_after: None }, None);
    }
    let unknown = "The balance of wallet default is unknown; last known: 45.00 USD left";
    stage.paged("firing", "WalletBalanceWithheld", unknown).await;
    assert!(stage.query("batchdata_wallet_balance_usd").is_empty(), "the balance is withheld");
    assert!(stage.page("firing", "WalletBalanceCritical", critical).is_some(), "missing data resolved a money alert");
    assert!(!stage.query("ALERTS{alertname=\"WalletBalanceCritical\", alertstate=\"firing\"}").is_empty());

    // Back, and topped up.
    simulator.clear_faults(None);
    simulator.top_up(dollars(2_000));
    stage.paged("resolved", "WalletBalanceWithheld", unknown).await;
    stage.until("page: critical resolved", || resolved(stage, &["WalletBalanceCritical"])).await;
    stage.until_quiet().await;
}

/// The dashboards have something to show of all this, and of a few things more.
async fn shown(stage: &Stage, settled: &str) {
    let simulator = &stage.simulator;
    simulator.spend(SystemClock.now(), "list_builder_ui", "/api/v1/property/skip-trace", dollars(20));
    simulator.card(&CardEvent::pending(dollars(100)));
    // The list of batches gets one that stays empty and one of another team.
    let (empty, foreign, next) = (simulator.batch(Vec::new()), simulator.foreign_batch(), simulator.batch(Vec::new()));
    stage.list_batches(&[settled, &empty, &foreign]);
    let fires = "ALERTS{alertname=\"BalanceCheckBatchUnavailable\", alertstate=\"firing\"}";
    stage.until_seen("a batch is unavailable", fires).await;
    // The vendor fails, and one more batch is due at once.
    simulator.fault(Operation::BalancesCsv, Fault::status(503), None);
    stage.list_batches(&[settled, &empty, &foreign, &next]);
    let fails = "wallet_exporter_source_failing{source=\"batches\", reason=\"server_error\"} == 1";
    stage.until_seen("the batches fail", fails).await;

    let watched = (SystemClock.now() - stage.watched_since).to_std().expect("time goes on");
    every_query_answers(watched, |query| stage.show(query)).await;
}

/// pint finds nothing in the rules, also not by what it asks a Prometheus that has data.
fn linted(stage: &Stage) {
    let Some(pint) = find("pint") else {
        eprintln!("SKIPPED: pint is not installed, so the rules are not linted against live data");
        return;
    };
    let config = stage.folder.path().join("pint.hcl");
    let uri = format!("http://127.0.0.1:{}", stage.prometheus);
    let text = format!("prometheus \"live\" {{\n  uri = \"{uri}\"\n  timeout = \"1m\"\n  include = [\".*\"]\n}}\n");
    std::fs::write(&config, text).expect("a file is written");
    let config = config.to_string_lossy();
    let rules = ["wallet-recording.rules.yml", "wallet-alerts.rules.yml"]
        .map(|name| shipped("deploy/prometheus").join(name).to_string_lossy().into_owned());
    run(&pint, &["--no-color", "--config", &config, "lint", "--fail-on", "warning", &rules[0], &rules[1]]);
}

/// Whether the newest page on each of these alerts says that it is over.
fn resolved(stage: &Stage, alerts: &[&str]) -> bool {
    let pages = stage.pages();
    alerts.iter().all(|alert| {
        pages
            .iter()
            .rev()
            .find(|page| page["labels"]["alertname"] == *alert)
            .is_some_and(|page| page["status"] == "resolved")
    })
}
