//! What is done to the id list, and what comes by the webhook.
//!
//! Invariant: a batch that may settle before its time, or in part, is marked in the oracle.

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
        // Whoever is said to be complete while it grows may settle before its time.
        let id = batch.to_string();
        if self.growing.iter().any(|growing| growing.id == id)
            && let Some(batch) = self.network.state().oracle.batches.get_mut(&id)
        {
            batch.uncertain = true;
        }
        self.tell(event, batch).await;
        if self.rng.bool() {
            self.tell(event, batch).await;
        }
    }

    async fn tell(&mut self, event: uuid::Uuid, batch: uuid::Uuid) {
        let Some(life) = &self.life else { return };
        let outcome = life.inbox().completed(event, batch).await;
        self.say(|| format!("webhook for {batch}: {outcome:?}"));
        if outcome.is_err() {
            self.standing.events.push((event, batch));
        }
    }
}
