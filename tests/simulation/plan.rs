//! What a seed decides before a world begins: when, how long, how it is configured, and what will trouble it.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::budgets::{Budget, PERIODS, Scope};

/// The four sources: balance, consumption, card transactions, batches.
pub const SOURCES: [&str; 4] = ["balance", "consumption", "card_transactions", "batches"];

/// A kind of trouble, on or off for a whole world: so that each is met alone and in company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    Restatements,
    LateSpend,
    ManyNames,
    Faults,
    RequestLimits,
    Strays,
    Drift,
    WallClock,
    SimulatorClock,
    Dates,
    Storage,
    Crashes,
    Restarts,
    LostStorage,
    OldCopy,
    ListEdits,
    Webhooks,
    Cards,
    Batches,
    /// The report shows what moved the balance up to an hour later.
    ReportLag,
    /// Some of it only after hours, or never.
    LongLag,
    /// The accounts file is read again with other budgets.
    Reloads,
}

const TROUBLES: [(Trouble, u32); 22] = [
    (Trouble::Restatements, 35),
    (Trouble::LateSpend, 50),
    (Trouble::ManyNames, 15),
    (Trouble::Faults, 50),
    (Trouble::RequestLimits, 30),
    (Trouble::Strays, 35),
    (Trouble::Drift, 25),
    (Trouble::WallClock, 40),
    (Trouble::SimulatorClock, 15),
    (Trouble::Dates, 20),
    (Trouble::Storage, 35),
    (Trouble::Crashes, 40),
    (Trouble::Restarts, 40),
    (Trouble::LostStorage, 10),
    (Trouble::OldCopy, 12),
    (Trouble::ListEdits, 45),
    (Trouble::Webhooks, 50),
    (Trouble::Cards, 75),
    (Trouble::Batches, 75),
    (Trouble::ReportLag, 40),
    (Trouble::LongLag, 40),
    (Trouble::Reloads, 50),
];

/// A stretch of a world's time.
#[derive(Clone, Copy, Debug)]
pub enum Phase {
    /// So many steps of 15 to 60 seconds.
    Busy(u32),
    /// So many seconds in which next to nothing happens or is looked at.
    Quiet(u64),
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub start: DateTime<Utc>,
    /// 0: seconds between polls, 1: minutes, 2: up to an hour, 3: hours, 4: a day.
    pub scale: usize,
    pub intervals: [u64; 4],
    pub max_age: [u64; 2],
    pub settle_after: u64,
    pub hold: u64,
    pub budgets: [u32; 2],
    /// Dollars for the day, the week and the month.
    pub budgets_usd: [Option<u32>; 3],
    /// Whether accounts are in a file and not in variables.
    pub in_file: bool,
    /// What the file lists beside those.
    pub listed: Vec<Budget>,
    pub wallet_since: Option<NaiveDate>,
    pub checks_since: Option<DateTime<Utc>>,
    pub phases: Vec<Phase>,
    /// The wall clock's error when the machine starts.
    pub first_error_ms: i64,
    pub troubles: Vec<Trouble>,
    pub latency_ms: u64,
}

impl Plan {
    pub fn draw(rng: &mut fastrand::Rng) -> Plan {
        let scale = [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4][rng.usize(..14)];
        let troubles: Vec<Trouble> = match rng.u32(..10) {
            0 => Vec::new(),
            _ => TROUBLES.iter().filter(|(_, chance)| rng.u32(..100) < *chance).map(|(trouble, _)| *trouble).collect(),
        };
        let (low, high, length) = match scale {
            0 => (1, 10, rng.u64(15 * 60..75 * 60)),
            1 => (30, 300, rng.u64(2 * 3_600..16 * 3_600)),
            2 => (300, 3_600, rng.u64(1..12) * 86_400),
            3 => (2 * 3_600, 6 * 3_600, rng.u64(40..200) * 86_400),
            _ => (12 * 3_600, 24 * 3_600, rng.u64(300..1_300) * 86_400),
        };
        let intervals = [0; 4].map(|_| rng.u64(low..=high));
        let longest = intervals[..3].iter().max().unwrap() * 2;
        let stretch = |rng: &mut fastrand::Rng, least: u64| least + rng.u64(0..=least * 2);
        let max_age = [stretch(rng, longest), stretch(rng, intervals[3] * 2)];
        let settle_after = match scale {
            0 => rng.u64(60..600),
            1 => rng.u64(600..7_200),
            2 => rng.u64(3_600..6 * 3_600),
            _ => rng.u64(6 * 3_600..48 * 3_600),
        };
        let start = draw_start(rng);
        let wallet_since = (rng.u32(..4) == 0).then(|| (start - TimeDelta::days(rng.i64(1..60))).date_naive());
        let checks_since = (rng.u32(..4) == 0).then(|| start - TimeDelta::seconds(rng.i64(8 * 86_400..20 * 86_400)));
        let first_error_ms =
            if troubles.contains(&Trouble::WallClock) && rng.bool() { draw_error(rng) } else { rng.i64(-900..900) };
        let in_file = rng.bool();
        let listed = if in_file { Budget::draw(rng, troubles.contains(&Trouble::ManyNames)) } else { Vec::new() };
        Plan {
            start,
            scale,
            intervals,
            max_age,
            settle_after,
            hold: if rng.u32(..4) == 0 { rng.u64(0..300) } else { 120 },
            budgets: [0; 2].map(|_| if rng.u32(..5) == 0 { rng.u32(8..60) } else { 300 }),
            budgets_usd: [0; 3].map(|_| rng.bool().then(|| rng.u32(1..5_000))),
            in_file,
            listed,
            wallet_since,
            checks_since,
            phases: phases(rng, length, scale),
            first_error_ms,
            latency_ms: [5, 200, 200, 2_000, 8_000][rng.usize(..5)],
            troubles,
        }
    }

    /// Ten years of polls once or twice a day, with everything that leaves rows behind and nothing that loses them.
    pub fn ten_years(rng: &mut fastrand::Rng) -> Plan {
        let hours = |rng: &mut fastrand::Rng| rng.u64(12 * 3_600..=24 * 3_600);
        let intervals = [0; 4].map(|_| hours(rng));
        Plan {
            scale: 4,
            intervals,
            max_age: [4 * 86_400; 2],
            settle_after: 12 * 3_600,
            budgets: [300; 2],
            phases: [Phase::Busy(40), Phase::Quiet(365 * 86_400)].repeat(10),
            first_error_ms: 0,
            latency_ms: 200,
            troubles: vec![
                Trouble::Restatements,
                Trouble::LateSpend,
                Trouble::ManyNames,
                Trouble::Restarts,
                Trouble::ListEdits,
                Trouble::Webhooks,
                Trouble::Cards,
                Trouble::Batches,
            ],
            ..Plan::draw(rng)
        }
    }

    /// All budgets.
    pub fn all_budgets(&self) -> Vec<Budget> {
        let by_variable = self.budgets_usd.iter().enumerate().filter_map(|(period, dollars)| {
            Some(Budget { name: PERIODS[period].to_owned(), period, dollars: (*dollars)?, scope: Scope::Wallet })
        });
        by_variable.chain(self.listed.iter().cloned()).collect()
    }

    pub fn has(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }
}

/// Near a midnight, the end of a month, of a year, or of February, more often than not.
fn draw_start(rng: &mut fastrand::Rng) -> DateTime<Utc> {
    const EDGES: [&str; 6] = ["2026-12-31", "2027-02-28", "2028-02-28", "2028-02-29", "2026-03-31", "2027-06-30"];
    let day: NaiveDate = match rng.u32(..3) {
        0 => EDGES[rng.usize(..EDGES.len())].parse().unwrap(),
        _ => NaiveDate::from_ymd_opt(2026, 1, 1).unwrap() + TimeDelta::days(rng.i64(0..1_000)),
    };
    let second = if rng.bool() { 86_400 - rng.i64(1..4_000) } else { rng.i64(0..86_400) };
    day.and_hms_opt(0, 0, 0).unwrap().and_utc() + TimeDelta::seconds(second)
}

/// Seconds, hours or days, either way.
pub fn draw_error(rng: &mut fastrand::Rng) -> i64 {
    let most = [30, 3_000, 6 * 3_600, 7 * 86_400][rng.usize(..4)];
    rng.i64(-most..=most) * 1_000
}

fn phases(rng: &mut fastrand::Rng, length: u64, scale: usize) -> Vec<Phase> {
    let windows = match scale {
        0 => 1,
        1 => rng.u64(2..6),
        _ => rng.u64(3..9),
    };
    let mut phases = Vec::new();
    for _ in 0..windows {
        let steps = length / windows / 40;
        phases.push(Phase::Busy(u32::try_from(steps.min(rng.u64(15..60))).unwrap().max(5)));
        if scale > 0 {
            phases.push(Phase::Quiet(length / windows * rng.u64(50..150) / 100));
        }
    }
    if scale == 0 {
        phases = vec![Phase::Busy(u32::try_from(length / 37).unwrap())];
    }
    phases
}
