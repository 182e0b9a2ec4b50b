//! Rules of the ledger, with days of a few rows.

use super::*;
use proptest::prelude::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// Debits of one endpoint, by day: amounts in cents.
fn reading(days: &[(&str, &[i64])]) -> TransactionDays {
    let mut reading = TransactionDays::default();
    let name: Arc<str> = "search".into();
    for (date, amounts) in days {
        let rows = reading.days.entry(day(date)).or_default();
        for cents in *amounts {
            *rows.entry((TransactionType::Debit, Arc::clone(&name), Usd::from_cents(*cents))).or_default() += 1;
        }
    }
    reading.first.insert(name, at("2026-05-01T00:00:00Z"));
    reading
}

struct Run(TransactionsLedger);

impl Run {
    fn read(&mut self, now: &str, days: &[(&str, &[i64])]) -> (NaiveDate, NaiveDate) {
        let wanted = self.0.wanted(at(now), true);
        let changes = self.0.plan(wanted, &reading(days), at(now), true);
        self.0.commit(changes);
        wanted
    }

    /// Counted, observed, and the sum in cents.
    fn shown(&self) -> (i64, u64, Usd) {
        let series = (TransactionType::Debit, "search".into());
        let counted = self.0.counters().get(&series).copied().unwrap_or_default().counted;
        let amounts = self.0.amounts().get("search").cloned().unwrap_or_default();
        (counted, amounts.counts.iter().sum(), amounts.sum)
    }
}

fn shown(counted: i64, cents: i64) -> (i64, u64, Usd) {
    (counted, counted.unsigned_abs(), Usd::from_cents(cents))
}

const TODAY: &str = "2026-05-19";
const NOON: &str = "2026-05-19T12:00:00Z";

#[test]
fn a_row_that_returns_after_others_took_its_place_is_observed_once() {
    let mut run = Run(TransactionsLedger::new(Some(day(TODAY))));
    run.read(NOON, &[(TODAY, &[500])]);
    assert_eq!(run.shown(), shown(1, 500));
    run.read(NOON, &[(TODAY, &[])]);
    run.read(NOON, &[(TODAY, &[100])]);
    assert_eq!(run.shown(), shown(1, 500), "held");
    run.read(NOON, &[(TODAY, &[100, 500])]);
    assert_eq!(run.shown(), shown(2, 600));
    // Repriced, with a new one beside it.
    run.read(NOON, &[(TODAY, &[100, 450, 700])]);
    assert_eq!(run.shown(), shown(3, 1_050), "of what is new the smallest");
    run.read(NOON, &[(TODAY, &[100, 450, 700, 700])]);
    assert_eq!(run.shown(), shown(4, 1_750));
}

#[test]
fn a_row_that_moves_over_midnight_either_way_counts_once_also_beside_a_new_one() {
    let (night, next) = ("2026-05-20T00:30:00Z", "2026-05-20");
    let mut run = Run(TransactionsLedger::new(None));
    run.read(NOON, &[(TODAY, &[100])]);
    assert_eq!(run.shown(), shown(0, 0), "the base line");
    run.read("2026-05-19T23:00:00Z", &[(TODAY, &[100, 200])]);
    assert_eq!(run.read(night, &[(TODAY, &[100]), (next, &[200, 300])]), (day(TODAY), day(next)));
    assert_eq!(run.shown(), shown(2, 500));
    run.read(night, &[(TODAY, &[100, 200, 300]), (next, &[])]);
    assert_eq!(run.shown(), shown(2, 500));
    assert_eq!(run.read("2026-05-20T01:00:00Z", &[(TODAY, &[100, 200]), (next, &[300, 400])]).0, day(TODAY));
    assert_eq!(run.shown(), shown(3, 900));
    // The day before is closed: only its totals remain.
    assert_eq!(run.read("2026-05-20T02:00:00Z", &[(next, &[300, 400])]), (day(next), day(next)));
    assert_eq!(run.0.days.keys().copied().collect::<Vec<_>>(), [day(next)]);
    assert_eq!(run.shown(), shown(3, 900));
}

#[test]
fn a_row_that_moves_over_midnight_while_nothing_is_read_counts_once_with_its_own_amount() {
    let next = "2026-05-20";
    let mut run = Run(TransactionsLedger::new(Some(day(TODAY))));
    run.read("2026-05-19T23:00:00Z", &[(TODAY, &[100, 200])]);
    assert_eq!(run.read("2026-05-20T02:00:00Z", &[(TODAY, &[100]), (next, &[200, 300])]), (day(TODAY), day(next)));
    assert_eq!(run.shown(), shown(3, 600));
}

#[test]
fn one_below_zero_counts_and_is_not_observed() {
    let mut run = Run(TransactionsLedger::new(Some(day(TODAY))));
    run.read(NOON, &[(TODAY, &[-500, 0, 100])]);
    assert_eq!(run.shown(), (3, 2, Usd::from_cents(100)));
}

#[test]
fn each_day_of_a_gap_is_read_once_and_open_days_together() {
    let d = |number: u32| day(&format!("2026-05-{number:02}"));
    let with = |next: u32, last: u32| {
        let mut ledger = TransactionsLedger::new(None);
        ledger.cursor = Some(Cursor { next: d(next), last: d(last) });
        ledger
    };
    let (noon, night) = (at(NOON), at("2026-05-19T00:59:59Z"));
    for (ledger, now, proven, wanted, next) in [
        (TransactionsLedger::new(None), noon, true, (19, 19), 19),
        (TransactionsLedger::new(None), night, true, (18, 19), 18),
        (TransactionsLedger::new(Some(d(10))), noon, true, (10, 10), 11),
        (TransactionsLedger::new(Some(d(19))), night, true, (19, 19), 19),
        (with(19, 19), noon, true, (19, 19), 19),
        (with(18, 18), night, true, (18, 19), 18),
        (with(18, 19), noon, true, (18, 19), 19),
        (with(18, 18), noon, true, (18, 19), 19),
        // After downtime.
        (with(13, 14), noon, true, (13, 15), 16),
        (with(15, 14), noon, true, (15, 15), 16),
        (with(18, 17), night, true, (18, 19), 18),
        // Without a Date, the vendor has to take the day after.
        (with(15, 14), noon, false, (15, 16), 16),
        (with(18, 19), noon, false, (18, 19), 19),
        // The vendor's clock has gone back.
        (with(25, 25), noon, true, (25, 25), 25),
    ] {
        let found = ledger.wanted(now, proven);
        assert_eq!(found, (d(wanted.0), d(wanted.1)), "{:?} {now}", ledger.cursor);
        let cursor = ledger.plan(found, &TransactionDays::default(), now, proven).cursor;
        assert_eq!(cursor, Cursor { next: d(next), last: d(wanted.1) }, "{:?} {now}", ledger.cursor);
    }
}

proptest! {
    /// Two open days with rows of few amounts, restated at will.
    #[test]
    fn counted_is_the_most_that_was_listed_and_all_of_it_is_observed(
        states in prop::collection::vec((prop::collection::vec(0_i64..5, 0..6), prop::collection::vec(0_i64..5, 0..6)), 1..20),
        base in any::<bool>(),
    ) {
        let next = "2026-05-20";
        let mut run = Run(TransactionsLedger::new((!base).then(|| day(TODAY))));
        let total = |state: &(Vec<i64>, Vec<i64>)| (state.0.len() + state.1.len()) as i64;
        let line = if base { total(&states[0]) } else { 0 };
        let mut most = 0;
        for state in &states {
            run.read("2026-05-20T00:30:00Z", &[(TODAY, &state.0), (next, &state.1)]);
            most = most.max(total(state) - line);
            let (counted, observed, _) = run.shown();
            prop_assert_eq!((counted, observed), (most, most.unsigned_abs()));
        }
        // Where rows only came, the sum is theirs.
        let grown = |pair: &[(Vec<i64>, Vec<i64>)]| pair[1].0.starts_with(&pair[0].0) && pair[1].1.starts_with(&pair[0].1);
        if !base && states.windows(2).all(grown) {
            let last = &states[states.len() - 1];
            prop_assert_eq!(run.shown().2, Usd::from_cents(last.0.iter().chain(&last.1).sum()));
        }
    }
}
