//! Paths, methods, codes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use wallet_exporter::http::{ConnectionLimits, Options, ServeError, Server};

use super::fixture::{FakeSite, ask, get, options, serve, small, start, value};
use super::tools;

#[tokio::test]
async fn paths_and_methods() {
    let running = start().await;
    for (method, path, code, allow) in [
        ("GET", "/metrics", 200, ""),
        ("GET", "/metrics?name=x", 200, ""),
        ("POST", "/metrics", 405, "GET,HEAD"),
        ("OPTIONS", "/metrics", 405, "GET,HEAD"),
        ("GET", "/", 200, ""),
        ("DELETE", "/", 405, "GET,HEAD"),
        ("GET", "/api/v1/status", 200, ""),
        ("PUT", "/api/v1/status", 405, "GET,HEAD"),
        ("GET", "/api/v1/gate", 200, ""),
        ("GET", "/api/v1/gate?min_usd=", 400, ""),
        ("POST", "/api/v1/gate", 405, "GET,HEAD"),
        ("GET", "/documentation", 200, ""),
        ("POST", "/documentation", 405, "GET,HEAD"),
        ("GET", "/runbooks", 200, ""),
        ("GET", "/-/healthy", 200, ""),
        ("GET", "/-/ready", 200, ""),
        ("POST", "/-/healthy", 405, "GET,HEAD"),
        ("GET", "/-/reload", 405, "POST"),
        ("POST", "/-/reload", 403, ""),
        ("GET", "/-/poll", 405, "POST"),
        ("POST", "/-/poll?source=balance", 403, ""),
        ("GET", "/metrics/", 404, ""),
        ("GET", "/favicon.ico", 404, ""),
        ("GET", "/webhooks/rightfoot/x", 404, ""),
        ("GET", "/../etc/passwd", 404, ""),
        ("POST", "/%3Cscript%3E", 404, ""),
    ] {
        let answer = ask(running.address, method, path, &[], b"").await;
        assert_eq!((answer.code, answer.header("allow")), (code, allow), "{method} {path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{method} {path}");
        assert!(!answer.text().contains("%3Cscript") && !answer.text().contains("<script"), "a request is echoed");
    }
}

#[tokio::test]
async fn every_documented_address_answers() {
    let document = include_str!("../../../docs/http-api.md");
    let section = document.split("<!-- addresses -->\n").nth(1).unwrap().split("<!-- end -->").next().unwrap();
    let running = serve(Options { enable_lifecycle: true, ..options() }, FakeSite::new(small)).await;
    running.site.status.lock().unwrap().accounts[0].account = "NAME".to_owned();
    let mut asked = 0;
    for line in section.lines() {
        let Some(cell) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) else { continue };
        let (method, path) = cell.split_once(' ').unwrap();
        assert_eq!(ask(running.address, method, path, &[], b"").await.code, 200, "{cell}");
        asked += 1;
    }
    assert_eq!(asked, 13);
}

#[tokio::test]
async fn the_documents_of_this_version_are_pages_with_an_anchor_for_each_heading() {
    let running = start().await;
    let documents = [
        "README.md",
        "docs/metrics.md",
        "docs/configuration.md",
        "docs/counters.md",
        "docs/history.md",
        "docs/storage.md",
        "docs/accounts.md",
    ];
    let documents =
        documents.iter().chain(&["docs/http-api.md", "docs/security.md"]).map(|file| ("/documentation", *file));
    let mut headings = 0;
    for (path, file) in documents.chain([("/runbooks", "deploy/prometheus/runbooks.md")]) {
        let answer = get(running.address, path).await;
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
        let html = answer.text();
        assert!(!html.contains("<script") && !html.contains("<!--"));
        let text = std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let mut fenced = false;
        for line in text.lines() {
            fenced ^= line.starts_with("```");
            let Some(heading) = line.strip_prefix("## ").filter(|_| !fenced) else { continue };
            let words = heading.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
            let anchor = words.map(str::to_lowercase).collect::<Vec<_>>().join("-");
            assert_eq!(html.matches(&format!("<h2 id=\"{anchor}\">")).count(), 1, "{path}: {anchor} of {file}");
            headings += 1;
        }
    }
    assert!(headings > 30, "{headings}");
}

#[tokio::test]
async fn a_link_of_a_document_leads_to_the_web_or_to_an_anchor_that_is_there() {
    let running = start().await;
    let pages = [("/documentation", get(running.address, "/documentation").await.text())]
        .into_iter()
        .chain([("/runbooks", get(running.address, "/runbooks").await.text())])
        .collect::<std::collections::BTreeMap<_, _>>();
    let mut within = 0;
    for (page, html) in &pages {
        assert!(!html.contains("<img"), "pictures are not served");
        for link in html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            if link.starts_with("https://") || link.starts_with("http://") || link.starts_with("data:") || link == "/" {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = if path.is_empty() { page } else { path };
            let html = pages.get(path).unwrap_or_else(|| panic!("{page} links {link}"));
            assert!(anchor.is_empty() || html.contains(&format!("id=\"{anchor}\"")), "{page} links {link}");
            within += 1;
        }
    }
    assert!(within > 10, "{within}");
}

#[tokio::test]
async fn head_answers_as_get_without_the_body() {
    let running = start().await;
    for path in ["/metrics", "/", "/api/v1/status", "/documentation", "/runbooks", "/-/healthy", "/-/ready", "/nowhere"]
    {
        let get = get(running.address, path).await;
        let head = ask(running.address, "HEAD", path, &[], b"").await;
        assert_eq!(head.code, get.code, "{path}");
        assert!(head.body.is_empty(), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert_ne!(head.header("content-length"), "", "{path}");
        if path != "/metrics" {
            assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
        }
    }
}

#[tokio::test]
async fn readiness_follows_the_site_and_health_does_not() {
    let running = start().await;
    running.site.ready.store(false, Ordering::Relaxed);
    assert_eq!(get(running.address, "/-/ready").await.code, 503);
    assert_eq!(get(running.address, "/-/healthy").await.code, 200);
    assert_eq!(get(running.address, "/metrics").await.code, 200);
    running.site.ready.store(true, Ordering::Relaxed);
    assert_eq!(get(running.address, "/-/ready").await.code, 200);
}

#[tokio::test]
async fn reload_only_where_it_is_enabled() {
    let refused = start().await;
    let answer = ask(refused.address, "POST", "/-/reload", &[], b"").await;
    assert_eq!(answer.code, 403);
    assert!(answer.text().contains("--web.enable-lifecycle"));
    assert_eq!(refused.site.reloads.load(Ordering::Relaxed), 0);

    let site = FakeSite::new(small);
    let running = serve(Options { enable_lifecycle: true, ..options() }, site).await;
    assert_eq!(ask(running.address, "POST", "/-/reload", &[], b"").await.code, 200);
    assert_eq!(running.site.reloads.load(Ordering::Relaxed), 1);
    *running.site.reload_fault.lock().unwrap() = Some("the id file is unreadable".to_owned());
    let answer = ask(running.address, "POST", "/-/reload", &[], b"").await;
    assert_eq!(answer.code, 500);
    assert_eq!(answer.text(), "the id file is unreadable\n");
}

#[tokio::test]
async fn a_poll_that_takes_its_time_is_no_slow_client() {
    let limits = ConnectionLimits { stalled: Duration::from_millis(200), ..ConnectionLimits::default() };
    let running = serve(Options { enable_lifecycle: true, limits, ..options() }, FakeSite::new(small)).await;
    *running.site.poll_takes.lock().unwrap() = Duration::from_secs(1);
    assert_eq!(ask(running.address, "POST", "/-/poll?source=balance", &[], b"").await.code, 200);
}

#[tokio::test]
async fn a_page_of_another_site_cannot_reload() {
    let running = serve(Options { enable_lifecycle: true, ..options() }, FakeSite::new(small)).await;
    for (headers, code) in [
        (&[("Origin", "https://elsewhere.example")][..], 403),
        (&[("Origin", "null")], 403),
        (&[("Sec-Fetch-Site", "cross-site")], 403),
        (&[("Sec-Fetch-Site", "same-site")], 403),
        // The test's client names this host.
        (&[("Origin", "http://test"), ("Sec-Fetch-Site", "same-origin")], 200),
        (&[], 200),
    ] {
        assert_eq!(ask(running.address, "POST", "/-/reload", headers, b"").await.code, code, "{headers:?}");
    }
    assert_eq!(running.site.reloads.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_panic_is_contained_and_counted() {
    let running = start().await;
    running.site.panics.store(true, Ordering::Relaxed);
    let answer = get(running.address, "/api/v1/status").await;
    assert_eq!(answer.code, 500);
    assert!(!answer.text().contains("planted"));
    let metrics = get(running.address, "/metrics").await.text();
    assert_eq!(value(&metrics, "wallet_exporter_http_panics_total"), Some(1.0));
    let series = "wallet_exporter_http_requests_total{handler=\"status\",code=\"500\"}";
    assert_eq!(value(&metrics, series), Some(1.0));
    assert_eq!(value(&metrics, "wallet_exporter_http_requests_in_flight"), Some(1.0));
}

#[tokio::test]
async fn requests_are_counted_by_what_they_were_for() {
    let running = start().await;
    for path in ["/metrics", "/metrics", "/a", "/b", "/-/healthy"] {
        get(running.address, path).await;
    }
    let metrics = get(running.address, "/metrics").await.text();
    for (handler, code, count) in [("metrics", "200", 2.0), ("other", "404", 2.0), ("health", "200", 1.0)] {
        let series = format!("wallet_exporter_http_requests_total{{handler=\"{handler}\",code=\"{code}\"}}");
        assert_eq!(value(&metrics, &series), Some(count), "{series}");
    }
    assert!(value(&metrics, "process_cpu_seconds_total").is_some());
    assert!(value(&metrics, "process_start_time_seconds").is_some_and(|start| start > 1.7e9));
    assert!(value(&metrics, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6));
}

#[tokio::test]
async fn another_telemetry_path() {
    let site = FakeSite::new(small);
    let running = serve(Options { telemetry_path: "/probe/x".to_owned(), ..options() }, site).await;
    assert_eq!(get(running.address, "/probe/x").await.code, 200);
    assert_eq!(get(running.address, "/metrics").await.code, 404);
    assert!(get(running.address, "/").await.text().contains("href=\"/probe/x\""));
    for path in ["", "metrics", "/", "/-/ready", "/-/poll", "/api/v1/gate"] {
        let fault = Server::bind(Options { telemetry_path: path.to_owned(), ..options() }).await;
        assert!(matches!(fault, Err(ServeError::Path(_))), "{path:?}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let running = start().await;
    let listen = running.address.to_string();
    let fault = Server::bind(Options { listen: listen.clone(), ..options() }).await.expect_err("it is in use");
    assert!(fault.to_string().contains(&listen), "{fault}");
}

#[tokio::test]
async fn a_port_alone_means_every_address() {
    let server = Server::bind(Options { listen: ":0".to_owned(), ..options() }).await.expect("it listens");
    assert!(server.local_addr().ip().is_unspecified());
    assert!(Server::bind(Options { listen: ":http".to_owned(), ..options() }).await.is_err());
}

#[tokio::test]
async fn many_requests_on_one_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let running = start().await;
    let mut stream = tokio::net::TcpStream::connect(running.address).await.unwrap();
    // The last one asks for the end; pipelined ones are answered in order.
    let one = "GET /-/healthy HTTP/1.1\r\nHost: test\r\n\r\n";
    let last = "GET /-/ready HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    stream.write_all((one.repeat(20) + last).as_bytes()).await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    assert_eq!(all.matches("Healthy.").count(), 20);
    assert!(all.ends_with("Ready.\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_reads_the_gzip_answer() {
    let Some(curl) = tools::find("curl") else { return };
    let running = start().await;
    let url = format!("http://{}/metrics", running.address);
    let output = tools::run(curl, &["-sS", "--fail", "--compressed", &url]);
    assert!(output.status.success(), "{}", output.err());
    assert!(output.out().contains("test_balance_usd{account=\"default\"} 42.5\n"));
    assert!(output.out().contains("\nwallet_exporter_http_panics_total 0\n"));
}
