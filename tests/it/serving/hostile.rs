//! Clients that mean harm, or are merely broken.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wallet_exporter::exposition::Format;
use wallet_exporter::http::{ConnectionLimits, Options};

use super::fixture::{
    Answer, FakeSite, LONG, RunningServer, every, get, large, options, raw, serve, small, until, value,
};

/// ConnectionLimits that are short, each apart from the others, so that a test shows which one struck.
async fn strict(limits: ConnectionLimits) -> RunningServer {
    serve(Options { limits, ..options() }, FakeSite::new(small)).await
}

async fn ends(mut stream: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await.expect("the server ends the connection");
    rest
}

async fn closed(running: &RunningServer, reason: &str) -> Option<f64> {
    let text = get(running.address, "/metrics").await.text();
    value(&text, &format!("wallet_exporter_http_connections_closed_total{{reason=\"{reason}\"}}"))
}

#[tokio::test]
async fn headers_that_never_end_are_cut() {
    let running = strict(ConnectionLimits { headers: Duration::from_millis(200), ..ConnectionLimits::default() }).await;
    let mut half = TcpStream::connect(running.address).await.unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost: te").await.unwrap();
    let silent = TcpStream::connect(running.address).await.unwrap();
    assert!(ends(half).await.is_empty());
    assert!(ends(silent).await.is_empty());
    until("both are counted", async || closed(&running, "slow").await == Some(2.0)).await;
}

#[tokio::test]
async fn headers_that_trickle_are_cut_all_the_same() {
    let running = strict(ConnectionLimits { headers: Duration::from_millis(300), ..ConnectionLimits::default() }).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let trickle = tokio::spawn(async move {
        // Each byte is progress; the limit is on the whole.
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(LONG, read.read_to_end(&mut rest)).await.expect("it ends");
    tokio::time::timeout(LONG, trickle).await.expect("the client notices").unwrap();
}

#[tokio::test]
async fn idle_connections_end() {
    let running = strict(ConnectionLimits { idle: Duration::from_millis(200), ..ConnectionLimits::default() }).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let answer = Answer::parse(&ends(stream).await);
    assert_eq!(answer.code, 200);
    until("it is counted", async || closed(&running, "idle").await == Some(1.0)).await;
}

#[tokio::test]
async fn heads_are_bounded() {
    let running = strict(ConnectionLimits::default()).await;
    let long = format!("GET / HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    assert!(raw(running.address, long.as_bytes()).await.starts_with(b"HTTP/1.1 431 "));
    let many = format!("GET / HTTP/1.1\r\nHost: test\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert!(raw(running.address, many.as_bytes()).await.starts_with(b"HTTP/1.1 431 "));
    assert!(raw(running.address, b"\x16\x03\x01 not HTTP\r\n\r\n").await.starts_with(b"HTTP/1.1 400 "));
    assert_eq!(get(running.address, "/metrics").await.code, 200);
}

#[tokio::test]
async fn a_reader_that_stands_still_is_cut() {
    let limits = ConnectionLimits { stalled: Duration::from_millis(300), ..ConnectionLimits::default() };
    // More than the system's buffers take.
    let running = serve(Options { limits, ..options() }, FakeSite::new(|format| large(300_000, format))).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    // The answer has begun.
    let mut first = [0; 15];
    stream.read_exact(&mut first).await.unwrap();
    until("it is cut", async || closed_by_head(&running).await == Some(1.0)).await;
    drop(stream);
}

/// The count, read from a small exposition in place of the large one.
async fn closed_by_head(running: &RunningServer) -> Option<f64> {
    *running.site.rendered.lock().unwrap() = every(small);
    closed(running, "slow").await
}

#[tokio::test]
async fn answers_share_their_bytes() {
    let running = serve(options(), FakeSite::new(|format| large(300_000, format))).await;
    let exposition = std::sync::Arc::clone(&running.site.rendered.lock().unwrap()[&Format::Text]);
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    let before = resident();
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        stalled.push(stream);
    }
    // The first bytes of each are out, so each answer exists and waits for its reader.
    for stream in &mut stalled {
        let mut first = [0; 15];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");
    }
    // Twenty copies would be 400 MiB. Other tests in this process take some memory, but nothing like it.
    let whole = exposition.plain().len() as u64 >> 20;
    assert!(whole >= 15, "{whole} MiB");
    let after = resident();
    assert!(after < before + 15 * whole, "{before} MiB before, {after} MiB after");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_and_two_hundred_active_leave_scrapes_answering() {
    // Long, so that room is made by nothing else.
    let running = strict(ConnectionLimits { headers: LONG, ..ConnectionLimits::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        idle.push(TcpStream::connect(running.address).await.unwrap());
    }
    let address = running.address;
    let active: Vec<_> = (0..200)
        .map(|_| {
            tokio::spawn(async move {
                for _ in 0..5 {
                    assert_eq!(get(address, "/metrics").await.code, 200);
                }
            })
        })
        .collect();
    let began = Instant::now();
    let text = get(running.address, "/metrics").await.text();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(value(&text, "wallet_exporter_http_connections").is_some_and(|open| open <= 512.0), "{text}");
    for task in active {
        tokio::time::timeout(LONG, task).await.expect("all are answered").unwrap();
    }
    assert!(closed(&running, "room").await.is_some_and(|closed| closed >= 400.0));
}

#[tokio::test]
async fn at_the_limit_the_longest_idle_goes_first() {
    let running = strict(ConnectionLimits { connections: 2, ..ConnectionLimits::default() }).await;
    let request = b"GET /-/healthy HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut connections = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = vec![0; 1024];
        let read = stream.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
        connections.push(stream);
    }
    let first = connections.remove(0);
    assert!(ends(first).await.is_empty());
    for stream in &mut connections {
        stream.write_all(request).await.unwrap();
        let mut answer = vec![0; 1024];
        assert!(stream.read(&mut answer).await.unwrap() > 0);
    }
}
