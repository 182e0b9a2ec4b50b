//! `GET /api/v1/wallet/credit-card-transactions`: the listing, page by page.

use super::{Invalid, Reply, Request, quoted};
use crate::amount::float;
use crate::batches::CANARY_CARD_LAST4;
use crate::cards::Card;
use crate::world::World;

/// The documented bounds of `per_page`.
const PER_PAGE: usize = 15;
const PER_PAGE_MAX: usize = 100;

/// One page; 422 if the parameters are not as documented.
pub(crate) fn answer(world: &World, request: &Request) -> Reply {
    let mut invalid = Invalid::default();
    let start = invalid.date(request, "start_date");
    let end = invalid.date(request, "end_date");
    if let (Some(start), Some(end)) = (start, end)
        && end < start
    {
        invalid.push("end_date", "The end date field must be a date after or equal to start date.");
    }
    let status = request.parameter("status").map(|text| match text {
        "0" | "1" | "2" => text.parse::<i64>().unwrap_or(0),
        _ => {
            invalid.push("status", "The selected status is invalid.");
            0
        }
    });
    let page = whole(&mut invalid, request, "page", 1, usize::MAX);
    let per_page = whole(&mut invalid, request, "per_page", PER_PAGE, PER_PAGE_MAX);
    if let Some(reply) = invalid.reply() {
        return reply;
    }

    let wanted = |row: &&Card| {
        let day = chrono::DateTime::from_timestamp_micros(row.created).unwrap_or_default().date_naive();
        start.is_none_or(|start| day >= start)
            && end.is_none_or(|end| day <= end)
            && status.is_none_or(|status| row.status == Some(status))
    };
    let rows: Vec<&Card> = world.cards.newest_first().filter(wanted).collect();
    let total = rows.len();
    let shown: Vec<String> =
        rows.into_iter().skip((page - 1).saturating_mul(per_page)).take(per_page).map(row).collect();
    let last = total.div_ceil(per_page).max(1);
    Reply::results(&format!(
        r#"{{"data":[{}],"meta":{{"current_page":{page},"last_page":{last},"per_page":{per_page},"total":{total}}}}}"#,
        shown.join(",")
    ))
}

/// One row as the vendor writes it.
pub(crate) fn row(card: &Card) -> String {
    let created = chrono::DateTime::from_timestamp_micros(card.created).unwrap_or_default();
    format!(
        r#"{{"id":{},"credits":{},"sales_tax_charge":{},"card_processing_fee":{},"card_brand":{},"card_last4":"{}","status":{},"created_at":"{}"}}"#,
        card.id,
        float(card.credits),
        float(card.tax),
        float(card.fee),
        quoted(&card.brand),
        CANARY_CARD_LAST4,
        card.status.map_or_else(|| "null".to_owned(), |status| status.to_string()),
        created.format("%Y-%m-%dT%H:%M:%S%.6fZ"),
    )
}

/// A whole number from 1 to `max`.
fn whole(invalid: &mut Invalid, request: &Request, field: &'static str, default: usize, max: usize) -> usize {
    let Some(text) = request.parameter(field) else {
        return default;
    };
    let words = super::words(field);
    match text.parse::<usize>() {
        Ok(0) => invalid.push(field, format!("The {words} field must be at least 1.")),
        Ok(number) if number > max => {
            invalid.push(field, format!("The {words} field must not be greater than {max}."));
        }
        Ok(number) => return number,
        Err(_) => invalid.push(field, format!("The {words} field must be an integer.")),
    }
    default
}
