//! The consumption report with `format=csv`: each transaction, streamed.

use bytes::Bytes;

use super::table::Table;
use super::{Reply, time};
use crate::amount::short;
use crate::batches::{CANARY_DESCRIPTION, CANARY_REFERENCE};
use crate::wallet::Wallet;

/// The documented columns.
pub(crate) const COLUMNS: [&str; 8] =
    ["Date", "Type", "Amount", "Balance After", "Origin", "Reference ID", "Endpoint", "Description"];

/// Every transaction from `from` up to but not including `until`, of one origin or of all, oldest first.
pub(crate) fn table(wallet: &mut Wallet, (from, until): (i64, i64), origin: Option<&str>) -> Table {
    let rows = wallet.transactions(from, until);
    // The names are few; the rows are written while they are sent.
    let names = |count: usize, name: &dyn Fn(u16) -> String| -> Vec<String> {
        (0..count).filter_map(|id| u16::try_from(id).ok()).map(name).collect()
    };
    let origins = names(wallet.origins.len(), &|id| wallet.origins.name(id).to_owned());
    let slugs = names(wallet.paths.len(), &|id| slug(wallet.paths.name(id)));
    let only = origin.map(|origin| wallet.origins.known(origin));
    let wanted = rows.into_iter().filter(move |row| only.is_none_or(|only| only.is_some() && row.origin == only));
    let rows = wanted.map(move |row| {
        let name = |names: &[String], id: Option<u16>| {
            id.and_then(|id| names.get(usize::from(id))).cloned().unwrap_or_default()
        };
        let credit = row.credit != 0;
        let slug = name(&slugs, row.path);
        let fields = [
            time(row.at).format("%Y-%m-%d %H:%M:%S").to_string(),
            (if credit { "Credit" } else { "Debit" }).to_owned(),
            short(if credit { row.credit } else { row.debit }).to_string(),
            short(row.balance_after).to_string(),
            name(&origins, row.origin),
            format!("{CANARY_REFERENCE}{:06}", row.number),
            slug.clone(),
            format!("{CANARY_DESCRIPTION}: {}", if credit { "credit" } else { slug.as_str() }),
        ];
        fields.map(String::into_bytes).to_vec()
    });
    Table { columns: COLUMNS.map(str::to_owned).to_vec(), rows: Box::new(rows) }
}

/// The answer around a file's bytes.
pub(crate) fn download(body: impl Iterator<Item = Bytes> + Send + 'static) -> Reply {
    Reply::file("text/csv; charset=UTF-8", "wallet-consumption.csv", body)
}

/// `/api/v1/property/lookup/all-attributes` is `property-lookup-all-attributes` here.
fn slug(path: &str) -> String {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let rest: Vec<&str> = match (parts.next(), parts.next()) {
        (Some("api"), Some(_)) => parts.collect(),
        _ => return path.trim_matches('/').replace('/', "-"),
    };
    rest.join("-")
}
