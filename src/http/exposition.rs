//! The exposition as an answer.
//!
//! Flows in: the last rendered exposition and a request's headers. Flows out: the answer, in the format and encoding
//! that the client prefers. Invariant: nothing is rendered or compressed here but the short end of the answer.

use hyper::header::{CONTENT_ENCODING, HeaderMap, VARY};
use hyper::{Response, StatusCode};

use super::negotiate;
use super::payload::Payload;
use super::requests::Requests;
use super::respond::{set, with_body};
use crate::metrics::{Appendix, Rendered};

/// Answers a scrape.
pub(super) fn answer(
    rendered: &Rendered,
    appendix: &Appendix,
    requests: &Requests,
    headers: &HeaderMap,
) -> Response<Payload> {
    let format = negotiate::format(headers);
    let gzip = negotiate::gzip(headers);
    let now = tokio::time::Instant::now().into_std();
    let reply = appendix.reply(rendered, format, gzip, now, |out| requests.write(out));
    let response = with_body(StatusCode::OK, negotiate::content_type(format), Payload::from_reply(reply));
    let response = set(response, VARY, "Accept, Accept-Encoding");
    if gzip { set(response, CONTENT_ENCODING, "gzip") } else { response }
}
