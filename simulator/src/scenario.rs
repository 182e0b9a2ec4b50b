//! What happens by itself: spend with a daily curve, card events, batches that fill up.
//!
//! Flows in: the seed and the time. Flows out: events applied to the [`World`].
//! Invariant: an event depends on the seed and its own moment only, and moments are gone through one after the other, so
//! that it does not matter how often somebody looked in between.

use super::amount::{DOLLAR, Units};
use super::batches::believable;
use super::cards::{FAILED, PAID, PENDING};
use super::chance::{BATCH, CARD, Chance, NOISE, SPEND};
use super::story::{SLOT, Story};
use super::world::World;

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// Origin, path, price, and how often of 1,000.
const TRAFFIC: [(&str, &str, Units, u32); 14] = [
    ("api_request", "/api/v1/address/verify", 70, 260),
    ("api_request", "/api/v1/address/autocomplete", 50, 190),
    ("api_request", "/api/v1/property/search", 1_000, 110),
    ("api_request", "/api/v1/property/lookup/all-attributes", 4_500, 40),
    ("api_request", "/api/v1/property/skip-trace", 900, 60),
    ("api_request", "/api/v3/property/skip-trace", 1_200, 40),
    ("api_request", "/api/v1/phone/verification", 70, 80),
    ("api_request", "/api/v1/phone/dnc", 200, 40),
    ("api_request", "/api/v1/phone/tcpa", 300, 30),
    ("list_builder_ui", "/api/v1/property/search", 1_000, 60),
    ("address_verification_single_ui", "/api/v1/address/verify", 70, 40),
    ("phone_verification_single_ui", "/api/v1/phone/verification", 70, 30),
    // Charges that the report attributes to no path, and to nothing at all: the parts need not add up.
    ("api_request", "", 125, 12),
    ("", "", 250, 8),
];

/// How busy each hour of a UTC day is, in 1,000: the working day of the United States.
const CURVE: [u32; 24] = [
    560, 430, 320, 240, 190, 160, 150, 150, 160, 190, 240, 330, 470, 640, 790, 880, 930, 960, 970, 980, 940, 860, 760,
    660,
];

/// How often cards are charged and batches begin. Spend is the same in every scenario.
#[derive(Clone, Copy)]
pub(crate) struct Profile {
    /// A pending top-up ends after this many seconds.
    settles_after: i64,
    /// Somebody uses the card by hand at most once in this many seconds,
    card_every: i64,
    /// and of 1,000 such moments these are top-ups, failed ones and refunds.
    card_chances: [u32; 3],
    /// A batch begins each time this many seconds have passed,
    batch_every: i64,
    /// has this many rows,
    batch_rows: (u32, u32),
    /// and has all of them after this many seconds.
    batch_fills: i64,
}

/// There is something to see every minute.
pub(crate) const DEMO: Profile = Profile {
    settles_after: 30,
    card_every: 60,
    card_chances: [250, 100, 50],
    batch_every: 180,
    batch_rows: (40, 160),
    batch_fills: 80,
};

/// As often as for a real customer.
pub(crate) const EVERYDAY: Profile = Profile {
    settles_after: 20 * 60,
    card_every: HOUR,
    card_chances: [0, 6, 6],
    batch_every: 7 * HOUR,
    batch_rows: (150, 700),
    batch_fills: 150 * 60,
};

/// What happens by itself, and up to when it has happened.
pub(crate) struct Timeline {
    pub(crate) story: Story,
    profile: Option<Profile>,
    reached: i64,
}

impl Timeline {
    /// A world as it is at `now`; with profile, things have happened in it by themselves since `began`.
    pub(crate) fn begin(
        seed: u64,
        began: i64,
        now: i64,
        history_days: u32,
        profile: Option<Profile>,
        story: Story,
    ) -> (Timeline, World) {
        let began = began.min(now);
        let mut timeline = Timeline { story, profile, reached: began };
        let mut world = World { seed, ..World::default() };
        let first_hour = began - began.rem_euclid(HOUR);
        if history_days > 0 {
            let first_day = began - began.rem_euclid(DAY);
            history(&mut world, first_day - i64::from(history_days) * DAY, first_hour);
            if profile.is_some() {
                timeline.reached = first_hour;
                // What was told before the simulator began need not be told now.
                timeline.advance(&mut world, now);
            }
            world.completions.clear();
        }
        (timeline, world)
    }

    /// Lets everything happen up to and including `now`; time only goes forward here, whatever the clock does.
    pub(crate) fn advance(&mut self, world: &mut World, now: i64) {
        if now <= self.reached {
            return;
        }
        if let Some(profile) = self.profile {
            let mut at = self.reached - self.reached.rem_euclid(SLOT) + SLOT;
            while at <= now {
                self.slot(world, &profile, at);
                at += SLOT;
            }
        }
        self.reached = now;
    }

    /// What happens in the slot that begins at `at`.
    fn slot(&mut self, world: &mut World, profile: &Profile, at: i64) {
        let seed = world.seed;
        let mut chance = Chance::at(seed, SPEND, at);
        if chance.happens(busy(seed, at).max(350)) {
            let choices = TRAFFIC.map(|(origin, path, price, weight)| ((origin, path, price), weight));
            if let Some((origin, path, price)) = chance.weighted(&choices) {
                world.wallet.spend(at, origin, path, *price * i64::from(chance.between(1, 2)));
            }
        }
        self.story.slot(world, at);
        if !self.story.low {
            use_card(world, profile, at);
        }
        grow_batches(world, profile, at);
    }
}

/// How busy an hour is, in 1,000.
fn busy(seed: u64, at: i64) -> u32 {
    let hour = usize::try_from(at.rem_euclid(DAY) / HOUR).unwrap_or(0);
    let base = CURVE.get(hour).copied().unwrap_or(0);
    // 1970 began on a Thursday.
    let weekday = (at.div_euclid(DAY) + 3).rem_euclid(7);
    let base = if weekday >= 5 { base * 2 / 5 } else { base };
    base * Chance::at(seed, NOISE, at.div_euclid(HOUR)).between(80, 120) / 100
}

/// Fills the hours before the simulator began: one charge for each hour, origin and path.
fn history(world: &mut World, from: i64, until: i64) {
    let seed = world.seed;
    let mut at = from - from.rem_euclid(HOUR);
    world.wallet.balance = 2_000 * DOLLAR;
    while at < until {
        let slots = i64::from(busy(seed, at)) * (HOUR / SLOT) / 1_000;
        let mut chance = Chance::at(seed, SPEND, at);
        let mut charges = Vec::new();
        for (origin, path, price, weight) in TRAFFIC {
            let expected = slots * i64::from(weight) / 1_000;
            let calls = expected * i64::from(chance.between(850, 1_150)) / 1_000;
            if calls > 0 {
                charges.push((at + i64::from(chance.below(3_599)), origin, path, calls * price));
            }
        }
        // The balance after each is that of its moment.
        charges.sort_by_key(|(moment, ..)| *moment);
        for (moment, origin, path, amount) in charges {
            world.wallet.spend(moment, origin, path, amount);
        }
        refill(world, at + HOUR - 1, PAID);
        let mut chance = Chance::at(seed, CARD, at);
        if chance.happens(2) {
            world.make_card(at + 1_200, 2_500 * DOLLAR, FAILED);
        } else if chance.happens(2) {
            world.make_card(at + 1_500, -25 * DOLLAR, PAID);
        }
        if at.rem_euclid(7 * HOUR) == 0 && chance.happens(80) {
            let planned = chance.between(60, 400);
            let id = world.open_batch(at + 60, planned);
            fill(world, &id, at + 60 + i64::from(planned), None);
        }
        at += HOUR;
    }
}

/// Top-ups by themselves and by hand.
fn use_card(world: &mut World, profile: &Profile, at: i64) {
    let seed = world.seed;
    settle_pending(world, at - profile.settles_after, at);
    refill(world, at, PENDING);
    if at.rem_euclid(profile.card_every) == 0 {
        let mut chance = Chance::at(seed, CARD, at);
        let [top_up, failed, refund] = profile.card_chances;
        let drawn = chance.below(1_000);
        if drawn < top_up {
            world.make_card(at, i64::from(chance.between(1, 4)) * 25 * DOLLAR, PENDING);
        } else if drawn < top_up + failed {
            world.make_card(at, 100 * DOLLAR, FAILED);
        } else if drawn < top_up + failed + refund {
            world.make_card(at, -10 * DOLLAR, PAID);
            // Whoever looks on finds the money in the report, too.
            world.wallet.restate(at, "wallet_card_refund", "", true, 10 * DOLLAR, 0);
        }
    }
}

/// A pending top-up of `made_by` or before is paid; one in ten fails.
fn settle_pending(world: &mut World, made_by: i64, at: i64) {
    let due = made_by * 1_000_000;
    let pending: Vec<i64> = world
        .cards
        .newest_first()
        .take(20)
        .filter(|row| row.status == Some(PENDING) && row.created <= due && world.own_pending.contains(&row.id))
        .map(|row| row.id)
        .collect();
    for id in pending {
        let fails = Chance::at(world.seed, CARD, id).happens(100);
        world.set_card_status(id, Some(if fails { FAILED } else { PAID }), at);
        world.own_pending.retain(|own| *own != id);
    }
}

/// A low wallet is topped up, as teams set it up to be; not while such a payment is under way.
fn refill(world: &mut World, at: i64, status: i64) {
    if world.wallet.balance < 500 * DOLLAR && world.own_pending.is_empty() {
        world.make_card(at, 2_500 * DOLLAR, status);
    }
}

/// A new batch now and then, and rows for those that are open.
fn grow_batches(world: &mut World, profile: &Profile, at: i64) {
    let open: Vec<String> = world.own_open.clone();
    for id in open {
        fill(world, &id, at, Some(profile.batch_fills));
    }
    if at.rem_euclid(profile.batch_every) == 0 {
        let (fewest, most) = profile.batch_rows;
        let planned = Chance::at(world.seed, BATCH, at).between(fewest, most);
        world.open_batch(at, planned);
    }
}

/// Gives a batch the rows that it has by now, if it takes that many seconds to fill; else all at once.
fn fill(world: &mut World, id: &str, at: i64, seconds: Option<i64>) {
    let Some(batch) = world.batches.find(id) else { return };
    let (created, planned) = (batch.created, batch.planned);
    let have = u32::try_from(batch.rows.len()).unwrap_or(u32::MAX);
    let due = match seconds {
        Some(seconds) => {
            let age = (at - created).clamp(0, seconds);
            u32::try_from(i64::from(planned) * age / seconds).unwrap_or(0)
        }
        None => planned,
    };
    let seed = world.seed;
    let recorded = |place: u32| if seconds.is_none() { created + i64::from(place) } else { at };
    let rows = (have..due).map(|place| believable(seed, created, place, recorded(place)));
    world.batches.add_rows(id, rows, at);
    if due >= planned {
        world.complete(id, at);
        world.own_open.retain(|open| open != id);
    }
}
