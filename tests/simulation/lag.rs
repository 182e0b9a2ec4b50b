//! Movements of the balance that the report shows later, or never.
//!
//! Flows in: chance. Flows out: changes at the vendors, at once for the balance and later for the report, and the same to
//! the oracle. Invariant: whatever is owed to the report is in the state until it is paid.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use vendor_simulator::Part;

use crate::actions::usd;
use crate::network::Network;
use crate::plan::Trouble;
use crate::world::World;

/// Up to so many seconds a report may lag without any difference.
const ALLOWED: u64 = 3_600;

/// What the balance shows and the report does not yet.
#[derive(Clone, Debug)]
pub struct Owed {
    number: u64,
    day: NaiveDate,
    origin: String,
    path: String,
    debit: i64,
    credit: i64,
}

impl World {
    /// How many seconds the report lags behind a movement; `None` if it shows it at once.
    pub fn draw_lag(&mut self) -> Option<u64> {
        if self.exporter.is_none() || !self.plan.has(Trouble::ReportLag) || self.rng.u32(..4) == 0 {
            return None;
        }
        let long = self.plan.has(Trouble::LongLag) && self.rng.u32(..8) == 0;
        let place = self.rng.usize(..3);
        Some(match long {
            // Never: a true difference.
            true if place == 0 => u64::MAX,
            true => self.rng.u64(ALLOWED + 1..[0, 8_000, 72_000][place]),
            false => self.rng.u64(1..[120, 1_800, ALLOWED][place]),
        })
    }

    /// Moves the balance now and the report so many seconds later. A debit, or a credit if it is negative.
    pub fn lagging(&mut self, at: DateTime<Utc>, (origin, path): (&str, &str), debit: i64, seconds: u64) {
        let day = at.date_naive();
        let balance = self.vendors.expected().balance;
        self.vendors.set_balance(balance - Decimal::from(usd(debit)));
        let mut state = self.network.state();
        state.oracle.movements.awaited(self.time.ms(), day, -debit, seconds < ALLOWED);
        if seconds == u64::MAX {
            drop(state);
            return self.say(|| format!("{debit} of {day} is never reported"));
        }
        state.owed_so_far += 1;
        let number = state.owed_so_far;
        let (debit, credit) = (debit.max(0), (-debit).max(0));
        let owed = Owed { number, day, origin: origin.to_owned(), path: path.to_owned(), debit, credit };
        state.owed.push(owed.clone());
        drop(state);
        self.say(|| format!("{owed:?} is reported in {seconds} s"));
        let network = Arc::clone(&self.network);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            network.pay(|owed| owed.number == number);
        });
    }
}

impl Network {
    /// The report shows from now on what was owed to it.
    pub fn pay(&self, which: impl Fn(&Owed) -> bool) {
        let paid: Vec<Owed> = self.state().owed.extract_if(.., |owed| which(owed)).collect();
        for owed in paid {
            self.trace.add(self.time, || format!("the report shows {owed:?}"));
            let Owed { day, origin, path, debit, credit, .. } = owed;
            let part = Part::Everywhere { origin: origin.clone(), path: path.clone() };
            self.vendors.restate(day, &part, usd(debit), usd(credit));
            let today = self.vendors.now().date_naive();
            let mut state = self.state();
            state.oracle.movements.reported((self.time.ms(), today), day, debit - credit);
            let money = &mut state.oracle.money;
            money.change_all(day, &[("debit", ""), ("origin_debit", &origin), ("path", &path)], debit);
            money.change_all(day, &[("credit", ""), ("origin_credit", &origin)], credit);
        }
    }
}
