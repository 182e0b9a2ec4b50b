//! The walk through the pages of the card transactions, whatever shifts meanwhile.

use std::sync::Mutex;

use wallet_exporter::batchdata;
use wallet_exporter::upstream::{Reason, RequestError, RequestLimits};

use super::client::{call, card, page, settings};
use super::fake::{Fake, Reply};

/// Answers page after page of this script: for each request, the ids of the page, `last_page` and `total`.
async fn walk(script: &[(&[i64], u32, u64)]) -> (Result<Vec<i64>, RequestError>, Vec<u32>) {
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
    let outcome = call(batchdata::CARD_TRANSACTIONS.operation, settings(fake.url())).await;
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
    let told = call(batchdata::CARD_TRANSACTIONS.operation, settings(fake.url())).await.unwrap();
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

/// A vendor with this listing, newest first. `order` says which row a page of a size shows at a place of the listing.
async fn listing(
    ids: Vec<i64>,
    largest: usize,
    order: impl Fn(usize, usize) -> usize + Send + Sync + 'static,
) -> (Result<Vec<i64>, RequestError>, Vec<(usize, usize)>) {
    let fake = Fake::script(move |seen| {
        let number = |name| seen.parameter(name).unwrap().parse::<usize>().unwrap();
        let (current, size) = (number("page"), number("per_page").min(largest));
        let places = (current - 1) * size..(current * size).min(ids.len());
        let rows: Vec<String> = places.map(|place| card(ids[order(place, size)])).collect();
        let last = ids.len().div_ceil(size).max(1);
        let (current, last) = (u32::try_from(current).unwrap(), u32::try_from(last).unwrap());
        Reply::json(page(&rows, current, last, ids.len() as u64))
    })
    .await;
    let outcome = call(batchdata::CARD_TRANSACTIONS.operation, settings(fake.url())).await;
    let number = |seen: &super::fake::Seen, name: &str| seen.parameter(name).unwrap().parse().unwrap();
    let asked = fake.seen().iter().map(|seen| (number(seen, "page"), number(seen, "per_page"))).collect();
    let ids = outcome
        .map(|told| told.split("id: ").skip(1).map(|rest| rest.split(',').next().unwrap().parse().unwrap()).collect());
    (ids, asked)
}

fn up_to(count: i64) -> Vec<i64> {
    (1..=count).collect()
}

#[tokio::test]
async fn a_card_that_is_listed_twice_is_taken_once_a_second_walk_agrees() {
    // Beside itself, across the border of two pages, and far from itself.
    for (first, second) in [(10, 11), (99, 100), (10, 180)] {
        let mut ids: Vec<i64> = up_to(249).into_iter().rev().collect();
        ids.insert(second, ids[first]);
        let (found, asked) = listing(ids, 100, |place, _| place).await;
        assert_eq!(found.unwrap(), up_to(249), "{first}, {second}");
        assert_eq!(asked, [(1, 100), (2, 100), (3, 100), (1, 99), (2, 99), (3, 99)]);
    }
    let (found, asked) = listing(vec![2, 1, 1], 100, |place, _| place).await;
    assert_eq!((found.unwrap(), asked), (vec![1, 2], vec![(1, 100), (1, 99)]), "all on one page");
}

#[tokio::test]
async fn a_row_that_is_lost_for_one_that_comes_twice_is_noticed() {
    // Rows of one moment, sorted anew for each page: a page begins with the last row of the one before.
    let unsorted = |place: usize, size: usize| if place > 0 && place.is_multiple_of(size) { place - 1 } else { place };
    let (found, asked) = listing(up_to(250), 100, unsorted).await;
    assert_eq!(found.unwrap(), up_to(250), "pages of another size lose other rows");
    assert_eq!(asked.len(), 6);
    // Where the size of the pages cannot be chosen, nothing tells a row that was lost.
    let (found, asked) = listing(up_to(250), 50, unsorted).await;
    assert_eq!(found.unwrap_err().reason, Reason::Implausible);
    assert_eq!(asked.len(), 15);
    // The second page in place of the third.
    let stuck = |place: usize, size: usize| if place / size == 2 { place - size } else { place };
    let (found, _) = listing(up_to(300), 100, stuck).await;
    assert_eq!(found.unwrap_err().reason, Reason::Truncated);
    // The first page in place of every page.
    let (found, _) = listing(up_to(300), 100, |place, size| place % size).await;
    assert!(found.is_err());
    // 1 moves to the front while the pages are read: 3 comes twice, and 1 not at all. It is found by the next walk.
    let script: &[(&[i64], u32, u64)] = &[(&[4, 3], 2, 4), (&[3, 2], 2, 4), (&[1, 4], 2, 4), (&[3, 2], 2, 4)];
    let (ids, pages) = walk(script).await;
    assert_eq!((ids.unwrap(), pages), (vec![1, 2, 3, 4], vec![1, 2, 1, 2]));
}

#[tokio::test]
async fn a_listing_that_changes_on_every_walk_is_truncated_and_says_what_happened() {
    let script: &[(&[i64], u32, u64)] =
        &[(&[1], 2, 5), (&[2], 2, 6), (&[3], 2, 7), (&[4], 2, 8), (&[5], 2, 9), (&[6], 2, 10)];
    let (ids, pages) = walk(script).await;
    let fault = ids.unwrap_err();
    assert_eq!(fault.reason, Reason::Truncated);
    assert_eq!(fault.detail, "the listing changed while it was read: 6 of 10 transactions seen in 3 attempts");
    assert_eq!(pages, [1, 2, 1, 2, 1, 2]);
    // `total` stands still, and yet each walk brings other rows.
    let script: &[(&[i64], u32, u64)] = &[(&[1, 2], 1, 9), (&[3, 4], 1, 9), (&[5, 6], 1, 9)];
    let fault = walk(script).await.0.unwrap_err();
    assert_eq!((fault.reason, fault.detail.contains("6 of 9 transactions")), (Reason::Truncated, true), "{fault}");
}

#[tokio::test]
async fn an_endless_listing_is_given_up() {
    let fake = Fake::script(|seen| {
        let number: u32 = seen.parameter("page").unwrap().parse().unwrap();
        Reply::json(page(&[card(i64::from(number))], number, number + 1, 1_000_000))
    })
    .await;
    let mut settings = settings(fake.url());
    settings.limits = RequestLimits { pages: 8, ..RequestLimits::default() };
    let fault = call(batchdata::CARD_TRANSACTIONS.operation, settings).await.unwrap_err();
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
    let fault = call(batchdata::CARD_TRANSACTIONS.operation, settings(fake.url())).await.unwrap_err();
    assert_eq!(fault.reason, Reason::RateLimited);
    assert_eq!(fault.retry_after.unwrap().as_secs(), 30);
    assert_eq!(fake.count(), 2);
}

#[tokio::test]
async fn a_listing_is_bounded_over_all_its_pages() {
    let fake = Fake::script(|seen| {
        let number: i64 = seen.parameter("page").unwrap().parse().unwrap();
        let rows: Vec<String> = (0..1_000).map(|row| card(number * 1_000 + row)).collect();
        Reply::json(page(&rows, number.try_into().unwrap(), 200, 200_000))
    })
    .await;
    let error = call(batchdata::CARD_TRANSACTIONS.operation, settings(fake.url())).await.unwrap_err();
    assert_eq!(error.reason, Reason::TooLarge, "{error}");
    assert!(error.to_string().contains("more than 20000 transactions"), "{error}");
    assert_eq!(fake.seen().len(), 21, "no page is read beyond the bound");
}
