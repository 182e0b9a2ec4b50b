//! An answer of the simulated vendor becomes what an HTTP client would have received of it.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use reqwest::{Body, Response};
use vendor_simulator::{Delivery, Operation, Responded, Simulator};
use wallet_exporter::upstream::{NoAnswer, Reason};

pub fn no_answer(detail: &str) -> NoAnswer {
    NoAnswer { reason: Reason::Truncated, detail: detail.to_owned() }
}

/// A refusal that the vendor itself did not order.
pub fn refused(vendors: &Simulator, operation: Operation, status: u16, retry: Option<String>) -> Responded {
    Responded {
        operation: Some(operation),
        status,
        headers: retry.map(|retry| ("Retry-After", retry)).into_iter().collect(),
        date: vendors.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        delivery: Delivery::Whole(Bytes::from_static(b"{}")),
        fault: None,
    }
}

/// The response, or why there is none. `read` runs when a whole body was read to its end.
pub async fn answer(
    responded: Responded,
    date: Option<String>,
    read: impl FnOnce() + Send + 'static,
) -> Result<Response, NoAnswer> {
    let mut builder = http::Response::builder().status(responded.status);
    for (name, value) in &responded.headers {
        builder = builder.header(*name, value);
    }
    if let Some(date) = date {
        builder = builder.header("Date", date);
    }
    let body = match responded.delivery {
        Delivery::Never => return std::future::pending().await,
        Delivery::Nothing => return Err(no_answer("the connection was closed before an answer")),
        Delivery::Whole(body) => {
            builder = builder.header("Content-Length", body.len());
            let end = stream::once(async { read() }).filter_map(|()| std::future::ready(None));
            Body::wrap_stream(stream::iter([Ok::<Bytes, Infallible>(body)]).chain(end))
        }
        Delivery::Unframed(body) => {
            let pieces = stream::iter([Ok::<Bytes, Infallible>(body)]);
            Body::wrap_stream(pieces)
        }
        Delivery::Broken(body) => {
            builder = builder.header("Content-Length", body.len() * 2 + 10);
            let broken = Err(io::Error::from(io::ErrorKind::ConnectionReset));
            Body::wrap_stream(stream::iter([Ok(body), broken]))
        }
        Delivery::Drip { body, every_ms } => {
            builder = builder.header("Content-Length", body.len());
            let pieces = stream::unfold((body, every_ms), |(mut left, every_ms)| async move {
                if left.is_empty() {
                    return None;
                }
                tokio::time::sleep(Duration::from_millis(every_ms)).await;
                let piece = left.split_to(1);
                Some((Ok::<Bytes, Infallible>(piece), (left, every_ms)))
            });
            Body::wrap_stream(pieces)
        }
    };
    Ok(Response::from(builder.body(body).unwrap()))
}
