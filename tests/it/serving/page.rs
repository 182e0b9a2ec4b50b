//! The page and the state as JSON; the page in a real browser.

use wallet_exporter::batchdata::{self, WalletStatus};
use wallet_exporter::rightfoot::{self, BatchesStatus};
use wallet_exporter::snapshot::*;

use super::fixture::{FakeSite, Running, ago, batches, get, now, options, serve, small, status, wallet};
use super::tools;

async fn showing(status: Status) -> Running {
    let site = FakeSite::new(small);
    *site.status.lock().unwrap() = status;
    serve(options(), site).await
}

/// Everything that can be wrong, with text that would be markup if it were not escaped.
fn failing() -> Status {
    let mut status = status(now());
    status.warnings = vec!["No threshold is set: <BATCHDATA_WARNING_BALANCE_USD>".to_owned()];
    status.storage = StorageStatus { durable: true, up: false, last_error: Some("disk & quota".to_owned()) };
    let wallet = WalletStatus { balance_usd: Some("12.0000".to_owned()), ..wallet() };
    status.accounts[0].details = batchdata::details(&wallet, None);
    let sources = &mut status.accounts[0].sources;
    sources[0].state = SourceState::Failing;
    sources[0].consecutive_failures = 3;
    sources[0].last_failure = Some(FailureStatus {
        at: ago(30),
        reason: "forbidden".to_owned(),
        message: "GET balance: 403 <script>alert(1)</script>; Give the token the permission wallet-balance.".to_owned(),
        advice: Some("Give the token the permission wallet-balance.".to_owned()),
    });
    sources[0].paused_until = Some(ago(-600));
    sources[1].state = SourceState::Stale;
    sources[1].consecutive_failures = 80;
    sources[1].last_success = Some(ago(9_000));
    sources[1].next_attempt = Some(ago(5));
    sources[1].last_failure = Some(FailureStatus {
        at: ago(60),
        reason: "timeout".to_owned(),
        message: "no answer".to_owned(),
        advice: None,
    });
    let unavailable = Attention {
        kind: "batch",
        id: "5d3c6bbb-fc1a-46a4-93da-1ce4a54b0d83".to_owned(),
        state: "unavailable",
        first_seen: ago(400_000),
        advice: "Check that the batch belongs to this team.",
    };
    let batches = BatchesStatus { unavailable: 1, ..batches() };
    status.accounts[1].details = rightfoot::details(batches, vec![unavailable], None);
    status
}

fn just_started() -> Status {
    let mut status = status(now());
    status.ready = false;
    status.started_at = ago(1);
    status.accounts[0].details = batchdata::details(&WalletStatus::default(), None);
    for account in &mut status.accounts {
        for source in &mut account.sources {
            source.state = SourceState::Waiting;
            source.last_success = None;
            source.last_attempt = None;
            source.next_attempt = None;
        }
    }
    status
}

#[tokio::test]
async fn healthy() {
    let running = showing(status(now())).await;
    let answer = get(running.address, "/").await;
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"));
    assert_eq!(answer.header("x-frame-options"), "DENY");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let html = answer.text();
    for expected in [
        "<html lang=\"en\">",
        "<title>All sources are working",
        ">42 s ago</time>",
        ">in 18 s</time>",
        "datetime=\"2026-05-19T11:59:18Z\"",
        "<dd>$142.50, computed <time",
        "</time> (2026-05-19 23:31 UTC)",
        "today $31.40, yesterday unknown",
        "warning $100.00, critical $25.00",
        "last 1h: $12.35 an hour, empty <time datetime=\"2026-05-19T23:31:44Z\"",
        "last 30d: unknown",
        "2 open, 0 failing, 0 unavailable, 0 abandoned, 17 settled",
        ">30 days ago</time>",
        "the first successful poll",
        "href=\"/metrics\"",
        "href=\"/api/v1/status\"",
        "href=\"/documentation\"",
        "Version 0.1.0 (revision abcdef123456)",
        "http-equiv=\"refresh\"",
    ] {
        assert!(html.contains(expected), "{expected} is not in {html}");
    }
    assert!(!html.contains("<script") && !html.contains("http://") && !html.contains("https://"));
    assert!(!get(running.address, "/?refresh=off").await.text().contains("http-equiv=\"refresh\""));
}

#[tokio::test]
async fn failures_are_in_words_with_what_to_do_and_nothing_is_markup() {
    let running = showing(failing()).await;
    let html = get(running.address, "/").await.text();
    for expected in [
        "<title>A balance is below its critical threshold",
        "Failing, last good values are shown",
        "Failing, values are too old to be shown",
        "3 failures in a row",
        ">under way<",
        "paused: the vendor asked for fewer requests (HTTP 429)",
        "<code>forbidden</code>",
        "GET balance: 403 &lt;script&gt;alert(1)&lt;/script&gt;</p>",
        "Give the token the permission wallet-balance.",
        "&lt;BATCHDATA_WARNING_BALANCE_USD&gt;",
        "below the critical threshold",
        "disk &amp; quota",
        "Failing: counters do not increase",
        "5d3c6bbb-fc1a-46a4-93da-1ce4a54b0d83",
        "Check that the batch belongs to this team.",
    ] {
        assert!(html.contains(expected), "{expected} is not in {html}");
    }
    assert!(!html.contains("<script"));
    assert_eq!(html.matches("Give the token").count(), 1);
    assert!(html.find("Needs attention") < html.rfind("<caption>Sources"), "it stands before the sources");
}

#[tokio::test]
async fn money_comes_first_and_what_is_over_needs_no_remedy() {
    for (balance, sources_fail, title) in [
        ("0", true, "A wallet is empty"),
        ("24.9999", true, "A balance is below its critical threshold"),
        ("99", true, "Some sources are failing"),
        ("99", false, "A balance is below its warning threshold"),
        ("100", true, "Some sources are failing"),
        ("100", false, "All sources are working"),
    ] {
        let mut status = status(now());
        let wallet = WalletStatus { balance_usd: Some(balance.to_owned()), ..wallet() };
        status.accounts[0].details = batchdata::details(&wallet, None);
        let source = &mut status.accounts[0].sources[0];
        source.last_failure = Some(FailureStatus {
            at: ago(30),
            reason: "forbidden".to_owned(),
            message: "403; Give the token the permission.".to_owned(),
            advice: Some("Give the token the permission.".to_owned()),
        });
        if sources_fail {
            source.state = SourceState::Failing;
            source.last_success = None;
        }
        let html = get(showing(status).await.address, "/").await.text();
        assert!(html.contains(&format!("<title>{title}")), "{balance}: {html}");
        assert_eq!(html.contains("Give the token"), sources_fail, "{balance}");
        assert_eq!(html.contains("Failing, never answered yet"), sources_fail, "{balance}");
    }
}

#[tokio::test]
async fn just_started_is_neither_good_nor_bad() {
    let running = showing(just_started()).await;
    let html = get(running.address, "/").await.text();
    for expected in
        ["<title>Not ready yet", "Waiting for the first answer", ">never</td>", ">under way<", "<dd>unknown</dd>"]
    {
        assert!(html.contains(expected), "{expected} is not in {html}");
    }
}

#[tokio::test]
async fn the_same_as_json() {
    let running = showing(failing()).await;
    let answer = get(running.address, "/api/v1/status").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(json["accounts"][0]["sources"][0]["state"], "failing");
    assert_eq!(json["accounts"][0]["sources"][0]["last_failure"]["reason"], "forbidden");
    assert_eq!(json["accounts"][1]["batches"]["needing_attention"][0]["state"], "unavailable");
    assert_eq!(json["storage"]["up"], false);
}

#[tokio::test]
async fn a_thousand_accounts_are_a_list_with_the_worst_first() {
    let mut status = status(now());
    let healthy = status.accounts[0].clone();
    status.accounts = (0..1_000)
        .map(|number| {
            let mut account = AccountStatus { account: format!("account-{number}"), ..healthy.clone() };
            let balance = |amount: &str| WalletStatus { balance_usd: Some(amount.to_owned()), ..wallet() };
            match number {
                500 => account.details = batchdata::details(&balance("0"), None),
                600 => account.sources[0].state = SourceState::Failing,
                700 => account.details = batchdata::details(&balance("99"), None),
                800 => account.details.runs_out = Some(now()),
                _ => {}
            }
            account
        })
        .collect();
    let running = showing(status).await;
    let html = get(running.address, "/").await.text();
    assert!(html.len() < 300_000, "{} bytes", html.len());
    let place = |name: &str| html.find(&format!("account={name}\"")).unwrap_or_else(|| panic!("{name} is not there"));
    let order = ["account-500", "account-600", "account-700", "account-800", "account-0"].map(place);
    assert!(order.is_sorted(), "{order:?}");
    assert!(html.contains("<title>A wallet is empty") && html.contains("2 critical, 1 with a warning, 997 working"));
    let one = get(running.address, "/?account=account-600").await;
    assert!(one.text().contains("Failing, last good values are shown") && !one.text().contains("account-601"));
    let nobody = get(running.address, "/?account=%3Cscript%3E").await;
    assert_eq!(nobody.code, 404);
    assert!(nobody.text().contains("No account is named &lt;script&gt;"));
}

/// Draws the page, returns the picture's bytes. `PAGE_PICTURES` names a folder that keeps them for people.
#[expect(clippy::disallowed_methods, reason = "the ban is for the program, not for its tests")]
fn draw(browser: &std::path::Path, running: &Running, name: &str, more: &[&str]) -> Vec<u8> {
    let folder = tempfile::TempDir::new().unwrap();
    let kept = std::env::var("PAGE_PICTURES").ok().map(std::path::PathBuf::from);
    let picture = kept.unwrap_or_else(|| folder.path().to_owned()).join(format!("{name}.png"));
    let mut arguments: Vec<String> = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        .iter()
        .chain(more)
        .map(|argument| (*argument).to_owned())
        .collect();
    arguments.push(format!("--user-data-dir={}", folder.path().join("profile").display()));
    arguments.push(format!("--screenshot={}", picture.display()));
    arguments.push(format!("http://{}/?refresh=off", running.address));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = tools::run(browser, &arguments);
    assert!(output.status.success(), "{}", output.err());
    // The browser says so if the policy stopped anything of the page.
    assert!(!output.err().contains("Content Security Policy"), "{}", output.err());
    std::fs::read(&picture).expect("a picture")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_draws_it() {
    let Some(browser) = tools::find("chromium") else { return };
    let mut pictures = Vec::new();
    let mut many = status(now());
    many.accounts = many.accounts.into_iter().cycle().take(50).collect();
    for (name, status) in
        [("healthy", status(now())), ("failing", failing()), ("just-started", just_started()), ("many", many)]
    {
        let running = showing(status).await;
        let picture = draw(&browser, &running, name, &["--window-size=1000,1100"]);
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000, "{name}: {} bytes", picture.len());
        pictures.push(picture);
        if name == "failing" {
            let more = ["--window-size=500,1600", "--force-dark-mode", "--blink-settings=preferredColorScheme=0"];
            pictures.push(draw(&browser, &running, "failing-phone-dark", &more));
        }
    }
    assert!(pictures.windows(2).all(|pair| pair[0] != pair[1]), "two states look the same");
}
