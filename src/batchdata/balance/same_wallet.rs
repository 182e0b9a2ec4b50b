//! Whether two accounts show the same wallet, whose money would be counted twice.
//!
//! Flows in: each changed balance of an account, with its debits of the month. Flows out: whether those of another account
//! are the same. Invariant: a few equal amounts prove nothing, nor does a balance of 0.

use std::collections::VecDeque;

use crate::money::Usd;

/// So many balances in common, which five changes led to, make two wallets the same.
const COMMON: usize = 6;
/// So many are kept, because two accounts are polled at different times and do not see every change of each other.
const KEPT: usize = 16;

/// The last balances of an account that differed from the one before, and the debits of the month that were known then.
#[derive(Clone, Debug, Default)]
pub struct Seen(VecDeque<(Usd, Option<Usd>)>);

impl Seen {
    /// Takes a balance; whether it has changed.
    pub fn push(&mut self, balance: Usd, month: Option<Usd>) -> bool {
        if self.0.back().is_some_and(|(last, _)| *last == balance) {
            return false;
        }
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back((balance, month));
        true
    }

    /// Whether both are of one wallet.
    #[must_use]
    pub fn is_same(&self, other: &Seen) -> bool {
        let nonzero = |amount: &&(Usd, Option<Usd>)| !amount.0.is_zero();
        let has_balance = |amount: &(Usd, _)| other.0.iter().any(|theirs| theirs.0 == amount.0);
        let has_month = |month: Usd| other.0.iter().any(|theirs| theirs.1 == Some(month));
        let mut months = self.0.iter().filter_map(|(_, month)| *month);
        self.0.iter().filter(nonzero).filter(|amount| has_balance(amount)).count() >= COMMON
            && months.any(|month| !month.is_zero() && has_month(month))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(balances: impl IntoIterator<Item = i64>, month: i64) -> Seen {
        let mut seen = Seen::default();
        for balance in balances {
            seen.push(Usd::from_cents(balance), Some(Usd::from_cents(month)));
        }
        seen
    }

    #[test]
    fn five_changes_in_common_make_a_wallet_the_same() {
        let wallet = seen((0..40).map(|change| 10_000 - 7 * change), 500);
        // Polled half as often, and a while ago.
        assert!(wallet.is_same(&seen((0..18).map(|change| 10_000 - 14 * change), 500)));
        assert!(!wallet.is_same(&seen((0..14).map(|change| 10_000 - 14 * change), 500)), "too few are kept");
        assert!(!wallet.is_same(&seen((0..40).map(|change| 10_000 - 7 * change), 501)), "another month");
        assert!(!wallet.is_same(&seen((0..40).map(|change| 10_001 - 7 * change), 500)), "a cent more");
    }

    #[test]
    fn wallets_that_rest_or_are_empty_or_just_began_prove_nothing() {
        assert!(!seen([100; 50], 500).is_same(&seen([100; 50], 500)));
        assert!(!seen([9, 0, 9, 0, 9, 0, 9, 0], 500).is_same(&seen([0, 8, 0, 8, 0, 8, 0, 8], 500)));
        assert!(!seen([5, 4, 3, 2], 500).is_same(&seen([5, 4, 3, 2], 500)));
        assert!(!seen(1..9, 0).is_same(&seen(1..9, 0)), "nothing was spent in the month");
    }
}
