//! The integration tests, one binary so that linking is paid once.

mod alerts;
mod configuration;
mod crash;
mod dashboards;
mod deployments;
mod documentation;
mod faults;
mod flow;
mod house;
mod laws;
mod ledger;
mod lifecycle;
mod program;
mod rig;
mod serving;
mod simulator;
mod vendor;
mod webhook;
