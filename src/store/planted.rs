//! What stands in a database that this program did not make: it could act on what is written, or on what is read.
//!
//! Flows in: a database. Flows out: the names of its tables, indices, triggers and views that a new database of the same
//! version does not have, or has otherwise. Invariant: nothing but the schema is read.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::connect;
use super::migrations::{self, Schema};

/// As many are named.
const MOST_NAMED: usize = 5;

/// What `ANALYZE` makes, which the `sqlite3` shell is free to do.
const STATISTICS: [(&str, &str); 2] = [
    ("sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"),
    ("sqlite_stat4", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"),
];

/// The SQL of each object by type and name.
type Objects = BTreeMap<(String, String), String>;

fn objects(connection: &Connection) -> Result<Objects, rusqlite::Error> {
    let sql =
        "SELECT coalesce(CAST(type AS TEXT), ''), coalesce(CAST(name AS TEXT), ''), coalesce(CAST(sql AS TEXT), '')
         FROM sqlite_schema";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    rows.collect()
}

/// A table that was renamed has its name in quotes.
fn normalized(sql: &str) -> String {
    sql.replace('"', "").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a database of version `found` has beyond a new one, or otherwise than that, with its type.
pub(super) fn in_database(connection: &Connection, schema: Schema, found: u32) -> Result<Vec<String>, rusqlite::Error> {
    let steps = usize::try_from(found).ok().and_then(|found| schema.0.get(..found)).unwrap_or(schema.0);
    let mut new = connect::memory()?;
    migrations::migrate(&mut new, Schema(steps))?;
    let expected = objects(&new)?;
    let is_statistics = |kind: &str, name: &str, sql: &str| kind == "table" && STATISTICS.contains(&(name, sql));
    let mut planted = Vec::new();
    for ((kind, name), sql) in objects(connection)? {
        let article = if kind.starts_with('i') { "an" } else { "a" };
        let words = match expected.get(&(kind.clone(), name.clone())) {
            Some(expected) if normalized(expected) == normalized(&sql) => continue,
            Some(_) => format!("a changed {kind} {name:?}"),
            None if is_statistics(&kind, &name, &sql) => continue,
            None => format!("{article} {kind} {name:?}"),
        };
        // What acts by itself comes first.
        planted.push((matches!(kind.as_str(), "table" | "index"), words));
    }
    planted.sort();
    Ok(planted.into_iter().take(MOST_NAMED).map(|(_, words)| words).collect())
}
