//! Each format read back: families with their types and HELP, and samples.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use prost::Message as _;
use prost_types::Timestamp;
use wallet_exporter::exposition::Format;
use wallet_exporter::exposition::protobuf::metrics::{LabelPair, MetricFamily, MetricType};

/// What an exposition says.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    /// Type and HELP by the family's full name.
    pub families: BTreeMap<String, (String, String)>,
    /// Values by `name{label="value"}`, labels escaped as in text.
    pub samples: BTreeMap<String, f64>,
}

pub fn read(format: Format, bytes: &[u8]) -> Said {
    match format {
        Format::Protobuf => of_messages(&messages(bytes)),
        _ => of_text(format, std::str::from_utf8(bytes).expect("text")),
    }
}

fn of_text(format: Format, text: &str) -> Said {
    let mut said = Said::default();
    let mut helps = BTreeMap::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            let quotes = if format == Format::OpenMetrics { "\"" } else { "\\\"" };
            let help = help.replace("\\\"", quotes).replace("\\n", "\n").replace("\\\\", "\\");
            helps.insert(name.to_owned(), help);
        } else if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap();
            let total = format == Format::OpenMetrics && kind == "counter";
            let full = if total { format!("{name}_total") } else { name.to_owned() };
            said.families.insert(full, (kind.to_owned(), helps.remove(name).expect("HELP before TYPE")));
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(said.samples.insert(series.to_owned(), value.parse().unwrap()), None, "{series} twice");
        }
    }
    said
}

/// The messages of an exposition. Panics if a byte is left.
pub fn messages(mut bytes: &[u8]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    while !bytes.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut bytes).expect("a whole message"));
    }
    families
}

/// A series as text names it.
pub fn series(name: &str, labels: &[LabelPair], le: Option<&str>) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs = labels.iter().map(|pair| format!("{}=\"{}\"", pair.name, escaped(&pair.value)));
    let pairs: Vec<String> = pairs.chain(le.map(|le| format!("le=\"{le}\""))).collect();
    if pairs.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", pairs.join(",")) }
}

fn of_messages(messages: &[MetricFamily]) -> Said {
    let mut said = Said::default();
    for family in messages {
        let name = &family.name;
        let mut add = |series: String, value| {
            assert_eq!(said.samples.insert(series.clone(), value), None, "{series} twice");
        };
        for metric in &family.metric {
            let labels = &metric.label;
            match family.r#type() {
                MetricType::Gauge => add(series(name, labels, None), metric.gauge.as_ref().unwrap().value),
                MetricType::Counter => add(series(name, labels, None), metric.counter.as_ref().unwrap().value),
                MetricType::Histogram => {
                    let histogram = metric.histogram.as_ref().unwrap();
                    let bucket = format!("{name}_bucket");
                    for found in &histogram.bucket {
                        let le = format!("{:?}", found.upper_bound);
                        add(series(&bucket, labels, Some(&le)), found.cumulative_count as f64);
                    }
                    let count = histogram.sample_count as f64;
                    add(series(&bucket, labels, Some("+Inf")), count);
                    add(series(&format!("{name}_sum"), labels, None), histogram.sample_sum);
                    add(series(&format!("{name}_count"), labels, None), count);
                }
                other => panic!("{name} is a {other:?}"),
            }
        }
        let kind = family.r#type().as_str_name().to_lowercase();
        let before = said.families.insert(name.clone(), (kind, family.help.clone()));
        assert_eq!(before, None, "{name} twice");
    }
    said
}

/// The start timestamps of counters and histograms, by series; `None` where there is none.
pub fn starts(bytes: &[u8]) -> BTreeMap<String, Option<DateTime<Utc>>> {
    let mut found = BTreeMap::new();
    for family in messages(bytes) {
        for metric in &family.metric {
            let counter = metric.counter.as_ref().map(|counter| counter.start_timestamp);
            let start = counter.or(metric.histogram.as_ref().map(|histogram| histogram.start_timestamp));
            let time = |start: Timestamp| DateTime::from_timestamp(start.seconds, start.nanos.try_into().unwrap());
            if let Some(start) = start {
                found.insert(series(&family.name, &metric.label, None), start.map(|start| time(start).unwrap()));
            }
        }
    }
    found
}
