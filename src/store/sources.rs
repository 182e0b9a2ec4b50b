//! The last good answer of each source, and from when on its counters count.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, Transaction};

use super::{AccountId, Store, StoreError, Success, text};
use crate::clock::{BootTime, Moment};
use crate::vendor::Source;

/// What the previous run knew of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSource {
    /// Its last success; `None` if there was none yet.
    pub last_success: Option<DateTime<Utc>>,
    /// The same on the boot clock, and which boot that was.
    pub boot: Option<(String, BootTime)>,
    /// From when on its counters count.
    pub count_since: DateTime<Utc>,
    /// `*_COUNT_SINCE` as it was configured when counting began.
    pub configured_since: Option<String>,
    /// The last good answer, where it has no tables of its own.
    pub answer: Option<String>,
}

impl StoredSource {
    /// The last success seen from `now`. Its age is by the boot clock where that still counts from the same boot, else by
    /// the wall clock. `None` if there was none, or it lies in the future: then its age cannot be told.
    #[must_use]
    pub fn last_success(&self, now: Moment, boot_id: &str) -> Option<Moment> {
        let wall = self.last_success?;
        match &self.boot {
            Some((id, boot)) if !boot_id.is_empty() && id == boot_id => {
                (*boot <= now.boot).then_some(Moment { wall, boot: *boot })
            }
            _ => (wall <= now.wall).then(|| now.at_wall(wall)),
        }
    }

    /// The boot clock's time of `count_since`, if that was written by this machine's clock since the boot of that name.
    #[must_use]
    pub fn count_since_boot(&self, boot_id: &str) -> Option<BootTime> {
        let (_, boot) = self.boot.as_ref().filter(|(id, _)| !boot_id.is_empty() && id == boot_id)?;
        Some(boot.shifted(self.count_since - self.last_success?))
    }
}

impl Store {
    /// What the previous run knew of a source.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn source(&self, account: AccountId, source: Source) -> Result<Option<StoredSource>, StoreError> {
        self.read(|connection| {
            let row = connection
                .prepare_cached(
                    "SELECT last_success, count_since, configured_since, answer, boot_id, boot_time FROM source
                     WHERE account = ?1 AND source = ?2",
                )?
                .query_row((account.0, source.as_str()), |row| {
                    let boot = (row.get::<_, Option<String>>(4)?, row.get::<_, Option<i64>>(5)?);
                    let times = (row.get::<_, Option<String>>(0)?, row.get::<_, String>(1)?);
                    Ok((times, row.get(2)?, row.get(3)?, boot))
                })
                .optional()?;
            row.map(|((last_success, count_since), configured_since, answer, boot)| {
                let boot = match boot {
                    (Some(id), Some(nanos)) => Some((id, BootTime::from_nanos(nanos))),
                    _ => None,
                };
                Ok(StoredSource {
                    last_success: text::read_optional_time("source", last_success)?,
                    boot,
                    count_since: text::read_time("source", &count_since)?,
                    configured_since,
                    answer,
                })
            })
            .transpose()
        })
    }

    /// Writes a success that brought nothing but its answer.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn succeed(&self, success: &Success) -> Result<(), StoreError> {
        self.write(|tx| write(tx, success))
    }
}

pub(super) fn write(tx: &Transaction<'_>, success: &Success) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO source (account, source, last_success, count_since, configured_since, answer, boot_id, boot_time)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (account, source) DO UPDATE SET last_success = coalesce(excluded.last_success, last_success),
         count_since = excluded.count_since, answer = excluded.answer,
         boot_id = coalesce(excluded.boot_id, boot_id), boot_time = coalesce(excluded.boot_time, boot_time)",
    )?
    .execute((
        success.account.0,
        success.source.as_str(),
        success.at.map(|at| text::time(at.wall)),
        text::time(success.count_since),
        &success.configured_since,
        &success.answer,
        success.at.map(|_| &success.boot_id),
        success.at.map(|at| at.boot.as_nanos()),
    ))?;
    Ok(())
}
