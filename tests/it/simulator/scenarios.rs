//! The scenarios in which things happen by themselves: believable, repeatable, and in agreement with their own sums.

use std::time::{Duration, Instant};

use rust_decimal::Decimal;
use vendor_simulator::{Options, Scenario};
use wallet_exporter::money::Usd;

use super::wire::{RunningSimulator, start};

const NOW: &str = "2026-05-19T18:43:21Z";

fn lively(options: &mut Options) {
    options.scenario = Scenario::Demo;
    options.history_days = 60;
}

async fn every_answer(running: &RunningSimulator) -> Vec<String> {
    let ids: Vec<String> = running.simulator.batch_ids().into_iter().map(|id| format!("batch_ids={id}")).collect();
    let mut all = Vec::new();
    for target in [
        "/api/v1/wallet/balance".to_owned(),
        "/api/v1/wallet/consumption-report?start_date=2026-03-01&end_date=2026-05-19".to_owned(),
        "/api/v1/wallet/consumption-report?start_date=2026-05-18&end_date=2026-05-19&format=csv".to_owned(),
        "/api/v1/wallet/credit-card-transactions?per_page=100".to_owned(),
    ] {
        all.push(running.wallet(&target).await.text().to_owned());
    }
    all.push(running.checks(&format!("/v1/balances/csv?{}", ids.join("&"))).await.text().to_owned());
    all
}

#[tokio::test]
async fn the_same_seed_and_clock_give_the_same_bytes() {
    let (one, other) = (start(NOW, lively).await, start(NOW, lively).await);
    let seeded = start(NOW, |options| {
        lively(options);
        options.seed = 2;
    })
    .await;
    // One of them is looked at on the way: that must not change what happens.
    for _ in 0..10 {
        one.clock.advance(Duration::from_secs(31));
        one.wallet("/api/v1/wallet/balance").await;
    }
    other.clock.advance(Duration::from_secs(310));
    seeded.clock.advance(Duration::from_secs(310));
    let answers = every_answer(&one).await;
    assert_eq!(answers, every_answer(&other).await);
    for (answer, another) in answers.iter().zip(every_answer(&seeded).await) {
        assert_ne!(*answer, another);
    }
}

#[tokio::test]
async fn the_wallet_changes_within_seconds() {
    let running = start(NOW, lively).await;
    let before = running.simulator.expected();
    running.clock.advance(Duration::from_secs(20));
    let soon = running.simulator.expected();
    assert!(soon.total.debit > before.total.debit);
    assert!(soon.by_path.len() >= 8 && soon.by_origin.len() >= 5, "{:?} {:?}", soon.by_path, soon.by_origin);

    running.clock.advance(Duration::from_secs(1_200));
    let later = running.simulator.expected();
    let count = |expected: &vendor_simulator::Expected| expected.cards.iter().map(|card| card.count).sum::<u64>();
    assert!(count(&later) > count(&before), "card events happen");
    let complete = later.batches.iter().filter(|batch| batch.complete).count();
    let completed = before.batches.iter().filter(|batch| batch.complete).count();
    assert!(complete > completed && later.batches.len() > before.batches.len(), "batches come and complete");
    for kind in [("top_up", "paid"), ("top_up", "failed"), ("refund", "paid")] {
        assert!(later.cards.iter().any(|card| (card.kind, card.status.as_str()) == kind), "{kind:?}");
    }
}

#[tokio::test]
async fn the_report_agrees_with_the_expected_totals_in_every_grain() {
    let running = start(NOW, lively).await;
    let expected = running.simulator.expected();
    for grain in ["hour", "day", "week", "month"] {
        let target =
            format!("/api/v1/wallet/consumption-report?start_date=2026-03-01&end_date=2026-05-19&group_by={grain}");
        let report = running.wallet(&target).await.json();
        let total = report["results"]["summary"]["total_debit"].to_string();
        // `serde_json` drops trailing zeros, and nothing else at this size.
        assert_eq!(Decimal::from(Usd::parse(&total).unwrap()), expected.total.debit, "{grain}");
    }
}

#[tokio::test]
async fn a_year_of_history_is_quick_to_ask_for() {
    let running = start(NOW, |options| {
        lively(options);
        options.history_days = 400;
    })
    .await;
    let began = Instant::now();
    let answer = running
        .wallet("/api/v1/wallet/consumption-report?start_date=2025-05-18&end_date=2026-05-19&group_by=hour")
        .await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() > 4_000_000, "{}", answer.body.len());
    eprintln!("{} bytes in {:?}", answer.body.len(), began.elapsed());
}

#[tokio::test]
async fn an_everyday_day_is_a_customers_day() {
    let running = start(NOW, |options| {
        options.scenario = Scenario::Everyday;
        options.history_days = 60;
    })
    .await;
    let before = running.simulator.expected();
    running.clock.advance(Duration::from_secs(4 * 86_400));
    let after = running.simulator.expected();
    // The model's own pace before this moment, a weekend in it or not.
    let day = (before.total.debit.to_string().parse::<f64>().unwrap()) / 60.0;
    let spent = (after.total.debit - before.total.debit).to_string().parse::<f64>().unwrap() / 4.0;
    assert!((day / 2.0..day * 2.0).contains(&spent), "{spent} a day after {day}");
    let cards = |expected: &vendor_simulator::Expected| expected.cards.iter().map(|card| card.count).sum::<u64>();
    assert!((1..12).contains(&(cards(&after) - cards(&before))), "{:?}", after.cards);
    let batches = after.batches.len() - before.batches.len();
    assert!((12..=15).contains(&batches), "{batches} batches");
    assert!(after.batches.iter().filter(|batch| !batch.complete).count() <= 1, "they fill within hours");
}
