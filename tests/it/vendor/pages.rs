//! The walk through the pages of the card transactions, whatever shifts meanwhile.

use std::sync::Mutex;

use wallet_exporter::vendor::{Fault, Limits, Operation, Reason};

use super::client::{call, card, page, settings};
use super::fake::{Fake, Reply};

/// Answers page after page of this script: for each request, the ids of the page, `last_page` and `total`.
async fn walk(script: &[(&[i64], u32, u64)]) -> (Result<Vec<i64>, Fault>, Vec<u32>) {
    let script: Vec<(Vec<i64>, u32, u64)> =
        script.iter().map(|(ids, last, total)| (ids.to_vec(), *last, *total)).collect();
    let next = Mutex::new(0);
    let fake = Fake::script(move |seen| {
        let mut next = next.lock().unwrap();
        let (ids, last, total) = &script[(*next).min(script.len() - 1)];
        *next += 1;
        let rows: Vec<String> = ids.iter().map(|id| card(*id)).collect();
        Reply::json(page(&rows, seen.parameter("page").unwrap().parse().unwrap(), *last, *total))
    })
    .await;
    let outcome = call(Operation::CreditCardTransactions, settings(fake.url())).await;
    let pages = fake.seen().iter().map(|seen| seen.parameter("page").unwrap().parse().unwrap()).collect();
    let ids = outcome
        .map(|told| told.split("id: ").skip(1).map(|rest| rest.split(',').next().unwrap().parse().unwrap()).collect());
    (ids, pages)
}

#[tokio::test]
async fn pages_that_stand_still() {
    let (ids, pages) = walk(&[(&[9, 8], 3, 5), (&[7, 6], 3, 5), (&[5], 3, 5)]).await;
    assert_eq!(ids.unwrap(), [5, 6, 7, 8, 9], "sorted by id");
    assert_eq!(pages, [1, 2, 3]);
    let (ids, pages) = walk(&[(&[], 0, 0)]).await;
    assert_eq!((ids.unwrap(), pages), (vec![], vec![1]), "a last page of 0 is an empty listing");
}

#[tokio::test]
async fn a_row_that_slips_from_one_page_to_the_next_is_there_once() {
    // A new row 10 pushes 8 onto the second page; `total` tells, and the next walk finds 10.
    let script: &[(&[i64], u32, u64)] = &[(&[9, 8], 2, 3), (&[8, 7], 2, 4), (&[10, 9], 2, 4), (&[8, 7], 2, 4)];
    let (ids, pages) = walk(script).await;
    assert_eq!(ids.unwrap(), [7, 8, 9, 10]);
    assert_eq!(pages, [1, 2, 1, 2]);
}

#[tokio::test]
async fn a_row_that_slips_through_is_found_by_the_next_walk() {
    // 9 was taken away while the pages were walked: 7 moved to the first page and is on neither.
    let (ids, pages) = walk(&[(&[9, 8], 2, 4), (&[6], 2, 4), (&[9, 8], 2, 4), (&[7, 6], 2, 4)]).await;
    assert_eq!(ids.unwrap(), [6, 7, 8, 9]);
    assert_eq!(pages, [1, 2, 1, 2]);
}

#[tokio::test]
async fn the_last_sighting_of_a_row_wins() {
    let fake = Fake::script(|seen| {
        let number: u32 = seen.parameter("page").unwrap().parse().unwrap();
        let row = if number == 1 { card(1).replace(r#""status":1"#, r#""status":0"#) } else { card(1) };
        Reply::json(page(&[row], number, 2, 1))
    })
    .await;
    let told = call(Operation::CreditCardTransactions, settings(fake.url())).await.unwrap();
    assert!(told.contains("status: Paid") && !told.contains("Pending"), "{told}");
}

#[tokio::test]
async fn three_walks_are_enough() {
    // Never as many rows as `total` says.
    let (ids, pages) = walk(&[(&[1, 2], 1, 5)]).await;
    assert_eq!(ids.unwrap_err().reason, Reason::Implausible);
    assert_eq!(pages, [1, 1, 1]);
    // An empty page before the last.
    let (ids, pages) = walk(&[(&[], 7, 5)]).await;
    assert_eq!(ids.unwrap_err().reason, Reason::Implausible);
    assert_eq!(pages, [1, 1, 1]);
    // `total` never stands still, and yet every row that it counts was seen.
    let script: &[(&[i64], u32, u64)] =
        &[(&[1], 2, 1), (&[2], 2, 2), (&[3], 2, 3), (&[4], 2, 4), (&[5], 2, 5), (&[6], 2, 6)];
    let (ids, pages) = walk(script).await;
    assert_eq!(ids.unwrap(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(pages, [1, 2, 1, 2, 1, 2]);
}

#[tokio::test]
async fn an_endless_listing_is_given_up() {
    let fake = Fake::script(|seen| {
        let number: u32 = seen.parameter("page").unwrap().parse().unwrap();
        Reply::json(page(&[card(i64::from(number))], number, number + 1, 1_000_000))
    })
    .await;
    let mut settings = settings(fake.url());
    settings.limits = Limits { pages: 8, ..Limits::default() };
    let fault = call(Operation::CreditCardTransactions, settings).await.unwrap_err();
    assert_eq!(fault.reason, Reason::TooLarge, "{fault}");
    assert_eq!(fake.count(), 8);
}

#[tokio::test]
async fn a_fault_on_a_later_page_is_the_fault_of_all() {
    let fake = Fake::script(|seen| match seen.parameter("page") {
        Some("1") => Reply::json(page(&[card(1)], 1, 2, 2)),
        _ => Reply::whole("429 Too Many Requests", &["Retry-After: 30"], ""),
    })
    .await;
    let fault = call(Operation::CreditCardTransactions, settings(fake.url())).await.unwrap_err();
    assert_eq!(fault.reason, Reason::RateLimited);
    assert_eq!(fault.retry_after.unwrap().as_secs(), 30);
    assert_eq!(fake.count(), 2);
}
