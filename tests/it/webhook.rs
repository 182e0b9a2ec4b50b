//! The webhook through the whole exporter: a POST becomes a batch that is followed, durably and once.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use uuid::Uuid;
use vendor_simulator::{NewRow, Operation};

use crate::rig::{Log, Rig};

pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub fn post(address: SocketAddr, path: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

pub fn event(event: Uuid, batch: &str) -> String {
    format!(r#"{{"event_uuid":"{event}","type":"BALANCE_BATCH_COMPLETED","batch_id":"{batch}"}}"#)
}

pub async fn rig(storage: &str) -> Rig {
    let mut rig = Rig::new().await;
    rig.set("STORAGE_PATH", storage);
    rig.set("WEBHOOK_LISTEN_ADDRESS", "127.0.0.1:0");
    rig.set("RIGHTFOOT_WEBHOOK_SECRET", SECRET);
    rig.set("RIGHTFOOT_COUNT_SINCE", "2026-05-01");
    rig.set("BATCHDATA_SOURCES", "balance");
    rig
}

fn events(rig: &Rig, result: &str) -> f64 {
    rig.value(&format!(r#"rightfoot_webhook_events_total{{account="default",result="{result}"}}"#)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_completed_batch_is_followed_at_once_settles_early_and_is_known_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig(directory.path().to_str().unwrap()).await;
    rig.start().await;
    rig.first_polls().await;
    let address = rig.webhook().unwrap();
    let path = format!("/webhooks/rightfoot/{SECRET}");
    let batch = rig.vendors.batch(vec![NewRow::success("Chase", 100)]);
    let first = Uuid::from_u128(1);
    assert_eq!(post(address, &path, &event(first, &batch)), 200);
    assert_eq!(post(address, &path, &event(first, &batch)), 200);
    assert_eq!(post(address, &path, r#"{"type":"BALANCE_THRESHOLD_ALERT","alerts":[]}"#), 200);
    assert_eq!(post(address, &path, "no JSON"), 400);
    assert_eq!(post(address, "/webhooks/rightfoot/fedcba9876543210fedcba9876543210", &event(first, &batch)), 404);
    let counted = ["accepted", "duplicate", "ignored", "malformed"].map(|result| events(&rig, result));
    assert_eq!(counted, [1.0, 1.0, 1.0, 1.0]);
    assert_eq!(rig.value("wallet_exporter_webhook_unmatched_total"), Some(1.0));
    let open = r#"rightfoot_batches{account="default",state="open"}"#;
    rig.until("the batch is looked at without a tick", |rig| {
        rig.value(open) == Some(1.0)
            && rig.value(r#"rightfoot_open_balance_checks{account="default",status="success",submitted_via="api"}"#)
                == Some(1.0)
    })
    .await;
    rig.stop().await;
    rig.start().await;
    assert_eq!(rig.value(open), Some(1.0), "the id is durable");
    // Two looks that agree, five minutes apart, both after the webhook: settled although its rows are young.
    let settled = |rig: &Rig| rig.value(r#"rightfoot_batches{account="default",state="settled"}"#) == Some(1.0);
    for _ in 0..10 {
        if settled(&rig) {
            break;
        }
        rig.poll(&["batches"]).await;
    }
    assert!(settled(&rig));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_of_wrong_ids_alone_does_not_keep_a_batch_that_the_webhook_named_from_its_turn() {
    let mut rig = rig("none").await;
    // Taken apart, they cost more requests than a pass has, and nothing shows yet that the vendor answers anybody.
    let wrong: Vec<String> = (0..300_u128).map(|number| Uuid::from_u128(1 << 100 | number).to_string()).collect();
    rig.set("RIGHTFOOT_BATCH_IDS", &wrong.join(","));
    rig.set("RIGHTFOOT_REQUESTS_PER_MINUTE", "100000");
    rig.start().await;
    rig.first_polls().await;
    assert_eq!(rig.source("failing=forbidden", "batches"), Some(1.0));
    let batch = rig.vendors.batch(vec![NewRow::success("Chase", 100)]);
    post(rig.webhook().unwrap(), &format!("/webhooks/rightfoot/{SECRET}"), &event(Uuid::from_u128(1), &batch));
    for _ in 0..6 {
        rig.poll(&["batches"]).await;
    }
    assert_eq!(rig.source("up", "batches"), Some(1.0));
    assert_eq!(rig.value(r#"rightfoot_batches{account="default",state="open"}"#), Some(1.0));
}

#[tokio::test]
async fn a_flood_of_forged_ids_is_bounded_logged_once_and_blinds_no_real_batch() {
    let log = Log::begin();
    let mut rig = rig("none").await;
    let batch = rig.vendors.batch(vec![NewRow::success("Chase", 100)]);
    rig.set("RIGHTFOOT_BATCH_IDS", &batch);
    rig.set("RIGHTFOOT_REQUESTS_PER_MINUTE", "100000");
    rig.start().await;
    rig.first_polls().await;
    let address = rig.webhook().unwrap();
    let path = format!("/webhooks/rightfoot/{SECRET}");
    let flood = move || {
        for number in 0..1_100_u128 {
            post(address, &path, &event(Uuid::from_u128(number), &Uuid::from_u128(1 << 100 | number).to_string()));
        }
    };
    tokio::task::spawn_blocking(flood).await.unwrap();
    assert_eq!(events(&rig, "accepted"), 1_000.0);
    assert_eq!(events(&rig, "ignored"), 100.0);
    assert_eq!(log.lines("too many webhook ids").len(), 1);
    rig.vendors.clear_requests();
    for _ in 0..3 {
        rig.poll(&["batches"]).await;
        assert_eq!(rig.source("up", "batches"), Some(1.0), "the real batch is not blinded");
    }
    let requests = rig.vendors.requests().iter().filter(|seen| seen.operation == Some(Operation::BalancesCsv)).count();
    assert!(requests < 1_000, "{requests} requests in a few passes");
}
