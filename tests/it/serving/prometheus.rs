//! The real Prometheus reads every format and finds the same series, and reads through TLS and passwords.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use http::header::{ACCEPT, HeaderMap, HeaderName};
use rcgen::ExtendedKeyUsagePurpose;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wallet_exporter::exposition::Format;
use wallet_exporter::http::negotiate;

use super::fixture::{FakeSite, LONG, ask, options, serve, small, until};
use super::negotiation::{
    CURL, PROMETHEUS_2_42, PROMETHEUS_2_42_PROTOBUF, PROMETHEUS_3, PROMETHEUS_3_PROTOBUF, VICTORIA_METRICS,
};
use super::tools::{self, Background};
use super::web_config::{Authority, TLS, hash, serve_with};

/// The Prometheus on the path, and a further one where the environment names it.
#[expect(clippy::disallowed_methods, reason = "the ban is for the program, not for its tests")]
pub fn binaries() -> Vec<PathBuf> {
    let further = std::env::var("PROMETHEUS_NEWEST").ok().filter(|path| !path.is_empty()).map(PathBuf::from);
    tools::find("prometheus").into_iter().chain(further).collect()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What makes every version ask for protobuf.
pub const NATIVE: &str = "native-histograms";

pub fn run(binary: &Path, folder: &Path, config: &str) -> (Background, SocketAddr) {
    run_with(binary, folder, config, "")
}

/// With feature flags, separated by commas.
pub fn run_with(binary: &Path, folder: &Path, config: &str, features: &str) -> (Background, SocketAddr) {
    let file = folder.join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let child = Command::new(binary)
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg(format!("--enable-feature={features}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("log")).unwrap())
        .spawn()
        .expect("Prometheus starts");
    (Background(child), address)
}

/// Series and values of a job, without what Prometheus attaches and what differs from scrape to scrape.
async fn series(prometheus: SocketAddr, job: &str) -> BTreeMap<String, String> {
    if tokio::net::TcpStream::connect(prometheus).await.is_err() {
        return BTreeMap::new();
    }
    let target = format!("/api/v1/query?query=%7Bjob%3D%22{job}%22%7D");
    let answer = ask(prometheus, "GET", &target, &[], b"").await;
    // Before it is ready, Prometheus answers in words; large answers come in chunks, whose sizes are not JSON.
    let body = answer.text();
    let (Some(from), Some(to)) = (body.find('{'), body.rfind('}')) else { return BTreeMap::new() };
    let Ok(json) = serde_json::from_str::<serde_json::Value>(&body[from..=to]) else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for result in json["data"]["result"].as_array().into_iter().flatten() {
        let mut labels = result["metric"].as_object().unwrap().clone();
        let name = labels["__name__"].as_str().unwrap().to_owned();
        let is_ours = name.starts_with("test_") || name == "up";
        labels.remove("job");
        labels.remove("instance");
        if is_ours {
            let labels: BTreeMap<_, _> = labels.into_iter().collect();
            found.insert(format!("{labels:?}"), result["value"][1].to_string());
        }
    }
    found
}

/// A server before ours that asks for text 0.0.4, whatever its own client asks for.
async fn text_only(of: SocketAddr) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = vec![0; 8192];
                let _ = client.read(&mut head).await;
                let request = b"GET /metrics HTTP/1.1\r\nHost: t\r\nAccept: text/plain\r\nConnection: close\r\n\r\n";
                let answer = super::fixture::raw(of, request).await;
                let _ = client.write_all(&answer).await;
            });
        }
    });
    address
}

/// A target that keeps the head of the first request that it gets.
async fn listening_in() -> (SocketAddr, tokio::sync::oneshot::Receiver<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (send, head) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        let _ = send.send(String::from_utf8(head).unwrap());
    });
    (address, head)
}

/// The headers of a request's head, once it has come.
async fn headers(head: tokio::sync::oneshot::Receiver<String>) -> HeaderMap {
    let head = tokio::time::timeout(LONG, head).await.expect("it scrapes").unwrap();
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    headers.map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap())).collect()
}

/// A configuration that scrapes one target.
fn one_job(target: SocketAddr) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: any\n  static_configs: \
         [{{targets: ['{target}']}}]\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_prometheus_sends_is_what_these_tests_assume() {
    let features = ["", NATIVE, "created-timestamp-zero-ingestion"];
    for (binary, features) in binaries().into_iter().flat_map(|binary| features.map(|with| (binary.clone(), with))) {
        let (target, head) = listening_in().await;
        let folder = TempDir::new().unwrap();
        let (_prometheus, _) = run_with(&binary, folder.path(), &one_job(target), features);
        let headers = headers(head).await;
        let (of_2_42, of_3) = match features {
            "" => (PROMETHEUS_2_42, PROMETHEUS_3),
            NATIVE => (PROMETHEUS_2_42_PROTOBUF, PROMETHEUS_3_PROTOBUF),
            // 2.42 does not know it.
            _ => (PROMETHEUS_2_42, PROMETHEUS_3_PROTOBUF),
        };
        assert!(negotiate::gzip(&headers), "{headers:?}");
        let version = tools::run(&binary, &["--version"]);
        let version = version.out() + &version.err();
        let accept = headers[ACCEPT].to_str().unwrap();
        match version.split("version ").nth(1).unwrap_or_default() {
            version if version.starts_with("2.42.") => assert_eq!(accept, of_2_42),
            version if version.starts_with("3.5.") => assert_eq!(accept, of_3),
            // Another one may say it in other words, as long as it gets what it wants.
            version => {
                let protobuf = features == NATIVE || !features.is_empty() && version.starts_with('3');
                let wanted = if protobuf { Format::Protobuf } else { Format::OpenMetrics };
                assert_eq!(negotiate::format(&headers), wanted, "{version} {features}: {accept}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_clients_send_is_what_these_tests_assume() {
    if let Some(curl) = tools::find("curl") {
        let (target, head) = listening_in().await;
        let _curl = Background(Command::new(curl).args(["-s", &format!("http://{target}/")]).spawn().unwrap());
        assert_eq!(headers(head).await[ACCEPT], CURL);
    }
    let beside = binaries().into_iter().map(|path| path.with_file_name("victoria-metrics")).find(|path| path.is_file());
    let Some(binary) = beside.or_else(|| tools::find("victoria-metrics")) else { return };
    let ((target, head), folder) = (listening_in().await, TempDir::new().unwrap());
    let file = folder.path().join("scrape.yml");
    std::fs::write(&file, one_job(target)).unwrap();
    let server = Command::new(binary)
        .arg(format!("-promscrape.config={}", file.display()))
        .arg(format!("-storageDataPath={}", folder.path().join("data").display()))
        .arg(format!("-httpListenAddr=127.0.0.1:{}", free_port()))
        .stderr(Stdio::null())
        .spawn();
    let _server = Background(server.unwrap());
    assert_eq!(headers(head).await[ACCEPT], VICTORIA_METRICS);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_makes_the_same_series() {
    let running = serve(options(), FakeSite::new(small)).await;
    let text = text_only(running.address).await;
    for (binary, features) in binaries().into_iter().flat_map(|binary| [(binary.clone(), ""), (binary, NATIVE)]) {
        let folder = TempDir::new().unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: preferred\n  \
             static_configs: [{{targets: ['{}']}}]\n- job_name: text\n  static_configs: [{{targets: ['{text}']}}]\n",
            running.address
        );
        let (_prometheus, address) = run_with(&binary, folder.path(), &config, features);
        // Three families: one gauge, two counters, a histogram of six samples, and `up`.
        until("both jobs are scraped", async || {
            series(address, "preferred").await.len() == 10 && series(address, "text").await.len() == 10
        })
        .await;
        let preferred = series(address, "preferred").await;
        assert_eq!(preferred, series(address, "text").await, "{} {features}", binary.display());
        let up = preferred.iter().find(|(labels, _)| labels.contains("\"up\"")).unwrap();
        assert_eq!(up.1, "\"1\"");
        assert!(preferred.keys().any(|labels| labels.contains(r#"quote \" backslash \\ line\nend"#)), "{preferred:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn through_tls_and_a_password() {
    let authority = Authority::new();
    authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    let config = authority.config(&format!("{TLS}basic_auth_users:\n  prometheus: {}\n", hash()));
    let running = serve_with(&config).await;
    for binary in binaries() {
        let folder = TempDir::new().unwrap();
        let job = |name: &str, password: &str| {
            format!(
                "- job_name: {name}\n  scheme: https\n  tls_config: {{ca_file: '{}'}}\n  basic_auth: {{username: \
                 prometheus, password: {password}}}\n  static_configs: [{{targets: ['localhost:{}']}}]\n",
                authority.path("ca.crt").display(),
                running.address.port()
            )
        };
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{}{}",
            job("right", "correct horse"),
            job("wrong", "wrong")
        );
        let (_prometheus, address) = run(&binary, folder.path(), &config);
        until("the right password is let in", async || series(address, "right").await.len() == 10).await;
        until("the wrong one is tried", async || series(address, "wrong").await.len() == 1).await;
        assert_eq!(series(address, "wrong").await.into_values().next().unwrap(), "\"0\"");
    }
}
