//! `GET /v1/balances/csv`: the rows of the batches that were asked for, streamed.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::table::Table;
use super::{Reply, Request, time};
use crate::amount::cents;
use crate::batches::{Batch, CANARY_AUTHORIZER, CANARY_CREATOR, CANARY_META, CANARY_PHONE, CANARY_ZIP, Row};
use crate::world::World;

/// The columns that are always there.
pub(crate) const COLUMNS: [&str; 9] =
    ["Authorizer ID", "Batch ID", "Institution", "Phone", "Zip", "Balance", "Status", "Creator", "Timestamp"];

/// The rows, or why not.
pub(crate) fn table(world: &World, request: &Request) -> Result<Table, Reply> {
    let ids: Vec<&str> =
        request.query.iter().filter(|(key, _)| key == "batch_ids").map(|(_, value)| value.as_str()).collect();
    if ids.is_empty() {
        return Err(refused(400, "batch_ids is required"));
    }
    // The hyphenated form only: the crate would take four.
    if ids.iter().any(|id| id.len() != 36 || Uuid::try_parse(id).is_err()) {
        return Err(refused(400, "batch_ids must be valid UUIDs"));
    }
    if let Some(status) = ids.iter().find_map(|id| world.refused.get(&id.to_ascii_lowercase())) {
        return Err(refused(*status, "the request was refused"));
    }
    let mut seen = HashSet::new();
    let mut batches: Vec<Batch> = Vec::new();
    for id in ids {
        match world.batches.find(id) {
            Some(batch) if !batch.foreign => {
                if seen.insert(&batch.id) {
                    batches.push(batch.clone());
                }
            }
            // An id without an owner is refused, too.
            _ => return Err(refused(403, "one or more batches do not belong to you")),
        }
    }
    // A key that no row of the result carries has no column.
    let keys: BTreeSet<String> = batches
        .iter()
        .filter(|batch| !batch.meta_key.is_empty() && !batch.rows.is_empty())
        .map(|batch| batch.meta_key.clone())
        .collect();
    let columns = COLUMNS.iter().map(|name| (*name).to_owned()).chain(keys.iter().map(|key| format!("meta_{key}")));
    let columns = columns.collect();
    let keys: Arc<[String]> = keys.into_iter().collect();
    let broken = Arc::new(world.broken_rows.clone());
    let rows = batches.into_iter().flat_map(move |batch| {
        let (keys, broken) = (Arc::clone(&keys), Arc::clone(&broken));
        (0..batch.rows.len()).filter_map(move |place| {
            let mut fields = fields(&batch, place, batch.rows.get(place)?, &keys);
            if broken.contains(&(batch.id.clone(), place)) {
                fields.push(b"more".to_vec());
            }
            Some(fields)
        })
    });
    Ok(Table { columns, rows: Box::new(rows) })
}

fn fields(batch: &Batch, place: usize, row: &Row, keys: &[String]) -> Vec<Vec<u8>> {
    let known = |text: &str| if place.is_multiple_of(5) { String::new() } else { text.to_owned() };
    let mut fields = vec![
        format!("{CANARY_AUTHORIZER}-{:06}", place + 1),
        batch.id.clone(),
        row.institution.to_string(),
        known(CANARY_PHONE),
        CANARY_ZIP.to_owned(),
        row.balance_cents.map(cents).unwrap_or_default(),
        row.status.to_string(),
        (if row.by_dashboard { CANARY_CREATOR } else { "" }).to_owned(),
        time(row.at).format("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
    ];
    for key in keys {
        // Commas, quotes and line ends, as people type them.
        let text = if *key == batch.meta_key { format!("{CANARY_META}-{place}, \"x\"\nline 2") } else { String::new() };
        fields.push(text);
    }
    fields.into_iter().map(String::into_bytes).collect()
}

/// The answer around a file's bytes.
pub(crate) fn download(body: impl Iterator<Item = Bytes> + Send + 'static, now: i64) -> Reply {
    let stamp = time(now).format("%Y%m%dT%H%M%SZ");
    Reply::file("text/csv; charset=utf-8", &format!("batch-export-{stamp}.csv"), body)
}

/// The bodies of this vendor's refusals are not documented; this one is plain.
pub(crate) fn refused(status: u16, message: &str) -> Reply {
    Reply::json(status, serde_json::json!({"error": message}).to_string())
}
