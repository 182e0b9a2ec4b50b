//! The integration tests, one binary so that linking is paid once.

mod alerts;
mod dashboards;
mod deployments;
mod serving;
mod simulator;
mod vendor;
