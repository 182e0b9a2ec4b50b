//! The bodies of the control interface's orders, and the methods that they call.
//!
//! Invariant: a member that is not known is refused, so that a typing error cannot pass for an order.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::money::Usd;
use crate::simulator::{CardEvent, Fault, NewRow, Operation, Part, Simulator};

/// Money as a decimal string, or as a number whose digits are taken as they are written.
struct Money(Usd);

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get().trim_matches('"');
        Usd::parse(text).map(Money).map_err(|fault| serde::de::Error::custom(format!("{text} is {fault}")))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spend {
    amount: Money,
    #[serde(default)]
    origin: String,
    #[serde(default)]
    path: String,
    at: Option<DateTime<Utc>>,
}

pub(super) fn spend(simulator: &Simulator, order: Spend) -> Value {
    let at = order.at.unwrap_or_else(|| simulator.now());
    simulator.spend(at, &order.origin, &order.path, order.amount.0);
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credit {
    amount: Money,
    origin: String,
    at: Option<DateTime<Utc>>,
}

pub(super) fn credit(simulator: &Simulator, order: Credit) -> Value {
    let at = order.at.unwrap_or_else(|| simulator.now());
    simulator.credit(at, &order.origin, order.amount.0);
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Balance {
    balance: Money,
}

pub(super) fn balance(simulator: &Simulator, order: Balance) -> Value {
    simulator.set_balance(order.balance.0);
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restate {
    day: NaiveDate,
    part: String,
    #[serde(default)]
    origin: String,
    #[serde(default)]
    path: String,
    debit: Option<Money>,
    credit: Option<Money>,
}

pub(super) fn restate(simulator: &Simulator, order: Restate) -> Result<Value, String> {
    let Restate { origin, path, .. } = order;
    let part = match order.part.as_str() {
        "total" => Part::Total,
        "origin" if !origin.is_empty() => Part::Origin(origin),
        "path" if !path.is_empty() => Part::Path(path),
        "everywhere" => Part::Everywhere { origin, path },
        _ => return Err("part is total, origin (with origin), path (with path) or everywhere".to_owned()),
    };
    let amount = |money: Option<Money>| money.map_or(Usd::ZERO, |money| money.0);
    simulator.restate(order.day, &part, amount(order.debit), amount(order.credit));
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Card {
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

pub(super) fn card(simulator: &Simulator, order: Card, refund: bool) -> Value {
    let credits = order.credits.0;
    let id = simulator.card(&CardEvent {
        credits: if refund { -credits } else { credits },
        sales_tax: order.sales_tax.map(|money| money.0),
        processing_fee: order.processing_fee.map(|money| money.0),
        card_brand: order.card_brand.unwrap_or_else(|| "visa".to_owned()),
        status: order.status,
        at: order.at,
    });
    json!({"id": id})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CardStatus {
    id: i64,
    status: Option<i64>,
}

pub(super) fn card_status(simulator: &Simulator, order: CardStatus) -> Result<Value, String> {
    if simulator.set_card_status(order.id, order.status) {
        Ok(json!({}))
    } else {
        Err(format!("no card transaction has the id {}: top_up answers with the id that it made", order.id))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
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
        let cents = |money: Money| crate::simulator::amount::units(money.0) / 100;
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
pub(super) struct Batch {
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

pub(super) fn batch(simulator: &Simulator, order: Batch) -> Result<Value, String> {
    let rows = order.rows.into_iter().map(Row::row).collect();
    let id = order.id.map(|id| id.to_string());
    let id = simulator.new_batch(id.as_deref(), order.foreign, &order.meta_key, rows);
    simulator.fill(&id, order.fill);
    if order.complete {
        simulator.complete(&id);
    }
    Ok(json!({"id": id}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rows {
    id: String,
    #[serde(default)]
    rows: Vec<Row>,
    #[serde(default)]
    fill: u32,
}

pub(super) fn rows(simulator: &Simulator, order: Rows) -> Result<Value, String> {
    let known = simulator.add_rows(&order.id, order.rows.into_iter().map(Row::row).collect());
    if known && simulator.fill(&order.id, order.fill) { Ok(json!({})) } else { Err(no_batch(&order.id)) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Complete {
    id: String,
}

pub(super) fn complete(simulator: &Simulator, order: Complete) -> Result<Value, String> {
    if simulator.complete(&order.id) { Ok(json!({})) } else { Err(no_batch(&order.id)) }
}

fn no_batch(id: &str) -> String {
    format!("no batch has the id {id}: batch makes one, GET /_simulator/batches lists them")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefuseBatch {
    id: String,
    status: Option<u16>,
}

pub(super) fn refuse_batch(simulator: &Simulator, order: RefuseBatch) -> Value {
    simulator.refuse_batch(&order.id, order.status);
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultOrder {
    operation: Operation,
    fault: Fault,
    times: Option<u32>,
}

pub(super) fn fault(simulator: &Simulator, order: FaultOrder) -> Value {
    simulator.fault(order.operation, order.fault, order.times);
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clear {
    operation: Option<Operation>,
}

pub(super) fn clear(simulator: &Simulator, order: Clear) -> Value {
    simulator.clear_faults(order.operation);
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClearRequests {}

pub(super) fn clear_requests(simulator: &Simulator, _order: ClearRequests) -> Value {
    simulator.clear_requests();
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Permissions {
    operation: Operation,
    granted: bool,
}

pub(super) fn permissions(simulator: &Simulator, order: Permissions) -> Value {
    simulator.set_permission(order.operation, order.granted);
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    batchdata: Option<String>,
    rightfoot: Option<String>,
}

pub(super) fn token(simulator: &Simulator, order: Token) -> Value {
    if let Some(token) = order.batchdata {
        simulator.set_batchdata_token(&token);
    }
    if let Some(key) = order.rightfoot {
        simulator.set_rightfoot_key(&key);
    }
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Webhook {
    url: Option<String>,
}

pub(super) fn webhook(simulator: &Simulator, order: Webhook) -> Value {
    simulator.set_webhook(order.url.as_deref());
    json!({})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockOffset {
    seconds: i64,
}

pub(super) fn clock_offset(simulator: &Simulator, order: ClockOffset) -> Result<Value, String> {
    let offset = TimeDelta::try_seconds(order.seconds).filter(|offset| offset.num_days().abs() <= 3_660);
    let offset = offset.ok_or("seconds: at most ten years either way")?;
    simulator.set_clock_offset(offset);
    Ok(json!({}))
}
