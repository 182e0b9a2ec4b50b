//! What the requests of one token share: the budget, the pause, the vendor's clock; and that the token is never told.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use wallet_exporter::clock::{BootTime, Clock, ManualClock, SharedClock, Sleep, delta};
use wallet_exporter::config::secret::Secret;
use wallet_exporter::upstream::Reason;
use wallet_exporter::{batchdata, rightfoot};

use super::client::{Observed, TOKEN, card, good, noon, page, settings, settings_at};
use super::fake::{Fake, Reply};

/// A clock on which nobody waits: a sleep moves it to its end. It shows how long the requests would have waited.
#[derive(Clone)]
struct Eager(ManualClock);

impl Clock for Eager {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    fn boot(&self) -> BootTime {
        self.0.boot()
    }

    fn boot_id(&self) -> String {
        self.0.boot_id()
    }

    fn sleep_until(&self, deadline: BootTime) -> Sleep<'_> {
        Box::pin(async move { self.0.advance(deadline.since(self.0.boot())) })
    }
}

#[tokio::test]
async fn the_budget_holds_in_every_minute() {
    let clock = ManualClock::new(noon());
    let times = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (record, at) = (Arc::clone(&times), clock.clone());
    let fake = Fake::script(move |seen| {
        record.lock().unwrap().push(at.now());
        // The requests do not come evenly.
        at.advance(Duration::from_millis(700));
        let number: u32 = seen.parameter("page").unwrap().parse().unwrap();
        Reply::json(page(&[card(i64::from(number))], number, 30, 30))
    })
    .await;
    let mut settings = settings_at(fake.url(), &clock);
    settings.clock = Arc::new(Eager(clock)) as SharedClock;
    settings.requests_per_minute = 7;
    let client = batchdata::Client::new(settings, true).unwrap();
    assert_eq!(client.card_transactions(None, None).await.unwrap().len(), 30);
    let times = times.lock().unwrap();
    assert_eq!(times.len(), 30, "paging takes from the budget, too");
    for pair in times.windows(8) {
        assert!(pair[7] - pair[0] >= delta(Duration::from_secs(60)), "8 requests within {}", pair[7] - pair[0]);
    }
    let took = *times.last().unwrap() - times[0];
    assert!(took <= delta(Duration::from_secs(4 * 60 + 10)), "and no slower than it must be: {took}");
}

/// Lets everything that can go on go on.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_sources_of_a_token_share_its_budget_and_its_pause() {
    let clock = ManualClock::new(noon());
    let fake = Fake::script(|seen| {
        good(if seen.target().contains("balance") {
            batchdata::BALANCE.operation
        } else {
            batchdata::CARD_TRANSACTIONS.operation
        })
    })
    .await;
    let mut settings = settings_at(fake.url(), &clock);
    settings.requests_per_minute = 2;
    let client = Arc::new(batchdata::Client::new(settings, true).unwrap());
    client.balance().await.unwrap();
    clock.advance(Duration::from_secs(10));
    client.card_transactions(None, None).await.unwrap();
    // The budget is spent: one waits and is dropped, another waits and goes when the first permit is a minute old.
    let waiting = |client: &Arc<batchdata::Client>| {
        let client = Arc::clone(client);
        tokio::spawn(async move { client.balance().await.map(|_| ()) })
    };
    let dropped = waiting(&client);
    let kept = waiting(&client);
    settle().await;
    assert_eq!(fake.count(), 2);
    dropped.abort();
    clock.advance(Duration::from_secs(49));
    settle().await;
    assert_eq!(fake.count(), 2, "59 s after the first");
    clock.advance(Duration::from_secs(1));
    kept.await.unwrap().unwrap();
    assert_eq!(fake.count(), 3, "who was dropped took no permit");

    // A pause holds whatever the budget says, and is never shortened. A request in a pause is refused and not sent.
    clock.advance(Duration::from_secs(600));
    let until = clock.boot() + Duration::from_secs(90);
    let version = client.credential().secret_version();
    client.credential().pause(until, &version);
    client.credential().pause(clock.boot() + Duration::from_secs(5), &version);
    assert_eq!(client.credential().rate_limit().paused_until(), Some(until));
    clock.advance(Duration::from_secs(89));
    let fault = client.balance().await.unwrap_err();
    assert_eq!((fault.reason, fault.status), (Reason::RateLimited, None));
    assert_eq!(fault.retry_after, Some(Duration::from_secs(1)));
    assert_eq!(fake.count(), 3);
    clock.advance(Duration::from_secs(1));
    client.balance().await.unwrap();

    // A pause ends the waiting for the budget, and can be ended.
    clock.advance(Duration::from_secs(600));
    client.balance().await.unwrap();
    client.balance().await.unwrap();
    let waits = waiting(&client);
    settle().await;
    client.credential().pause(clock.boot() + Duration::from_secs(3_600), &client.credential().secret_version());
    assert_eq!(waits.await.unwrap().unwrap_err().reason, Reason::RateLimited);
    client.credential().resume();
    clock.advance(Duration::from_secs(60));
    client.balance().await.unwrap();
    assert_eq!(fake.count(), 7);
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_stop_the_requests() {
    let clock = ManualClock::new(noon());
    let fake = Fake::always(good(batchdata::BALANCE.operation)).await;
    let mut settings = settings_at(fake.url(), &clock);
    settings.requests_per_minute = 1;
    let client = batchdata::Client::new(settings, true).unwrap();
    client.balance().await.unwrap();
    // The balance's time is then a day ahead: only the number of requests matters here.
    clock.step_to(noon() - delta(Duration::from_secs(3_600)));
    let (outcome, ()) = tokio::join!(client.balance(), async {
        settle().await;
        assert_eq!(fake.count(), 1);
        clock.advance(Duration::from_secs(60));
    });
    outcome.unwrap();
    assert_eq!(fake.count(), 2);
}

#[tokio::test]
async fn the_vendors_clock_is_learnt_from_its_date_headers() {
    let clock = ManualClock::new(noon());
    let dates = [
        ("Date: Tue, 19 May 2026 12:00:05 GMT", "2026-05-19T12:00:05Z"),
        // Seven minutes slow is still a clock.
        ("Date: Tue, 19 May 2026 11:53:00 GMT", "2026-05-19T11:53:00Z"),
        // None and nonsense change nothing; a jump needs a second answer.
        ("X: y", "2026-05-19T11:53:00Z"),
        ("Date: yesterday", "2026-05-19T11:53:00Z"),
        ("Date: Thu, 01 Jan 1970 00:00:00 GMT", "2026-05-19T11:53:00Z"),
        ("Date: Tue, 19 May 2026 23:59:59 GMT", "2026-05-19T11:53:00Z"),
        ("Date: Tue, 19 May 2026 12:00:02 GMT", "2026-05-19T12:00:02Z"),
    ];
    // A failed answer's clock is as good as any.
    let replies = dates.iter().map(|(line, _)| Reply::whole("503 Service Unavailable", &[line], "")).collect();
    let fake = Fake::replies(replies).await;
    let client = batchdata::Client::new(settings_at(fake.url(), &clock), true).unwrap();
    assert_eq!(client.credential().now(), noon());
    for (line, expected) in dates {
        let fault = client.balance().await.unwrap_err();
        assert_eq!(client.credential().now(), expected.parse::<DateTime<Utc>>().unwrap(), "{line}");
        let told = line.strip_prefix("Date: ").and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        assert_eq!(fault.server_time, told.map(|time| time.to_utc()), "{line}");
    }
    clock.advance(Duration::from_secs(2));
    assert_eq!(client.credential().now().to_rfc3339(), "2026-05-19T12:00:04+00:00", "it goes on between the answers");
}

#[tokio::test]
async fn another_secret_in_the_file_is_used_at_the_next_request() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "first\n").unwrap();
    let fake = Fake::always(good(batchdata::BALANCE.operation)).await;
    let mut settings = settings(fake.url());
    settings.secret = Secret::from_file(&path, |_| Ok(())).unwrap();
    let secret = settings.secret.clone();
    let client = batchdata::Client::new(settings, true).unwrap();
    client.balance().await.unwrap();
    std::fs::write(&path, "second\n").unwrap();
    secret.refresh();
    client.balance().await.unwrap();
    let sent: Vec<_> = fake.seen().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(sent, ["Bearer first", "Bearer second"]);
}

#[tokio::test]
async fn the_token_is_in_no_text() {
    let fake = Fake::always(Reply::whole("401 Unauthorized", &[], format!(r#"{{"message":"bad {TOKEN}"}}"#))).await;
    let settings = settings(fake.url());
    let wallet = batchdata::Client::new(settings.clone(), true).unwrap();
    let checks = rightfoot::Client::new(settings.clone()).unwrap();
    let fault = wallet.balance().await.unwrap_err();
    let mut broken = settings.clone();
    broken.secret = Secret::fixed(SecretString::from(format!("{TOKEN}\n")));
    broken.observer = Arc::new(Observed::default());
    let unsendable = batchdata::Client::new(broken, true).unwrap().balance().await.unwrap_err();
    assert_eq!(fake.count(), 1, "a token that is not a valid header value is not sent");
    let texts = [
        format!("{settings:?} {wallet:?} {checks:?}"),
        format!("{:?} {:#?}", settings.secret, settings.secret.current()),
        format!("{fault} {fault:?}"),
        format!("{unsendable} {unsendable:?}"),
    ];
    for text in texts {
        assert!(!text.contains(TOKEN) && !text.contains("Bearer"), "{text}");
    }
}
