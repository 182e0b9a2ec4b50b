//! The consumption report.
//!
//! Flows in: a report's answer, up to many megabytes. Flows out: exact sums by UTC day, origin and path, in one pass
//! that allocates per day and name, not per period. Invariant: a report holds each asked period at most once, no other,
//! and agrees with its own summary; names stay as the vendor wrote them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveTime};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::grain::{self, Grain};
use crate::batchdata::envelope::{self, Name, ReadResults, Reading};
use crate::batchdata::{ConsumptionReport, DayConsumption, Flow, HourlyDebits, scalar};
use crate::counting::labels::SharedNames;
use crate::money::Usd;
use crate::upstream::ParseError;

/// The summary may differ from the sum of the periods by one cent: it may have been rounded.
const TOLERANCE_CENTS: i64 = 1;

/// Most origins and paths of a report, each counted once a day: 366 days with 270 of them. About 8 MB in memory.
const MOST_PARTS: usize = 100_000;
/// Most different names among them: what is done with a new name costs more than to read it.
const MOST_DISTINCT: usize = 10_000;

/// Reads a report of the days `from` to `to`, both included. Periods of [`Grain::Hour`] are added up by day; their debits
/// are kept by hour, too.
///
/// # Errors
/// A [`ParseError`] of class `refused`, `decode`, `truncated` or `implausible`.
pub fn read_consumption(
    body: &[u8],
    from: NaiveDate,
    to: NaiveDate,
    grain: Grain,
) -> Result<ConsumptionReport, ParseError> {
    let (read, debits) = periods(body, Results { from, to, grain, kept: Grain::Day })?;
    let mut days = BTreeMap::new();
    for (hours, day) in read {
        let begins = DateTime::from_timestamp(hours * 3_600, 0).unwrap_or_default();
        days.insert(begins.date_naive(), day);
    }
    let hourly = (grain == Grain::Hour).then_some(HourlyDebits { from, to, debits });
    Ok(ConsumptionReport { from, to, days, hourly })
}

/// Reads a report by hour of the days `from` to `to`, both included: its hours, named by the hours since 1970.
///
/// # Errors
/// As [`read_consumption`].
pub(in crate::batchdata) fn read_hours(
    body: &[u8],
    from: NaiveDate,
    to: NaiveDate,
) -> Result<BTreeMap<i64, DayConsumption>, ParseError> {
    Ok(periods(body, Results { from, to, grain: Grain::Hour, kept: Grain::Hour })?.0)
}

/// The periods as they are kept, and the debits of each as it was asked for; both by the hours since 1970 at which they
/// begin.
type ReadPeriods = (BTreeMap<i64, DayConsumption>, BTreeMap<i64, Usd>);

fn periods(body: &[u8], asked: Results) -> Result<ReadPeriods, ParseError> {
    let (PeriodTotals { periods, debits, sum, .. }, summary) = envelope::read(body, asked)?;
    for (name, counted, said) in
        [("total_debit", sum.debit, summary.debit), ("total_credit", sum.credit, summary.credit)]
    {
        if (counted - said).abs() > Usd::from_cents(TOLERANCE_CENTS) {
            return Err(ParseError::implausible(format!("summary.{name} is not the sum of the periods")));
        }
    }
    Ok((periods, debits))
}

struct Results {
    from: NaiveDate,
    to: NaiveDate,
    grain: Grain,
    /// Periods are added up to these.
    kept: Grain,
}

impl<'de> ReadResults<'de> for Results {
    /// What was added up, and the summary.
    type Value = (PeriodTotals, Flow);
    fn read<D: Deserializer<'de>>(self, reading: &Reading, deserializer: D) -> Result<(PeriodTotals, Flow), D::Error> {
        let mut days = PeriodTotals {
            asked: self,
            periods: BTreeMap::new(),
            debits: BTreeMap::new(),
            sum: Flow::default(),
            names: SharedNames::default(),
            parts: 0,
        };
        let summary = deserializer.deserialize_map(ResultsVisitor { reading, days: &mut days })?;
        Ok((days, summary))
    }
}

/// What has been added up so far.
struct PeriodTotals {
    asked: Results,
    periods: BTreeMap<i64, DayConsumption>,
    /// Debits by period, named by the hours since 1970 at which it begins.
    debits: BTreeMap<i64, Usd>,
    /// All periods together.
    sum: Flow,
    names: SharedNames,
    /// How many origins and paths the days hold.
    parts: usize,
}

impl PeriodTotals {
    fn add(&mut self, period: &str, total: Flow, parts: &mut Parts<'_>) -> Result<(), ParseError> {
        let (date, hour) = grain::read(period, self.asked.grain)?;
        if date < self.asked.from || date > self.asked.to {
            return Err(ParseError::implausible("a period lies outside the asked dates"));
        }
        let midnight = date.and_time(NaiveTime::MIN).and_utc().timestamp() / 3_600;
        let begins = midnight + i64::from(hour);
        if self.debits.insert(begins, total.debit).is_some() {
            return Err(ParseError::implausible("a period appears twice"));
        }
        self.sum.debit += total.debit;
        self.sum.credit += total.credit;
        let day = self.periods.entry(if self.asked.kept == Grain::Hour { begins } else { midnight }).or_default();
        day.total.debit += total.debit;
        day.total.credit += total.credit;
        for (name, flow) in parts.origins.drain(..) {
            match day.by_origin.get_mut(&*name) {
                Some(sum) => {
                    sum.debit += flow.debit;
                    sum.credit += flow.credit;
                }
                None => {
                    day.by_origin.insert(self.names.share(&name), flow);
                    self.parts += 1;
                }
            }
        }
        for (name, debit) in parts.paths.drain(..) {
            match day.by_path.get_mut(&*name) {
                Some(sum) => *sum += debit,
                None => {
                    day.by_path.insert(self.names.share(&name), debit);
                    self.parts += 1;
                }
            }
        }
        if self.names.count() > MOST_DISTINCT {
            return Err(ParseError::too_large(format!("the report has more than {MOST_DISTINCT} different names")));
        }
        bounded(self.parts)
    }
}

fn bounded(parts: usize) -> Result<(), ParseError> {
    match parts > MOST_PARTS {
        true => Err(ParseError::too_large(format!(
            "the report has more than {MOST_PARTS} origins and paths, each day's counted"
        ))),
        false => Ok(()),
    }
}

/// The breakdowns of the period that is being read; its date may come after them.
#[derive(Default)]
struct Parts<'de> {
    origins: Vec<(Cow<'de, str>, Flow)>,
    paths: Vec<(Cow<'de, str>, Usd)>,
}

struct ResultsVisitor<'a> {
    reading: &'a Reading,
    days: &'a mut PeriodTotals,
}

impl<'de> Visitor<'de> for ResultsVisitor<'_> {
    type Value = Flow;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a report")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Flow, A::Error> {
        let reading = self.reading;
        let mut summary = None;
        let mut data = false;
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                "summary" => {
                    reading.at("summary");
                    summary = Some(map.next_value_seed(Summary(reading))?);
                }
                "data" => {
                    reading.at("data");
                    data = true;
                    map.next_value_seed(PeriodsSeed { reading, days: &mut *self.days })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if !data {
            return Err(reading.fail(ParseError::decode("results.data is missing")));
        }
        summary.ok_or_else(|| reading.fail(ParseError::decode("results.summary is missing")))
    }
}

struct Summary<'a>(&'a Reading);

impl<'de> DeserializeSeed<'de> for Summary<'_> {
    type Value = Flow;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Flow, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Summary<'_> {
    type Value = Flow;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a summary")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Flow, A::Error> {
        let (mut debit, mut credit) = (None, None);
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                "total_debit" => debit = Some(amount(self.0, &mut map, "summary.total_debit")?),
                "total_credit" => credit = Some(amount(self.0, &mut map, "summary.total_credit")?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let missing = |field: &str| self.0.fail(ParseError::decode(format!("{field} is missing")));
        Ok(Flow {
            debit: debit.ok_or_else(|| missing("summary.total_debit"))?,
            credit: credit.ok_or_else(|| missing("summary.total_credit"))?,
        })
    }
}

/// The next value as an amount.
fn amount<'de, A: MapAccess<'de>>(reading: &Reading, map: &mut A, field: &'static str) -> Result<Usd, A::Error> {
    reading.at(field);
    let raw: &RawValue = map.next_value()?;
    reading.check(scalar::amount(raw.get(), field))
}

/// The next value as an amount, where null is none.
fn optional<'de, A: MapAccess<'de>>(reading: &Reading, map: &mut A, field: &'static str) -> Result<Usd, A::Error> {
    reading.at(field);
    let raw: &RawValue = map.next_value()?;
    if raw.get() == "null" {
        return Ok(Usd::ZERO);
    }
    reading.check(scalar::amount(raw.get(), field))
}

struct PeriodsSeed<'a> {
    reading: &'a Reading,
    days: &'a mut PeriodTotals,
}

impl<'de> DeserializeSeed<'de> for PeriodsSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for PeriodsSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of periods")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut parts = Parts::default();
        while list
            .next_element_seed(PeriodSeed { reading: self.reading, days: &mut *self.days, parts: &mut parts })?
            .is_some()
        {}
        Ok(())
    }
}

struct PeriodSeed<'a, 'de> {
    reading: &'a Reading,
    days: &'a mut PeriodTotals,
    parts: &'a mut Parts<'de>,
}

impl<'de> DeserializeSeed<'de> for PeriodSeed<'_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PeriodSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a period")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let PeriodSeed { reading, days, parts } = self;
        let (mut period, mut debit, mut credit) = (None, None, None);
        let (mut origins, mut paths) = (false, false);
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                "period" => {
                    reading.at("data[].period");
                    period = Some(map.next_value::<Name<'de>>()?);
                }
                "debit" => debit = Some(amount(reading, &mut map, "data[].debit")?),
                "credit" => credit = Some(amount(reading, &mut map, "data[].credit")?),
                "by_origin" if !origins => {
                    reading.at("data[].by_origin");
                    origins = true;
                    map.next_value_seed(Named(Origins { reading, into: &mut parts.origins }))?;
                }
                "by_endpoint" if !paths => {
                    reading.at("data[].by_endpoint");
                    paths = true;
                    map.next_value_seed(Named(Paths { reading, into: &mut parts.paths }))?;
                }
                "by_origin" | "by_endpoint" => {
                    return Err(reading.fail(ParseError::decode("a breakdown appears twice in a period")));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let missing = |field: &str| reading.fail(ParseError::decode(format!("data[].{field} is missing")));
        let Name(period) = period.ok_or_else(|| missing("period"))?;
        let total =
            Flow { debit: debit.ok_or_else(|| missing("debit"))?, credit: credit.ok_or_else(|| missing("credit"))? };
        if !origins {
            return Err(missing("by_origin"));
        }
        if !paths {
            return Err(missing("by_endpoint"));
        }
        reading.check(days.add(&period, total, parts))
    }
}

/// Reads one value of a breakdown.
trait Breakdown<'de> {
    fn entry<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error>;
}

/// A breakdown: an object, or one of the ways in which PHP writes an empty one.
struct Named<B>(B);

impl<'de, B: Breakdown<'de>> DeserializeSeed<'de> for Named<B> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, B: Breakdown<'de>> Visitor<'de> for Named<B> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object, an empty list or null")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        match list.next_element::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(de::Error::invalid_type(de::Unexpected::Seq, &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            self.0.entry(name, &mut map)?;
        }
        Ok(())
    }
}

struct Paths<'a, 'de> {
    reading: &'a Reading,
    into: &'a mut Vec<(Cow<'de, str>, Usd)>,
}

impl<'de> Breakdown<'de> for Paths<'_, 'de> {
    fn entry<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        self.into.push((name, optional(self.reading, map, "data[].by_endpoint")?));
        self.reading.check(bounded(self.into.len()))
    }
}

struct Origins<'a, 'de> {
    reading: &'a Reading,
    into: &'a mut Vec<(Cow<'de, str>, Flow)>,
}

impl<'de> Breakdown<'de> for Origins<'_, 'de> {
    fn entry<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        let mut flow = Flow::default();
        map.next_value_seed(Named(OriginFlow { reading: self.reading, flow: &mut flow }))?;
        self.into.push((name, flow));
        self.reading.check(bounded(self.into.len()))
    }
}

struct OriginFlow<'a> {
    reading: &'a Reading,
    flow: &'a mut Flow,
}

impl<'de> Breakdown<'de> for OriginFlow<'_> {
    fn entry<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        match &*name {
            "debit" => self.flow.debit = optional(self.reading, map, "data[].by_origin.debit")?,
            "credit" => self.flow.credit = optional(self.reading, map, "data[].by_origin.credit")?,
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}
