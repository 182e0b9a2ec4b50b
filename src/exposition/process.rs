//! The process itself, as every exporter shows it.
//!
//! Flows in: `/proc/self`, read at most once a second, because reading it costs more than the rest of a small answer.
//! Flows out: the `process_*` families. Invariant: what cannot be read is absent. Read with `procfs` and not with the
//! `prometheus` crate's collector, which knows processor time in whole seconds only.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::encode::Encoder;
use crate::catalog::{self as c, FamilySpec, MetricType};

/// How long what was read is served.
const KEPT: Duration = Duration::from_secs(1);

type Values = [(&'static FamilySpec, Option<f64>); 7];

static READ: Mutex<Option<(Instant, Values)>> = Mutex::new(None);

/// Writes the families of a process that started then.
pub fn write(out: &mut Encoder, started: DateTime<Utc>) {
    let now = tokio::time::Instant::now().into_std();
    // A panic while this lock was held left the old values, which is fine.
    let mut kept = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let values = match *kept {
        Some((at, values)) if now.saturating_duration_since(at) < KEPT => values,
        _ => kept.insert((now, read())).1,
    };
    for (spec, value) in values {
        let (mut family, value) = (out.family(spec), value.unwrap_or(f64::NAN));
        match spec.kind {
            MetricType::Counter => family.counter(&[], (value, Some(started))),
            MetricType::Gauge => family.sample(&[], value),
            // The process has none.
            MetricType::Histogram => {}
        }
    }
}

#[cfg(target_os = "linux")]
#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^53")]
fn read() -> Values {
    use rustix::process::{Resource, getrlimit};
    let process = procfs::process::Process::myself().ok();
    let stat = process.as_ref().and_then(|process| process.stat().ok());
    let stat = stat.as_ref();
    let ticks = procfs::ticks_per_second() as f64;
    let boot = procfs::boot_time_secs().ok();
    [
        (&c::PROCESS_CPU, stat.map(|stat| (stat.utime + stat.stime) as f64 / ticks)),
        (&c::PROCESS_OPEN_FDS, process.as_ref().and_then(|process| Some(process.fd_count().ok()? as f64))),
        (&c::PROCESS_MAX_FDS, getrlimit(Resource::Nofile).current.map(|most| most as f64)),
        (&c::PROCESS_VIRTUAL, stat.map(|stat| stat.vsize as f64)),
        (&c::PROCESS_RESIDENT, stat.map(|stat| (stat.rss * procfs::page_size()) as f64)),
        (&c::PROCESS_START, stat.and_then(|stat| Some(boot? as f64 + stat.starttime as f64 / ticks))),
        (&c::PROCESS_THREADS, stat.map(|stat| stat.num_threads as f64)),
    ]
}

#[cfg(not(target_os = "linux"))]
fn read() -> Values {
    std::array::from_fn(|index| (c::PROCESS[index], None))
}
