//! The exposition of the running service.
//!
//! Flows in: snapshots, registries, scrapes. Flows out: text, rendered when it is scraped and kept until it changes.
//! Invariant: what is kept is served only while the snapshot is the same, nothing in it has ended (an age, the vendor's
//! midnight) and the wall clock was not set; that is checked by each scrape, so no timer renders.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::encode::{Encoder, Format, end};
use super::families::{self, WriteFamilies};
use super::instruments::write_instruments;
use super::process;
use super::rendered::Rendered;
use crate::clock::{BootTime, Moment, SharedClock};
use crate::counting::zero_start::dated;
use crate::instruments::ProcessInstruments;
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
    rendered: BTreeMap<Format, Arc<Rendered>>,
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
        let Kept { snapshot, rendered, .. } = kept;
        let rendered = rendered.entry(format).or_insert_with(|| {
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
        let process = names.contains(&"").then_some((&*self.process, snapshot.started_at));
        let mut out = Encoder::new(format);
        self.write_accounts(&mut out, &part, now);
        if process.is_some() {
            families::write_exporter(&mut out, &part, now);
            process::write(&mut out, dated(snapshot.started_at, now));
        }
        write_instruments(&mut out, process, &instruments, now);
        Some(out.into_bytes())
    }

    /// What changes from one scrape to the next, and the end of the exposition.
    #[must_use]
    pub fn gathered(&self, format: Format) -> Vec<u8> {
        let mut out = Encoder::new(format);
        let (snapshot, now) = (self.cell.current(), self.clock.moment());
        self.write_instruments(&mut out, &snapshot, now);
        process::write(&mut out, dated(snapshot.started_at, now));
        let mut last = out.into_bytes();
        last.extend_from_slice(end(format).as_bytes());
        last
    }

    fn write_instruments(&self, out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
        let accounts: Vec<_> = snapshot.accounts.iter().map(|view| Arc::clone(&view.instruments)).collect();
        write_instruments(out, Some((&self.process, snapshot.started_at)), &accounts, now);
    }

    /// Everything but what belongs to the process itself and its server.
    #[must_use]
    pub fn to_bytes(&self, format: Format) -> Vec<u8> {
        let mut out = Encoder::new(format);
        self.write_instruments(&mut out, &self.cell.current(), self.clock.moment());
        [self.rendered(format).plain(), &out.into_bytes(), end(format).as_bytes()].concat()
    }

    /// The same as text 0.0.4.
    #[must_use]
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.to_bytes(Format::Text)).into_owned()
    }
}

impl Kept {
    fn new(snapshot: Arc<Snapshot>, at: Moment) -> Kept {
        Kept { expires: snapshot.expires(at.boot), snapshot, at, rendered: BTreeMap::new() }
    }

    fn holds(&self, snapshot: &Arc<Snapshot>, now: Moment) -> bool {
        Arc::ptr_eq(&self.snapshot, snapshot)
            && self.expires.is_none_or(|expires| now.boot < expires)
            && self.at.by_clock_of(now) == self.at.wall
    }
}
