//! The batches of a world: they begin, get rows over hours, and are listed.
//!
//! Invariant: no row without its entry in the oracle.

use vendor_simulator::{NewRow, STATUSES};

use crate::oracle::{Batch, Row};
use crate::plan::Trouble;
use crate::world::World;

/// A batch that still gets rows.
#[derive(Clone, Debug)]
pub struct Growing {
    pub id: String,
    left: u32,
    webhook: bool,
}

impl World {
    pub fn begin_batch(&mut self) {
        let listed = self.rng.u32(..4) > 0;
        let id = self.new_batch(false);
        let webhook = self.plan.has(Trouble::Webhooks) && self.rng.bool();
        if listed || !webhook {
            self.list(&id);
            if self.plan.has(Trouble::RequestLimits) && self.rng.u32(..4) == 0 {
                self.starve();
            }
            self.write_ids();
        }
        let rows = self.rng.u32(1..30);
        let first = self.rng.u32(0..=rows);
        if first > 0 {
            self.add_rows(&id, first, self.vendors.now().timestamp());
        }
        self.growing.push(Growing { id, left: rows - first, webhook });
    }

    pub fn new_batch(&mut self, old: bool) -> String {
        let id = self.vendors.new_batch(None, false, ["customer_ref", ""][self.rng.usize(..2)], Vec::new());
        let begun = self.time.ms();
        self.network.state().oracle.batches.insert(id.clone(), Batch { begun, ..Batch::default() });
        self.say(|| format!("batch {id}{}", if old { " of old" } else { "" }));
        id
    }

    pub fn list(&mut self, id: &str) {
        self.standing.listed.push(id.to_owned());
        if let Some(batch) = self.network.state().oracle.batches.get_mut(id) {
            batch.listed = true;
        }
    }

    pub fn write_ids(&mut self) {
        std::fs::write(self.ids_file(), self.standing.listed.join("\n") + "\n").unwrap();
        if let Some(exporter) = &self.exporter {
            exporter.read_files();
        }
    }

    /// Rows of now, in one piece.
    pub fn add_rows(&mut self, id: &str, count: u32, at: i64) {
        let mut rows = Vec::new();
        for _ in 0..count {
            let status = match self.rng.u32(..10) {
                0..6 => "SUCCESS",
                9 => "SOMETHING_NEW",
                _ => STATUSES[self.rng.usize(..STATUSES.len())],
            };
            let institution = format!("Bank {}", self.rng.u32(..8));
            let mut row = NewRow::failed(&institution, status);
            row.balance_cents = (status == "SUCCESS").then(|| self.rng.i64(-20_000..5_000_000));
            row.by_dashboard = self.rng.u32(..5) == 0;
            row.at = Some(at);
            // A row from the far future must not keep its batch open.
            if self.rng.u32(..400) == 0 {
                row.at = Some(253_370_764_800);
            }
            rows.push(row);
        }
        let broken: Vec<bool> = rows.iter().map(|_| self.rng.u32(..60) == 0).collect();
        let (ms, settle) = (self.time.ms(), i64::try_from(self.plan.settle_after).unwrap() * 1_000);
        let mut state = self.network.state();
        let batch = state.oracle.batches.entry(id.to_owned()).or_default();
        // After 30 days without a row nobody looks any more.
        batch.uncertain |= match batch.rows.iter().any(|row| !row.broken) {
            true => ms - batch.last_row > settle * 3 / 4,
            false => ms - batch.begun > 28 * 86_400_000,
        };
        batch.last_row = ms;
        let first = batch.rows.len();
        batch.rows.extend(rows.iter().zip(&broken).map(|(row, broken)| Row {
            status: row.status.clone(),
            institution: row.institution.clone(),
            balance_cents: row.balance_cents,
            broken: *broken,
            at: row.at.unwrap(),
        }));
        drop(state);
        for (place, _) in broken.iter().enumerate().filter(|(_, broken)| **broken) {
            self.vendors.break_row(id, first + place);
        }
        self.vendors.add_rows(id, rows);
    }

    /// Batches that are under way get rows at each step.
    pub fn grow(&mut self) {
        let at = self.vendors.now().timestamp();
        for mut batch in std::mem::take(&mut self.growing) {
            if batch.left > 0 {
                let rows = self.rng.u32(0..=batch.left);
                if rows > 0 {
                    self.add_rows(&batch.id, rows, at);
                    self.say(|| format!("{rows} rows for {}", batch.id));
                }
                batch.left -= rows;
            }
            if batch.left > 0 {
                self.growing.push(batch);
            } else if batch.webhook {
                let event = self.uuid();
                self.standing.events.push((event, batch.id.parse().unwrap()));
            }
        }
    }
}
