//! The JSON answers of the wallet, and the webhook's body.

use std::fmt::Debug;

use chrono::{DateTime, NaiveDate};
use serde::de::IgnoredAny;
use serde_json::Value;
use wallet_exporter::batchdata::Grain;
use wallet_exporter::batchdata::intake::{read_balance, read_card_page, read_consumption};
use wallet_exporter::names::Label as _;
use wallet_exporter::rightfoot::Event as WebhookEvent;
use wallet_exporter::upstream::{ParseError, Reason};

use super::{SECRET, ensure, prints};
use crate::engine::Outcome;

/// What must hold for every answer.
fn answer<T: Debug + PartialEq>(
    body: &[u8],
    read: impl Fn(&[u8]) -> Result<T, ParseError>,
    properties: impl Fn(&T) -> Result<String, String>,
) -> Outcome {
    let outcome = read(body);
    if let Some(code) = refusal(body) {
        let refused = outcome.as_ref().is_err_and(|error| error.reason == Reason::Refused);
        ensure(refused, || format!("status.code {code}, and {outcome:?}"))?;
    }
    let value = match &outcome {
        Ok(value) => value,
        Err(error) => {
            let error = error.to_string();
            return ensure(!error.contains(SECRET), || format!("repeats a value: {error}")).map(|()| error);
        }
    };
    ensure(serde_json::from_slice::<IgnoredAny>(body).is_ok(), || "taken, and no JSON".to_owned())?;
    let padded = [b" \n", body, b"\r\n\t"].concat();
    ensure(read(&padded) == outcome, || "another with spaces around it".to_owned())?;
    let whole = body.trim_ascii_end();
    let cut = fastrand::Rng::with_seed(body.len() as u64).usize(..whole.len());
    let short = read(&whole[..cut]).map_err(|error| error.reason);
    ensure(matches!(short, Err(Reason::Truncated)), || format!("cut after {cut} bytes: {short:?}"))?;
    properties(value)
}

/// The `status.code` of a body, if it refuses.
fn refusal(body: &[u8]) -> Option<i64> {
    let value: Value = serde_json::from_slice(body).ok()?;
    value.get("status")?.get("code")?.as_i64().filter(|code| *code >= 400)
}

pub fn balance(body: &[u8]) -> Outcome {
    let now = DateTime::from_timestamp(1_779_192_000, 0).unwrap_or_default();
    answer(
        body,
        |body| read_balance(body, now),
        |balance| {
            prints(balance.amount)?;
            Ok(format!("taken {}", balance.amount.is_negative()))
        },
    )
}

pub fn cards(body: &[u8]) -> Outcome {
    answer(body, read_card_page, |page| {
        let mut kinds = String::new();
        for row in &page.rows {
            prints(row.sales_tax)?;
            prints(row.processing_fee)?;
            row.credits.map_or(Ok(()), prints)?;
            if kinds.len() < 40 {
                kinds += row.status.as_str();
            }
        }
        Ok(format!("taken {kinds}"))
    })
}

pub fn consumption(body: &[u8]) -> Outcome {
    let day = |day| NaiveDate::from_ymd_opt(2026, 5, day).unwrap_or_default();
    let (from, to) = (day(1), day(31));
    let check = |grain| {
        answer(
            body,
            |body| read_consumption(body, from, to, grain),
            |report| {
                ensure(report.days.keys().all(|day| (from..=to).contains(day)), || "a day outside".to_owned())?;
                for day in report.days.values() {
                    let flows = day.by_origin.values().chain([&day.total]);
                    let mut amounts =
                        flows.flat_map(|flow| [flow.debit, flow.credit]).chain(day.by_path.values().copied());
                    amounts.try_for_each(prints)?;
                }
                let names = report.days.values().map(|day| day.by_origin.len() + day.by_path.len()).sum::<usize>();
                Ok(format!("taken {} {}", "day ".repeat(report.days.len()), "name ".repeat(names.min(9))))
            },
        )
    };
    Ok(format!("{}; {}", check(Grain::Day)?, check(Grain::Hour)?))
}

pub fn webhook(body: &[u8]) -> Outcome {
    let Some(event) = WebhookEvent::read(body) else { return Ok("malformed".to_owned()) };
    ensure(serde_json::from_slice::<IgnoredAny>(body).is_ok(), || "taken, and no JSON".to_owned())?;
    let whole = body.trim_ascii_end();
    let cut = fastrand::Rng::with_seed(body.len() as u64).usize(..whole.len());
    ensure(WebhookEvent::read(&whole[..cut]).is_none(), || format!("taken after {cut} bytes"))?;
    let WebhookEvent::Completed { event, batch } = event else { return Ok("other".to_owned()) };
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return Ok("too deep to compare".to_owned()) };
    for (name, id) in [("event_uuid", event), ("batch_id", batch)] {
        let text = value[name].as_str().unwrap_or_default();
        let digits = text.strip_prefix("urn:uuid:").unwrap_or(text).replace(['-', '{', '}'], "").to_lowercase();
        ensure(digits == id.simple().to_string(), || format!("{name} {text:?} became {id}"))?;
    }
    Ok("completed".to_owned())
}
