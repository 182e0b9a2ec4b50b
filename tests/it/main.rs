//! The integration tests, one binary so that linking is paid once.

#![allow(clippy::too_many_lines, reason = "a test is one course of events, and is read from its beginning to its end")]

mod accounts;
mod alerts;
mod budgets;
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
mod first_dollar;
mod flow;
mod gate;
mod history;
mod house;
mod laws;
mod ledger;
mod lifecycle;
mod many_accounts;
mod output;
mod poll_now;
mod program;
mod reconciliation;
mod release;
mod reload;
mod rig;
mod serving;
mod simulator;
mod starts;
mod storage;
mod transactions;
mod vendor;
mod watched_files;
mod webhook;
