//! Whether the balance moves as the report says, through the whole program.

use std::time::Duration;

use chrono::NaiveDate;
use vendor_simulator::Part;
use wallet_exporter::money::Usd;

use crate::accounts::three_accounts;
use crate::rig::{Rig, at};
use crate::serving::fixture::ask;

const UNRECONCILED: &str = r#"batchdata_wallet_unreconciled_usd{account="default"}"#;
const RECONCILED: &str = r#"batchdata_wallet_reconciled_timestamp_seconds{account="default"}"#;
const DEBIT: &str = r#"batchdata_wallet_debit_usd_total{account="default"}"#;

fn usd(cents: i64) -> Usd {
    Usd::from_cents(cents)
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

async fn minutes(rig: &Rig, minutes: u32) {
    for _ in 0..minutes {
        rig.clock.advance(Duration::from_secs(60));
        rig.rest().await;
    }
}

fn spend(rig: &Rig, cents: i64) {
    rig.vendors.spend(rig.vendors.now(), "api_request", "/api/v1/property/search", usd(cents));
}

/// Moves the balance, and nothing in the report.
fn move_balance(rig: &Rig, cents: i64) {
    let balance = rig.value(r#"batchdata_wallet_balance_usd{account="default"}"#).unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "dollars and cents")]
    let before = (balance * 100.0).round() as i64;
    rig.vendors.set_balance(usd(before + cents));
}

/// Why it is unknown, in JSON and on the page.
async fn says(rig: &Rig, why: &str) {
    for path in ["/api/v1/status", "/"] {
        let answer = ask(rig.web().unwrap(), "GET", path, &[], b"").await;
        assert!(answer.text().contains(why), "{path}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn movements_that_are_reported_leave_nothing_and_others_stand_until_they_are_explained() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::new().await;
    rig.set("STORAGE_PATH", directory.path().to_str().unwrap());
    rig.clock.step_to(at("2026-05-19T22:20:00Z"));
    rig.vendors.top_up(usd(20_000));
    rig.start().await;
    rig.first_polls().await;
    minutes(&rig, 55).await;
    assert_eq!((rig.value(UNRECONCILED), rig.value(RECONCILED)), (None, None), "the first hour is not over");
    says(&rig, "the balance must first be polled for an hour").await;
    minutes(&rig, 15).await;
    assert_eq!(rig.value(UNRECONCILED), Some(0.0));
    let age = |rig: &Rig| rig.vendors.now().timestamp() as f64 - rig.value(RECONCILED).unwrap();
    assert!((0.0..400.0).contains(&age(&rig)), "{}", age(&rig));

    // A top-up around midnight, and a correction of a day before the base line: the whole report is read again after it.
    minutes(&rig, 25).await;
    let debit = rig.value(DEBIT).unwrap();
    rig.vendors.restate(day("2026-05-18"), &Part::Total, usd(10_000), Usd::ZERO);
    minutes(&rig, 4).await;
    rig.vendors.top_up(usd(5_000));
    for _ in 0..12 {
        spend(&rig, 64);
        minutes(&rig, 3).await;
        assert_eq!(rig.value(UNRECONCILED), Some(0.0));
    }
    assert!(rig.vendors.now() > at("2026-05-20T00:00:00Z"));
    assert_eq!(rig.value(DEBIT), Some(debit + 100.0 + 12.0 * 0.64), "the correction has been read");

    // The report lacks a charge for 40 minutes, then another for longer.
    for (late, shown) in [(40, 0.0), (80, -3.0)] {
        move_balance(&rig, -300);
        minutes(&rig, late).await;
        assert_eq!(rig.value(UNRECONCILED), Some(shown), "{late} minutes");
        rig.vendors.restate(day("2026-05-20"), &Part::Total, usd(300), Usd::ZERO);
        minutes(&rig, 12).await;
        assert_eq!(rig.value(UNRECONCILED), Some(0.0));
    }

    // Money of which the report knows nothing, and a charge of the base line's day that the balance does not know.
    move_balance(&rig, 500);
    minutes(&rig, 75).await;
    assert_eq!(rig.value(UNRECONCILED), Some(5.0));
    rig.vendors.restate(day("2026-05-19"), &Part::Total, usd(150), Usd::ZERO);
    minutes(&rig, 12).await;
    assert_eq!(rig.value(UNRECONCILED), Some(6.5));
    let status = ask(rig.web().unwrap(), "GET", "/api/v1/status", &[], b"").await;
    assert!(status.text().contains(r#""unreconciled_usd":"6.5"#), "{}", status.text());

    // A restart, and one after which the last hour is not known any more.
    for (down, until_compared) in [(60, 7), (1_800, 75)] {
        let compared = rig.value(RECONCILED).unwrap();
        rig.stop().await;
        rig.clock.advance(Duration::from_secs(down));
        rig.start().await;
        assert_eq!((rig.value(UNRECONCILED), rig.value(RECONCILED)), (Some(6.5), Some(compared)), "after {down} s");
        rig.first_polls().await;
        spend(&rig, 64);
        minutes(&rig, until_compared).await;
        assert_eq!(rig.value(UNRECONCILED), Some(6.5));
        assert!(rig.value(RECONCILED).unwrap() > compared, "after {down} s");
    }
    rig.vendors.restate(day("2026-05-19"), &Part::Total, -usd(150), Usd::ZERO);
    minutes(&rig, 12).await;
    assert_eq!(rig.value(UNRECONCILED), Some(5.0));

    // What is too old is withheld; how old it is stays.
    rig.vendors.fault(vendor_simulator::Operation::Balance, vendor_simulator::Fault::status(503), None);
    minutes(&rig, 62).await;
    assert_eq!(rig.value(UNRECONCILED), None);
    assert!(rig.value(RECONCILED).is_some());
    says(&rig, "the balance or the report is missing or too old").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_misses_an_origin_shows_what_its_total_lacks_until_it_has_it() {
    let mut rig = Rig::new().await;
    rig.clock.step_to(at("2026-05-19T12:00:00Z"));
    rig.vendors.top_up(usd(20_000));
    spend(&rig, 300);
    rig.vendors.spend(rig.vendors.now(), "monitoring", "/api/v1/property/search", usd(200));
    rig.start().await;
    rig.first_polls().await;
    minutes(&rig, 75).await;
    assert_eq!(rig.value(UNRECONCILED), Some(0.0));
    let (monitoring, today) = (Part::Origin("monitoring".to_owned()), day("2026-05-19"));
    for (part, cents, shown) in
        [(&monitoring, -200, 0.0), (&Part::Total, -200, -2.0), (&monitoring, 200, -2.0), (&Part::Total, 200, 0.0)]
    {
        rig.vendors.restate(today, part, usd(cents), Usd::ZERO);
        minutes(&rig, 75).await;
        assert_eq!(rig.value(UNRECONCILED), Some(shown), "{cents} cents of {part:?}");
    }
}

/// Memory holds only the last days whole: an old day is compared with what the storage has of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restatement_after_a_month_and_a_refund_are_compared_once_they_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::new().await;
    rig.set("STORAGE_PATH", directory.path().to_str().unwrap());
    rig.set("BATCHDATA_COUNT_SINCE", "2026-04-01");
    rig.clock.step_to(at("2026-05-19T22:20:00Z"));
    for date in ["2026-04-10", "2026-05-01"] {
        rig.vendors.spend(at(&format!("{date}T12:00:00Z")), "api_request", "/api/v1/property/search", usd(1_000));
    }
    rig.vendors.top_up(usd(20_000));
    rig.start().await;
    rig.first_polls().await;
    minutes(&rig, 75).await;
    let debit = rig.value(DEBIT).unwrap();
    assert_eq!((rig.value(UNRECONCILED), debit), (Some(0.0), 20.0));

    // A refund moves the balance and the report alike.
    rig.vendors.credit(rig.vendors.now(), "refund", usd(300));
    rig.vendors.restate(day("2026-04-10"), &Part::Total, usd(250), Usd::ZERO);
    minutes(&rig, 15).await;
    assert_eq!((rig.value(UNRECONCILED), rig.value(DEBIT)), (Some(0.0), Some(debit)), "an old day is not read yet");
    minutes(&rig, 120).await;
    assert!(rig.vendors.now() > at("2026-05-20T01:00:00Z"), "all days were read again");
    assert_eq!((rig.value(UNRECONCILED), rig.value(DEBIT)), (Some(2.5), Some(debit + 2.5)));

    rig.stop().await;
    rig.start().await;
    rig.first_polls().await;
    rig.vendors.restate(day("2026-04-10"), &Part::Total, -usd(250), Usd::ZERO);
    rig.clock.advance(Duration::from_secs(23 * 3_600));
    minutes(&rig, 90).await;
    assert_eq!((rig.value(UNRECONCILED), rig.value(DEBIT)), (Some(0.0), Some(debit + 2.5)), "it has healed");
}

/// A wallet that never rests: each value is one of many possible ones, so that only what was remembered leads back to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_a_late_report_leaves_nothing_beside_another_difference() {
    let (standing, restarted) = late_report(true).await;
    assert_eq!((standing, restarted), late_report(false).await);
    assert!((restarted - standing).abs() < 2.0, "{standing}, then {restarted}");
}

/// What is unreconciled before and after a charge that the report has more than an hour later.
async fn late_report(restart: bool) -> (f64, f64) {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::new().await;
    rig.set("STORAGE_PATH", directory.path().to_str().unwrap());
    rig.clock.step_to(at("2026-05-19T01:00:00Z"));
    rig.vendors.top_up(usd(900_000));
    rig.start().await;
    rig.first_polls().await;
    let busy = async |rig: &Rig, times: u32| {
        for _ in 0..times {
            spend(rig, 100);
            minutes(rig, 1).await;
        }
    };
    busy(&rig, 80).await;
    assert_eq!(rig.value(UNRECONCILED), Some(0.0));
    move_balance(&rig, 25_000);
    busy(&rig, 80).await;
    let standing = rig.value(UNRECONCILED).unwrap();
    assert!((100.0..250.0).contains(&standing), "{standing}");
    move_balance(&rig, -60_000);
    busy(&rig, 40).await;
    minutes(&rig, 70).await;
    let late = rig.value(UNRECONCILED).unwrap();
    assert!(late < standing - 400.0, "{late}");
    if restart {
        rig.stop().await;
        rig.start().await;
        rig.first_polls().await;
        assert_eq!(rig.value(UNRECONCILED), Some(late));
    }
    rig.vendors.restate(day("2026-05-19"), &Part::Total, usd(60_000), Usd::ZERO);
    busy(&rig, 12).await;
    (standing, rig.value(UNRECONCILED).unwrap())
}

/// Short reports do not hold old days, so what is corrected there looks unexplained until all days are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_correction_of_an_old_day_is_looked_for_within_the_hour_in_which_the_balance_shows_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::new().await;
    rig.set("STORAGE_PATH", directory.path().to_str().unwrap());
    rig.set("BATCHDATA_COUNT_SINCE", "2026-05-01");
    rig.set("BATCHDATA_BUDGET_MONTH_USD", "100");
    rig.clock.step_to(at("2026-05-19T00:20:00Z"));
    rig.vendors.spend(at("2026-05-10T12:00:00Z"), "api_request", "/api/v1/property/search", usd(10_500));
    rig.vendors.top_up(usd(20_000));
    rig.start().await;
    rig.first_polls().await;
    minutes(&rig, 90).await;
    let spent = r#"batchdata_wallet_budget_spent_usd{account="default",budget="month",period="month"}"#;
    assert_eq!((rig.value(UNRECONCILED), rig.value(spent)), (Some(0.0), Some(105.0)));

    // The vendor gives 20 dollars back for the 10th: the balance and the report have it at once.
    move_balance(&rig, 2_000);
    rig.vendors.restate(day("2026-05-10"), &Part::Total, -usd(2_000), Usd::ZERO);
    minutes(&rig, 85).await;
    assert_eq!((rig.value(UNRECONCILED), rig.value(spent)), (Some(0.0), Some(85.0)));

    // What no day explains is looked for once.
    move_balance(&rig, 300);
    minutes(&rig, 180).await;
    assert_eq!(rig.value(UNRECONCILED), Some(3.0));
    let full = |rig: &Rig| {
        let of_all_days = |(_, value): &(String, String)| value.starts_with("2026-05-01");
        rig.vendors.requests().iter().filter(|request| request.query.iter().any(of_all_days)).count()
    };
    let before = full(&rig);
    minutes(&rig, 180).await;
    assert_eq!(full(&rig), before, "nothing has changed since");
    assert!(rig.vendors.now() < at("2026-05-20T00:00:00Z"));
}

/// A gap in each hour keeps every report from being compared: what was found before must not be shown as if it still held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balance_with_a_gap_in_each_hour_is_not_compared_and_that_is_said() {
    let mut rig = Rig::new().await;
    rig.clock.step_to(at("2026-05-19T12:00:00Z"));
    rig.vendors.top_up(usd(20_000));
    rig.start().await;
    rig.first_polls().await;
    minutes(&rig, 75).await;
    assert_eq!(rig.value(UNRECONCILED), Some(0.0));
    move_balance(&rig, -5_000);
    for hour in 0..3 {
        if hour < 2 {
            assert_eq!(rig.value(UNRECONCILED), Some(0.0), "after {hour} hours with gaps");
        }
        rig.vendors.fault(vendor_simulator::Operation::Balance, vendor_simulator::Fault::status(503), None);
        minutes(&rig, 12).await;
        rig.vendors.clear_faults(None);
        minutes(&rig, 48).await;
    }
    assert_eq!(rig.value(UNRECONCILED), None);
    says(&rig, "no report was compared for 2 hours").await;
    minutes(&rig, 75).await;
    assert_eq!(rig.value(UNRECONCILED), Some(-50.0), "it is polled again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_balance_or_the_report_nothing_is_compared() {
    for sources in ["balance,card_transactions", "consumption"] {
        let mut rig = Rig::new().await;
        rig.set("BATCHDATA_SOURCES", sources);
        rig.start().await;
        rig.first_polls().await;
        minutes(&rig, 75).await;
        assert_eq!((rig.value(UNRECONCILED), rig.value(RECONCILED)), (None, None), "{sources}");
        says(&rig, "it needs the sources balance and consumption").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_changed_by_a_reload_goes_on_comparing() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    rig.vendors.top_up(usd(5_000));
    rig.first_polls().await;
    let value = || rig.value(r#"batchdata_wallet_unreconciled_usd{account="growth"}"#);
    minutes(&rig, 70).await;
    assert_eq!(value(), Some(0.0));
    rig.vendors.set_balance(usd(4_000));
    minutes(&rig, 30).await;
    let path = directory.path().join("accounts.yml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("critical_balance_usd: 50", "critical_balance_usd: 60")).unwrap();
    assert_eq!(ask(rig.web().unwrap(), "POST", "/-/reload", &[], b"").await.code, 200);
    assert_eq!(value(), Some(0.0));
    minutes(&rig, 45).await;
    assert_eq!(value(), Some(-10.0));
}
