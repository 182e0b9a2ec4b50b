//! Lets time pass between requests, and posts the webhook of completed batches.
//!
//! Flows in: completions. Flows out: `POST`s to the webhook's address.
//! Invariant: as the vendor: any 2xx is taken as received; else it is tried again at once and then after 1, 2, 4, 8 and
//! 16 minutes, and then lost.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Simulator;
use super::world::Completion;

/// Minutes before each attempt.
const WAITS: [i64; 7] = [0, 0, 1, 2, 4, 8, 16];

/// How often time is looked at.
const TICK: Duration = Duration::from_secs(1);

/// A webhook's receiver that hangs must not hold up the others for long.
const TIMEOUT: Duration = Duration::from_secs(10);

struct Notification {
    completion: Completion,
    attempt: usize,
    due: DateTime<Utc>,
}

/// Runs for as long as the simulator serves.
pub(crate) async fn run(simulator: Simulator) {
    let clock = simulator.shared.clock.clone();
    let mut waiting: Vec<Notification> = Vec::new();
    loop {
        let (new, url) =
            simulator.locked(|state, _| (std::mem::take(&mut state.world.completions), state.webhook.clone()));
        let now = clock.now();
        if let Some(url) = url {
            waiting.extend(new.into_iter().map(|completion| Notification { completion, attempt: 0, due: now }));
            let mut later = Vec::new();
            for notification in std::mem::take(&mut waiting) {
                later.extend(attempt(&url, notification, now).await);
            }
            waiting = later;
        }
        if waiting.iter().any(|notification| notification.due <= now) {
            continue;
        }
        tokio::select! {
            () = clock.sleep(TICK) => {}
            () = simulator.shared.completed.notified() => {}
        }
    }
}

/// Posts a notification that is due; gives it back if it has to wait.
async fn attempt(url: &str, notification: Notification, now: DateTime<Utc>) -> Option<Notification> {
    if notification.due > now {
        return Some(notification);
    }
    let Completion { event, batch } = &notification.completion;
    let body = format!(r#"{{"event_uuid":"{event}","type":"BALANCE_BATCH_COMPLETED","batch_id":"{batch}"}}"#);
    if let Ok(Ok(true)) = tokio::time::timeout(TIMEOUT, post(url, &body)).await {
        return None;
    }
    let attempt = notification.attempt + 1;
    let wait = TimeDelta::minutes(*WAITS.get(attempt)?);
    Some(Notification { attempt, due: now + wait, ..notification })
}

/// Whether the receiver answered with 2xx.
async fn post(url: &str, body: &str) -> std::io::Result<bool> {
    let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidInput);
    let url = url::Url::parse(url).map_err(|_| invalid())?;
    let host = url.host_str().filter(|_| url.scheme() == "http").ok_or_else(invalid)?;
    let port = url.port_or_known_default().unwrap_or(80);
    let mut stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        url.path(),
        body.len(),
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // The first line is enough.
    while answer.len() < 12 && stream.read_buf(&mut answer).await? > 0 {}
    Ok(answer.get(9..10) == Some(b"2"))
}
