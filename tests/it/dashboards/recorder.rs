//! Scrapes become one file that promtool can turn into blocks.
//!
//! Flows in: OpenMetrics texts, each with its time and its target. Flows out: the same samples with timestamps and the
//! labels that a scrape attaches, family by family. Always holds: a value stands as it was served; a series that a scrape
//! does not show has no sample at that time.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Whom a scrape asked, as Prometheus would label it.
pub struct Target {
    pub job: &'static str,
    pub instance: &'static str,
}

/// The same value at scrapes that follow each other.
struct Run {
    /// Places in the list of times.
    first: usize,
    last: usize,
    value: Box<str>,
}

#[derive(Default)]
struct Family {
    kind: String,
    /// By name and labels.
    series: BTreeMap<String, Vec<Run>>,
}

/// Everything scraped so far.
#[derive(Default)]
pub struct Recorder {
    times: Vec<i64>,
    families: BTreeMap<String, Family>,
}

impl Recorder {
    /// All that follows was scraped at this time, in seconds since 1970.
    pub fn at(&mut self, time: i64) {
        self.times.push(time);
    }

    /// Keeps what an exporter served, with the `process_*` of another: `text` is served by a test. Its
    /// `process_start_time_seconds` becomes `started`: the exporter lives by the test's clock.
    pub fn scraped(&mut self, target: &Target, text: &str, other: &str, started: i64) {
        let started = started.to_string();
        let mut process: BTreeMap<&str, &str> = other
            .lines()
            .filter(|line| line.starts_with("process_"))
            .filter_map(|line| line.rsplit_once(' '))
            .collect();
        process.insert("process_start_time_seconds", &started);
        let mut family = (String::new(), String::new());
        for line in text.lines() {
            if let Some(declared) = line.strip_prefix("# TYPE ") {
                let (name, kind) = declared.split_once(' ').expect("a name and a type");
                family = (name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').expect("a series and a value");
                let value = process.get(series).unwrap_or(&value);
                self.sample(&family, target, series, value);
            }
        }
    }

    /// What Prometheus itself writes down at each scrape.
    pub fn told_by_prometheus(&mut self, target: &Target, up: bool, seconds: f64) {
        for (name, value) in [("up", f64::from(u8::from(up))), ("scrape_duration_seconds", seconds)] {
            self.sample(&(name.to_owned(), "gauge".to_owned()), target, name, &value.to_string());
        }
    }

    fn sample(&mut self, (name, kind): &(String, String), target: &Target, series: &str, value: &str) {
        let (sample, labels) = match series.split_once('{') {
            Some((sample, labels)) => (sample, format!("{},", labels.trim_end_matches('}'))),
            None => (series, String::new()),
        };
        let key = format!(r#"{sample}{{{labels}instance="{}",job="{}"}}"#, target.instance, target.job);
        let place = self.times.len() - 1;
        let family = self.families.entry(name.clone()).or_default();
        family.kind.clone_from(kind);
        let runs = family.series.entry(key).or_default();
        match runs.last_mut() {
            Some(run) if run.last + 1 == place && *run.value == *value => run.last = place,
            _ => runs.push(Run { first: place, last: place, value: value.into() }),
        }
    }

    /// The names of the families so far, as samples bear them.
    pub fn families(&self) -> Vec<String> {
        let total = |kind: &str| if kind == "counter" { "_total" } else { "" };
        self.families.iter().map(|(name, family)| format!("{name}{}", total(&family.kind))).collect()
    }

    /// Writes the file; returns how many samples it has.
    pub fn write(&self, path: &Path) -> std::io::Result<usize> {
        let mut out = BufWriter::new(std::fs::File::create(path)?);
        let mut samples = 0;
        for (name, family) in &self.families {
            writeln!(out, "# TYPE {name} {}", family.kind)?;
            for (series, runs) in &family.series {
                for run in runs {
                    for time in &self.times[run.first..=run.last] {
                        writeln!(out, "{series} {} {time}", run.value)?;
                        samples += 1;
                    }
                }
            }
        }
        writeln!(out, "# EOF")?;
        out.flush()?;
        Ok(samples)
    }
}
