//! The bodies of the control interface's commands, and the methods that they call.
//!
//! Invariant: a member that is not known is refused, so that a typing error is not ignored.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::{CardEvent, Fault, NewRow, Operation, Part, Simulator};
use rust_decimal::Decimal;

/// Money as a decimal string, or as a number whose digits are taken as they are written.
struct Money(Decimal);

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get().trim_matches('"');
        let amount = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
        amount.map(Money).map_err(|_| serde::de::Error::custom(format!("{text} is not a decimal number")))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spend {
    amount: Money,
    #[serde(default)]
    origin: String,
    #[serde(default)]
    path: String,
    at: Option<DateTime<Utc>>,
}

pub(crate) fn spend(simulator: &Simulator, command: Spend) -> Value {
    let at = command.at.unwrap_or_else(|| simulator.now());
    simulator.spend(at, &command.origin, &command.path, command.amount.0);
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credit {
    amount: Money,
    origin: String,
    at: Option<DateTime<Utc>>,
}

pub(crate) fn credit(simulator: &Simulator, command: Credit) -> Value {
    let at = command.at.unwrap_or_else(|| simulator.now());
    simulator.credit(at, &command.origin, command.amount.0);
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Balance {
    balance: Money,
}

pub(crate) fn balance(simulator: &Simulator, command: Balance) -> Value {
    simulator.set_balance(command.balance.0);
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restate {
    day: NaiveDate,
    part: String,
    #[serde(default)]
    origin: String,
    #[serde(default)]
    path: String,
    debit: Option<Money>,
    credit: Option<Money>,
}

pub(crate) fn restate(simulator: &Simulator, command: Restate) -> Result<Value, String> {
    let Restate { origin, path, .. } = command;
    let part = match command.part.as_str() {
        "total" => Part::Total,
        "origin" if !origin.is_empty() => Part::Origin(origin),
        "path" if !path.is_empty() => Part::Path(path),
        "everywhere" => Part::Everywhere { origin, path },
        _ => return Err("part is total, origin (with origin), path (with path) or everywhere".to_owned()),
    };
    let amount = |money: Option<Money>| money.map_or(Decimal::ZERO, |money| money.0);
    simulator.restate(command.day, &part, amount(command.debit), amount(command.credit));
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Card {
    credits: Money,
    sales_tax: Option<Money>,
    processing_fee: Option<Money>,
    card_brand: Option<String>,
    #[serde(default = "paid")]
    status: Option<i64>,
    at: Option<DateTime<Utc>>,
}

fn paid() -> Option<i64> {
    Some(1)
}

pub(crate) fn card(simulator: &Simulator, command: Card, refund: bool) -> Value {
    let credits = command.credits.0;
    let id = simulator.card(&CardEvent {
        credits: if refund { -credits } else { credits },
        sales_tax: command.sales_tax.map(|money| money.0),
        processing_fee: command.processing_fee.map(|money| money.0),
        card_brand: command.card_brand.unwrap_or_else(|| "visa".to_owned()),
        status: command.status,
        at: command.at,
    });
    json!({"id": id})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CardStatus {
    id: i64,
    status: Option<i64>,
}

pub(crate) fn card_status(simulator: &Simulator, command: CardStatus) -> Result<Value, String> {
    if simulator.set_card_status(command.id, command.status) {
        Ok(json!({}))
    } else {
        Err(format!("no card transaction has the id {}: top_up answers with the id that it made", command.id))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    #[serde(default = "success")]
    status: String,
    institution: String,
    balance: Option<Money>,
    #[serde(default)]
    by_dashboard: bool,
    at: Option<DateTime<Utc>>,
}

fn success() -> String {
    "SUCCESS".to_owned()
}

impl Row {
    fn row(self) -> NewRow {
        // A bank's balance has cents: its units are the last two digits.
        let cents = |money: Money| crate::amount::units(money.0) / 100;
        NewRow {
            status: self.status,
            institution: self.institution,
            balance_cents: self.balance.map(cents),
            by_dashboard: self.by_dashboard,
            at: self.at.map(|at| at.timestamp()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Batch {
    id: Option<uuid::Uuid>,
    #[serde(default)]
    foreign: bool,
    #[serde(default)]
    meta_key: String,
    #[serde(default)]
    rows: Vec<Row>,
    #[serde(default)]
    fill: u32,
    #[serde(default)]
    complete: bool,
}

pub(crate) fn batch(simulator: &Simulator, command: Batch) -> Result<Value, String> {
    let rows = command.rows.into_iter().map(Row::row).collect();
    let id = command.id.map(|id| id.to_string());
    let id = simulator.new_batch(id.as_deref(), command.foreign, &command.meta_key, rows);
    simulator.fill(&id, command.fill);
    if command.complete {
        simulator.complete(&id);
    }
    Ok(json!({"id": id}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rows {
    id: String,
    #[serde(default)]
    rows: Vec<Row>,
    #[serde(default)]
    fill: u32,
}

pub(crate) fn rows(simulator: &Simulator, command: Rows) -> Result<Value, String> {
    let known = simulator.add_rows(&command.id, command.rows.into_iter().map(Row::row).collect());
    if known && simulator.fill(&command.id, command.fill) { Ok(json!({})) } else { Err(no_batch(&command.id)) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Complete {
    id: String,
}

pub(crate) fn complete(simulator: &Simulator, command: Complete) -> Result<Value, String> {
    if simulator.complete(&command.id) { Ok(json!({})) } else { Err(no_batch(&command.id)) }
}

fn no_batch(id: &str) -> String {
    format!("no batch has the id {id}: batch makes one, GET /_simulator/batches lists them")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefuseBatch {
    id: String,
    status: Option<u16>,
}

pub(crate) fn refuse_batch(simulator: &Simulator, command: RefuseBatch) -> Value {
    simulator.refuse_batch(&command.id, command.status);
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultCommand {
    operation: Operation,
    fault: Fault,
    times: Option<u32>,
}

pub(crate) fn fault(simulator: &Simulator, command: FaultCommand) -> Value {
    simulator.fault(command.operation, command.fault, command.times);
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clear {
    operation: Option<Operation>,
}

pub(crate) fn clear(simulator: &Simulator, command: Clear) -> Value {
    simulator.clear_faults(command.operation);
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClearRequests {}

pub(crate) fn clear_requests(simulator: &Simulator, _: ClearRequests) -> Value {
    simulator.clear_requests();
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Permissions {
    operation: Operation,
    granted: bool,
}

pub(crate) fn permissions(simulator: &Simulator, command: Permissions) -> Value {
    simulator.set_permission(command.operation, command.granted);
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    batchdata: Option<String>,
    rightfoot: Option<String>,
}

pub(crate) fn token(simulator: &Simulator, command: Token) -> Value {
    if let Some(token) = command.batchdata {
        simulator.set_batchdata_token(&token);
    }
    if let Some(key) = command.rightfoot {
        simulator.set_rightfoot_key(&key);
    }
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhook {
    url: Option<String>,
}

pub(crate) fn webhook(simulator: &Simulator, command: Webhook) -> Result<Value, String> {
    if command.url.as_deref().is_some_and(|url| !simulator.may_post_to(url)) {
        return Err("name a URL of a loopback address, or start the simulator with --simulator.webhook-url".to_owned());
    }
    simulator.set_webhook(command.url.as_deref());
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClockOffset {
    seconds: i64,
}

pub(crate) fn clock_offset(simulator: &Simulator, command: ClockOffset) -> Result<Value, String> {
    let offset = TimeDelta::try_seconds(command.seconds).filter(|offset| offset.num_days().abs() <= 3_660);
    let offset = offset.ok_or("seconds: at most ten years either way")?;
    simulator.set_clock_offset(offset);
    Ok(json!({}))
}
