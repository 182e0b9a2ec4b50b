//! The HTTP client: the only place that sends a request and decides what its answer is.
//!
//! Flows in: an endpoint and its query. Flows out: a whole JSON body, or the chunks of an export, or one [`RequestError`].
//! Invariant: a body is handed on only after status, content type and size were checked; the token goes to the
//! configured host alone; each request has taken a permit and is observed exactly once, cancelled ones included.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::Response;
use reqwest::header::HeaderValue;
use secrecy::ExposeSecret;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::credential::{Credential, Paused};
use super::error::{Reason, RequestError};
use super::head::{self, MediaType};
use super::parse_error::ParseError;
use super::settings::{ClientSettings, Observe, RequestLimits};
use super::state::CredentialState;
use super::tls::BuildError;
use super::transport::{Outgoing, Transport};
use super::transport_error;
use crate::names::Operation;

/// The longest pause that a vendor may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// A body's buffer grows by so many bytes.
const GROWTH: usize = 1024 * 1024;

/// Sends requests with one credential to one host.
pub(crate) struct HttpClient {
    transport: Arc<dyn Transport>,
    base_url: Url,
    credential: Credential,
    limits: RequestLimits,
    observer: Arc<dyn Observe>,
}

/// Parameters of a query, in order; names may repeat.
pub(crate) type Query<'a> = &'a [(&'a str, String)];

impl HttpClient {
    /// `asked_for_days` if requests name days, which the vendor compares with its own clock.
    pub(crate) fn new(settings: ClientSettings, asked_for_days: bool) -> Result<HttpClient, BuildError> {
        let transport = match &settings.transport {
            Some(transport) => Arc::clone(transport),
            None => {
                Arc::new(settings.clients.client(&settings.base_url, &settings.extra_roots, settings.limits.connect)?)
            }
        };
        Ok(HttpClient {
            transport,
            credential: Credential::new(
                settings.secret,
                settings.requests_per_minute,
                settings.clock,
                asked_for_days,
                settings.rate_limit,
            ),
            base_url: settings.base_url,
            limits: settings.limits,
            observer: settings.observer,
        })
    }

    /// What the requests of the credential have shown.
    pub(crate) fn credential(&self) -> CredentialState<'_> {
        CredentialState::of(&self.credential)
    }

    pub(crate) fn limits(&self) -> &RequestLimits {
        &self.limits
    }

    /// A JSON answer, whole.
    pub(crate) async fn json(&self, operation: Operation, query: Query<'_>) -> Result<Whole, RequestError> {
        let (answer, start) = self.answer(operation, MediaType::Json, query, self.limits.total).await?;
        answer.whole(start + self.limits.total, &self.limits).await
    }

    /// The start of an export.
    pub(crate) async fn csv(&self, operation: Operation, query: Query<'_>) -> Result<Stream, RequestError> {
        let (answer, start) = self.answer(operation, MediaType::Csv, query, self.limits.csv_idle).await?;
        if !answer.framed {
            let words = "no Content-Length and no chunked framing: a truncated body could not be detected";
            return Err(answer.about.error(Reason::Truncated, words));
        }
        let now = Instant::now();
        Ok(Stream { answer, limits: self.limits, end: start + self.limits.csv_total, window: now, fresh: 0 })
    }

    /// The head of an answer, and when its request was sent. A connection that the server closed while it was idle
    /// looks like one that broke: what brought no answer at all is sent a second time, at once.
    async fn answer(
        &self,
        operation: Operation,
        kind: MediaType,
        query: Query<'_>,
        within: Duration,
    ) -> Result<(Answer, Instant), RequestError> {
        let url = self.url(operation, query);
        let mut second = false;
        loop {
            self.credential.permit().await.map_err(|Paused { left }| RequestError {
                retry_after: Some(left),
                ..RequestError::new(
                    operation,
                    Reason::RateLimited,
                    "requests are paused because the vendor asked for it",
                )
            })?;
            let start = Instant::now();
            match self.send(operation, kind, url.clone(), start + within).await {
                Err(error) if error.reason == Reason::Truncated && error.status.is_none() && !second => second = true,
                other => return other.map(|answer| (answer, start)),
            }
        }
    }

    async fn send(
        &self,
        operation: Operation,
        kind: MediaType,
        url: Url,
        deadline: Instant,
    ) -> Result<Answer, RequestError> {
        let mut observed =
            Observed { observer: Arc::clone(&self.observer), operation, code: None, bytes: 0, start: Instant::now() };
        let asked_with = self.credential.secret().version();
        let secret = self.credential.secret().current();
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", secret.expose_secret()))
            .map_err(|_| RequestError::new(operation, Reason::Unauthorized, "the token is not a valid header value"))?;
        authorization.set_sensitive(true);
        let of_file = self.credential.secret().is_of_accounts_file();
        let sent = self.credential.clock().boot();
        let answer = self.transport.get(Outgoing { url, accept: kind.accept(), authorization });
        let response = match timeout_at(deadline, answer).await {
            Err(_) => {
                let words = format!("no answer within {}", seconds(observed.start.elapsed()));
                return Err(RequestError::new(operation, Reason::Timeout, words));
            }
            Ok(Err(none)) => return Err(RequestError::new(operation, none.reason, none.detail)),
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        observed.code = Some(status.as_u16());
        let headers = response.headers();
        let server_time = head::date(headers);
        if let Some(server_time) = server_time {
            self.credential.learn(server_time, sent);
        }
        let about = About { operation, status: status.as_u16(), server_time, of_file };
        if let Some((reason, words)) = head::failure(status) {
            let retry_after = head::retry_after(headers, self.credential.clock().now());
            let retry_after = retry_after.map(|asked| asked.min(LONGEST_RETRY_AFTER));
            // Here and not where the error ends: a pass may succeed without this answer, and is asked to wait all the same.
            if let Some(asked) = retry_after.filter(|_| reason == Reason::RateLimited) {
                let until = self.credential.clock().boot() + asked;
                self.credential().pause(until, &asked_with);
            }
            return Err(RequestError { retry_after, ..about.error(reason, words) });
        }
        if let Some(words) = head::wrong_type(kind, headers) {
            return Err(about.error(Reason::Decode, words));
        }
        let most = match kind {
            MediaType::Json => self.limits.json_bytes,
            MediaType::Csv => self.limits.csv_bytes,
        };
        let framed = head::is_framed(headers);
        let answer = Answer { response, about, framed, most, observed };
        if answer.response.content_length().is_some_and(|length| length > most) {
            return Err(answer.too_large());
        }
        Ok(answer)
    }

    fn url(&self, operation: Operation, query: Query<'_>) -> Url {
        let mut url = self.base_url.clone();
        let path = format!("{}{}", url.path().trim_end_matches('/'), operation.path);
        url.set_path(&path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

/// What is known about an answer whatever its body says.
#[derive(Clone, Copy)]
pub(crate) struct About {
    operation: Operation,
    status: u16,
    server_time: Option<DateTime<Utc>>,
    of_file: bool,
}

impl About {
    fn error(&self, reason: Reason, detail: impl Into<String>) -> RequestError {
        RequestError {
            status: Some(self.status),
            server_time: self.server_time,
            of_file: self.of_file,
            ..RequestError::new(self.operation, reason, detail)
        }
    }

    /// The error for what is wrong with the body.
    pub(crate) fn invalid(&self, error: ParseError) -> RequestError {
        self.error(error.reason, error.detail)
    }
}

/// A whole body and where it came from.
pub(crate) struct Whole {
    pub(crate) about: About,
    pub(crate) body: Vec<u8>,
}

struct Answer {
    response: Response,
    about: About,
    framed: bool,
    most: u64,
    observed: Observed,
}

impl Answer {
    /// The next chunk, `None` at the end.
    async fn chunk(&mut self, until: Instant) -> Result<Option<Bytes>, RequestError> {
        match timeout_at(until, self.response.chunk()).await {
            Err(_) => Err(self.too_slow()),
            Ok(Err(error)) => {
                let (reason, words) = transport_error::inside_the_body(&error, self.observed.bytes);
                Err(self.about.error(reason, words))
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Ok(Some(chunk))) => {
                self.observed.bytes += chunk.len() as u64;
                if self.observed.bytes > self.most { Err(self.too_large()) } else { Ok(Some(chunk)) }
            }
        }
    }

    async fn whole(mut self, deadline: Instant, limits: &RequestLimits) -> Result<Whole, RequestError> {
        // What the vendor promises is reserved only as far as it is likely to be true.
        let likely = self.response.content_length().unwrap_or(0).min(limits.json_bytes);
        let mut body = Vec::with_capacity(usize::try_from(likely).unwrap_or(0).min(GROWTH));
        while let Some(chunk) = self.chunk(deadline).await? {
            if body.capacity() - body.len() < chunk.len() {
                // Doubling would take a third more than the body.
                body.reserve_exact(chunk.len().max(GROWTH));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Whole { about: self.about, body })
    }

    fn too_slow(&self) -> RequestError {
        let words = format!("the body was not complete in time, {} bytes were received", self.observed.bytes);
        self.about.error(Reason::Timeout, words)
    }

    fn too_large(&self) -> RequestError {
        self.about.error(Reason::TooLarge, format!("the body is larger than {} bytes", self.most))
    }
}

/// An export that is being read.
pub(crate) struct Stream {
    answer: Answer,
    limits: RequestLimits,
    end: Instant,
    /// When the present window of progress began.
    window: Instant,
    /// Bytes that came in it.
    fresh: u64,
}

impl Stream {
    pub(crate) fn about(&self) -> About {
        self.answer.about
    }

    /// The next chunk, `None` at the end. A new window begins only when it has brought enough.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, RequestError> {
        let until = self.end.min(self.window + self.limits.csv_idle);
        // A stream that always has a chunk ready would never let the timer look.
        if Instant::now() >= until {
            return Err(self.answer.too_slow());
        }
        let chunk = self.answer.chunk(until).await?;
        if let Some(chunk) = &chunk {
            self.fresh += chunk.len() as u64;
            if self.fresh >= self.limits.csv_progress {
                self.window = Instant::now();
                self.fresh = 0;
            }
        }
        Ok(chunk)
    }
}

/// Reports a request when it is over, however it ended.
struct Observed {
    observer: Arc<dyn Observe>,
    operation: Operation,
    code: Option<u16>,
    /// Of the body, as far as it was read.
    bytes: u64,
    start: Instant,
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.observer.request(self.operation, self.code, self.bytes, self.start.elapsed());
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}
