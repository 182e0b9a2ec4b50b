//! `GET /api/v1/wallet/consumption-report`: the wallet's periods, as JSON or (see `transactions_csv`) as CSV.
//!
//! Invariant: one pass over the hours that were asked for, whatever the grain; a year of hours takes milliseconds.

use std::fmt::Write as _;

use chrono::{Datelike, NaiveDate, Timelike};

use super::table::Table;
use super::{Invalid, Reply, Request, quoted, time, transactions_csv};
use crate::amount::{Units, four, short};
use crate::wallet::{Cell, NameId, Names, Wallet};
use crate::world::World;

/// The vendor's longest report.
const DAYS: i64 = 366;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Grain {
    Hour,
    Day,
    Week,
    Month,
}

/// What was asked for, all of it valid.
struct Asked {
    start: NaiveDate,
    end: NaiveDate,
    origin: Option<String>,
}

impl Asked {
    /// The time from and the time up to (but not including) which it reaches, in seconds since 1970.
    fn seconds(&self) -> (i64, i64) {
        let seconds = |date: NaiveDate| date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
        (seconds(self.start), seconds(self.end) + 86_400)
    }

    fn table(&self, world: &mut World) -> Table {
        transactions_csv::table(&mut world.wallet, self.seconds(), self.origin.as_deref())
    }
}

/// The report; 422 if the parameters are not as documented. `today` is the vendor's own UTC date.
pub(crate) fn answer(world: &mut World, request: &Request, today: NaiveDate) -> Reply {
    match asked(request, today) {
        Err(refusal) => refusal,
        Ok((asked, None)) => transactions_csv::download(asked.table(world).written()),
        Ok((asked, Some(grain))) => json(&world.wallet, &asked, grain),
    }
}

/// The rows of the CSV, if that is what is asked for.
pub(crate) fn table(world: &mut World, request: &Request, today: NaiveDate) -> Result<Table, Reply> {
    let (asked, _) = asked(request, today)?;
    Ok(asked.table(world))
}

/// What is asked for; no grain for the CSV.
fn asked(request: &Request, today: NaiveDate) -> Result<(Asked, Option<Grain>), Reply> {
    let mut invalid = Invalid::default();
    let start = date(&mut invalid, request, "start_date", today);
    let end = date(&mut invalid, request, "end_date", today);
    if let (Some(start), Some(end)) = (start, end) {
        if end < start {
            invalid.push("end_date", "The end date field must be a date after or equal to start date.");
        } else if (end - start).num_days() > DAYS {
            invalid.push("end_date", "The start date and end date must be within 366 days of each other.");
        }
    }
    let grain = match request.parameter("group_by") {
        None | Some("hour") => Grain::Hour,
        Some("day") => Grain::Day,
        Some("week") => Grain::Week,
        Some("month") => Grain::Month,
        Some(_) => {
            invalid.push("group_by", "The selected group by is invalid.");
            Grain::Hour
        }
    };
    let csv = match request.parameter("format") {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => {
            invalid.push("format", "The selected format is invalid.");
            false
        }
    };
    if let Some(reply) = invalid.reply() {
        return Err(reply);
    }
    let (Some(start), Some(end)) = (start, end) else {
        return Err(Reply::refused(500, "Server Error"));
    };
    let asked = Asked { start, end, origin: request.parameter("origin").map(str::to_owned) };
    Ok((asked, (!csv).then_some(grain)))
}

fn date(invalid: &mut Invalid, request: &Request, field: &'static str, today: NaiveDate) -> Option<NaiveDate> {
    if request.parameter(field).is_none() {
        invalid.push(field, format!("The {} field is required.", super::words(field)));
        return None;
    }
    let date = invalid.date(request, field)?;
    if date > today {
        invalid.push(field, format!("The {} field must be a date before or equal to today.", super::words(field)));
    }
    Some(date)
}

fn json(wallet: &Wallet, asked: &Asked, grain: Grain) -> Reply {
    let (from, until) = asked.seconds();
    let only = asked.origin.as_deref().map(|origin| wallet.origins.known(origin));
    let mut periods = String::new();
    let (mut total_debit, mut total_credit) = (0, 0);
    let mut sums = Sums::new(wallet);
    let mut current = String::new();
    for (hour, cells) in wallet.hours(from / 3_600, until / 3_600 - 1) {
        let period = period(grain, hour);
        if period != current {
            sums.write(&mut periods, &current);
            current = period;
        }
        for cell in cells {
            // With an origin that was never seen, no cell is wanted.
            if only.is_some_and(|only| only.is_none() || cell.key.origin != only) {
                continue;
            }
            if cell.key.in_total {
                total_debit += cell.debit;
                total_credit += cell.credit;
            }
            sums.add(cell);
        }
    }
    sums.write(&mut periods, &current);
    Reply::results(&format!(
        r#"{{"summary":{{"total_debit":{},"total_credit":{},"net_change":{},"period_start":"{}","period_end":"{}"}},"data":[{periods}]}}"#,
        four(total_debit),
        four(total_credit),
        four(total_credit - total_debit),
        asked.start,
        asked.end,
    ))
}

fn period(grain: Grain, hour: i64) -> String {
    let at = time(hour * 3_600);
    match grain {
        // Written out: `chrono`'s own formatting is most of the cost of a year of hours.
        Grain::Hour => format!("{:04}-{:02}-{:02}T{:02}:00:00", at.year(), at.month(), at.day(), at.hour()),
        Grain::Day => format!("{:04}-{:02}-{:02}", at.year(), at.month(), at.day()),
        Grain::Week => {
            let week = at.iso_week();
            format!("{:04}-W{:02}", week.year(), week.week())
        }
        Grain::Month => format!("{:04}-{:02}", at.year(), at.month()),
    }
}

/// The sums of one period, by the names' ids; kept from period to period so that nothing is allocated again.
struct Sums {
    debit: Units,
    credit: Units,
    origins: Vec<(Units, Units)>,
    paths: Vec<Units>,
    any: bool,
    /// The names as JSON strings, by id, and the ids in the order of their names.
    origin_names: Vec<String>,
    path_names: Vec<String>,
    origins_by_name: Vec<NameId>,
    paths_by_name: Vec<NameId>,
}

impl Sums {
    fn new(wallet: &Wallet) -> Sums {
        Sums {
            debit: 0,
            credit: 0,
            origins: vec![(0, 0); wallet.origins.len()],
            paths: vec![0; wallet.paths.len()],
            any: false,
            origin_names: wallet.origins.all().map(quoted).collect(),
            path_names: wallet.paths.all().map(quoted).collect(),
            origins_by_name: by_name(&wallet.origins),
            paths_by_name: by_name(&wallet.paths),
        }
    }

    fn add(&mut self, cell: &Cell) {
        self.any = true;
        if cell.key.in_total {
            self.debit += cell.debit;
            self.credit += cell.credit;
        }
        if let Some(sum) = cell.key.origin.and_then(|id| self.origins.get_mut(usize::from(id))) {
            sum.0 += cell.debit;
            sum.1 += cell.credit;
        }
        if let Some(sum) = cell.key.path.and_then(|id| self.paths.get_mut(usize::from(id))) {
            *sum += cell.debit;
        }
    }

    /// Writes the period, if anything was in it, and begins the next.
    fn write(&mut self, out: &mut String, period: &str) {
        if !self.any {
            return;
        }
        let comma = if out.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            r#"{comma}{{"period":"{period}","debit":{},"credit":{},"by_origin":{{"#,
            short(self.debit),
            short(self.credit)
        );
        let mut comma = "";
        for id in &self.origins_by_name {
            let Some(sum) = self.origins.get_mut(usize::from(*id)) else { continue };
            let (debit, credit) = std::mem::take(sum);
            let name = self.origin_names.get(usize::from(*id)).map_or("", String::as_str);
            let _ = match (debit, credit) {
                (0, 0) => continue,
                (debit, 0) => write!(out, r#"{comma}{name}:{{"debit":{}}}"#, short(debit)),
                (0, credit) => write!(out, r#"{comma}{name}:{{"credit":{}}}"#, short(credit)),
                (debit, credit) => {
                    write!(out, r#"{comma}{name}:{{"debit":{},"credit":{}}}"#, short(debit), short(credit))
                }
            };
            comma = ",";
        }
        out.push_str(r#"},"by_endpoint":{"#);
        let mut comma = "";
        for id in &self.paths_by_name {
            let Some(sum) = self.paths.get_mut(usize::from(*id)) else { continue };
            let debit = std::mem::take(sum);
            if debit != 0 {
                let name = self.path_names.get(usize::from(*id)).map_or("", String::as_str);
                let _ = write!(out, "{comma}{name}:{}", short(debit));
                comma = ",";
            }
        }
        out.push_str("}}");
        (self.debit, self.credit, self.any) = (0, 0, false);
    }
}

fn by_name(names: &Names) -> Vec<NameId> {
    let mut ids: Vec<NameId> = (0..names.len()).filter_map(|id| NameId::try_from(id).ok()).collect();
    ids.sort_by(|a, b| names.name(*a).cmp(names.name(*b)));
    ids
}
