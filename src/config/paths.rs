//! The exporter's own paths, which the telemetry path must not hide.

pub(crate) const PAGE: &str = "/";
pub(crate) const STATUS: &str = "/api/v1/status";
pub(crate) const TARGETS: &str = "/api/v1/targets";
pub(crate) const GATE: &str = "/api/v1/gate";
pub(crate) const DOCUMENTATION: &str = "/documentation";
pub(crate) const RUNBOOKS: &str = "/runbooks";
pub(crate) const HEALTHY: &str = "/-/healthy";
pub(crate) const READY: &str = "/-/ready";
pub(crate) const RELOAD: &str = "/-/reload";
pub(crate) const POLL: &str = "/-/poll";

/// All of them.
pub(crate) const RESERVED: [&str; 10] =
    [PAGE, STATUS, TARGETS, GATE, DOCUMENTATION, RUNBOOKS, HEALTHY, READY, RELOAD, POLL];
