//! The end: nothing new, what is open finishes, nobody is waited for beyond the deadline.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wallet_exporter::exposition::Format;
use wallet_exporter::http::Options;

use super::fixture::{Answer, FakeSite, LONG, RunningServer, large, options, serve, start};

async fn begin_large_scrape(drain: Duration) -> (RunningServer, TcpStream, Vec<u8>) {
    let running = serve(Options { drain, ..options() }, FakeSite::new(|format| large(300_000, format))).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let mut first = vec![0; 100];
    stream.read_exact(&mut first).await.unwrap();
    (running, stream, first)
}

#[tokio::test]
async fn an_open_scrape_finishes() {
    let (running, mut stream, mut all) = begin_large_scrape(LONG).await;
    running.stop.cancel();
    let length = running.site.rendered.lock().unwrap()[&Format::Text].plain().len();
    tokio::time::timeout(LONG, stream.read_to_end(&mut all)).await.expect("it ends").unwrap();
    let answer = Answer::parse(&all);
    assert!(answer.body.len() > length);
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    tokio::time::timeout(LONG, running.task).await.expect("the server ends").unwrap();
    assert!(TcpStream::connect(running.address).await.is_err(), "it still listens");
}

#[tokio::test]
async fn a_reader_that_never_reads_is_not_waited_for() {
    let drain = Duration::from_millis(300);
    let (running, stream, _) = begin_large_scrape(drain).await;
    running.stop.cancel();
    let began = Instant::now();
    tokio::time::timeout(LONG, running.task).await.expect("the server ends").unwrap();
    assert!(began.elapsed() >= drain);
    drop(stream);
}

#[tokio::test]
async fn idle_connections_hold_nothing_up() {
    let running = start().await;
    let mut used = TcpStream::connect(running.address).await.unwrap();
    used.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 1024];
    assert!(used.read(&mut answer).await.unwrap() > 0);
    running.stop.cancel();
    // Well below the drain of ten seconds.
    tokio::time::timeout(Duration::from_secs(5), running.task).await.expect("the server ends at once").unwrap();
}
