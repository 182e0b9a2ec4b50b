//! Which batches exist.
//!
//! Flows in: ids from the environment, from a file and from the webhook. Flows out: the merged list, and notice of what
//! the webhook said. Invariant: a webhook's id is durable before it is acknowledged; ids that the vendor has not yet
//! confirmed are bounded.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use moka::sync::Cache;
use uuid::Uuid;

use super::batches::batch::{Batch, BatchState};
use super::batches::table::Noted;
use super::{RightfootView, WebhookView, ids_file};
use crate::clock::Moment;
use crate::poll::account_storage::AccountStorage;
use crate::poll::attempts::Wake;

/// Ids that came by webhook and that the vendor has never answered for: a leaked secret fills no more than this.
const MOST_UNCONFIRMED: usize = 1_000;

/// Events that are known again when they are sent again. The vendor retries for half an hour, and a forgotten one only
/// counts as accepted once more: what it says about the batch is known already.
const REMEMBERED_EVENTS: u64 = 10_000;

/// The list of batches.
pub struct BatchList {
    storage: Arc<AccountStorage>,
    wake: Wake,
    events: Cache<Uuid, ()>,
    state: Mutex<ListState>,
    file: Option<PathBuf>,
}

#[derive(Default)]
struct ListState {
    fixed: Vec<Uuid>,
    from_file: Vec<Uuid>,
    bad_lines: Vec<usize>,
    unreadable: bool,
    version: u64,
    /// Said to be complete since the poll last looked; durable already.
    completed: Vec<(Uuid, Moment)>,
    unconfirmed: HashSet<Uuid>,
    /// Whether the log says that there is no room for more of them.
    full: bool,
}

impl BatchList {
    /// The list as configured; the file was read when the configuration was checked.
    #[must_use]
    pub fn new(storage: Arc<AccountStorage>, wake: Wake, fixed: Vec<Uuid>, file: Option<PathBuf>) -> BatchList {
        let state = Mutex::new(ListState { fixed, version: 1, ..ListState::default() });
        let batch_list = BatchList { storage, wake, events: Cache::new(REMEMBERED_EVENTS), state, file };
        batch_list.read_file();
        batch_list
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ListState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file again. Returns whether it could be read; a bad one keeps the old list.
    pub fn read_file(&self) -> bool {
        let Some(path) = &self.file else { return true };
        let read = ids_file::read(path);
        let mut state = self.lock();
        match read {
            Ok(found) => {
                if !found.bad_lines.is_empty() && found.bad_lines != state.bad_lines {
                    let lines: Vec<String> = found.bad_lines.iter().take(20).map(ToString::to_string).collect();
                    tracing::warn!(
                        file = %path.display(),
                        lines = lines.join(", "),
                        count = found.bad_lines.len(),
                        "RIGHTFOOT_BATCH_IDS_FILE has lines that are not a UUID: they are skipped"
                    );
                }
                state.bad_lines = found.bad_lines;
                state.unreadable = false;
                if state.from_file != found.ids {
                    state.from_file = found.ids;
                    state.version += 1;
                    self.wake.wake();
                }
                true
            }
            Err(error) => {
                if !state.unreadable {
                    tracing::warn!(error = %error, "RIGHTFOOT_BATCH_IDS_FILE cannot be read: the previous list stays in use");
                }
                state.unreadable = true;
                false
            }
        }
    }

    /// The listed ids, if the list has changed since `seen`, and the list's version.
    #[must_use]
    pub fn listed(&self, seen: u64) -> Option<(BTreeSet<Uuid>, u64)> {
        let state = self.lock();
        (state.version != seen).then(|| (state.fixed.iter().chain(&state.from_file).copied().collect(), state.version))
    }

    /// What the webhook has said and the poll has not taken yet.
    #[must_use]
    pub fn completed(&self) -> Vec<(Uuid, Moment)> {
        self.lock().completed.clone()
    }

    /// The first so many of [`BatchList::completed`] were taken.
    pub fn completed_were_taken(&self, count: usize) {
        self.lock().completed.drain(..count);
    }

    /// Which webhook ids the vendor has not confirmed, as the poll knows them.
    pub fn set_unconfirmed(&self, ids: impl IntoIterator<Item = Uuid>) {
        let mut state = self.lock();
        let waiting: Vec<Uuid> = state.completed.iter().map(|(id, _)| *id).collect();
        state.unconfirmed = ids.into_iter().chain(waiting).collect();
    }

    /// Counts an event of the webhook.
    pub(super) fn count(&self, change: impl FnOnce(&mut WebhookView)) {
        self.storage.update(|account| {
            account.update_facts::<RightfootView>(|view| change(view.webhook.get_or_insert_default()));
        });
    }

    /// Takes word that a batch is complete. `None` if that could not be made durable.
    pub(super) async fn notice(&self, event: Uuid, batch: Uuid) -> Option<Noticed> {
        if self.events.contains_key(&event) {
            self.count(|view| view.duplicate += 1);
            return Some(Noticed::Taken);
        }
        let (account, now) = (self.storage.account, self.storage.clock.moment());
        let room = {
            let state = self.lock();
            state.unconfirmed.len() < MOST_UNCONFIRMED || state.unconfirmed.contains(&batch)
        };
        let noted = self.storage.work("webhook", move |store| store.note_completed(account, batch, room, now)).await?;
        let was_full = std::mem::replace(&mut self.lock().full, noted == Noted::NoRoom);
        if noted == Noted::NoRoom {
            if !was_full {
                tracing::warn!(
                    account = self.storage.name,
                    "too many webhook ids wait for the vendor's confirmation: check who knows the webhook's secret"
                );
            }
            self.count(|view| view.ignored += 1);
            return Some(Noticed::Full);
        }
        self.events.insert(event, ());
        self.count(|view| view.accepted += 1);
        if noted == Noted::New {
            let mut state = self.lock();
            state.unconfirmed.insert(batch);
            state.completed.push((batch, now));
            drop(state);
            self.wake.wake();
        }
        Some(Noticed::Taken)
    }
}

/// What became of word that a batch is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noticed {
    /// It is durable, now or before.
    Taken,
    /// Too many ids wait for the vendor's confirmation.
    Full,
}

/// Whether a batch holds one of the places of unconfirmed webhook ids.
#[must_use]
pub(super) fn is_unconfirmed(batch: &Batch) -> bool {
    batch.by_webhook && !batch.confirmed && batch.state != BatchState::Settled && batch.next_look.is_some()
}
