//! The integration tests, one binary so that linking is paid once.

mod accounts;
mod alerts;
mod burn;
mod check;
mod combinations;
mod configuration;
mod crash;
mod dashboards;
mod demo;
mod deployments;
mod documentation;
mod faults;
mod flow;
mod house;
mod laws;
mod ledger;
mod lifecycle;
mod output;
mod program;
mod release;
mod rig;
mod serving;
mod simulator;
mod storage;
mod vendor;
mod webhook;
