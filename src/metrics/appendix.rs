//! What is appended to each answer.
//!
//! Flows in: the process's own figures, read at most once a second; families of this moment, from the server. Flows out:
//! a whole answer. Invariant: appending costs microseconds, whatever the size of the exposition.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::body::{Deflater, Format, Rendered, Reply, Tail};
use super::encode::Encoder;
use super::process;

/// How long the process's figures are kept. Reading them costs more than all the rest of an answer.
const KEPT: Duration = Duration::from_secs(1);

/// Makes answers.
#[derive(Debug, Default)]
pub struct Appendix {
    cached: Mutex<Option<Cached>>,
}

#[derive(Clone, Debug)]
struct Cached {
    read_at: Instant,
    text: Parts,
    openmetrics: Parts,
}

#[derive(Clone, Debug)]
struct Parts {
    plain: Bytes,
    deflated: Bytes,
}

impl Appendix {
    /// The whole answer. `now` is the monotonic time; `fresh` writes the families of this moment.
    pub fn reply(
        &self,
        rendered: &Rendered,
        format: Format,
        gzip: bool,
        now: Instant,
        fresh: impl FnOnce(&mut Encoder),
    ) -> Reply {
        let cached = self.cached(now);
        let parts = match format {
            Format::Text => cached.text,
            Format::OpenMetrics => cached.openmetrics,
        };
        let mut encoder = Encoder::small();
        fresh(&mut encoder);
        let (text, mut openmetrics) = encoder.finish_small();
        let fresh = match format {
            Format::Text => text,
            Format::OpenMetrics => {
                openmetrics.extend_from_slice(b"# EOF\n");
                openmetrics
            }
        };
        rendered.reply(format, gzip, &Tail { cached: parts.plain, cached_deflated: parts.deflated, fresh })
    }

    fn cached(&self, now: Instant) -> Cached {
        // A panic while this lock was held would have left the old figures, which is fine.
        let mut cached = self.cached.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match cached.as_ref() {
            Some(cached) if now.saturating_duration_since(cached.read_at) < KEPT => cached.clone(),
            _ => cached.insert(Cached::read(now)).clone(),
        }
    }
}

impl Cached {
    fn read(now: Instant) -> Cached {
        let mut encoder = Encoder::small();
        process::write(&mut encoder);
        let (text, openmetrics) = encoder.finish_small();
        let mut deflater = Deflater::default();
        let mut parts = |plain: Vec<u8>| Parts { deflated: deflater.deflate(&plain), plain: plain.into() };
        Cached { read_at: now, text: parts(text), openmetrics: parts(openmetrics) }
    }
}
