//! What a vendor client is built from.
//!
//! Flows in: a checked configuration. Flows out: the settings of one client, that is, of one credential at one host.
//! Invariant: `Debug` shows neither the secret nor anything that could carry it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use url::Url;

use super::credential::RateLimit;
use super::tls::Clients;
use super::transport::Transport;
use crate::clock::SharedClock;
use crate::config::secret::Secret;
use crate::names::Operation;

/// Everything that a client needs to know.
#[derive(Clone)]
pub struct ClientSettings {
    /// Where the vendor's API lives; the endpoints' paths are appended. Plain `http` only to a loopback address.
    pub base_url: Url,
    /// The credential. Read at each request, so a changed file takes effect at the next one.
    pub secret: Secret,
    /// The credential's budget: at most so many requests in any 60 seconds.
    pub requests_per_minute: u32,
    /// Time for the budget, the pause and the vendor's clock. The limits of a request in flight run on tokio's time.
    pub clock: SharedClock,
    /// Sizes and durations that one request may have.
    pub limits: RequestLimits,
    /// Observes each request.
    pub observer: Arc<dyn Observe>,
    /// Certificates to trust beside the system's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// What sends the requests; the network if absent.
    pub transport: Option<Arc<dyn Transport>>,
    /// Where clients of the network are shared.
    pub clients: Arc<Clients>,
    /// What was sent with the credential before, and how long it is paused.
    pub rate_limit: Arc<RateLimit>,
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A URL may carry a user and a password.
        formatter
            .debug_struct("ClientSettings")
            .field("host", &self.base_url.host_str())
            .field("secret", &self.secret)
            .field("requests_per_minute", &self.requests_per_minute)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Sizes and durations that one request may have. The default is what production uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// DNS, TCP and TLS together.
    pub connect: Duration,
    /// A JSON request, from the first packet to the last byte; for the export, until the headers are there.
    pub total: Duration,
    /// The export must bring [`RequestLimits::csv_progress`] bytes in each such window, so that a drip does not live for ever.
    pub csv_idle: Duration,
    /// The least that counts as progress of the export.
    pub csv_progress: u64,
    /// The export as a whole.
    pub csv_total: Duration,
    /// Longest JSON body.
    pub json_bytes: u64,
    /// Longest export.
    pub csv_bytes: u64,
    /// Most pages of one walk through a listing.
    pub pages: u32,
}

impl Default for RequestLimits {
    fn default() -> RequestLimits {
        RequestLimits {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(30),
            csv_idle: Duration::from_secs(30),
            csv_progress: 1024,
            csv_total: Duration::from_secs(30 * 60),
            // A year of days with 100 origins and 100 paths each is 6 MB.
            json_bytes: 12 * 1024 * 1024,
            csv_bytes: 2 * 1024 * 1024 * 1024,
            // 54 card transactions a day over the 366 days that the vendor answers for.
            pages: 200,
        }
    }
}

/// Observes each request that was sent, or that could not be.
pub trait Observe: Send + Sync + 'static {
    /// A request ended: `code` is the HTTP status, `None` if no answer came; so many `bytes` of the body were read, the last
    /// after `took`.
    fn request(&self, operation: Operation, code: Option<u16>, bytes: u64, took: Duration);
}

/// Nobody observes the requests.
pub struct Unobserved;

impl Observe for Unobserved {
    fn request(&self, _: Operation, _: Option<u16>, _: u64, _: Duration) {}
}
