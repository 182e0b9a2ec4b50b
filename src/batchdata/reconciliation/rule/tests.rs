//! Histories of a wallet, minute by minute, beside an oracle that adds up in integers and knows no ranges.

use super::*;
use chrono::DateTime;
use proptest::prelude::*;

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const LAG: Duration = Duration::from_secs(3_600);

fn usd(units: i64) -> Usd {
    Usd::from_ten_thousandths(units)
}

fn moment(second: i64) -> Moment {
    let boot = BootTime::from_nanos(second * 1_000_000_000);
    Moment { wall: DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap(), boot }
}

/// A movement of the balance in ten-thousandths of a dollar, negative for a debit, and what the report has of it.
#[derive(Clone, Copy, Debug)]
struct Movement {
    at: i64,
    balance: i64,
    report: i64,
    /// When the report has it at the earliest.
    reported_at: i64,
}

/// The vendor.
#[derive(Clone, Debug, Default)]
struct Wallet {
    movements: Vec<Movement>,
}

impl Wallet {
    fn add(&mut self, at: i64, balance: i64, report: i64, late: i64) {
        self.movements.push(Movement { at, balance, report, reported_at: at + late });
    }

    fn balance(&self, at: i64) -> i64 {
        self.movements.iter().filter(|it| it.at <= at).map(|it| it.balance).sum()
    }

    /// Debits less credits as the report says at a time, as it was `behind` seconds before that.
    fn net(&self, at: i64, behind: i64) -> i64 {
        -self.movements.iter().filter(|it| it.reported_at <= at - behind).map(|it| it.report).sum::<i64>()
    }

    /// What the report will never explain.
    fn difference(&self, at: i64) -> i64 {
        let so_far = self.movements.iter().filter(|it| it.at <= at);
        so_far.map(|it| it.balance - it.report).sum()
    }

    /// How much the balance moved in the seconds before; what it rose counts twice.
    fn moved(&self, at: i64, seconds: i64) -> i64 {
        let within = self.movements.iter().filter(|it| it.at > at - seconds && it.at <= at);
        within.map(|it| it.balance.abs() + it.balance.max(0)).sum()
    }
}

/// The exporter: the balance on each full minute, the report a minute and a half after each full five.
struct Exporter {
    rule: Reconciliation,
    /// The times of the last polls, as the storage has them.
    stored: Vec<BalancePoll>,
}

impl Exporter {
    fn new() -> Exporter {
        Exporter { rule: Reconciliation::restored(LAG, [], None), stored: Vec::new() }
    }

    fn minute(&mut self, wallet: &Wallet, second: i64, behind: i64) {
        let poll = self.rule.balance(moment(second).boot, moment(second + 1).boot, usd(wallet.balance(second)));
        self.stored.push(poll);
        self.stored.retain(|poll| poll.number >= self.rule.oldest());
        if second.rem_euclid(5 * MINUTE) == 0 {
            let net = usd(wallet.net(second + 30, behind));
            self.rule.report(Report { began: moment(second + 30).boot, ended: moment(second + 31), net });
        }
    }

    fn run(&mut self, wallet: &Wallet, from: i64, to: i64) {
        (from..to).step_by(60).for_each(|second| self.minute(wallet, second, 0));
    }

    fn restart(&mut self) {
        let polls = self.stored.iter().copied().map(Some);
        self.rule = Reconciliation::restored(LAG, polls, self.rule.compared().cloned());
    }

    fn unreconciled(&self) -> Option<Usd> {
        self.rule.compared().map(Compared::unreconciled)
    }
}

/// What may happen within a minute.
#[derive(Clone, Debug)]
enum Step {
    /// A debit or credit that is in the report.
    Move(i64),
    /// A debit, a top-up and another debit within the minute, all reported: the report is made before or after the top-up.
    TopUp(i64, i64, bool),
    /// One that the report never has, or one of the report that is none of the balance.
    Differ(i64, bool),
    /// So many minutes pass.
    Pass(i64),
    /// The balance is not polled for so many minutes.
    Blind(i64),
    Restart,
    /// From now on the report is so many seconds behind.
    Behind(i64),
}

fn step(differ: bool, behind: i64) -> impl Strategy<Value = Step> {
    let amount = || prop_oneof![-500_000_i64..500_000, Just(25_000_000)];
    prop_oneof![
        8 => amount().prop_map(Step::Move),
        1 => (0_i64..6_000_000, 0_i64..6_000_000, any::<bool>()).prop_map(|(one, two, early)| Step::TopUp(one, two, early)),
        u32::from(differ) => (amount(), any::<bool>()).prop_map(|(amount, balance)| Step::Differ(amount, balance)),
        4 => (1_i64..90).prop_map(Step::Pass),
        1 => (1_i64..400).prop_map(Step::Blind),
        1 => Just(Step::Restart),
        2 => (0..=behind).prop_map(Step::Behind),
    ]
}

/// Plays the steps after an hour and a half of rest; `check` sees each minute.
fn play(steps: Vec<Step>, check: impl FnMut(&Exporter, &Wallet, i64)) -> (Exporter, Wallet, i64) {
    play_all([Step::Pass(90)].into_iter().chain(steps), check)
}

fn play_all(
    steps: impl IntoIterator<Item = Step>,
    mut check: impl FnMut(&Exporter, &Wallet, i64),
) -> (Exporter, Wallet, i64) {
    let (mut exporter, mut wallet, mut second, mut behind) = (Exporter::new(), Wallet::default(), 0, 0);
    wallet.add(-HOUR, 1_000_000, 1_000_000, 0);
    // What the report shows never goes back.
    let mut shown = i64::MIN;
    for step in steps {
        let (polled, blind) = match step {
            Step::Move(amount) => {
                wallet.add(second + 30, amount, amount, 0);
                (1, 0)
            }
            Step::TopUp(before, after, early) => {
                wallet.add(second + 10, -before, -before, 0);
                let top_up = if early { 20 } else { 40 };
                wallet.add(second + top_up, 25_000_000, 25_000_000, 0);
                wallet.add(second + 50, -after, -after, 0);
                (1, 0)
            }
            Step::Differ(amount, true) => {
                wallet.add(second + 30, amount, 0, 0);
                (1, 0)
            }
            Step::Differ(amount, false) => {
                wallet.add(second + 30, 0, amount, 0);
                (1, 0)
            }
            Step::Pass(minutes) => (minutes, 0),
            Step::Blind(minutes) => (0, minutes),
            Step::Restart => {
                exporter.restart();
                continue;
            }
            Step::Behind(seconds) => {
                behind = seconds;
                continue;
            }
        };
        for _ in 0..polled {
            shown = shown.max(second + 30 - behind);
            exporter.minute(&wallet, second, second + 30 - shown);
            check(&exporter, &wallet, second);
            second += MINUTE;
        }
        second += blind * MINUTE;
    }
    (exporter, wallet, second)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_report_that_is_up_to_an_hour_behind_never_shows(steps in prop::collection::vec(step(false, HOUR), 1..80)) {
        let mut compared = 0;
        play(steps, |exporter, wallet, second| {
            compared += i32::from(exporter.unreconciled().is_some());
            let shown = exporter.unreconciled().unwrap_or_default();
            assert_eq!(shown, Usd::ZERO, "at {second}: {wallet:?}");
        });
        prop_assert!(compared > 0);
    }

    #[test]
    fn one_that_is_further_behind_heals(steps in prop::collection::vec(step(false, 6 * HOUR), 1..80)) {
        let (mut exporter, wallet, second) = play(steps, |_, _, _| ());
        exporter.run(&wallet, second, second + 2 * HOUR);
        prop_assert_eq!(exporter.unreconciled(), Some(Usd::ZERO));
    }

    #[test]
    fn a_difference_shows_less_at_most_an_hours_movement_and_fully_after_an_hour_of_rest(
        steps in prop::collection::vec(step(true, 0), 1..80),
    ) {
        let mut last = i64::MIN;
        let (mut exporter, wallet, second) = play(steps, |exporter, wallet, second| {
            // Only where it has been looked at all the time.
            let report = exporter.rule.compared().and_then(|compared| compared.report);
            if report.is_some_and(|report| moment(second).boot.since(report.boot) < Duration::from_secs(300)) && last < second {
                last = second;
                let off = exporter.unreconciled().unwrap() - usd(wallet.difference(second));
                let movement = wallet.moved(second, HOUR + 16 * MINUTE);
                // And what only the report has, which is seen at the next one.
                let reported = wallet.movements.iter().filter(|it| it.at > second - 10 * MINUTE);
                let unseen: i64 = reported.map(|it| it.report.abs()).sum();
                assert!(off.abs() <= usd(movement + unseen), "at {second}: off by {off}: {wallet:?}");
            }
        });
        exporter.run(&wallet, second, second + 2 * HOUR);
        prop_assert_eq!(exporter.unreconciled(), Some(usd(wallet.difference(second))));
    }

    #[test]
    fn differences_and_late_reports_together_leave_at_most_what_was_unknown_at_the_first_comparison(
        steps in prop::collection::vec(step(true, 6 * HOUR), 1..120),
    ) {
        // The time of the first comparison, what was unreconciled by then, and how much had moved.
        let mut first: Option<(i64, i64)> = None;
        let (mut exporter, wallet, second) = play_all(steps, |exporter, wallet, second| {
            if first.is_none() && exporter.unreconciled().is_some() {
                let moved = |it: &Movement| 2 * it.balance.abs().max(it.report.abs());
                first = Some((wallet.difference(second), wallet.movements.iter().map(moved).sum()));
            }
        });
        exporter.run(&wallet, second, second + 3 * HOUR);
        let (before, unknown) = first.unwrap_or((wallet.difference(second), 0));
        let off = exporter.unreconciled().unwrap() - usd(wallet.difference(second) - before);
        prop_assert!(off.abs() <= usd(unknown), "off by {off}, {unknown} was unknown: {wallet:?}");
    }

    #[test]
    fn each_debit_and_credit_may_be_as_late_as_it_likes_within_the_hour(
        movements in prop::collection::vec((1_i64..30, -500_000_i64..500_000, 0..=HOUR), 1..60),
    ) {
        let (mut exporter, mut wallet, mut second) = (Exporter::new(), Wallet::default(), 0);
        exporter.run(&wallet, 0, 90 * MINUTE);
        second += 90 * MINUTE;
        for (minutes, amount, late) in movements {
            wallet.add(second + 30, amount, amount, late);
            exporter.run(&wallet, second, second + minutes * MINUTE);
            second += minutes * MINUTE;
            prop_assert_eq!(exporter.unreconciled(), Some(Usd::ZERO));
        }
    }
}

#[test]
fn nothing_is_compared_before_an_hour_is_known() {
    let (mut exporter, wallet) = (Exporter::new(), Wallet::default());
    exporter.run(&wallet, 0, 61 * MINUTE);
    assert_eq!(exporter.unreconciled(), None);
    exporter.run(&wallet, 61 * MINUTE, 67 * MINUTE);
    assert_eq!(exporter.unreconciled(), Some(Usd::ZERO));
    let report = exporter.rule.compared().unwrap().report;
    assert_eq!(report, Some(moment(65 * MINUTE + 31)));
    // Eleven minutes without the balance: another hour.
    exporter.run(&wallet, 78 * MINUTE, 137 * MINUTE);
    assert_eq!(exporter.rule.compared().unwrap().report, report);
    exporter.run(&wallet, 137 * MINUTE, 147 * MINUTE);
    assert_eq!(exporter.rule.compared().unwrap().report, Some(moment(145 * MINUTE + 31)));
    assert!(exporter.stored.len() < 75, "{}", exporter.stored.len());
}

#[test]
fn a_report_needs_the_balance_within_five_minutes_on_each_side() {
    let report = |began: i64| Report { began: moment(began).boot, ended: moment(began + 1), net: Usd::ZERO };
    for (before, after, compared) in [(300, 300, true), (301, 60, false), (60, 301, false)] {
        let mut rule = Reconciliation::restored(LAG, [], None);
        let poll = |rule: &mut Reconciliation, at: i64| {
            rule.balance(moment(at).boot, moment(at).boot, Usd::ZERO);
        };
        (0..=HOUR).step_by(300).for_each(|second| poll(&mut rule, second));
        rule.report(report(HOUR + before));
        // One that was under way already says nothing.
        rule.balance(moment(HOUR + before).boot, moment(HOUR + before + 2).boot, usd(7));
        assert!(rule.compared().is_none());
        poll(&mut rule, HOUR + before + 1 + after);
        assert_eq!(rule.compared().is_some(), compared, "{before} {after}");
    }
}

#[test]
fn a_wallet_that_never_rests_shows_a_difference_less_at_most_an_hours_movement() {
    for (difference, rest) in [(50_000, 0), (-50_000, 0), (50_000, 2 * HOUR), (-50_000, 2 * HOUR)] {
        let (mut exporter, mut wallet) = (Exporter::new(), Wallet::default());
        // Sixty times 0.0256 dollars an hour, for three days.
        (0..72 * 60).for_each(|minute| wallet.add(rest + minute * MINUTE + 30, -256, -256, 0));
        exporter.run(&wallet, 0, 10 * HOUR);
        assert_eq!(exporter.unreconciled(), Some(Usd::ZERO));
        wallet.add(10 * HOUR, difference, 0, 0);
        exporter.run(&wallet, 10 * HOUR, 72 * HOUR);
        let less = |exporter: &Exporter| usd(difference.abs()) - exporter.unreconciled().unwrap().abs();
        assert!((Usd::ZERO..=usd(67 * 256)).contains(&less(&exporter)), "{difference} {}", less(&exporter));
        // An hour of rest, at last. What was never known exactly before the difference is not known after it.
        exporter.run(&wallet, 72 * HOUR + rest, 74 * HOUR + rest);
        let at_most = if rest > 0 { Usd::ZERO } else { usd(67 * 256) };
        assert!((Usd::ZERO..=at_most).contains(&less(&exporter)), "{difference} {}", less(&exporter));
    }
}

#[test]
fn a_report_that_is_hours_late_heals_without_a_rest() {
    for late in [HOUR / 2, 2 * HOUR, 30 * HOUR] {
        let (mut exporter, mut wallet) = (Exporter::new(), Wallet::default());
        (0..72 * 60).for_each(|minute| wallet.add(minute * MINUTE + 30, -256, -256, 0));
        wallet.add(10 * HOUR, -128_000, -128_000, late);
        exporter.run(&wallet, 0, 10 * HOUR + late - MINUTE);
        let shown = exporter.unreconciled().unwrap();
        assert_eq!(shown <= usd(2 * 67 * 256 - 128_000), late > HOUR, "{shown}");
        exporter.run(&wallet, 10 * HOUR + late - MINUTE, 10 * HOUR + late + 11 * MINUTE);
        assert_eq!(exporter.unreconciled(), Some(Usd::ZERO), "{late}");
    }
}

#[test]
fn a_top_up_and_debits_that_are_all_reported_leave_nothing() {
    let (mut exporter, mut wallet) = (Exporter::new(), Wallet::default());
    let debits = [19_200, 6_400, 6_400, 19_200, 19_200, 700, 19_200, 700, 128_000];
    wallet.add(2 * HOUR + 30, 500_000, 500_000, 20 * MINUTE);
    for (place, debit) in (1..).zip(debits) {
        wallet.add(2 * HOUR + place * 7 * MINUTE + 30, -debit, -debit, 20 * MINUTE);
    }
    for hour in 0..6 {
        exporter.run(&wallet, hour * HOUR, (hour + 1) * HOUR);
        exporter.restart();
        assert_eq!(exporter.unreconciled().unwrap_or_default(), Usd::ZERO);
    }
    assert_eq!(wallet.balance(6 * HOUR), 281_000);
    assert_eq!(exporter.unreconciled(), Some(Usd::ZERO));
}

#[test]
fn five_days_of_spend_that_the_balance_does_not_show() {
    let (mut exporter, mut wallet) = (Exporter::new(), Wallet::default());
    let (begin, minutes) = (2 * HOUR, 5 * 24 * 60);
    // 185 dollars are reported, and 35.75 leave the wallet.
    let part = |whole: i64, minute: i64| whole * (minute + 1) / minutes - whole * minute / minutes;
    for minute in 0..minutes {
        let at = begin + minute * MINUTE + 30;
        wallet.add(at, -part(357_500, minute), -part(1_850_000, minute), 0);
    }
    let end = begin + minutes * MINUTE;
    exporter.run(&wallet, 0, end);
    let found = exporter.unreconciled().unwrap();
    assert!((found - usd(1_492_500)).abs() <= usd(20_000), "{found}");
    exporter.run(&wallet, end, end + 2 * HOUR);
    assert_eq!(exporter.unreconciled(), Some(usd(1_492_500)));
}

#[test]
fn polls_of_a_wrong_clock_are_forgotten() {
    let poll = |number: i64, at: i64| Some(BalancePoll { number, at: moment(at).boot, balance: usd(number) });
    for (polls, oldest) in [
        (vec![poll(3, 0), poll(4, 60), poll(5, 120)], 3),
        (vec![poll(3, 0), None, poll(5, 120)], 5),
        (vec![poll(3, 90), poll(4, 60), poll(5, 120)], 4),
        (vec![poll(3, 0), None], 0),
    ] {
        assert_eq!(Reconciliation::restored(LAG, polls, None).oldest(), oldest);
    }
}

/// What is unreconciled once the offset was in each of these ranges.
fn unreconciled(ranges: &[(i64, i64)]) -> Vec<i64> {
    let dollars = |dollars: i64| Usd::from_cents(dollars * 100);
    let offset = |(lowest, highest): (i64, i64)| Offset { lowest: dollars(lowest), highest: dollars(highest) };
    let mut compared = Compared::first(offset(ranges[0]), moment(0));
    let values = ranges.iter().map(|range| {
        compared.next(offset(*range), moment(0));
        compared.unreconciled().decimal().try_into().unwrap()
    });
    values.collect()
}

#[test]
fn a_late_report_leaves_nothing_while_something_else_is_unreconciled() {
    // A wallet that never rested: a difference of 250, then a top-up of 2,500 whose line is three hours late, then rest.
    let ranges = [(100, 150), (350, 400), (2_850, 2_900), (350, 400), (350, 350)];
    assert_eq!(unreconciled(&ranges), [0, 200, 2_700, 200, 200]);
    // The line comes in two parts, and the debits go on.
    let ranges = [(100, 150), (350, 400), (2_850, 2_900), (1_600, 1_640), (2_850, 2_870), (360, 420), (365, 365)];
    assert_eq!(unreconciled(&ranges), [0, 200, 2_700, 1_490, 2_700, 210, 215]);
    // Rest, and 30 that come late.
    assert_eq!(unreconciled(&[(100, 150), (350, 400), (350, 350), (380, 380), (350, 350)]), [0, 200, 200, 230, 200]);
    // Everything is explained at last.
    assert_eq!(unreconciled(&[(100, 100), (150, 150), (450, 480), (140, 160)]), [0, 50, 350, 50]);
    assert_eq!(unreconciled(&[(100, 100), (150, 150), (450, 480), (100, 140)]), [0, 50, 350, 0]);
}

#[test]
fn a_difference_that_grows_for_long_is_remembered_at_a_few_levels() {
    let ranges: Vec<(i64, i64)> = (0..50).map(|step| (step * 10, step * 10)).chain([(0, 0)]).collect();
    let expected: Vec<i64> = (0..50).map(|step| step * 10).chain([0]).collect();
    assert_eq!(unreconciled(&ranges), expected);
}
