//! What one batch's results add up to.
//!
//! Flows in: rows as they stream by. Flows out: counts and exact sums, bounded in size. Invariant: the order of the rows
//! does not matter, and nothing of a row but these counts is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use strum::VariantArray as _;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::counting::amounts::AmountHistogram;
use crate::counting::labels::{OTHER, SharedNames, clean};
use crate::money::Usd;
use crate::rightfoot::{CheckRow, CheckStatus, RowReject, RowSink, SubmittedVia};

/// Upper bounds of the balance histogram, in dollars; the last bucket is unbounded.
pub const BOUNDS: [i64; 15] = [0, 1, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000];

/// Names of institutions that one batch may tell apart. A batch has at most 5,000 rows by the vendor's own limit; beyond
/// this many names the rest is one, so that no answer can fill the memory.
const MOST_INSTITUTIONS: usize = 1_000;

/// Different names that all batches of an account together may tell apart: twice as many as there are banks in the country.
const MOST_NAMES: usize = 10_000;

/// Institutions of all open batches of an account together, each counted once for every batch that has it.
const MOST_ENTRIES: usize = 100_000;

/// The institutions that the open batches of an account tell apart: which there is room for. Invariant: a batch keeps the
/// names that its last look told apart, and once one had no room no other name of the batch gets any, so that two looks
/// at the same rows agree whatever the other batches do.
#[derive(Debug, Default)]
pub struct Names(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    /// Each in memory once.
    names: SharedNames,
    entries: usize,
    batches: BTreeMap<Uuid, Known>,
}

/// A batch during a pass.
#[derive(Debug, Default)]
struct Known {
    /// What its last look of an earlier pass showed.
    before: Option<Arc<Tally>>,
    /// Names that the answer being read has beyond that.
    new: usize,
    /// The same of an earlier answer of this pass, which counts if the new one fails.
    answered: usize,
}

impl Held {
    /// Whether there is room for a name of a batch that has so many.
    fn has_room(&self, name: &str, of_batch: usize) -> bool {
        of_batch < MOST_INSTITUTIONS && self.entries < MOST_ENTRIES && self.has_place_for(&[name])
    }

    /// Whether these names may be in memory, each once.
    fn has_place_for(&self, names: &[&str]) -> bool {
        let new = names.iter().filter(|name| **name != OTHER && !self.names.contains(name)).count();
        let known = self.names.count() - usize::from(self.names.contains(OTHER));
        new == 0 || known + new <= MOST_NAMES
    }
}

impl Names {
    /// A pass begins: what the batches show so far.
    pub fn begin<'a>(&self, batches: impl IntoIterator<Item = (Uuid, &'a Arc<Tally>)>) {
        let mut held = self.lock();
        held.names.forget_unused();
        held.batches.clear();
        held.entries = 0;
        for (batch, tally) in batches {
            held.entries += tally.entries();
            held.batches.insert(batch, Known { before: Some(Arc::clone(tally)), ..Known::default() });
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
        let mut held = self.lock();
        let names: Vec<&str> = tally.institutions.keys().map(AsRef::as_ref).collect();
        if held.entries + tally.entries() > MOST_ENTRIES || !held.has_place_for(&names) {
            tally.merge_institutions();
        }
        held.entries += tally.entries();
        let institutions = std::mem::take(&mut tally.institutions);
        tally.institutions = institutions.into_iter().map(|(name, of)| (held.names.share(&name), of)).collect();
        tally
    }

    /// An answer begins that may replace an earlier one of the same pass. Returns which batches have had no room for a name.
    fn begin_answer(&self, batches: &[Uuid]) -> BTreeMap<Uuid, bool> {
        let mut held = self.lock();
        let mut overflowed = BTreeMap::new();
        for batch in batches {
            let known = held.batches.entry(*batch).or_default();
            overflowed.insert(*batch, known.before.as_ref().is_some_and(|before| before.overflowed));
            known.answered = std::mem::take(&mut known.new);
            let answered = known.answered;
            held.entries = held.entries.saturating_sub(answered);
        }
        overflowed
    }

    /// The answer failed: what came before it is there again.
    pub fn give_up_answer(&self, batches: &[Uuid]) {
        let mut held = self.lock();
        for batch in batches {
            let Some(known) = held.batches.get_mut(batch) else { continue };
            let (new, answered) = (known.new, known.answered);
            known.new = answered;
            held.entries = (held.entries + answered).saturating_sub(new);
        }
    }

    /// The name as it is held, if a batch may tell it apart.
    fn admit(&self, batch: Uuid, name: &str) -> Option<Arc<str>> {
        let mut held = self.lock();
        let known = held.batches.get(&batch).filter(|_| name != OTHER)?;
        let (mut of_batch, mut closed) = (known.new, false);
        if let Some(before) = &known.before {
            if let Some((name, _)) = before.institutions.get_key_value(name) {
                return Some(Arc::clone(name));
            }
            of_batch += before.entries();
            closed = before.overflowed;
        }
        if closed || !held.has_room(name, of_batch) {
            return None;
        }
        held.entries += 1;
        if let Some(known) = held.batches.get_mut(&batch) {
            known.new += 1;
        }
        Some(held.names.share(name))
    }

    fn other(&self) -> Arc<str> {
        self.lock().names.share(OTHER)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows by status and way of submission.
pub type StatusCounts = BTreeMap<(CheckStatus, SubmittedVia), u64>;

/// Counts of one institution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Institution {
    /// Its earliest row.
    pub first: DateTime<Utc>,
    by_status: [u32; CheckStatus::VARIANTS.len()],
}

impl Institution {
    /// Without rows yet; `first` is the time of the earliest.
    #[must_use]
    pub fn new(first: DateTime<Utc>) -> Institution {
        Institution { first, by_status: [0; CheckStatus::VARIANTS.len()] }
    }

    /// Adds rows of a status.
    pub fn add(&mut self, status: CheckStatus, rows: u64) {
        let place = CheckStatus::VARIANTS.iter().position(|found| *found == status);
        if let Some(count) = place.and_then(|place| self.by_status.get_mut(place)) {
            *count = count.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
        }
    }

    /// Rows by status, where there are any.
    pub fn by_status(&self) -> impl Iterator<Item = (CheckStatus, u64)> {
        let counts = CheckStatus::VARIANTS.iter().copied().zip(self.by_status.map(u64::from));
        counts.filter(|(_, rows)| *rows > 0)
    }
}

/// What a batch's rows add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Every row that parsed.
    pub all: StatusCounts,
    /// The rows that the counters will count.
    pub counted: StatusCounts,
    /// Of those, by institution.
    pub institutions: BTreeMap<Arc<str>, Institution>,
    /// Whether there was no room for the name of one, which is then counted under [`OTHER`].
    pub overflowed: bool,
    /// Of those, the balances.
    pub histogram: AmountHistogram,
    /// The newest row, of those whose time is believed.
    pub newest: Option<DateTime<Utc>>,
    /// Rows that did not parse.
    pub rejected: BTreeMap<RowReject, u64>,
    /// Whether the export, of several batches, held rejected rows that name none of them: some may be this one's.
    pub incomplete: bool,
}

impl Tally {
    /// Rows that parsed.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.all.values().sum()
    }

    /// Whether rows were rejected that name no batch, so that only an export of one batch can tell whose they are.
    #[must_use]
    pub fn has_unattributed_rows(&self) -> bool {
        self.incomplete
            || [RowReject::Columns, RowReject::BatchId].iter().any(|reason| self.rejected.contains_key(reason))
    }

    /// Institutions that are told apart.
    fn entries(&self) -> usize {
        self.institutions.len() - usize::from(self.institutions.contains_key(OTHER))
    }

    /// Counts all institutions under [`OTHER`].
    fn merge_institutions(&mut self) {
        self.overflowed = true;
        let mut all = std::mem::take(&mut self.institutions).into_values();
        let Some(mut other) = all.next() else { return };
        for institution in all {
            other.first = other.first.min(institution.first);
            institution.by_status().for_each(|(status, rows)| other.add(status, rows));
        }
        self.institutions.insert(OTHER.into(), other);
    }

    fn add(&mut self, row: &CheckRow<'_>, since: DateTime<Utc>, until: DateTime<Utc>, names: &Names) {
        *self.all.entry((row.status, row.via)).or_default() += 1;
        if row.timestamp <= until {
            self.newest = self.newest.max(Some(row.timestamp));
        }
        if row.timestamp < since {
            return;
        }
        *self.counted.entry((row.status, row.via)).or_default() += 1;
        if row.status == CheckStatus::Success
            && let Some(balance) = row.balance
        {
            self.histogram.observe(balance, 1, &BOUNDS.map(|bound| Usd::from_cents(bound * 100)));
        }
        let name = clean(row.institution);
        // The lookup comes first so that a known name costs no allocation.
        let institution = match self.institutions.get_mut(name) {
            Some(institution) => institution,
            None => {
                let admitted = names.admit(row.batch_id, name);
                self.overflowed |= admitted.is_none() && name != OTHER;
                let name = admitted.unwrap_or_else(|| names.other());
                self.institutions.entry(name).or_insert(Institution::new(row.timestamp))
            }
        };
        institution.first = institution.first.min(row.timestamp);
        institution.add(row.status, 1);
    }
}

/// The tallies of the batches of one export.
#[derive(Debug)]
pub struct Tallies {
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    names: Arc<Names>,
    /// By batch; one that was asked for and has no row has an empty tally.
    pub tallies: BTreeMap<Uuid, Tally>,
    /// Rejected rows that name no batch that was asked for.
    pub stray: BTreeMap<RowReject, u64>,
}

impl Tallies {
    /// Ready for the rows of `batches`; rows before `since` are not counted, and the time of those that lie after `until`
    /// is not believed.
    #[must_use]
    pub fn new(batches: &[Uuid], since: DateTime<Utc>, until: DateTime<Utc>, names: Arc<Names>) -> Tallies {
        let overflowed = names.begin_answer(batches);
        let tally = |(batch, overflowed)| (batch, Tally { overflowed, ..Tally::default() });
        Tallies { since, until, names, tallies: overflowed.into_iter().map(tally).collect(), stray: BTreeMap::new() }
    }
}

impl RowSink for Tallies {
    fn row(&mut self, row: &CheckRow<'_>) {
        if let Some(tally) = self.tallies.get_mut(&row.batch_id) {
            tally.add(row, self.since, self.until, &self.names);
        }
    }

    fn rejected(&mut self, reason: RowReject, batch_id: Option<Uuid>) {
        let tally = batch_id.and_then(|batch| self.tallies.get_mut(&batch));
        let counts = tally.map_or(&mut self.stray, |tally| &mut tally.rejected);
        *counts.entry(reason).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let rows = |tally: &Tally| {
            tally.institutions.values().flat_map(Institution::by_status).map(|(_, rows)| rows).sum::<u64>()
        };
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
        let adopted = stored.into_iter().map(|(batch, tally)| (batch, Arc::new(names.adopt(tally))));
        let restored: BTreeMap<Uuid, Arc<Tally>> = adopted.collect();
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
        let name = |tally: &Tally| Arc::clone(tally.institutions.get_key_value("bank 7").unwrap().0);
        assert!(Arc::ptr_eq(&name(&restored[0]), &name(&restored[99])), "each name is in memory once");
    }
}
