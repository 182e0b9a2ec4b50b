//! Which format, and whether compressed.

use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue};
use wallet_exporter::exposition::Format::{self, OpenMetrics, Protobuf, Text};
use wallet_exporter::http::negotiate;

use super::fixture::{ask, start};

/// What 2.42 sends, and 3.5; `prometheus::what_prometheus_sends_is_what_these_tests_assume` checks both.
pub const PROMETHEUS_2_42: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
pub const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
/// 2.42 with `native-histograms`.
pub const PROMETHEUS_2_42_PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
/// 3.5 with `created-timestamp-zero-ingestion` or `native-histograms`.
pub const PROMETHEUS_3_PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
/// From 3.15 on (the package's v0.315.1), by default and with protobuf first: a sixth protocol adds a tenth to each weight.
const PROMETHEUS_3_15: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=0.0.1;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3";
const PROMETHEUS_3_15_PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
/// VictoriaMetrics and its agent; `prometheus::what_other_clients_send…` captures it.
pub const VICTORIA_METRICS: &str = "text/plain;version=0.0.4;q=1,*/*;q=0.1";
/// Grafana Alloy, from public source (grafana/alloy 88f6bd7, `scrape.go`): Prometheus' package with four protocols and
/// underscores; by default, and with protobuf first. The last is an older one with three.
const ALLOY: &str = "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=underscores;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
const ALLOY_PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=underscores;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
const ALLOY_OLDER: &str = "application/openmetrics-text;version=1.0.0;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3";
/// The OpenTelemetry collector's `prometheusreceiver`, from public source: v0.165.1 scrapes with Prometheus' v0.315.1.
const COLLECTOR: &str = PROMETHEUS_3_15;
const COLLECTOR_PROTOBUF: &str = PROMETHEUS_3_15_PROTOBUF;
/// `prometheus::what_other_clients_send…` captures it.
pub const CURL: &str = "*/*";
const DELIMITED: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

#[test]
fn the_format() {
    let table: &[(&[&str], Format)] = &[
        (&[], Text),
        (&[""], Text),
        (&[CURL], Text),
        (&[PROMETHEUS_2_42], OpenMetrics),
        (&[PROMETHEUS_3], OpenMetrics),
        (&[PROMETHEUS_2_42_PROTOBUF], Protobuf),
        (&[PROMETHEUS_3_PROTOBUF], Protobuf),
        (&[PROMETHEUS_3_15], OpenMetrics),
        (&[PROMETHEUS_3_15_PROTOBUF], Protobuf),
        (&[VICTORIA_METRICS], Text),
        (&[ALLOY], OpenMetrics),
        (&[ALLOY_PROTOBUF], Protobuf),
        (&[ALLOY_OLDER], OpenMetrics),
        (&[COLLECTOR], OpenMetrics),
        (&[COLLECTOR_PROTOBUF], Protobuf),
        (&[BROWSER], Text),
        (&["application/openmetrics-text"], OpenMetrics),
        (&["application/openmetrics-text; version=1.0.0"], OpenMetrics),
        (&["APPLICATION/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8"], OpenMetrics),
        (&["application/openmetrics-text; version=0.0.1"], Text),
        (&["application/openmetrics-text; version=2.0.0"], Text),
        (&["application/openmetrics-text; unknown=\"a,b;c\\\"d\"; version=1.0.0"], OpenMetrics),
        (&["application/openmetrics-text;q=0"], Text),
        (&["application/openmetrics-text;q=0.5, text/plain;q=0.6"], Text),
        (&["application/openmetrics-text;q=0.6, text/plain;q=0.5"], OpenMetrics),
        (&["text/plain;version=0.0.4;q=0.6", "application/openmetrics-text;version=1.0.0;q=0.7"], OpenMetrics),
        (&["text/plain, application/openmetrics-text"], Text),
        (&["application/openmetrics-text, text/plain"], OpenMetrics),
        (&["application/*"], Text),
        (&["text/*;q=0.2, application/openmetrics-text;q=0.3"], OpenMetrics),
        (&["application/openmetrics-text;q=0.3, */*;q=0.9"], Text),
        (&["application/openmetrics-text;q=nonsense, text/plain;q=0.1"], Text),
        (&["application/openmetrics-text;q=1.5"], Text),
        (&["application/openmetrics-text;q=0.0001"], Text),
        (&["text/plain;q=0, */*"], OpenMetrics),
        (&["text/*;q=0, application/*;q=0.1"], OpenMetrics),
        (&["text/plain;q=0"], Text),
        (&[DELIMITED], Protobuf),
        (
            &["APPLICATION/VND.Google.Protobuf; Encoding=\"delimited\" ;PROTO=io.prometheus.client.MetricFamily"],
            Protobuf,
        ),
        (&["application/vnd.google.protobuf"], Text),
        (&["application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily"], Text),
        (&["application/vnd.google.protobuf;encoding=delimited"], Text),
        (&["application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text"], Text),
        (&["application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=compact-text"], Text),
        (&["application/vnd.google.protobuf;proto=io.prometheus.client.Other;encoding=delimited"], Text),
        (
            &[
                "application/vnd.google.protobuf;proto=io.prometheus.client.Other;encoding=delimited, application/openmetrics-text;q=0.1",
            ],
            OpenMetrics,
        ),
        (&[DELIMITED, "text/plain"], Protobuf),
        (&["text/plain", DELIMITED], Text),
        (&[DELIMITED, "application/openmetrics-text"], Protobuf),
        (&["application/openmetrics-text", DELIMITED], OpenMetrics),
        (&["*/*", DELIMITED], Protobuf),
        (&[DELIMITED, "*/*"], Protobuf),
        (
            &[
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.5, text/plain;q=0.6",
            ],
            Text,
        ),
        (
            &["application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.5, */*"],
            Text,
        ),
        (&["application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0"], Text),
        (
            &["application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0, */*"],
            Text,
        ),
        (
            &[
                "text/*;q=0, application/*;q=0.1, application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.2",
            ],
            Protobuf,
        ),
        (&["application/json"], Text),
        (&[";;;,,, / ;q=, =;\"\\"], Text),
    ];
    for (accept, expected) in table {
        let mut headers = HeaderMap::new();
        for value in *accept {
            headers.append(ACCEPT, HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(negotiate::format(&headers), *expected, "{accept:?}");
    }
}

#[test]
fn the_encoding() {
    for (accept, expected) in [
        (None, false),
        (Some(""), false),
        (Some("gzip"), true),
        (Some("GZIP"), true),
        (Some("x-gzip"), true),
        (Some("gzip, deflate, br, zstd"), true),
        (Some("gzip;q=0"), false),
        (Some("gzip;q=0.0, *"), false),
        (Some("*"), true),
        (Some("*;q=0"), false),
        (Some("identity"), false),
        (Some("identity, gzip;q=0.5"), false),
        (Some("identity;q=0.5, gzip;q=0.8"), true),
        (Some("gzip, identity;q=0"), true),
        (Some("identity;q=0"), false),
        (Some("br"), false),
        (Some("gzip;q=x"), false),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
        }
        assert_eq!(negotiate::gzip(&headers), expected, "{accept:?}");
    }
}

#[tokio::test]
async fn what_was_agreed_is_what_is_sent() {
    let running = start().await;
    let text = ask(running.address, "GET", "/metrics", &[], b"").await;
    assert_eq!(text.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(text.header("content-encoding"), "");
    assert!(text.text().contains("# TYPE test_spent_usd_total counter"));
    let accept = [("Accept", PROMETHEUS_2_42), ("Accept-Encoding", "gzip")];
    let zipped = ask(running.address, "GET", "/metrics", &accept, b"").await;
    assert_eq!(zipped.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(zipped.header("content-encoding"), "gzip");
    assert_eq!(zipped.body[..2], [0x1f, 0x8b]);
    let accept = [("Accept", PROMETHEUS_3_PROTOBUF), ("Accept-Encoding", "gzip")];
    let protobuf = ask(running.address, "GET", "/metrics", &accept, b"").await;
    assert_eq!(
        protobuf.header("content-type"),
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
    );
    assert_eq!((protobuf.header("content-encoding"), &protobuf.body[..2]), ("gzip", &[0x1f, 0x8b][..]));
    for answer in [text, zipped, protobuf] {
        assert_eq!(answer.code, 200);
        assert_eq!(answer.header("vary"), "Accept, Accept-Encoding");
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}
