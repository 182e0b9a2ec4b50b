//! The exposition of the running service.
//!
//! Flows in: snapshots, registries, scrapes. Flows out: text, rendered when it is scraped and kept until it changes.
//! Invariant: what is kept is served only while the snapshot is the same, nothing in it has ended (an age, the vendor's
//! midnight) and the wall clock was not set; that is checked by each scrape, so no timer renders.

use std::sync::{Arc, Mutex, PoisonError};

use super::encode::{Encoder, Format, end};
use super::families::{self, WriteFamilies};
use super::instruments::write_instruments;
use super::process;
use super::rendered::Rendered;
use crate::clock::{BootTime, Moment, SharedClock};
use crate::instruments::{AccountInstruments, ProcessInstruments};
use crate::snapshot::{Snapshot, SnapshotCell};

/// Renders the current snapshot.
pub struct Exposition {
    clock: SharedClock,
    cell: Arc<SnapshotCell>,
    process: Arc<ProcessInstruments>,
    of_vendors: Vec<WriteFamilies>,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    snapshot: Arc<Snapshot>,
    at: Moment,
    expires: Option<BootTime>,
    text: Option<Arc<Rendered>>,
    openmetrics: Option<Arc<Rendered>>,
}

impl Exposition {
    /// Of the snapshots that `cell` holds. `of_vendors` write the families of each vendor, in this order.
    #[must_use]
    pub fn new(
        clock: SharedClock,
        cell: Arc<SnapshotCell>,
        process: Arc<ProcessInstruments>,
        of_vendors: Vec<WriteFamilies>,
    ) -> Exposition {
        Exposition { clock, cell, process, of_vendors, kept: Mutex::default() }
    }

    /// The families of the current snapshot.
    #[must_use]
    pub fn rendered(&self, format: Format) -> Arc<Rendered> {
        // Held while rendering: scrapes at the same time render once. A panic left nothing half written.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that a slower scrape never puts an older snapshot back.
        let (snapshot, now) = (self.cell.current(), self.clock.moment());
        let kept = match &mut *kept {
            Some(kept) if kept.holds(&snapshot, now) => kept,
            stale => stale.insert(Kept::new(snapshot, now)),
        };
        let Kept { snapshot, text, openmetrics, .. } = kept;
        let slot = match format {
            Format::Text => text,
            Format::OpenMetrics => openmetrics,
        };
        let rendered = slot.get_or_insert_with(|| {
            let mut out = Encoder::new(format);
            self.write_accounts(&mut out, snapshot, now);
            families::write_exporter(&mut out, snapshot, now);
            Arc::new(Rendered::new(out.into_bytes()))
        });
        Arc::clone(rendered)
    }

    fn write_accounts(&self, out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
        for write in &self.of_vendors {
            write(out, snapshot, now);
        }
        families::write_accounts(out, snapshot, now);
    }

    /// A part of the exposition without its end: what has one of these account names, and, for the empty name, what has
    /// none. `None` if an account is not configured.
    #[must_use]
    pub fn slice(&self, format: Format, names: &[&str]) -> Option<Vec<u8>> {
        let (snapshot, now) = (self.cell.current(), self.clock.moment());
        let known = |name: &&str| name.is_empty() || snapshot.accounts.iter().any(|account| account.name() == *name);
        if !names.iter().all(known) {
            return None;
        }
        let mut part = Snapshot::clone(&snapshot);
        part.accounts.retain(|account| names.contains(&account.name()));
        let instruments: Vec<_> = part.accounts.iter().map(|view| Arc::clone(&view.instruments)).collect();
        let process = names.contains(&"").then_some(&*self.process);
        let mut out = Encoder::new(format);
        self.write_accounts(&mut out, &part, now);
        if process.is_some() {
            families::write_exporter(&mut out, &part, now);
            process::write(&mut out);
        }
        write_instruments(&mut out, process, &instruments);
        Some(out.into_bytes())
    }

    /// The instruments of all accounts.
    #[must_use]
    pub fn accounts(&self) -> Vec<Arc<AccountInstruments>> {
        self.cell.current().accounts.iter().map(|view| Arc::clone(&view.instruments)).collect()
    }

    /// Everything but what belongs to the process itself and its server.
    #[must_use]
    pub fn to_text(&self, format: Format) -> String {
        let mut out = Encoder::new(format);
        write_instruments(&mut out, Some(&self.process), &self.accounts());
        let parts = [self.rendered(format).plain(), &out.into_bytes(), end(format).as_bytes()].concat();
        String::from_utf8_lossy(&parts).into_owned()
    }
}

impl Kept {
    fn new(snapshot: Arc<Snapshot>, at: Moment) -> Kept {
        Kept { expires: snapshot.expires(at.boot), snapshot, at, text: None, openmetrics: None }
    }

    fn holds(&self, snapshot: &Arc<Snapshot>, now: Moment) -> bool {
        Arc::ptr_eq(&self.snapshot, snapshot)
            && self.expires.is_none_or(|expires| now.boot < expires)
            && self.at.by_clock_of(now) == self.at.wall
    }
}
