//! The last good answer of each source, and from when on its counters count.

use chrono::{DateTime, Utc};

use super::sql::{Reader, Writer, values};
use super::{AccountId, Store, StoreError, Success};
use crate::clock::{BootTime, Moment};
use crate::names::Source;

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

/// A stored moment seen from `now`. Its age is by the boot clock where that still counts from the same boot, else by the
/// wall clock. `None` if it lies in the future: then its age cannot be told.
#[must_use]
pub fn moment_from(
    wall: DateTime<Utc>,
    boot: Option<&(String, BootTime)>,
    now: Moment,
    boot_id: &str,
) -> Option<Moment> {
    match boot {
        Some((id, boot)) if !boot_id.is_empty() && id == boot_id => {
            (*boot <= now.boot).then_some(Moment { wall, boot: *boot })
        }
        _ => (wall <= now.wall).then(|| now.at_wall(wall)),
    }
}

impl StoredSource {
    /// The last success seen from `now`; `None` if there was none, or its age cannot be told.
    #[must_use]
    pub fn last_success(&self, now: Moment, boot_id: &str) -> Option<Moment> {
        moment_from(self.last_success?, self.boot.as_ref(), now, boot_id)
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
        self.read(|reader| reader.source(account, source))
    }

    /// Writes a success that brought nothing but its answer.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn succeed(&self, success: &Success) -> Result<(), StoreError> {
        self.write(|writer| writer.succeed(success))
    }
}

impl Reader<'_> {
    /// What is known of a source.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn source(&self, account: AccountId, source: Source) -> Result<Option<StoredSource>, StoreError> {
        self.row(
            "source",
            "SELECT last_success, count_since, configured_since, answer, boot_id, boot_time FROM source
             WHERE account = ?1 AND source = ?2",
            values![account, source.name],
            |row| {
                let boot = row.optional_text(4)?.map(str::to_owned).zip(row.optional_integer(5)?);
                Ok(StoredSource {
                    last_success: row.optional_time(0)?,
                    boot: boot.map(|(id, nanos)| (id, BootTime::from_nanos(nanos))),
                    count_since: row.time(1)?,
                    configured_since: row.optional_text(2)?.map(str::to_owned),
                    answer: row.optional_text(3)?.map(str::to_owned),
                })
            },
        )
    }
}

impl Writer<'_> {
    /// Writes a success, in the transaction of what it brought.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn succeed(&self, success: &Success) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO source (account, source, last_success, count_since, configured_since, answer, boot_id, boot_time)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (account, source) DO UPDATE SET last_success = coalesce(excluded.last_success, last_success),
             count_since = excluded.count_since, answer = excluded.answer,
             boot_id = coalesce(excluded.boot_id, boot_id), boot_time = coalesce(excluded.boot_time, boot_time)",
            values![
                success.account,
                success.source.name,
                success.at.map(|at| at.wall),
                success.count_since,
                success.configured_since.as_deref(),
                success.answer.as_deref(),
                success.at.map(|_| success.boot_id.as_str()),
                success.at.map(|at| at.boot.as_nanos()),
            ],
        )
    }
}
