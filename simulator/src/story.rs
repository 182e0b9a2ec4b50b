//! What a scenario brings beside its regular events: a few events at fixed times after its beginning, each with a text.
//!
//! Flows in: the moment at which the story begins, and the time. Flows out: events applied to the [`World`], and the
//! list of them for those who print it.
//! Invariant: as with everything that happens by itself, an event depends on its own moment only, so that a simulator
//! that is started again does the same.

use super::amount::{DOLLAR, Units};
use super::cards::{FAILED, PAID};
use super::world::World;

/// Something may happen each time this many seconds have passed.
pub(crate) const SLOT: i64 = 2;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Seconds after the beginning: a multiple of [`SLOT`].
    pub(crate) after: i64,
    /// What happens, for people.
    pub(crate) text: &'static str,
    act: Act,
}

#[derive(Clone, Copy, Debug)]
enum Act {
    /// What follows from an event before it, or is so from the beginning.
    Nothing,
    /// A batch with so many rows is submitted.
    Submit(u32),
    /// The balance falls to this amount within so many seconds.
    Drain(Units, i64),
    /// A top-up by card fails.
    Decline(Units),
    /// A top-up by card is paid.
    TopUp(Units),
    /// A charge of this amount that the report shows so many seconds after the balance.
    ChargeLate(Units, i64),
    /// The vendors begin to answer otherwise, or as they should.
    Answer(Option<Trouble>),
}

/// How vendors in trouble answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The wallet's endpoints answer 429.
    Throttled,
    /// Every endpoint answers 503.
    Down,
}

const fn step(after: i64, text: &'static str, act: Act) -> Step {
    Step { after, text, act }
}

/// A little of everything, within three minutes.
pub(crate) const EVERYTHING: &[Step] = &[
    step(0, "One of the batch ids belongs to another customer. The page shows it as unavailable.", Act::Nothing),
    step(10, "A batch of balance checks is submitted. Its results arrive over 80 seconds.", Act::Submit(90)),
    step(20, "A job starts and overspends.", Act::Drain(40 * DOLLAR, 30)),
    step(50, "The balance is 40 USD, below the critical threshold of 50 USD.", Act::Nothing),
    step(52, "A charge of 12.80 USD is missing from the consumption report.", Act::ChargeLate(128 * DOLLAR / 10, 44)),
    step(70, "The card is declined: a top-up of 2500 USD fails.", Act::Decline(2_500 * DOLLAR)),
    step(90, "The batch is complete. It settles within half a minute.", Act::Nothing),
    step(96, "The report has the charge of 12.80 USD.", Act::Nothing),
    step(110, "Another card works: a top-up of 2500 USD is paid.", Act::TopUp(2_500 * DOLLAR)),
    step(130, "BatchData throttles: it answers 429.", Act::Answer(Some(Trouble::Throttled))),
    step(160, "BatchData answers again.", Act::Answer(None)),
];

/// Long enough for the shipped alert, which waits for two minutes.
pub(crate) const LOW_BALANCE: &[Step] = &[
    step(10, "A job starts and overspends.", Act::Drain(40 * DOLLAR, 20)),
    step(
        30,
        "The balance is 40 USD, below the critical threshold of 50 USD. WalletBalanceCritical fires in about 3 minutes.",
        Act::Nothing,
    ),
    step(600, "A top-up of 2500 USD is paid. The alert ends about 5 minutes later.", Act::TopUp(2_500 * DOLLAR)),
];

/// Both vendors are away, then one is busy.
pub(crate) const OUTAGE: &[Step] = &[
    step(20, "Both vendors are down: every endpoint answers 503.", Act::Answer(Some(Trouble::Down))),
    step(140, "The vendors are back. The exporter sees it at its next attempt.", Act::Answer(None)),
    step(200, "BatchData throttles: it answers 429.", Act::Answer(Some(Trouble::Throttled))),
    step(230, "BatchData answers again.", Act::Answer(None)),
];

/// The steps, and what they have left to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Story {
    /// Seconds since 1970: a multiple of [`SLOT`].
    began: i64,
    pub(crate) steps: &'static [Step],
    /// The amount to which the balance is falling, and until when.
    falling: Option<(Units, i64)>,
    /// The amount that the report lacks, and until when.
    late: Option<(Units, i64)>,
    /// From when the balance falls until it is topped up: nothing else moves it up meanwhile.
    pub(crate) low: bool,
    /// How the vendors answer.
    pub(crate) trouble: Option<Trouble>,
}

impl Story {
    pub(crate) fn new(began: i64, steps: &'static [Step]) -> Story {
        Story { began: began - began.rem_euclid(SLOT), steps, falling: None, late: None, low: false, trouble: None }
    }

    /// When a step happens, in seconds since 1970.
    pub(crate) fn at(&self, step: &Step) -> i64 {
        self.began + step.after
    }

    /// In how many seconds the vendors will answer as they should, if they are in trouble.
    pub(crate) fn trouble_ends_in(&self, now: i64) -> Option<i64> {
        self.trouble?;
        let mut ends = self.steps.iter().filter(|step| matches!(step.act, Act::Answer(None)));
        ends.find(|step| self.at(step) > now).map(|step| self.at(step) - now)
    }

    /// Lets happen what the story brings in the slot that begins at `at`.
    pub(crate) fn slot(&mut self, world: &mut World, at: i64) {
        for step in self.steps {
            if self.at(step) == at {
                self.act(world, step.act, at);
            }
        }
        if let Some((amount, _)) = self.late.take_if(|(_, until)| *until <= at) {
            world.wallet.restate(at, "api_request", "/api/v1/property/lookup/all-attributes", true, amount, 0);
        }
        if let Some((to, until)) = self.falling {
            let slots = (until - at) / SLOT;
            let amount = (world.wallet.balance - to) / slots.max(1);
            if amount > 0 {
                world.wallet.spend(at, "list_builder_ui", "/api/v1/property/search", amount);
            }
            if slots <= 1 {
                self.falling = None;
            }
        }
    }

    fn act(&mut self, world: &mut World, act: Act, at: i64) {
        match act {
            Act::Nothing => {}
            Act::Submit(rows) => drop(world.open_batch(at, rows)),
            Act::Drain(to, seconds) => {
                self.low = true;
                self.falling = Some((to, at + seconds));
            }
            Act::Decline(credits) => world.make_card(at, credits, FAILED),
            Act::TopUp(credits) => {
                self.low = false;
                world.make_card(at, credits, PAID);
            }
            Act::ChargeLate(amount, seconds) => {
                world.wallet.balance -= amount;
                self.late = Some((amount, at + seconds));
            }
            Act::Answer(trouble) => self.trouble = trouble,
        }
    }
}
