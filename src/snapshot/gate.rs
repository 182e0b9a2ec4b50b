//! Whether an account has enough money for something that is about to be bought.
//!
//! Flows in: a question. Flows out: open or closed, and why. Invariant: amounts are compared as exact decimals; a balance
//! that is unknown or too old closes the gate; nothing is reserved.

use std::time::Duration;

use serde::Serialize;

use super::account::{AccountError, AccountView, Prepaid};
use super::source::SourceView;
use super::state::Snapshot;
use crate::clock::BootTime;
use crate::config::values::written;
use crate::money::{Usd, dollars};
use crate::names::Label as _;

/// A balance may be so many polling intervals old, unless the question says how old.
const INTERVALS: u32 = 3;

/// Whether `balance - cost >= min`.
#[derive(Clone, Debug, Default)]
pub struct GateQuestion {
    /// Which account; required if several are paid in advance.
    pub account: Option<String>,
    /// What must be left afterwards.
    pub min: Usd,
    /// Amount the job will spend.
    pub cost: Usd,
    /// The oldest balance to rely on.
    pub max_age: Option<Duration>,
}

/// The answer. Amounts are decimal text, exact.
#[derive(Clone, Debug, Serialize)]
pub struct Gate {
    /// Whether there is enough.
    pub open: bool,
    /// Why.
    pub reason: GateReason,
    /// Why, in one line for people.
    pub message: String,
    /// The label `account`.
    pub account: String,
    /// The balance as it was last polled.
    pub balance_usd: Option<String>,
    /// What had to be left.
    pub min_usd: String,
    /// What was to be spent.
    pub cost_usd: String,
    /// Seconds since the balance was polled.
    pub age_seconds: Option<f64>,
    /// What that was allowed to be.
    pub max_age_seconds: Option<f64>,
}

/// Why a gate is open or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GateReason {
    /// Open.
    Sufficient,
    /// Closed: too little is left.
    Insufficient,
    /// Closed: the balance is too old.
    Stale,
    /// Closed: no balance is known.
    Unknown,
}

impl Snapshot {
    /// Answers from what was polled.
    ///
    /// # Errors
    /// See [`AccountError`].
    pub fn gate(&self, question: &GateQuestion, now: BootTime) -> Result<Gate, AccountError> {
        let wanted = |view: &&AccountView| question.account.as_deref().is_none_or(|name| view.name() == name);
        let accounts = self.accounts.iter().map(AsRef::as_ref).filter(wanted);
        let prepaid = accounts.filter_map(|view| Some((view, view.prepaid()?)));
        let (account, money) = AccountError::unless_one(prepaid)?;
        Ok(Gate::of(question, account, money, now))
    }
}

impl Gate {
    fn of(question: &GateQuestion, account: &AccountView, money: Prepaid, now: BootTime) -> Gate {
        let source = account.source(money.source);
        let max_age = question.max_age.or(source.map(|source| source.interval * INTERVALS));
        let age = source.and_then(|source| Some(now.since(source.last_success?.boot)));
        let known = money.balance.zip(age).zip(max_age);
        let (reason, words) = match known {
            None => (GateReason::Unknown, unknown(money, source)),
            Some(((_, age), max_age)) if age > max_age => (GateReason::Stale, stale(age, max_age, source)),
            Some(((balance, _), _)) => compare(balance, question),
        };
        Gate {
            open: reason == GateReason::Sufficient,
            reason,
            message: format!("account {}: {words}", account.name()),
            account: account.name().to_owned(),
            balance_usd: known.map(|((balance, _), _)| balance.to_string()),
            min_usd: question.min.to_string(),
            cost_usd: question.cost.to_string(),
            age_seconds: age.map(|age| age.as_secs_f64()),
            max_age_seconds: max_age.map(|max_age| max_age.as_secs_f64()),
        }
    }
}

fn compare(balance: Usd, question: &GateQuestion) -> (GateReason, String) {
    let amount = |amount: Usd| dollars(amount.decimal());
    let cost = if question.cost.is_zero() { String::new() } else { format!(" less {}", amount(question.cost)) };
    let (reason, relation) = if balance - question.cost >= question.min {
        (GateReason::Sufficient, "at least")
    } else {
        (GateReason::Insufficient, "below")
    };
    (reason, format!("the balance {}{cost} is {relation} {}", amount(balance), amount(question.min)))
}

fn unknown(money: Prepaid, source: Option<&SourceView>) -> String {
    match source {
        Some(source) => format!("the balance is unknown{}", failure(source)),
        None => format!("the balance is unknown: the source {} is not polled", money.source.name),
    }
}

fn stale(age: Duration, max_age: Duration, source: Option<&SourceView>) -> String {
    // Rounded up: it must not look like the age that is allowed.
    let age = Duration::from_secs(age.as_secs() + u64::from(age.subsec_nanos() > 0));
    let failure = source.map(failure).unwrap_or_default();
    format!("the balance was polled {} ago, more than {} ago{failure}", written(age), written(max_age))
}

/// Why the last poll brought none.
fn failure(source: &SourceView) -> String {
    let failed = source.last_failure.as_ref().filter(|_| source.up == Some(false));
    failed.map_or_else(String::new, |failure| format!("; the last poll failed: {}", failure.reason.as_str()))
}
