//! The process itself, as every exporter shows it.
//!
//! Flows in: `/proc/self`. Flows out: the `process_*` families. Invariant: what cannot be read is absent. Read with
//! `procfs` and not with the `prometheus` crate's collector, which knows processor time in whole seconds only.

use super::encode::Encoder;
use super::family::{FamilySpec, Kind};

const fn gauge(name: &'static str, help: &'static str) -> FamilySpec {
    FamilySpec { name, kind: Kind::Gauge, labels: &[], help }
}

static CPU: FamilySpec = FamilySpec {
    name: "process_cpu_seconds_total",
    kind: Kind::Counter,
    labels: &[],
    help: "User and system processor time spent, in seconds.",
};
static OPEN_FDS: FamilySpec = gauge("process_open_fds", "Open file descriptors.");
static MAX_FDS: FamilySpec = gauge("process_max_fds", "Limit of open file descriptors.");
static VIRTUAL: FamilySpec = gauge("process_virtual_memory_bytes", "Virtual memory, in bytes.");
static RESIDENT: FamilySpec = gauge("process_resident_memory_bytes", "Resident memory, in bytes.");
static START: FamilySpec = gauge("process_start_time_seconds", "When the process started, in seconds since the epoch.");
static THREADS: FamilySpec = gauge("process_threads", "Operating system threads.");

/// The families written here.
pub static FAMILIES: [&FamilySpec; 7] = [&CPU, &OPEN_FDS, &MAX_FDS, &VIRTUAL, &RESIDENT, &START, &THREADS];

/// Writes the families.
#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^53")]
pub(super) fn write(out: &mut Encoder) {
    #[cfg(target_os = "linux")]
    {
        let Ok(process) = procfs::process::Process::myself() else { return };
        let stat = process.stat().ok();
        let limits = process.limits().ok();
        let ticks = procfs::ticks_per_second() as f64;
        let mut one = |spec: &'static FamilySpec, value: Option<f64>| {
            if let Some(value) = value {
                out.family(spec).sample(&[], value);
            }
        };
        one(&CPU, stat.as_ref().map(|stat| (stat.utime + stat.stime) as f64 / ticks));
        one(&OPEN_FDS, process.fd_count().ok().map(|count| count as f64));
        one(
            &MAX_FDS,
            limits.and_then(|limits| match limits.max_open_files.soft_limit {
                procfs::process::LimitValue::Value(most) => Some(most as f64),
                procfs::process::LimitValue::Unlimited => None,
            }),
        );
        one(&VIRTUAL, stat.as_ref().map(|stat| stat.vsize as f64));
        one(&RESIDENT, stat.as_ref().map(|stat| (stat.rss * procfs::page_size()) as f64));
        let boot = procfs::boot_time_secs().ok();
        one(&START, stat.as_ref().and_then(|stat| boot.map(|boot| boot as f64 + stat.starttime as f64 / ticks)));
        one(&THREADS, stat.as_ref().map(|stat| stat.num_threads as f64));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = out;
}
