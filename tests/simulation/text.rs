//! The exposition as a scraper reads it.
//!
//! Flows in: text. Flows out: series and their values, and which of them are counters. Invariant: the rules of the format
//! are checked here: each series once, each value a finite number.

use std::collections::{BTreeMap, BTreeSet};

/// One scrape.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    pub values: BTreeMap<String, f64>,
    counters: BTreeSet<String>,
}

impl Scrape {
    pub fn read(text: &str) -> Result<Scrape, String> {
        let mut scrape = Scrape::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| format!("no type: {line}"))?;
                match kind {
                    "counter" => drop(scrape.counters.insert(name.to_owned())),
                    "histogram" => {
                        for suffix in ["_bucket", "_sum", "_count"] {
                            scrape.counters.insert(format!("{name}{suffix}"));
                        }
                    }
                    _ => {}
                }
                continue;
            }
            if line.starts_with('#') || line.is_empty() {
                continue;
            }
            let (series, value) = line.rsplit_once(' ').ok_or_else(|| format!("no value: {line}"))?;
            let value: f64 = value.parse().map_err(|_| format!("no number: {line}"))?;
            if !value.is_finite() {
                return Err(format!("not finite: {line}"));
            }
            if scrape.values.insert(series.to_owned(), value).is_some() {
                return Err(format!("twice: {series}"));
            }
        }
        Ok(scrape)
    }

    pub fn get(&self, series: &str) -> Option<f64> {
        self.values.get(series).copied()
    }

    /// All series of a family with their labels' text.
    pub fn family<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> + 'a {
        let from = format!("{name}{{");
        self.values
            .range(from.clone()..)
            .take_while(move |(series, _)| series.starts_with(&from))
            .map(move |(series, value)| (&series[name.len()..], *value))
    }

    pub fn has_family(&self, name: &str) -> bool {
        self.family(name).next().is_some()
    }

    /// The value of a label, as it is written.
    pub fn label<'a>(labels: &'a str, name: &str) -> &'a str {
        let start = labels.find(&format!("{name}=\"")).map(|at| at + name.len() + 2);
        let rest = start.map_or("", |start| &labels[start..]);
        let end = rest.char_indices().scan(false, |escaped, (at, letter)| {
            let end = letter == '"' && !*escaped;
            *escaped = letter == '\\' && !*escaped;
            Some((at, end))
        });
        end.into_iter().find(|(_, end)| *end).map_or(rest, |(at, _)| &rest[..at])
    }

    pub fn is_counter(&self, series: &str) -> bool {
        self.counters.contains(series.split('{').next().unwrap())
    }
}
