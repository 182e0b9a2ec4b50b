//! The process itself, as every exporter shows it.
//!
//! Flows in: `/proc/self`. Flows out: the `process_*` families. Invariant: what cannot be read is absent. Read with
//! `procfs` and not with the `prometheus` crate's collector, which knows processor time in whole seconds only.

use super::encode::Encoder;
use crate::catalog::{self as c, FamilySpec};

/// Read once: the file that tells it is long.
#[cfg(target_os = "linux")]
static BOOT_TIME: std::sync::LazyLock<Option<u64>> = std::sync::LazyLock::new(|| procfs::boot_time_secs().ok());

/// Writes the families.
#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^53")]
pub fn write(out: &mut Encoder) {
    #[cfg(target_os = "linux")]
    {
        let Ok(process) = procfs::process::Process::myself() else { return };
        let stat = process.stat().ok();
        let ticks = procfs::ticks_per_second() as f64;
        let mut one = |spec: &'static FamilySpec, value: Option<f64>| {
            if let Some(value) = value {
                out.family(spec).sample(&[], value);
            }
        };
        one(&c::PROCESS_CPU, stat.as_ref().map(|stat| (stat.utime + stat.stime) as f64 / ticks));
        one(&c::PROCESS_OPEN_FDS, process.fd_count().ok().map(|count| count as f64));
        one(
            &c::PROCESS_MAX_FDS,
            // `/proc/self/limits` costs as much as the rest together.
            rustix::process::getrlimit(rustix::process::Resource::Nofile).current.map(|most| most as f64),
        );
        one(&c::PROCESS_VIRTUAL, stat.as_ref().map(|stat| stat.vsize as f64));
        one(&c::PROCESS_RESIDENT, stat.as_ref().map(|stat| (stat.rss * procfs::page_size()) as f64));
        let boot = *BOOT_TIME;
        one(&c::PROCESS_START, stat.as_ref().and_then(|stat| Some(boot? as f64 + stat.starttime as f64 / ticks)));
        one(&c::PROCESS_THREADS, stat.as_ref().map(|stat| stat.num_threads as f64));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = out;
}
