//! Budgets: what is spent of them, as the vendor says it.

use std::time::Duration;

use chrono::TimeDelta;
use wallet_exporter::money::Usd;

use crate::accounts::three_accounts;
use crate::rig::{Rig, at};
use crate::serving::fixture::ask;

fn spend(rig: &Rig, ago: TimeDelta, path: &str, dollars: i64) {
    rig.vendors.spend(rig.vendors.now() - ago, "api_request", path, Usd::from_cents(dollars * 100));
}

fn budget(rig: &Rig, family: &str, name: &str, period: &str) -> Option<f64> {
    rig.value(&format!(r#"batchdata_wallet_budget{family}_usd{{account="default",budget="{name}",period="{period}"}}"#))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn budgets_follow_the_vendor_through_restatements_and_midnight() {
    let mut rig = Rig::new().await;
    for (name, value) in [("DAY", "100"), ("WEEK", "400.50"), ("MONTH", "1000")] {
        rig.set(&format!("BATCHDATA_BUDGET_{name}_USD"), value);
    }
    // A Monday, the 18th: the week has only begun.
    rig.clock.step_to(at("2026-05-18T12:00:00Z"));
    for days in 1..60 {
        spend(&rig, TimeDelta::days(days), "/api/v1/address/verify", 10);
    }
    spend(&rig, TimeDelta::hours(1), "/api/v1/address/verify", 30);
    rig.start().await;
    rig.first_polls().await;
    let all = |rig: &Rig, family: &str| ["day", "week", "month"].map(|period| budget(rig, family, period, period));
    assert_eq!(all(&rig, ""), [Some(100.0), Some(400.5), Some(1_000.0)]);
    assert_eq!(all(&rig, "_spent"), [Some(30.0), Some(30.0), Some(200.0)]);
    let projected = all(&rig, "_projected").map(|amount| amount.unwrap().round());
    // Half of a day of 10 dollars, and 10 for each further day.
    assert_eq!(projected, [35.0, 95.0, 335.0]);
    // The budget of the wallet and the wallet's own projection are one figure, to the cent.
    let of_wallet = |rig: &Rig| {
        ["day", "week", "month"].map(|period| {
            rig.value(&format!(r#"batchdata_wallet_projected_debit_usd{{account="default",period="{period}"}}"#))
        })
    };
    assert_eq!(of_wallet(&rig), all(&rig, "_projected"));
    let ends = |rig: &Rig| {
        ["day", "week", "month"].map(|period| {
            let labels = format!(r#"account="default",budget="{period}",period="{period}""#);
            rig.value(&format!("batchdata_wallet_budget_period_end_timestamp_seconds{{{labels}}}"))
        })
    };
    let times = ["2026-05-19T00:00:00Z", "2026-05-25T00:00:00Z", "2026-06-01T00:00:00Z"];
    assert_eq!(ends(&rig), times.map(|time| Some(at(time).timestamp() as f64)));

    // The vendor takes 20 dollars back.
    spend(&rig, TimeDelta::hours(1), "/api/v1/address/verify", -20);
    rig.poll(&["consumption"]).await;
    assert_eq!(all(&rig, "_spent"), [Some(10.0), Some(10.0), Some(180.0)]);

    // Of the new day nothing is known before its first report.
    rig.vendors.fault(vendor_simulator::Operation::ConsumptionReport, vendor_simulator::Fault::status(503), None);
    rig.clock.pass_to(at("2026-05-19T00:00:01Z"));
    assert_eq!(all(&rig, "_spent"), [None, None, None]);
    assert_eq!(all(&rig, "_projected"), [None, None, None]);
    assert_eq!(of_wallet(&rig), [None, None, None]);
    assert_eq!(ends(&rig), [None, None, None]);
    assert_eq!(all(&rig, ""), [Some(100.0), Some(400.5), Some(1_000.0)], "the amounts are configured");
    // The attempt of midnight may be under way.
    rig.rest().await;
    rig.vendors.clear_faults(None);
    rig.poll(&["consumption"]).await;
    let spent = || all(&rig, "_spent");
    rig.until("the new day is known", |_| spent()[0].is_some()).await;
    assert_eq!(spent(), [Some(0.0), Some(10.0), Some(180.0)]);
    assert_eq!(ends(&rig)[0], Some(at("2026-05-20T00:00:00Z").timestamp() as f64));
    assert_eq!(ends(&rig)[2], Some(at("2026-06-01T00:00:00Z").timestamp() as f64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_online_prints_each_budget_with_its_rule_or_why_it_is_unknown() {
    let mut rig = Rig::new().await;
    rig.set("BATCHDATA_BUDGET_DAY_USD", "40");
    rig.set("BATCHDATA_BUDGET_MONTH_USD", "1000");
    // A tenth of the day and of the month is not over, and nothing was spent before: zeros of the past project nothing.
    rig.clock.step_to(at("2026-05-01T01:00:00Z"));
    spend(&rig, TimeDelta::minutes(30), "/api/v1/address/verify", 5);
    let lines = async |rig: &Rig| {
        let (text, fine) = rig.check_online().await;
        let budgets = text.lines().filter(|line| line.starts_with("budget of batchdata default "));
        (budgets.map(|line| line.split_once("default").unwrap().1.trim().to_owned()).collect::<Vec<_>>(), fine)
    };
    let (said, fine) = lines(&rig).await;
    let unknown =
        "projection unknown: less than a tenth of the period has passed, and nothing was spent or known four weeks ago";
    assert_eq!(said[0], format!("day: $5.00 of $40.00 spent, {unknown}"));
    assert_eq!((said[1].clone(), fine), (format!("month: $5.00 of $1,000.00 spent, {unknown}"), true));

    // A quarter of the day is over.
    rig.clock.step_to(at("2026-05-01T06:00:00Z"));
    let by_share = "projected by the elapsed share of the period";
    assert_eq!(lines(&rig).await.0[0], format!("day: $5.00 of $40.00 spent, $20.00 {by_share}"));
    for days in 1..=35 {
        spend(&rig, TimeDelta::days(days), "/api/v1/address/verify", 10);
    }
    spend(&rig, TimeDelta::minutes(20), "/api/v1/address/verify", 35);
    // Three quarters of a day of 10 dollars are to come.
    let by_weekdays = "projected by weekdays of the last four weeks";
    assert_eq!(lines(&rig).await.0[0], format!("day: $40.00 of $40.00 spent, $47.50 {by_weekdays} (used up)"));

    rig.vendors.set_permission(vendor_simulator::Operation::ConsumptionReport, false);
    let (said, fine) = lines(&rig).await;
    assert!(!fine);
    assert_eq!(said[0], "day: unknown of $40.00 spent: no report of this day was read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accounts_file_has_any_number_of_budgets_for_parts_of_the_spend_too() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    let path = directory.path().join("accounts.yml");
    let text = std::fs::read_to_string(&path).unwrap();
    let with = |budgets: &str| {
        let text =
            text.replace("critical_balance_usd: 50", &format!("critical_balance_usd: 50\n    budgets: {budgets}"));
        std::fs::write(&path, text).unwrap();
    };
    let reload = async || ask(rig.web().unwrap(), "POST", "/-/reload", &[], b"").await;
    spend(&rig, TimeDelta::hours(1), "/api/v1/property/search", 7);
    spend(&rig, TimeDelta::hours(1), "/api/v1/address/verify", 5);
    with(
        "[{name: search, period: month, amount_usd: 3000, api_path: /api/v1/property/search}, \
          {name: search, period: day, amount_usd: \"99.50\", origin: api_request}, \
          {name: unused, period: day, amount_usd: 1, api_path: /never}]",
    );
    assert_eq!(reload().await.code, 200, "{:?}", rig.snapshot().warnings);
    let value = |family: &str, name: &str, period: &str| {
        let labels = format!(r#"account="growth",budget="{name}",period="{period}""#);
        rig.value(&format!("batchdata_wallet_budget{family}_usd{{{labels}}}"))
    };
    rig.until("the report was polled", |_| value("_spent", "search", "month") == Some(7.0)).await;
    assert_eq!(value("", "search", "month"), Some(3_000.0));
    assert_eq!(value("", "search", "day"), Some(99.5));
    assert_eq!(value("_spent", "search", "month"), Some(7.0));
    assert_eq!(value("_spent", "search", "day"), Some(12.0));
    assert_eq!(value("_spent", "unused", "day"), Some(0.0));
    let status = ask(rig.web().unwrap(), "GET", "/api/v1/status", &[], b"").await;
    assert!(status.text().contains(r#""amount_usd":"99.50""#) || status.text().contains(r#""amount_usd":"99.5""#));

    for (budgets, said) in [
        ("[{name: x, period: year, amount_usd: 1}]", "budget x: period: write day, week or month"),
        ("[{name: x, period: day, amount_usd: 1}, {name: x, period: day, amount_usd: 2}]", "have the name x"),
        ("3000", "write a list of mappings"),
        ("[{name: x, period: day, amount_usd: [1]}]", "accounts.yml"),
    ] {
        with(budgets);
        assert_eq!(reload().await.code, 500, "{budgets}");
        let warnings = rig.snapshot().warnings.join("\n");
        assert!(warnings.contains(said) && warnings.contains("accounts.yml:"), "{budgets}: {warnings}");
        assert_eq!(value("", "search", "month"), Some(3_000.0), "the former ones stay");
    }
}

/// The vendor's midnight comes before ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_shows_no_day_that_has_ended_for_the_vendor() {
    let (mut rig, storage) = (Rig::new().await, tempfile::tempdir().unwrap());
    rig.set("STORAGE_PATH", storage.path().to_str().unwrap());
    rig.set("BATCHDATA_BUDGET_DAY_USD", "100");
    rig.clock.step_to(at("2026-05-18T23:00:00Z"));
    rig.vendors.set_clock_offset(TimeDelta::minutes(50));
    spend(&rig, TimeDelta::minutes(20), "/api/v1/address/verify", 30);
    rig.start().await;
    rig.first_polls().await;
    let shown = |rig: &Rig| {
        let today = r#"batchdata_wallet_period_debit_usd{account="default",period="today"}"#;
        [budget(rig, "_spent", "day", "day"), rig.value(today)]
    };
    assert_eq!(shown(&rig), [Some(30.0); 2]);
    rig.stop().await;
    rig.vendors.fault(vendor_simulator::Operation::ConsumptionReport, vendor_simulator::Fault::status(503), None);
    rig.clock.pass_to(at("2026-05-18T23:05:00Z"));
    rig.start().await;
    assert_eq!(shown(&rig), [Some(30.0); 2], "the day goes on");
    rig.stop().await;
    rig.clock.pass_to(at("2026-05-18T23:10:01Z"));
    rig.start().await;
    assert_eq!(shown(&rig), [None; 2], "the day has ended for the vendor");
    rig.rest().await;
    rig.vendors.clear_faults(None);
    rig.clock.advance(Duration::from_secs(1_200));
    rig.until("the new day is known", |rig| shown(rig) == [Some(0.0); 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_with_a_budget_is_not_counted_under_other() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    let path = directory.path().join("accounts.yml");
    let text = std::fs::read_to_string(&path).unwrap();
    let reload = async |budgets: &str| {
        let budgets = format!("critical_balance_usd: 50\n    budgets: {budgets}");
        std::fs::write(&path, text.replace("critical_balance_usd: 50", &budgets)).unwrap();
        let answer = ask(rig.web().unwrap(), "POST", "/-/reload", &[], b"").await;
        assert_eq!(answer.code, 200, "{:?}", rig.snapshot().warnings);
    };
    let spent = |name: &str| {
        let labels = format!(r#"account="growth",budget="{name}",period="day""#);
        rig.value(&format!("batchdata_wallet_budget_spent_usd{{{labels}}}"))
    };
    let counted = |path: &str| {
        let series = format!(r#"batchdata_wallet_api_path_debit_usd_total{{account="growth",api_path="{path}"}}"#);
        rig.value(&series)
    };
    for number in 0..110 {
        spend(&rig, TimeDelta::hours(1), &format!("/p{number:03}"), 1);
    }
    spend(&rig, TimeDelta::hours(1), "/zzz", 70);
    reload("[{name: first, period: day, amount_usd: 10, api_path: /p000}]").await;
    rig.until("the report was polled", |_| spent("first") == Some(1.0)).await;
    assert!(counted("other").is_some_and(|other| other >= 80.0) && counted("/zzz").is_none());

    let later =
        ["zzz", "later"].map(|name| format!("{{name: {name}, period: day, amount_usd: 100, api_path: /{name}}}"));
    reload(&format!("[{}]", later.join(", "))).await;
    let polled = |rig: &Rig| {
        let snapshot = rig.snapshot();
        snapshot.source("growth", wallet_exporter::batchdata::CONSUMPTION).is_some_and(|view| view.up == Some(true))
    };
    rig.until("the report is polled again", polled).await;
    assert_eq!([spent("zzz"), spent("later")], [None, None], "what was counted under other is unknown, not 0");
    let other = counted("other");
    rig.clock.advance(Duration::from_secs(330));
    rig.until("all days were read again", |_| spent("zzz") == Some(70.0)).await;
    assert_eq!((spent("later"), counted("other")), (Some(0.0), other), "no counter falls");
    rig.until("it is a series of its own", |_| counted("/zzz") == Some(70.0)).await;
    // One that was never seen is told apart from the first dollar on.
    spend(&rig, TimeDelta::zero(), "/later", 3);
    rig.clock.advance(Duration::from_secs(330));
    rig.until("the first dollar is known", |_| spent("later") == Some(3.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_needs_the_report_and_an_amount() {
    let mut rig = Rig::new().await;
    rig.set("BATCHDATA_BUDGET_DAY_USD", "10");
    rig.set("BATCHDATA_SOURCES", "balance");
    let error = rig.try_start().await.unwrap_err().to_string();
    assert!(error.contains("BATCHDATA_SOURCES") && error.contains("budgets need"), "{error}");
    rig.set("BATCHDATA_SOURCES", "consumption");
    rig.set("BATCHDATA_BUDGET_DAY_USD", "0");
    let error = rig.try_start().await.unwrap_err().to_string();
    assert!(error.contains("BATCHDATA_BUDGET_DAY_USD: \"0\" is not valid: write an amount above 0"), "{error}");
}
