//! Processor time of a server for one scrape over loopback, ours beside its rivals, in one run, taking turns.
//!
//! Each server is a process of its own (this program started again, or a Debian package where it is installed), so its
//! processor time is read from `/proc/<pid>/task/*/schedstat`, in nanoseconds. One keep-alive connection asks in a loop.
#![allow(clippy::disallowed_methods, reason = "the bans are for the program")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::{Encoder as _, GaugeVec, Opts, Registry, TextEncoder};
use tokio_util::sync::CancellationToken;
use wallet_exporter::http::{Options, Server, Site};
use wallet_exporter::metrics::{Appendix, Encoder, FamilySpec, Format, Kind, Rendered};
use wallet_exporter::snapshot::{Status, StorageStatus};

static SERIES: FamilySpec = FamilySpec {
    name: "bench_wallet_api_path_debit_usd",
    kind: Kind::Gauge,
    labels: &["account", "api_path", "number"],
    help: "Money.",
};

fn path(number: u32) -> String {
    format!("/api/v1/property/search/{}", number % 97)
}

fn amount(number: u32) -> f64 {
    f64::from(number) * 1.2345
}

fn rendered(series: u32) -> Rendered {
    let mut out = Encoder::new();
    let mut family = out.family(&SERIES);
    for number in 0..series {
        family.sample(&["default", &path(number), &number.to_string()], amount(number));
    }
    out.finish()
}

fn registry(series: u32) -> Registry {
    let registry = Registry::new();
    let gauge = GaugeVec::new(Opts::new(SERIES.name, SERIES.help), SERIES.labels).unwrap();
    registry.register(Box::new(gauge.clone())).unwrap();
    for number in 0..series {
        gauge.with_label_values(&["default", &path(number), &number.to_string()]).set(amount(number));
    }
    registry
}

struct Bench(Arc<Rendered>);

impl Site for Bench {
    fn exposition(&self) -> Arc<Rendered> {
        Arc::clone(&self.0)
    }
    fn status(&self) -> Status {
        Status {
            version: String::new(),
            revision: String::new(),
            started_at: chrono::DateTime::UNIX_EPOCH,
            now: chrono::DateTime::UNIX_EPOCH,
            ready: true,
            storage: StorageStatus { durable: false, up: true, last_error: None },
            accounts: vec![],
            warnings: vec![],
        }
    }
    fn ready(&self) -> bool {
        true
    }
    fn reload(&self) -> Result<(), String> {
        Ok(())
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Serves for ever, after printing the address.
async fn serve(kind: &str, series: u32) {
    use axum::response::IntoResponse;
    let wants_gzip =
        |headers: &axum::http::HeaderMap| headers.get("accept-encoding").is_some_and(|value| value == "gzip");
    if kind == "ours" {
        let options = Options { listen: "127.0.0.1:0".to_owned(), ..Options::default() };
        let server = Server::bind(options).await.unwrap();
        println!("{}", server.local_addr());
        server.run(Arc::new(Bench(Arc::new(rendered(series)))), CancellationToken::new()).await;
        return;
    }
    let router = if kind == "bare" {
        // The same bytes that ours sends, kept as they are.
        let whole = |zipped: bool| {
            let reply = Appendix::default().reply(&rendered(series), Format::Text, zipped, Instant::now(), |_| {});
            let mut all: Vec<u8> = reply.shared.iter().flat_map(|piece| piece.to_vec()).collect();
            all.extend_from_slice(&reply.tail);
            bytes::Bytes::from(all)
        };
        let (plain, zipped) = (whole(false), whole(true));
        let answer = move |headers: axum::http::HeaderMap| {
            let (plain, zipped) = (plain.clone(), zipped.clone());
            async move {
                let kind = ("content-type", "text/plain; version=0.0.4");
                if wants_gzip(&headers) {
                    ([kind, ("content-encoding", "gzip")], zipped).into_response()
                } else {
                    ([kind], plain).into_response()
                }
            }
        };
        axum::Router::new().route("/metrics", axum::routing::get(answer))
    } else {
        let registry = registry(series);
        let answer = move |headers: axum::http::HeaderMap| {
            let registry = registry.clone();
            async move {
                let mut plain = Vec::new();
                TextEncoder::new().encode(&registry.gather(), &mut plain).unwrap();
                if wants_gzip(&headers) {
                    ([("content-encoding", "gzip")], gzip(&plain)).into_response()
                } else {
                    plain.into_response()
                }
            }
        };
        axum::Router::new().route("/metrics", axum::routing::get(answer))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}

/// A server process, ended on drop.
struct Rival {
    name: String,
    child: Child,
    address: SocketAddr,
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Rival {
    fn own(kind: &str, series: u32) -> Rival {
        let program = std::env::current_exe().unwrap();
        let mut child =
            Command::new(program).args(["serve", kind, &series.to_string()]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Rival { name: kind.to_owned(), child, address: line.trim().parse().unwrap() }
    }

    /// A Debian package's server; none if it is not installed.
    fn package(program: &str) -> Option<Rival> {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(program)
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "{program} does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(Rival { name: program.to_owned(), child, address })
    }

    fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let spent = tasks.filter_map(|task| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(spent.sum())
    }

    fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// Asks for `time`; processor time of one answer, and its size.
    fn measure(&self, gzip: bool, time: Duration) -> (Duration, u64) {
        let mut stream = BufReader::with_capacity(1 << 18, TcpStream::connect(self.address).unwrap());
        let encoding = if gzip { "Accept-Encoding: gzip\r\n" } else { "" };
        let request = format!("GET /metrics HTTP/1.1\r\nHost: bench\r\n{encoding}\r\n");
        let mut size = ask(&mut stream, &request);
        let (before, began, mut asked) = (self.cpu(), Instant::now(), 0);
        while began.elapsed() < time || asked < 3 {
            size = ask(&mut stream, &request);
            asked += 1;
        }
        ((self.cpu() - before) / asked, size)
    }
}

/// One request and its answer; the answer's size.
fn ask(stream: &mut BufReader<TcpStream>, request: &str) -> u64 {
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    let (mut length, mut chunked, mut line) = (0, false, String::new());
    loop {
        line.clear();
        stream.read_line(&mut line).unwrap();
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        chunked |= header == "transfer-encoding: chunked";
    }
    let skip = |stream: &mut BufReader<TcpStream>, count: u64| {
        std::io::copy(&mut stream.take(count), &mut std::io::sink()).unwrap();
    };
    if !chunked {
        skip(stream, length);
        return length;
    }
    loop {
        line.clear();
        stream.read_line(&mut line).unwrap();
        let size = u64::from_str_radix(line.trim(), 16).unwrap();
        skip(stream, size + 2);
        length += size;
        if size == 0 {
            return length;
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, verb, kind, series] = arguments.as_slice()
        && verb == "serve"
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(serve(kind, series.parse().unwrap()));
        return;
    }
    println!("{:<28} {:>8} {:>6} {:>12} {:>12} {:>9}", "server", "series", "gzip", "bytes", "us/answer", "RSS MiB");
    for series in [90, 10_000, 100_000] {
        let mut rivals: Vec<Rival> = ["ours", "bare", "registry"].map(|kind| Rival::own(kind, series)).into();
        if series == 10_000
            && let Some(gateway) = Rival::package("prometheus-pushgateway")
        {
            let body = rendered(series).to_text(Format::Text);
            let mut stream = BufReader::new(TcpStream::connect(gateway.address).unwrap());
            let length = body.len();
            let push = format!("POST /metrics/job/x HTTP/1.1\r\nHost: b\r\nContent-Length: {length}\r\n\r\n{body}");
            ask(&mut stream, &push);
            rivals.push(gateway);
        }
        if series == 90 {
            rivals.extend(Rival::package("prometheus-node-exporter"));
        }
        for gzip in [false, true] {
            // The least of several turns: what other work on the machine adds is never negative.
            let mut least = vec![(Duration::MAX, 0); rivals.len()];
            for _ in 0..5 {
                for (rival, least) in rivals.iter().zip(&mut least) {
                    *least = (*least).min(rival.measure(gzip, Duration::from_millis(400)));
                }
            }
            for (rival, (cpu, size)) in rivals.iter().zip(least) {
                println!(
                    "{:<28} {series:>8} {gzip:>6} {size:>12} {:>12.1} {:>9.1}",
                    rival.name,
                    cpu.as_secs_f64() * 1e6,
                    rival.resident()
                );
            }
        }
    }
}
