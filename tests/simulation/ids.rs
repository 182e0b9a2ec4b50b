//! What is done to the id list, and what comes by the webhook.
//!
//! Invariant: a batch that may settle before its time, or in part, is marked in the oracle.

use std::time::Duration;
use wallet_exporter::poll::webhook_sink::Received;

use wallet_exporter::store::{StorageFault, StorageFaultKind};

use crate::plan::Trouble;
use crate::world::World;

impl World {
    pub fn edit_list(&mut self) {
        match self.rng.u32(..24) {
            0 if !self.standing.listed.is_empty() => {
                let place = self.rng.usize(..self.standing.listed.len());
                let id = self.standing.listed.swap_remove(place);
                self.say(|| format!("{id} leaves the list"));
                if let Some(batch) = self.network.state().oracle.batches.get_mut(&id) {
                    batch.uncertain = true;
                }
                self.standing.removed.push(id);
            }
            1 | 2 if !self.standing.removed.is_empty() => {
                let place = self.rng.usize(..self.standing.removed.len());
                let id = self.standing.removed.swap_remove(place);
                self.say(|| format!("{id} returns to the list"));
                self.list(&id);
            }
            3 => {
                let count = [1, 3, 300][self.rng.usize(..3)];
                for _ in 0..count {
                    let id = self.unknown_id();
                    self.list(&id.to_string());
                }
                self.say(|| format!("{count} wrong ids are listed"));
            }
            4 => {
                let own = self.network.state().oracle.batches.keys().cloned().collect::<Vec<_>>();
                self.standing.listed.retain(|id| own.contains(id));
                self.say(|| "wrong ids leave the list".to_owned());
            }
            5 => {
                let id = self.vendors.foreign_batch();
                self.standing.unknown.push((id.clone(), self.time.ms()));
                self.list(&id);
            }
            6 if !self.standing.listed.is_empty() => {
                let id = self.standing.listed[self.rng.usize(..self.standing.listed.len())].clone();
                let status = [None, Some(403), Some(500)][self.rng.usize(..3)];
                self.say(|| format!("the vendor answers {status:?} for {id}"));
                self.vendors.refuse_batch(&id, status);
                if let Some(batch) = self.network.state().oracle.batches.get_mut(&id) {
                    batch.uncertain = true;
                }
            }
            _ => return,
        }
        self.write_ids();
        self.checks.disturbed(self.time.ms());
    }

    /// The vendor allows fewer requests than the next pass needs: a wrong id has what is due asked for in parts.
    pub fn starve(&mut self) {
        let id = self.unknown_id();
        self.list(&id.to_string());
        let limit = self.rng.u32(2..5);
        self.say(|| format!("{id} is wrong, and the checks are limited to {limit} requests a minute"));
        self.network.state().conditions.checks_limit = Some((limit, Some("240".to_owned())));
        self.checks.disturbed(self.time.ms());
    }

    fn unknown_id(&mut self) -> uuid::Uuid {
        let id = self.uuid();
        self.standing.unknown.push((id.to_string(), self.time.ms()));
        id
    }

    pub async fn webhook(&mut self) {
        if let Some((event, batch)) = self.standing.events.pop() {
            self.tell(event, batch).await;
        }
        if self.rng.u32(..16) != 0 {
            return;
        }
        let known: Vec<String> = self.network.state().oracle.batches.keys().cloned().collect();
        let event = self.uuid();
        let batch = match self.rng.u32(..3) {
            0 => self.unknown_id(),
            _ if known.is_empty() => self.unknown_id(),
            _ => known[self.rng.usize(..known.len())].parse().unwrap(),
        };
        self.may_settle_early(batch);
        self.tell(event, batch).await;
        if self.rng.bool() {
            self.tell(event, batch).await;
        }
    }

    /// Who is said to be complete while it grows may settle before its time.
    fn may_settle_early(&mut self, batch: uuid::Uuid) {
        let id = batch.to_string();
        if self.growing.iter().any(|growing| growing.id == id)
            && let Some(batch) = self.network.state().oracle.batches.get_mut(&id)
        {
            batch.uncertain = true;
        }
    }

    /// A webhook for a batch while an answer about it is being kept.
    pub async fn announced(&mut self) {
        let announced = self.network.state().announced.take();
        if let Some(batch) = announced.and_then(|id| id.parse().ok()) {
            let event = self.uuid();
            self.may_settle_early(batch);
            self.tell(event, batch).await;
        }
    }

    async fn tell(&mut self, event: uuid::Uuid, batch: uuid::Uuid) {
        // Not while a base line is awaited: whether it was written could not be told.
        let marks = &self.checks.marks;
        let counting = !marks.money_base.is_empty() && !marks.cards_base.is_empty() && marks.checks_first.is_some();
        let glitch =
            counting && self.plan.has(Trouble::Storage) && self.storage_fault.is_none() && self.rng.u32(..4) == 0;
        let Some(exporter) = &self.exporter else { return };
        let sink = exporter.webhook_sink();
        let body = format!(r#"{{"type":"BALANCE_BATCH_COMPLETED","event_uuid":"{event}","batch_id":"{batch}"}}"#);
        let completed = sink.receive(body.as_bytes());
        let outcome = if glitch {
            // The storage fails for just as long as one call takes.
            exporter.set_fault(Some(StorageFault { skip: 0, kind: StorageFaultKind::Io }));
            let works_again = async {
                tokio::time::sleep(Duration::from_millis(7)).await;
                exporter.set_fault(None);
            };
            tokio::join!(completed, works_again).0
        } else {
            completed.await
        };
        if glitch {
            self.checks.storage_changed(self.time.ms());
        }
        self.say(|| format!("webhook for {batch}: {outcome:?}"));
        if matches!(outcome, Received::Later(text) if text.contains("stored")) {
            self.standing.events.push((event, batch));
        }
    }
}
