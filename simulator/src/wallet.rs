//! The wallet: a balance, and what was spent and credited, by hour, origin and API path.
//!
//! Flows in: transactions and restatements. Flows out: hourly cells for the report, rows for its CSV.
//! Invariant: the hours are kept added up, so a report over a year costs its own size and nothing is simulated again.

use std::collections::BTreeMap;

use super::amount::Units;

/// A name that was seen: its place in [`Names`].
pub(crate) type NameId = u16;

/// The names of origins or paths, each kept once.
#[derive(Default)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// The id of a name, new or known.
    pub(crate) fn id(&mut self, name: &str) -> NameId {
        let place = self.find(name).unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        });
        NameId::try_from(place).unwrap_or(NameId::MAX)
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| known == name)
    }

    /// The id of a name that was seen.
    pub(crate) fn known(&self, name: &str) -> Option<NameId> {
        self.find(name).and_then(|place| NameId::try_from(place).ok())
    }

    pub(crate) fn name(&self, id: NameId) -> &str {
        self.0.get(usize::from(id)).map_or("", String::as_str)
    }

    /// In the order of their ids.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// One part of an hour. A restatement may touch the total alone or a part alone: the vendor's own sample does not add up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) origin: Option<NameId>,
    pub(crate) path: Option<NameId>,
    /// Whether the total knows of it.
    pub(crate) in_total: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) key: Key,
    pub(crate) debit: Units,
    pub(crate) credit: Units,
}

/// One row of the CSV report.
#[derive(Clone, Copy)]
pub(crate) struct Transaction {
    /// Seconds since 1970.
    pub(crate) at: i64,
    pub(crate) debit: Units,
    pub(crate) credit: Units,
    pub(crate) balance_after: Units,
    pub(crate) origin: Option<NameId>,
    pub(crate) path: Option<NameId>,
    pub(crate) number: u32,
}

/// The wallet of one team.
#[derive(Default)]
pub(crate) struct Wallet {
    pub(crate) balance: Units,
    pub(crate) origins: Names,
    pub(crate) paths: Names,
    /// By hours since 1970.
    hours: BTreeMap<i64, Vec<Cell>>,
    transactions: Vec<Transaction>,
    /// Whether `transactions` is in the order of time.
    unsorted: bool,
}

impl Wallet {
    /// A charge. An empty origin or path is one that the report does not attribute.
    pub(crate) fn spend(&mut self, at: i64, origin: &str, path: &str, amount: Units) {
        let key = self.key(origin, path);
        self.balance -= amount;
        self.record(at, key, amount, 0);
    }

    /// A credit.
    pub(crate) fn credit(&mut self, at: i64, origin: &str, amount: Units) {
        let key = self.key(origin, "");
        self.balance += amount;
        self.record(at, key, 0, amount);
    }

    /// Changes what the report says of an hour, and nothing else: neither the balance nor the list of transactions.
    pub(crate) fn restate(&mut self, at: i64, origin: &str, path: &str, in_total: bool, debit: Units, credit: Units) {
        let key = Key { in_total, ..self.key(origin, path) };
        self.add(at.div_euclid(3_600), Cell { key, debit, credit });
    }

    fn key(&mut self, origin: &str, path: &str) -> Key {
        let origin = (!origin.is_empty()).then(|| self.origins.id(origin));
        let path = (!path.is_empty()).then(|| self.paths.id(path));
        Key { origin, path, in_total: true }
    }

    fn record(&mut self, at: i64, key: Key, debit: Units, credit: Units) {
        self.add(at.div_euclid(3_600), Cell { key, debit, credit });
        let number = u32::try_from(self.transactions.len()).unwrap_or(u32::MAX);
        self.unsorted |= self.transactions.last().is_some_and(|last| last.at > at);
        let Key { origin, path, .. } = key;
        self.transactions.push(Transaction { at, debit, credit, balance_after: self.balance, origin, path, number });
    }

    fn add(&mut self, hour: i64, cell: Cell) {
        let cells = self.hours.entry(hour).or_default();
        match cells.iter_mut().find(|known| known.key == cell.key) {
            Some(known) => {
                known.debit += cell.debit;
                known.credit += cell.credit;
            }
            None => cells.push(cell),
        }
    }

    /// The hours from `first` to `last`, both included.
    pub(crate) fn hours(&self, first: i64, last: i64) -> impl Iterator<Item = (i64, &[Cell])> {
        // A range that ends before it begins would panic.
        self.hours.range(first..=last.max(first)).map(|(hour, cells)| (*hour, cells.as_slice()))
    }

    pub(crate) fn all_hours(&self) -> impl Iterator<Item = (i64, &[Cell])> {
        self.hours.iter().map(|(hour, cells)| (*hour, cells.as_slice()))
    }

    /// The transactions from `first` up to but not including `end`, oldest first.
    pub(crate) fn transactions(&mut self, first: i64, end: i64) -> Vec<Transaction> {
        if self.unsorted {
            self.transactions.sort_by_key(|row| (row.at, row.number));
            self.unsorted = false;
        }
        let from = self.transactions.partition_point(|row| row.at < first);
        let to = self.transactions.partition_point(|row| row.at < end);
        self.transactions.get(from..to).unwrap_or_default().to_vec()
    }
}
