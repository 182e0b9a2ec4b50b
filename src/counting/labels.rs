//! Bounds on label values that vendors choose.
//!
//! Flows in: names as the vendor wrote them. Flows out: names fit for a label, at most so many of them.
//! Invariant: once allowed, a name stays; what is not allowed is counted under [`OTHER`], so sums are conserved. Reserved
//! names are allowed whatever the bound.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

/// Where names beyond the bound go.
pub const OTHER: &str = "other";

/// Most names for `origin`, `api_path` and `institution`.
pub const MOST_NAMES: usize = 100;

/// Longest label value, in characters.
pub const LONGEST: usize = 128;

/// Overflowing names that are told apart; beyond that they are one.
const MOST_OVERFLOWING: usize = 10_000;

/// Trims and cuts a name; an empty one is `unknown`.
#[must_use]
pub fn clean(name: &str) -> &str {
    let name = name.trim();
    let end = name.char_indices().nth(LONGEST).map_or(name.len(), |(index, _)| index);
    match name.get(..end).map(str::trim_end) {
        None | Some("") => "unknown",
        Some(name) => name,
    }
}

/// Names that are in memory once, in however many places they stand.
#[derive(Debug, Default)]
pub struct SharedNames(HashSet<Arc<str>>);

impl SharedNames {
    /// The name as it is held.
    pub fn share(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = name.into();
        self.0.insert(Arc::clone(&shared));
        shared
    }

    /// How many different names there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether the name is held.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Forgets those that stand nowhere any more.
    pub fn forget_unused(&mut self) {
        self.0.retain(|name| Arc::strong_count(name) > 1);
    }
}

/// The names that a label has allowed so far.
#[derive(Clone, Debug)]
pub struct LabelLimiter {
    most: usize,
    allowed: BTreeSet<Arc<str>>,
    reserved: BTreeSet<Arc<str>>,
    other: Arc<str>,
    overflowing: HashSet<u64>,
}

impl LabelLimiter {
    /// None allowed yet.
    #[must_use]
    pub fn new(most: usize) -> LabelLimiter {
        LabelLimiter::restored(most, [])
    }

    /// Those that were allowed in a previous run.
    #[must_use]
    pub fn restored(most: usize, names: impl IntoIterator<Item = String>) -> LabelLimiter {
        let allowed = names.into_iter().map(Arc::from).collect();
        LabelLimiter { most, allowed, reserved: BTreeSet::new(), other: OTHER.into(), overflowing: HashSet::new() }
    }

    /// Reserves names.
    pub fn reserve<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        self.reserved.extend(names.into_iter().map(Arc::from));
    }

    /// The reserved names to allow now. One that may have been counted under [`OTHER`] is allowed only with `all_days`, when
    /// whatever was counted is read again.
    #[must_use]
    pub fn due(&self, all_days: bool) -> Vec<Arc<str>> {
        let allowed = all_days || self.room() > 0;
        self.reserved.difference(&self.allowed).filter(|_| allowed).map(Arc::clone).collect()
    }

    /// Whether a reserved name waits until all days are read again.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.due(true) != self.due(false)
    }

    fn room(&self) -> usize {
        self.most.saturating_sub(self.allowed.len())
    }

    /// The names that would be allowed of `candidates` (clean name -> when it first occurred) after those that are `due`:
    /// first come by time, then by name.
    #[must_use]
    pub fn new_names<T: Ord>(&self, candidates: &BTreeMap<&str, T>, due: Vec<Arc<str>>) -> Vec<Arc<str>> {
        let mut fresh: Vec<(&T, &str)> = candidates
            .iter()
            .filter(|(name, _)| **name != OTHER && !self.allowed.contains(**name))
            .filter(|(name, _)| due.iter().all(|reserved| **reserved != ***name))
            .map(|(name, first)| (first, *name))
            .collect();
        fresh.sort();
        let room = self.room().saturating_sub(due.len());
        due.into_iter().chain(fresh.into_iter().take(room).map(|(_, name)| name.into())).collect()
    }

    /// Allows for good.
    pub fn allow(&mut self, names: impl IntoIterator<Item = Arc<str>>) {
        self.allowed.extend(names);
    }

    /// The value that `name` has as a label, once `new_names` are allowed.
    #[must_use]
    pub fn limit(&self, name: &str, new_names: &[Arc<str>]) -> Arc<str> {
        let allowed = self.allowed.get(name).or_else(|| new_names.iter().find(|new_name| ***new_name == *name));
        Arc::clone(allowed.unwrap_or(&self.other))
    }

    /// Whether what is counted under `name` is that name's alone, were it never seen yet.
    #[must_use]
    pub fn tells_apart(&self, name: &str, new_names: &[Arc<str>]) -> bool {
        *self.limit(name, new_names) != *OTHER || self.allowed.len() + new_names.len() < self.most
    }

    /// Remembers that a name was counted under `other`.
    pub fn note_overflow(&mut self, name: &str) {
        if name == OTHER || self.overflowing.len() >= MOST_OVERFLOWING {
            return;
        }
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        self.overflowing.insert(hasher.finish());
    }

    /// How many distinct names were counted under `other` since the process started.
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.overflowing.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_cut_and_never_empty() {
        assert_eq!(clean("  visa \n"), "visa");
        assert_eq!(clean(" \t"), "unknown");
        assert_eq!(clean(&"ü".repeat(200)).chars().count(), 128);
    }

    #[test]
    fn first_come_by_time_then_by_name() {
        let mut names = LabelLimiter::new(2);
        let candidates = BTreeMap::from([("c", 1), ("b", 2), ("a", 2), (OTHER, 0)]);
        let fresh = names.new_names(&candidates, Vec::new());
        assert_eq!(fresh, [Arc::from("c"), Arc::from("a")]);
        names.allow(fresh);
        assert_eq!(names.new_names(&BTreeMap::from([("first", 0)]), Vec::new()), []);
        assert_eq!(&*names.limit("first", &[]), OTHER);
        assert_eq!(&*names.limit("a", &[]), "a");
        names.note_overflow("first");
        names.note_overflow("first");
        assert_eq!(names.overflow(), 1);
    }
}
