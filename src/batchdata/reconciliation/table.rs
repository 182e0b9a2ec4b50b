//! The reconciliation on disk.

use std::time::Duration;

use super::{BalancePoll, Compared, Level, Offset, Reconciliation};
use crate::clock::{BootTime, Moment};
use crate::money::Usd;
use crate::store::{AccountId, Row, Store, StoreError, Success, moment_from, values};

/// The key of the balance among the series.
pub const BALANCE_SERIES: &str = "balance";

/// A poll of the balance.
#[derive(Clone, Debug)]
pub struct BalanceCommit {
    /// The success that goes with it.
    pub success: Success,
    /// The poll, and the number of the oldest that is still of use; where balances are compared with a report.
    pub poll: Option<(BalancePoll, i64)>,
    /// What comparisons have shown.
    pub compared: Option<Compared>,
}

/// Levels as text: `unreconciled lowest highest`, separated by commas.
fn write_levels(levels: &[Level]) -> String {
    let level = |level: &Level| format!("{} {} {}", level.unreconciled, level.offset.lowest, level.offset.highest);
    levels.iter().map(level).collect::<Vec<_>>().join(",")
}

fn read_levels(text: &str) -> Option<Vec<Level>> {
    let level = |text: &str| {
        let mut amounts = text.split(' ').map(Usd::stored);
        let mut amount = || amounts.next()?;
        let (unreconciled, lowest, highest) = (amount()?, amount()?, amount()?);
        (lowest <= highest).then_some(Level { unreconciled, offset: Offset { lowest, highest } })
    };
    text.split(',').filter(|text| !text.is_empty()).map(level).collect()
}

impl Store {
    /// The reconciliation of the previous run, seen from `now`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn reconciliation(
        &self,
        account: AccountId,
        lag: Duration,
        now: Moment,
        boot_id: &str,
    ) -> Result<Reconciliation, StoreError> {
        self.read(|reader| {
            let moment = |row: &Row<'_>, column| -> Result<Option<Moment>, StoreError> {
                let boot = (row.text(column + 1)?.to_owned(), BootTime::from_nanos(row.integer(column + 2)?));
                Ok(moment_from(row.time(column)?, Some(&boot), now, boot_id))
            };
            let polls: Vec<Option<BalancePoll>> = reader.rows(
                "balance_poll",
                "SELECT number, balance_usd, polled_at, boot_id, boot_time FROM balance_poll
                 WHERE account = ?1 ORDER BY number",
                values![account],
                |row| {
                    let (number, balance) = (row.integer(0)?, row.usd(1)?);
                    Ok(moment(row, 2)?.map(|at| BalancePoll { number, at: at.boot, balance }))
                },
            )?;
            let compared = reader.row(
                "reconciliation",
                "SELECT lowest_offset_usd, highest_offset_usd, unreconciled_usd, compared_at, boot_id, boot_time, levels
                 FROM reconciliation WHERE account = ?1",
                values![account],
                |row| {
                    let offset = Offset { lowest: row.usd(0)?, highest: row.usd(1)? };
                    if offset.lowest > offset.highest {
                        return Err(row.unreadable());
                    }
                    let zero = Level { unreconciled: Usd::ZERO, offset };
                    let others = match (row.optional(6, read_levels)?, row.usd(2)?) {
                        (Some(others), _) => others,
                        (None, unreconciled) if unreconciled.is_zero() => Vec::new(),
                        // An older version kept only what was shown.
                        (None, unreconciled) => vec![zero.moved(unreconciled)],
                    };
                    let levels = [zero].into_iter().chain(others).collect();
                    Ok(Compared { levels, report: moment(row, 3)? })
                },
            )?;
            Ok(Reconciliation::restored(lag, polls, compared))
        })
    }

    /// Writes a poll of the balance.
    ///
    /// # Errors
    /// If it cannot be written; then nothing was.
    pub fn commit_balance(&self, commit: &BalanceCommit) -> Result<(), StoreError> {
        let BalanceCommit { success, poll, compared } = commit;
        let boot_id = success.boot_id.as_str();
        self.write(|writer| {
            if let Some((poll, oldest)) = poll {
                writer.execute(
                    "DELETE FROM balance_poll WHERE account = ?1 AND (number < ?2 OR number >= ?3)",
                    values![success.account, *oldest, poll.number],
                )?;
                writer.execute(
                    "INSERT INTO balance_poll (account, number, balance_usd, polled_at, boot_id, boot_time)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    values![
                        success.account,
                        poll.number,
                        poll.balance,
                        success.at.map(|at| at.wall),
                        boot_id,
                        poll.at.as_nanos()
                    ],
                )?;
            }
            if let Some(compared) = compared
                && let (Some(report), [zero, others @ ..]) = (compared.report, compared.levels.as_slice())
            {
                writer.execute(
                    "INSERT INTO reconciliation (account, lowest_offset_usd, highest_offset_usd, unreconciled_usd,
                     compared_at, boot_id, boot_time, levels) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                     ON CONFLICT (account) DO UPDATE SET lowest_offset_usd = excluded.lowest_offset_usd,
                     highest_offset_usd = excluded.highest_offset_usd, unreconciled_usd = excluded.unreconciled_usd,
                     compared_at = excluded.compared_at, boot_id = excluded.boot_id, boot_time = excluded.boot_time,
                     levels = excluded.levels",
                    values![
                        success.account,
                        zero.offset.lowest,
                        zero.offset.highest,
                        compared.unreconciled(),
                        report.wall,
                        boot_id,
                        report.boot.as_nanos(),
                        write_levels(others)
                    ],
                )?;
            }
            // A gauge needs no zero, but an export must know from when on it was served.
            writer.add_series(success.account, &[(BALANCE_SERIES.to_owned(), success.at, true)])?;
            writer.succeed(success)
        })
    }
}
