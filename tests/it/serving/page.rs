//! The page and the state as JSON; the page in a real browser.

use wallet_exporter::batchdata::{BudgetStatus, BurnStatus, WalletStatus};
use wallet_exporter::rightfoot::{self, BatchesStatus};
use wallet_exporter::snapshot::*;

use super::browser::Browser;
use super::fixture::{
    FakeSite, RunningServer, ago, batches, get, now, options, serve, small, status, wallet, wallet_details,
};
use super::tools;

async fn showing(status: Status) -> RunningServer {
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
    status.accounts[0].details = wallet_details(&wallet, None, now());
    let sources = &mut status.accounts[0].sources;
    sources[0].state = SourceState::Failing;
    sources[0].consecutive_failures = 3;
    sources[0].last_failure = Some(FailureStatus {
        at: ago(30),
        reason: "forbidden".to_owned(),
        message: "GET balance: 403 <script>alert(1)</script>; give the token the permission wallet-balance.".to_owned(),
        advice: Some("give the token the permission wallet-balance.".to_owned()),
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
    status.accounts[0].details = wallet_details(&WalletStatus::default(), None, now());
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
        "<dt>Time to empty</dt><dd>in 11.5 hours, on 2026-05-19 23:31 UTC, at the spend rate of the last 1h<br>",
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

/// The wallet with that balance and these times to empty by the windows 1h, 6h and 24h; 0 for one without spend.
fn lasting(balance: &str, hours: [f64; 3]) -> WalletStatus {
    let rates = ["1h", "6h", "24h"].into_iter().zip(hours).map(|(window, hours)| {
        let seconds = (hours > 0.0).then_some(hours * 3_600.0);
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
        let empty_at = seconds.map(|seconds| now() + chrono::TimeDelta::seconds(seconds as i64));
        let rate = if hours > 0.0 { balance.parse::<f64>().unwrap() / hours } else { 0.0 };
        BurnStatus { window, usd_per_hour: Some(format!("{rate:.4}")), runway_seconds: seconds, empty_at }
    });
    WalletStatus { balance_usd: Some(balance.to_owned()), burn: rates.collect(), ..wallet() }
}

fn budget(spent: &str) -> BudgetStatus {
    BudgetStatus {
        name: "month".to_owned(),
        period: "month",
        api_path: None,
        origin: None,
        amount_usd: "3000".to_owned(),
        spent_usd: Some(spent.to_owned()),
        projected_usd: None,
        projection: None,
        period_ends_at: None,
        unknown: None,
    }
}

#[tokio::test]
async fn money_comes_first_and_what_is_over_needs_no_remedy() {
    let balance = |amount: &str| WalletStatus { balance_usd: Some(amount.to_owned()), ..wallet() };
    let spent = |amount: &str| WalletStatus { budgets: vec![budget(amount)], ..balance("100") };
    for (wallet, sources_fail, title) in [
        (balance("0"), true, "A wallet is empty"),
        (balance("24.9999"), true, "A balance is below its critical threshold"),
        (balance("99"), true, "Some sources are failing"),
        (balance("99"), false, "A balance is below its warning threshold"),
        (balance("100"), true, "Some sources are failing"),
        (balance("100"), false, "All sources are working"),
        // As WalletRunwayCritical: 1h below 4 hours while 6h is below 24.
        (lasting("403", [70.0 / 60.0, 23.9, 60.0]), true, "A wallet will be empty within 4 hours"),
        (lasting("24", [3.9, 23.9, 60.0]), false, "A wallet will be empty within 4 hours"),
        (lasting("403", [4.0, 23.9, 60.0]), false, "All sources are working"),
        (lasting("403", [3.9, 24.0, 60.0]), false, "All sources are working"),
        (lasting("403", [3.9, 0.0, 60.0]), false, "All sources are working"),
        // As WalletRunwayShort: 24h below 48 hours.
        (lasting("403", [3.9, 24.0, 47.9]), false, "A wallet will be empty within 48 hours"),
        (lasting("403", [30.0, 40.0, 47.9]), true, "Some sources are failing"),
        (lasting("403", [5.0, 24.0, 48.0]), false, "All sources are working"),
        (spent("2999.99"), false, "All sources are working"),
        (spent("3000"), false, "A budget is spent"),
    ] {
        let mut status = status(now());
        let about = format!("{wallet:?}");
        status.accounts[0].details = wallet_details(&wallet, None, now());
        let source = &mut status.accounts[0].sources[0];
        source.last_failure = Some(FailureStatus {
            at: ago(30),
            reason: "forbidden".to_owned(),
            message: "403; give the token the permission.".to_owned(),
            advice: Some("give the token the permission.".to_owned()),
        });
        if sources_fail {
            source.state = SourceState::Failing;
            source.last_success = None;
        }
        let html = get(showing(status).await.address, "/").await.text();
        assert!(html.contains(&format!("<title>{title}")), "{title}: {about}: {html}");
        assert_eq!(html.contains("Give the token"), sources_fail, "{about}");
        assert_eq!(html.contains("Failing, never answered yet"), sources_fail, "{about}");
    }
}

#[tokio::test]
async fn the_money_and_what_needs_attention_stand_before_everything_else() {
    let mut status = failing();
    let wallet = WalletStatus {
        budgets: vec![budget("3000")],
        same_wallet_as: Some("other".to_owned()),
        ..lasting("403", [1.0, 2.0, 3.0])
    };
    status.accounts[0].details = wallet_details(&wallet, None, now());
    status.accounts.truncate(1);
    let html = get(showing(status).await.address, "/").await.text();
    let order = [
        "<dt>Balance</dt><dd>$403.00",
        "<dt>Time to empty</dt><dd>in 1 hour, on 2026-05-19 13:00 UTC, at the spend rate of the last 1h <span class=\"bad\">less than 4 hours",
        "<dt>Spend</dt><dd>today $31.40, yesterday unknown",
        "<h3>Needs attention</h3>",
        "The same wallet is shown twice</span>, also by account other",
        "<li>Budget month <span class=\"bad\">used up</span>",
        "<li>Source <code>balance</code>: <span class=\"bad\">Failing, last good values are shown</span>",
        "<strong>Give the token the permission wallet-balance.</strong>",
        "<li>Source <code>consumption</code>: <span class=\"bad\">Failing, values are too old to be shown</span>",
        "The exporter tries again by itself.",
        "<dt>Reconciliation</dt>",
        "<dt>Thresholds</dt>",
        "<dt>Budgets</dt>",
        "<dt>Counters count since</dt>",
        "<caption>Sources</caption>",
    ];
    let places = order.map(|text| html.find(text).unwrap_or_else(|| panic!("{text} is not in {html}")));
    assert!(places.is_sorted(), "{places:?}");
    // Nothing needs attention where nothing is wrong.
    assert!(!get(showing(super::fixture::status(now())).await.address, "/").await.text().contains("Needs attention"));
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
                500 => account.details = wallet_details(&balance("0"), None, now()),
                600 => account.sources[0].state = SourceState::Failing,
                700 => account.details = wallet_details(&balance("99"), None, now()),
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
    assert!(nobody.text().contains("No account has &lt;script&gt; in its name"));
}

/// As many accounts with names of 64 letters, each with a balance below its threshold and a time to empty.
fn many(count: usize) -> Status {
    let mut status = status(now());
    let low = wallet_details(&lasting("24", [40.0, 30.0, 50.0]), None, now());
    let account = AccountStatus { details: low, ..status.accounts[0].clone() };
    let named =
        |number| AccountStatus { account: format!("{:0>64}", format!("wallet-{number:04}")), ..account.clone() };
    status.accounts = (0..count).map(named).collect();
    status.warnings = (0..count).map(|number| format!("account {number}: <a warning of the usual length>")).collect();
    status
}

#[tokio::test]
async fn a_thousand_accounts_with_long_names_and_warnings_stay_below_300_kb() {
    let html = get(showing(many(1_000)).await.address, "/").await.text();
    assert!(html.len() < 300_000, "{} bytes", html.len());
    assert_eq!(html.matches("<td>30 h, 2026-05-20 18:00 UTC, by 6h").count(), 1_000);
    assert_eq!(html.matches("<li>account ").count(), 20);
    assert!(html.contains("and 980 more, in the <a href=\"/api/v1/status\">"));
}

#[tokio::test]
async fn the_list_tells_the_cases_apart() {
    let mut status = status(now());
    let resting = lasting("403", [0.0, 0.0, 0.0]);
    let unknown = WalletStatus { burn: Vec::new(), ..wallet() };
    let wallets = [("empty now", lasting("0", [1.0; 3])), ("not spending", resting), ("unknown", unknown)];
    let account = status.accounts[0].clone();
    status.accounts = wallets
        .iter()
        .cycle()
        .take(12)
        .map(|(_, wallet)| AccountStatus { details: wallet_details(wallet, None, now()), ..account.clone() })
        .collect();
    let html = get(showing(status).await.address, "/").await.text();
    for (words, _) in wallets {
        assert_eq!(html.matches(&format!("<td>{words}\n")).count(), 4, "{words}: {html}");
    }
}

#[tokio::test]
async fn a_part_of_a_name_finds_its_accounts() {
    let mut status = many(30);
    status.accounts[5].account = "growth".to_owned();
    status.accounts[6].account = "growth-eu".to_owned();
    let running = showing(status).await;
    for (query, code, sections, rows) in [
        ("account=growth", 200, 1, 0),
        ("account=growth-", 200, 1, 0),
        ("search=growth", 200, 2, 0),
        ("search=+GROWTH+", 200, 2, 0),
        ("account=wallet-00", 200, 0, 28),
        ("search=wallet-000", 200, 8, 0),
        ("search=", 200, 0, 30),
        ("search=nobody", 404, 0, 0),
    ] {
        let answer = get(running.address, &format!("/?{query}&refresh=off")).await;
        let html = answer.text();
        let found = (answer.code, html.matches("<caption>Sources").count(), html.matches("\n<tr><td>").count());
        assert_eq!(found, (code, sections, rows), "{query}");
    }
    let html = get(running.address, "/?account=growth").await.text();
    assert!(html.contains("<a href=\"/?search=growth\">1 more</a> with growth in their names"), "{html}");
    // The other refresh shows the same accounts.
    assert!(html.contains("href=\"/?account=growth&amp;refresh=off\""), "{html}");
    let html = get(running.address, "/?search=a%26%22b&refresh=off").await.text();
    assert!(html.contains("href=\"/?search=a%26%22b\""), "{html}");
}

#[tokio::test]
async fn json_has_the_worst_first_counts_and_one_account_if_asked() {
    let mut status = many(30);
    for (place, state) in [(7, SourceState::Stale), (8, SourceState::Failing), (9, SourceState::Waiting)] {
        status.accounts[place].sources[0].state = state;
    }
    status.accounts[3].details = wallet_details(&lasting("0", [1.0; 3]), None, now());
    status.accounts[4].details = wallet_details(&lasting("24", [1.0; 3]), None, now());
    let names: Vec<String> = status.accounts.iter().map(|account| account.account.clone()).collect();
    let running = showing(status).await;
    let json = async |target: &str| {
        let answer = get(running.address, target).await;
        (answer.code, serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default())
    };
    let (_, all) = json("/api/v1/status").await;
    assert_eq!(all["counts"], serde_json::json!({"accounts": 30, "failing": 2, "stale": 1}));
    let first = [3, 4, 0].map(|place: usize| names[place].as_str());
    assert_eq!([0, 1, 2].map(|place: usize| all["accounts"][place]["account"].as_str().unwrap()), first);
    let time_to_empty = |place: usize| &all["accounts"][place]["wallet"]["time_to_empty"];
    let empty = serde_json::json!({"state": "empty", "window": null, "hours": "0", "at": null});
    assert_eq!(*time_to_empty(0), empty);
    let spending = serde_json::json!({"state": "spending", "window": "1h", "hours": "1", "at": "2026-05-19T13:00:00Z"});
    assert_eq!(*time_to_empty(1), spending);
    let (code, one) = json(&format!("/api/v1/status?account={}", names[8])).await;
    assert_eq!((code, one["accounts"].as_array().unwrap().len()), (200, 1));
    assert_eq!((&one["accounts"][0]["account"], &one["counts"]), (&serde_json::json!(names[8]), &all["counts"]));
    for (query, code) in [("account=wallet-00", 404), ("account=", 400), ("acount=x", 400)] {
        assert_eq!(json(&format!("/api/v1/status?{query}")).await.0, code, "{query}");
    }
}

fn storage_down() -> Status {
    let mut status = status(now());
    status.storage = StorageStatus { durable: true, up: false, last_error: Some("no space left".to_owned()) };
    status
}

/// `PAGE_PICTURES` names a folder that keeps the pictures for people.
#[expect(clippy::disallowed_methods, reason = "the ban is for the program, not for its tests")]
fn kept() -> Option<std::path::PathBuf> {
    std::env::var("PAGE_PICTURES").ok().map(std::path::PathBuf::from)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_draws_it() {
    let Some(program) = tools::find("chromium") else { return };
    let with = |wallet: WalletStatus| {
        let mut status = status(now());
        status.accounts[0].details = wallet_details(&wallet, None, now());
        status
    };
    let states = [
        ("healthy", status(now()), "All sources are working"),
        ("low", with(lasting("24", [3.0, 4.0, 5.0])), "A wallet will be empty within 4 hours"),
        ("empty", with(lasting("-0.5", [1.0; 3])), "A wallet is empty"),
        ("failing", failing(), "A balance is below its critical threshold"),
        ("just-started", just_started(), "Not ready yet"),
        ("storage-down", storage_down(), "The storage is failing"),
        ("many", many(50), "A balance is below its critical threshold"),
    ];
    let mut browser = Browser::start(&program);
    let mut pictures = std::collections::BTreeSet::new();
    for (name, status, lead) in states {
        let running = showing(status).await;
        for (width, dark) in [(1280, false), (1280, true), (390, false), (390, true)] {
            let about = format!("{name}-{width}-{}", if dark { "dark" } else { "light" });
            browser.open(&format!("http://{}/?refresh=off", running.address), width, dark);
            assert_eq!(browser.value("document.querySelector('.lead').innerText"), lead, "{about}");
            assert_eq!(browser.value("innerWidth"), width, "{about}");
            let drawn = browser.value("document.documentElement.scrollWidth").as_u64().unwrap();
            assert!(drawn <= u64::from(width), "{about} is {drawn} pixels wide");
            let ground = if dark { "rgb(20, 23, 27)" } else { "rgb(246, 247, 249)" };
            assert_eq!(browser.value("getComputedStyle(document.body).backgroundColor"), ground, "{about}");
            let picture = browser.picture();
            if let Some(folder) = kept() {
                std::fs::write(folder.join(format!("{about}.png")), &picture).unwrap();
            }
            assert!(pictures.insert(picture), "{about} looks like another state");
        }
    }
    assert_eq!(browser.complaints, Vec::<String>::new());
}
