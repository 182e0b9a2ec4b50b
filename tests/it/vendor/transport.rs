//! The fault matrix of the transport: every endpoint against every way in which an answer can fail before its content
//! matters. Each case says the reason, a word of the detail, and how many requests reach the server.

use std::sync::Arc;
use std::time::Duration;

use wallet_exporter::names::Operation;
use wallet_exporter::upstream::{Reason, RequestLimits};
use wallet_exporter::{batchdata, rightfoot};

use super::client::{OPERATIONS, Observed, TOKEN, call, content_type, good, good_body, settings};
use super::fake::{Fake, Reply, Step, chunk, head};

/// What must come of a case.
struct Expect {
    reason: Reason,
    detail: &'static str,
    status: Option<u16>,
    retry_after: Option<u64>,
}

fn expect(reason: Reason, status: Option<u16>, detail: &'static str) -> Expect {
    Expect { reason, detail, status, retry_after: None }
}

/// Short where the case runs into a limit; else as in production.
fn short() -> RequestLimits {
    RequestLimits {
        total: Duration::from_millis(250),
        csv_idle: Duration::from_millis(250),
        json_bytes: 100_000,
        csv_bytes: 100_000,
        ..RequestLimits::default()
    }
}

async fn check(name: &str, operation: Operation, reply: Reply, limits: RequestLimits, expect: &Expect) {
    let fake = Fake::always(reply).await;
    let observed = Arc::new(Observed::default());
    let mut settings = settings(fake.url());
    settings.limits = limits;
    settings.observer = Arc::clone(&observed) as _;
    let case = format!("{name}, {}", operation.name);
    let error = call(operation, settings).await.expect_err(&case);
    assert_eq!(error.reason, expect.reason, "{case}: {error}");
    assert!(error.detail.contains(expect.detail), "{case}: {error}");
    assert_eq!(error.status, expect.status, "{case}: {error}");
    assert_eq!(error.retry_after.map(|wait| wait.as_secs()), expect.retry_after, "{case}");
    assert_eq!(error.operation, operation, "{case}");
    // One error, one request, one observation; only what was closed before an answer is asked for a second time.
    let requests = if expect.reason == Reason::Truncated && expect.status.is_none() { 2 } else { 1 };
    assert_eq!(fake.count(), requests, "{case}");
    assert_eq!(observed.codes(), vec![expect.status; requests], "{case}");
    for text in [error.to_string(), format!("{error:?}")] {
        for forbidden in [TOKEN, "http://", "https://", "?", "oops"] {
            assert!(!text.contains(forbidden), "{case} shows {forbidden:?}: {text}");
        }
    }
}

/// 200, a type that fits, then these framing headers.
fn opening(operation: Operation, framing: &str) -> Vec<u8> {
    let content_type = format!("Content-Type: {}", content_type(operation));
    if framing.is_empty() { head("200 OK", &[&content_type]) } else { head("200 OK", &[&content_type, framing]) }
}

#[tokio::test]
async fn statuses() {
    use Reason::{ClientError, Decode, Forbidden, RateLimited, Redirect, ServerError, Unauthorized};
    for (status, reason) in [
        ("400 Bad Request", ClientError),
        ("401 Unauthorized", Unauthorized),
        ("402 Payment Required", ClientError),
        ("403 Forbidden", Forbidden),
        ("404 Not Found", ClientError),
        ("422 Unprocessable Entity", ClientError),
        ("429 Too Many Requests", RateLimited),
        ("500 Internal Server Error", ServerError),
        ("502 Bad Gateway", ServerError),
        ("503 Service Unavailable", ServerError),
        ("599 Whatever", ServerError),
        ("300 Multiple Choices", Redirect),
        ("304 Not Modified", Redirect),
        ("201 Created", Decode),
        ("206 Partial Content", Decode),
        ("299 Whatever", Decode),
        ("799 Whatever", Decode),
    ] {
        let code: u16 = status[..3].parse().unwrap();
        for operation in OPERATIONS {
            let reply = Reply::whole(status, &["Content-Type: text/html"], "<h1>oops</h1>");
            check(status, operation, reply, RequestLimits::default(), &expect(reason, Some(code), &status[..3])).await;
        }
    }
}

#[tokio::test]
async fn retry_after_in_all_its_forms() {
    for (name, lines, wait) in [
        ("seconds", &["Retry-After: 120"][..], Some(120)),
        ("none", &[], None),
        ("not understood", &["Retry-After: soon"], None),
        ("negative", &["Retry-After: -1"], None),
        ("beyond what is honoured", &["Retry-After: 99999999999999999999999"], Some(3_600)),
        (
            "a date, against the vendor's own clock",
            &["Date: Tue, 19 May 2026 18:00:00 GMT", "Retry-After: Tue, 19 May 2026 18:01:30 GMT"],
            Some(90),
        ),
        ("a date, against our clock", &["Retry-After: Tue, 19 May 2026 12:00:45 GMT"], Some(45)),
        ("a date that has passed", &["Retry-After: Tue, 19 May 2026 11:00:00 GMT"], Some(0)),
        ("a date in the old form", &["Retry-After: Tuesday, 19-May-26 12:00:45 GMT"], Some(45)),
    ] {
        for operation in OPERATIONS {
            let mut expect = expect(Reason::RateLimited, Some(429), "429");
            expect.retry_after = wait;
            check(
                name,
                operation,
                Reply::whole("429 Too Many Requests", lines, "oops"),
                RequestLimits::default(),
                &expect,
            )
            .await;
        }
    }
    let mut unavailable = expect(Reason::ServerError, Some(503), "503");
    unavailable.retry_after = Some(7);
    let reply = Reply::whole("503 Service Unavailable", &["Retry-After: 7"], "");
    check("503", batchdata::BALANCE.operation, reply, RequestLimits::default(), &unavailable).await;
}

#[tokio::test]
async fn slow_servers_time_out() {
    let pause = Duration::from_millis(20);
    for operation in OPERATIONS {
        let late = expect(Reason::Timeout, None, "no answer within");
        check("hang before the head", operation, Reply(vec![Step::Hang]), short(), &late).await;
        let dripped_head = Reply(vec![Step::Drip(pause, opening(operation, "Content-Length: 5"))]);
        check("a dripped head", operation, dripped_head, short(), &late).await;

        let late = expect(Reason::Timeout, Some(200), "in time");
        let hang = Reply::raw(opening(operation, "Content-Length: 5000")).then(Step::Hang);
        check("hang after the head", operation, hang, short(), &late).await;
        let drip = Step::Drip(pause, vec![b' '; 5000]);
        let drip = Reply::raw(opening(operation, "Content-Length: 5000")).then(drip);
        check("a dripped body", operation, drip, short(), &late).await;
    }
}

#[tokio::test]
async fn an_export_that_keeps_going_may_take_longer_than_the_window() {
    let rows = vec![super::client::row("1", "SUCCESS") + "\n"; 8].concat();
    let mut steps = vec![Step::Send(opening(rightfoot::BATCHES.operation, "Transfer-Encoding: chunked"))];
    steps.push(Step::Send(chunk(format!("{}\n", super::client::HEADER).as_bytes())));
    for _ in 0..4 {
        steps.push(Step::Pause(Duration::from_millis(500)));
        steps.push(Step::Send(chunk(rows.as_bytes())));
    }
    steps.push(Step::Send(b"0\r\n\r\n".to_vec()));
    let fake = Fake::always(Reply(steps)).await;
    let mut settings = settings(fake.url());
    settings.limits =
        RequestLimits { csv_idle: Duration::from_millis(1_500), csv_progress: 512, ..RequestLimits::default() };
    let taken = call(rightfoot::BATCHES.operation, settings).await.unwrap();
    assert_eq!(taken.split("; ").count(), 32);
}

#[tokio::test]
async fn an_export_ends_at_its_total_limit_however_fast_it_flows() {
    let line = format!("{}\n", super::client::row("1", "SUCCESS"));
    let reply = Reply::raw(opening(rightfoot::BATCHES.operation, "Transfer-Encoding: chunked"))
        .then(Step::Send(chunk(format!("{}\n", super::client::HEADER).as_bytes())))
        .then(Step::Forever(chunk(line.as_bytes())));
    let limits = RequestLimits { csv_total: Duration::from_millis(250), ..RequestLimits::default() };
    let late = expect(Reason::Timeout, Some(200), "in time");
    check("endless and fast", rightfoot::BATCHES.operation, reply, limits, &late).await;
}

#[tokio::test]
async fn cut_bodies_are_truncated() {
    for operation in OPERATIONS {
        let body = good_body(operation).into_bytes();
        let half = &body[..body.len() / 2];
        let cut = expect(Reason::Truncated, Some(200), "");
        let length = format!("Content-Length: {}", body.len());

        let short = Reply::raw([opening(operation, &length), half.to_vec()].concat());
        check("a short Content-Length body", operation, short.clone(), RequestLimits::default(), &cut).await;
        check("reset inside the body", operation, short.then(Step::Reset), RequestLimits::default(), &cut).await;
        let aborted = [opening(operation, "Transfer-Encoding: chunked"), chunk(half)].concat();
        check("an aborted chunked body", operation, Reply::raw(aborted), RequestLimits::default(), &cut).await;
        // The bytes are all there and only the end is not: the transport cannot know that.
        let unended = [opening(operation, "Transfer-Encoding: chunked"), chunk(&body)].concat();
        check("a chunked body without its end", operation, Reply::raw(unended), RequestLimits::default(), &cut).await;
        let unframed = Reply::raw([opening(operation, ""), half.to_vec()].concat());
        check("a connection-close body cut inside", operation, unframed, RequestLimits::default(), &cut).await;
        let empty = Reply::raw(opening(operation, "Content-Length: 0"));
        check("an empty body", operation, empty, RequestLimits::default(), &cut).await;
        let empty = Reply::raw(opening(operation, ""));
        check("an empty connection-close body", operation, empty, RequestLimits::default(), &cut).await;

        let unanswered = expect(Reason::Truncated, None, "");
        check("closed before the head", operation, Reply(vec![]), RequestLimits::default(), &unanswered).await;
        check("reset before the head", operation, Reply(vec![Step::Reset]), RequestLimits::default(), &unanswered)
            .await;
        let head = Reply::raw("HTTP/1.1 200 OK\r\nContent-Type: te");
        check("closed inside the head", operation, head, RequestLimits::default(), &unanswered).await;
    }
}

#[tokio::test]
async fn a_connection_close_body_is_whole_only_if_its_own_grammar_says_so() {
    for operation in
        [batchdata::BALANCE.operation, batchdata::CONSUMPTION.operation, batchdata::CARD_TRANSACTIONS.operation]
    {
        let reply = Reply::raw([opening(operation, ""), good_body(operation).into_bytes()].concat());
        let fake = Fake::always(reply).await;
        call(operation, settings(fake.url())).await.unwrap();
    }
    // A CSV that was cut at a line end looks whole, so none is believed without framing.
    let operation = rightfoot::BATCHES.operation;
    let reply = Reply::raw([opening(operation, ""), good_body(operation).into_bytes()].concat());
    let unframed = expect(Reason::Truncated, Some(200), "no Content-Length and no chunked framing");
    check("a whole connection-close CSV", operation, reply, RequestLimits::default(), &unframed).await;
}

#[tokio::test]
async fn what_is_not_the_type_that_was_asked_for() {
    for operation in OPERATIONS {
        let other = if operation == rightfoot::BATCHES.operation { "application/json" } else { "text/csv" };
        for (name, reply, detail) in [
            ("HTML", Reply::ok("text/html; charset=utf-8", "<h1>oops</h1>"), "an HTML page"),
            ("the other type", Reply::ok(other, good_body(operation)), "another content type"),
            ("no type", Reply::whole("200 OK", &[], good_body(operation)), "no content type"),
            (
                "compressed",
                Reply::whole(
                    "200 OK",
                    &[&format!("Content-Type: {}", content_type(operation)), "Content-Encoding: gzip"],
                    good_body(operation),
                ),
                "compressed",
            ),
        ] {
            check(name, operation, reply, RequestLimits::default(), &expect(Reason::Decode, Some(200), detail)).await;
        }
        let garbage = Reply::raw("SSH-2.0-OpenSSH_9.2\r\n\r\n");
        check("not HTTP", operation, garbage, RequestLimits::default(), &expect(Reason::Decode, None, "not HTTP"))
            .await;
    }
}

#[tokio::test]
async fn bodies_beyond_the_limit() {
    for operation in OPERATIONS {
        let limits = RequestLimits { json_bytes: 100_000, csv_bytes: 100_000, ..RequestLimits::default() };
        let large = expect(Reason::TooLarge, Some(200), "larger than 100000 bytes");
        // A gigabyte, promised: nothing of it is read.
        let promised = Reply::raw(opening(operation, "Content-Length: 1073741824")).then(Step::Hang);
        check("promised", operation, promised, limits, &large).await;
        let filler = if operation == rightfoot::BATCHES.operation { "x,\n" } else { "   " }.repeat(1_000);
        let csv = if operation == rightfoot::BATCHES.operation {
            super::client::HEADER.to_owned() + "\n"
        } else {
            " ".into()
        };
        let endless = Reply::raw(opening(operation, "Transfer-Encoding: chunked"))
            .then(Step::Send(chunk(csv.as_bytes())))
            .then(Step::Forever(chunk(filler.as_bytes())));
        check("endless", operation, endless, limits, &large).await;
        let endless = Reply::raw("HTTP/1.1 200 OK\r\n").then(Step::Forever(b"X-Filler: oops\r\n".to_vec()));
        let head = expect(Reason::TooLarge, None, "the head");
        check("an endless head", operation, endless, limits, &head).await;
    }
}

#[tokio::test]
async fn a_redirect_is_a_fault_and_the_token_stays_at_home() {
    let elsewhere = Fake::always(good(batchdata::BALANCE.operation)).await;
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        for operation in OPERATIONS {
            let location = format!("Location: {}oops", elsewhere.url());
            let code = status[..3].parse().ok();
            let redirect = expect(Reason::Redirect, code, "HTTP 30");
            check(status, operation, Reply::whole(status, &[&location], ""), RequestLimits::default(), &redirect).await;
        }
    }
    assert_eq!(elsewhere.count(), 0);
}

#[tokio::test]
async fn hosts_that_cannot_be_reached() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let gone: url::Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    // A name that the standards keep free: no resolver may know it.
    let unresolvable = "https://vendor.invalid".parse().unwrap();
    for (url, detail) in [(gone, "connection refused"), (unresolvable, "does not resolve")] {
        for operation in OPERATIONS {
            let observed = Arc::new(Observed::default());
            let mut settings = settings(url.clone());
            settings.observer = Arc::clone(&observed) as _;
            let error = call(operation, settings).await.unwrap_err();
            assert_eq!((error.reason, error.status), (Reason::Connect, None), "{error}");
            assert!(error.detail.contains(detail), "{error}");
            assert_eq!(observed.codes(), [None]);
        }
    }
}

#[tokio::test]
async fn what_is_asked() {
    for (operation, target) in [
        (batchdata::BALANCE.operation, "/prefix/api/v1/wallet/balance"),
        (
            batchdata::CONSUMPTION.operation,
            "/prefix/api/v1/wallet/consumption-report?start_date=2026-05-01&end_date=2026-05-19&group_by=day",
        ),
        (
            batchdata::CARD_TRANSACTIONS.operation,
            "/prefix/api/v1/wallet/credit-card-transactions?page=1&per_page=100&start_date=2026-05-01&end_date=2026-05-19",
        ),
        (rightfoot::BATCHES.operation, "/prefix/v1/balances/csv?batch_ids=8ac1f4a6-1234-4abc-9d3e-001122334455"),
    ] {
        let fake = Fake::always(good(operation)).await;
        let base = fake.url().join("/prefix/").unwrap();
        call(operation, settings(base)).await.unwrap();
        let seen = fake.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].target(), target);
        assert!(seen[0].head.starts_with("GET "));
        assert_eq!(seen[0].header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
        assert_eq!(seen[0].header("accept"), Some(content_type(operation).split(';').next().unwrap()));
        let agent = format!("wallet-exporter/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(seen[0].header("user-agent"), Some(agent.as_str()));
        assert_eq!(seen[0].header("accept-encoding"), None);
    }
}
