//! Which names of institutions the open batches of an account tell apart.
//!
//! Flows in: names as answers are read. Flows out: each name as it is held in memory, if there is room for it. Invariant: a
//! batch keeps the names that its last look told apart, and once one had no room no other name of the batch gets any, so that
//! two looks at the same rows agree whatever the other batches do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::tally::Tally;
use crate::counting::labels::{OTHER, SharedNames};

/// Names of institutions that one batch may tell apart. A batch has at most 5,000 rows by the vendor's own limit; beyond
/// this many names the rest is one, so that no answer can fill the memory.
const MOST_INSTITUTIONS: usize = 1_000;

/// Different names that all batches of an account together may tell apart: twice as many as there are banks in the country.
const MOST_NAMES: usize = 10_000;

/// Institutions of all open batches of an account together, each counted once for every batch that has it.
const MOST_ENTRIES: usize = 100_000;

/// The names of an account.
#[derive(Debug, Default)]
pub struct Names(Mutex<NamesState>);

#[derive(Debug, Default)]
struct NamesState {
    /// Each in memory once.
    names: SharedNames,
    entries: usize,
    batches: BTreeMap<Uuid, KnownBatch>,
}

/// A batch during a pass.
#[derive(Debug, Default)]
struct KnownBatch {
    /// What its last look of an earlier pass showed.
    before: Option<Arc<Tally>>,
    /// Names that the answer being read has beyond that.
    this_answer: usize,
    /// The same of an earlier answer of this pass, which counts if the new one fails.
    earlier_answer: usize,
}

impl NamesState {
    /// Whether there is room for a name of a batch that has so many.
    fn fits_entry(&self, name: &str, of_batch: usize) -> bool {
        of_batch < MOST_INSTITUTIONS && self.entries < MOST_ENTRIES && self.fits_names(&[name])
    }

    /// Whether these names may be in memory, each once.
    fn fits_names(&self, names: &[&str]) -> bool {
        let new = names.iter().filter(|name| **name != OTHER && !self.names.contains(name)).count();
        let known = self.names.count() - usize::from(self.names.contains(OTHER));
        new == 0 || known + new <= MOST_NAMES
    }
}

impl Names {
    /// A pass begins: what the batches show so far.
    pub fn begin<'a>(&self, batches: impl IntoIterator<Item = (Uuid, &'a Arc<Tally>)>) {
        let mut state = self.lock();
        state.names.forget_unused();
        state.batches.clear();
        state.entries = 0;
        for (batch, tally) in batches {
            state.entries += tally.entries();
            state.batches.insert(batch, KnownBatch { before: Some(Arc::clone(tally)), ..KnownBatch::default() });
        }
    }

    /// A pass ends: nothing is held for it any more.
    pub fn end(&self) {
        self.lock().batches.clear();
    }

    /// A tally as it was stored, counted like those of the others: with the names as they are held, or where there is no
    /// room for all of them with none.
    #[must_use]
    pub fn adopt(&self, mut tally: Tally) -> Tally {
        let mut state = self.lock();
        let names: Vec<&str> = tally.institutions.keys().map(AsRef::as_ref).collect();
        if state.entries + tally.entries() > MOST_ENTRIES || !state.fits_names(&names) {
            tally.merge_institutions();
        }
        state.entries += tally.entries();
        let institutions = std::mem::take(&mut tally.institutions);
        tally.institutions = institutions.into_iter().map(|(name, of)| (state.names.share(&name), of)).collect();
        tally
    }

    /// An answer begins that may replace an earlier one of the same pass. Returns which batches have had no room for a name.
    pub(super) fn begin_answer(&self, batches: &[Uuid]) -> BTreeMap<Uuid, bool> {
        let mut state = self.lock();
        let mut overflowed = BTreeMap::new();
        for batch in batches {
            let known = state.batches.entry(*batch).or_default();
            overflowed.insert(*batch, known.before.as_ref().is_some_and(|before| before.overflowed));
            known.earlier_answer = std::mem::take(&mut known.this_answer);
            let earlier = known.earlier_answer;
            state.entries = state.entries.saturating_sub(earlier);
        }
        overflowed
    }

    /// The answer failed: what came before it is there again.
    pub fn give_up_answer(&self, batches: &[Uuid]) {
        let mut state = self.lock();
        for batch in batches {
            let Some(known) = state.batches.get_mut(batch) else { continue };
            let (this, earlier) = (known.this_answer, known.earlier_answer);
            known.this_answer = earlier;
            state.entries = (state.entries + earlier).saturating_sub(this);
        }
    }

    /// The name as it is held, if a batch may tell it apart.
    pub(super) fn allow(&self, batch: Uuid, name: &str) -> Option<Arc<str>> {
        let mut state = self.lock();
        let known = state.batches.get(&batch).filter(|_| name != OTHER)?;
        let (mut of_batch, mut closed) = (known.this_answer, false);
        if let Some(before) = &known.before {
            if let Some((name, _)) = before.institutions.get_key_value(name) {
                return Some(Arc::clone(name));
            }
            of_batch += before.entries();
            closed = before.overflowed;
        }
        if closed || !state.fits_entry(name, of_batch) {
            return None;
        }
        state.entries += 1;
        if let Some(known) = state.batches.get_mut(&batch) {
            known.this_answer += 1;
        }
        Some(state.names.share(name))
    }

    pub(super) fn other(&self) -> Arc<str> {
        self.lock().names.share(OTHER)
    }

    fn lock(&self) -> MutexGuard<'_, NamesState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    use crate::rightfoot::batches::tallies::Tallies;
    use crate::rightfoot::batches::tally::Institution;
    use crate::rightfoot::{CheckRow, CheckStatus, RowSink as _, SubmittedVia};

    /// A look at some batches, each with the rows of these institutions.
    fn look(names: &Arc<Names>, batches: &[u128], institutions: &[String]) -> BTreeMap<Uuid, Arc<Tally>> {
        let ids: Vec<Uuid> = batches.iter().copied().map(Uuid::from_u128).collect();
        let time = DateTime::UNIX_EPOCH;
        let mut answer = Tallies::new(&ids, time, time, Arc::clone(names));
        for batch_id in ids {
            for institution in institutions {
                answer.row(&CheckRow {
                    batch_id,
                    institution,
                    balance: None,
                    status: CheckStatus::Success,
                    via: SubmittedVia::Api,
                    timestamp: time,
                });
            }
        }
        answer.tallies.into_iter().map(|(batch, tally)| (batch, Arc::new(tally))).collect()
    }

    fn banks(numbers: std::ops::Range<usize>) -> Vec<String> {
        numbers.map(|number| format!("bank {number}")).collect()
    }

    fn begin(names: &Names, open: &BTreeMap<Uuid, Arc<Tally>>) {
        names.begin(open.iter().map(|(batch, tally)| (*batch, tally)));
    }

    fn entries(open: &BTreeMap<Uuid, Arc<Tally>>) -> usize {
        open.values().map(|tally| tally.entries()).sum()
    }

    #[test]
    fn different_names_are_bounded_over_all_batches_and_forgotten_with_them() {
        let names = Arc::new(Names::default());
        let mut open = BTreeMap::new();
        for batch in 0..11 {
            let first = batch * 1_000;
            open.extend(look(&names, &[batch as u128], &banks(first..first + 1_000)));
        }
        assert_eq!(entries(&open), MOST_NAMES);
        let last = &open[&Uuid::from_u128(10)];
        assert!(last.overflowed && last.institutions[OTHER].by_status().eq([(CheckStatus::Success, 1_000)]));
        let known = look(&names, &[11], &banks(0..1));
        assert!(known.values().all(|tally| !tally.overflowed), "there is room for a name that is there");
        begin(&names, &BTreeMap::new());
        // With as many names as there may be, a restart takes none away.
        let restored = Names::default();
        assert!(open.values().all(|tally| restored.adopt(Tally::clone(tally)) == **tally));
        drop((open, known));
        begin(&names, &BTreeMap::new());
        let fresh = look(&names, &[12], &banks(20_000..20_001));
        assert!(fresh.values().all(|tally| !tally.overflowed && tally.institutions.contains_key("bank 20000")));
    }

    #[test]
    fn institutions_are_bounded_over_all_open_batches_and_looks_agree() {
        let names = Arc::new(Names::default());
        let (all, some) = (banks(0..1_000), banks(0..600));
        let (many, late): (Vec<u128>, Vec<u128>) = ((0..99).collect(), (99..120).collect());
        let mut open = look(&names, &many, &all);
        open.extend(look(&names, &late, &some));
        // 99,000 of the first, 600 and 400 of two others.
        assert_eq!(entries(&open), MOST_ENTRIES);
        let rows =
            |tally: &Tally| tally.institutions.values().flat_map(Institution::by_status).map(|(_, n)| n).sum::<u64>();
        assert!(open.iter().all(|(batch, tally)| rows(tally) == if batch.as_u128() < 99 { 1_000_u64 } else { 600 }));
        let overflowed = open.values().filter(|tally| tally.overflowed).count();
        assert_eq!(overflowed, 20, "all but the one of those that came late for which there was room");

        // The first have settled: what was counted under which name stays so.
        open.retain(|batch, _| batch.as_u128() >= 99);
        for order in [some.clone(), some.iter().rev().cloned().collect()] {
            begin(&names, &open);
            assert!(look(&names, &late, &order) == open);
        }
        // So it does after a restart.
        let stored: BTreeMap<Uuid, Tally> =
            open.iter().map(|(batch, tally)| (*batch, tally.as_ref().clone())).collect();
        let names = Arc::new(Names::default());
        let restored = stored.into_iter().map(|(batch, tally)| (batch, Arc::new(names.adopt(tally)))).collect();
        assert!(open == restored);
        begin(&names, &restored);
        assert!(look(&names, &late, &some) == open);
        // Another batch has the room now.
        assert!(look(&names, &[200], &all).values().all(|tally| !tally.overflowed));
    }

    #[test]
    fn an_answer_that_is_given_again_or_fails_takes_its_room_once() {
        let names = Arc::new(Names::default());
        let all = banks(0..1_000);
        let many: Vec<u128> = (0..99).collect();
        for _ in 0..3 {
            look(&names, &many, &all);
        }
        let ids: Vec<Uuid> = many.iter().copied().map(Uuid::from_u128).collect();
        look(&names, &[99], &banks(0..100));
        names.give_up_answer(&[Uuid::from_u128(99)]);
        look(&names, &many, &banks(0..1));
        names.give_up_answer(&ids);
        let last = look(&names, &[100, 101], &all);
        assert_eq!(last.values().map(|tally| tally.entries()).collect::<Vec<_>>(), [1_000, 0]);
    }

    #[test]
    fn stored_tallies_beyond_the_bound_keep_their_counts_under_one_name() {
        let names = Arc::new(Names::default());
        let stored = |batch| look(&Arc::default(), &[batch], &banks(0..1_000)).into_values().next().unwrap();
        let restored: Vec<Tally> = (0..101).map(|batch| names.adopt(stored(batch).as_ref().clone())).collect();
        assert!(restored.iter().take(100).all(|tally| !tally.overflowed && tally.entries() == 1_000));
        assert!(restored[100].overflowed && restored[100].entries() == 0);
        assert!(restored[100].institutions[OTHER].by_status().eq([(CheckStatus::Success, 1_000)]));
        let shared = |tally: &Tally| tally.institutions.get_key_value("bank 7").map(|(name, _)| Arc::as_ptr(name));
        assert!(shared(&restored[0]) == shared(&restored[99]), "each name is in memory once");
    }
}
