//! A batch's tally as it lies in a column.
//!
//! Invariant: what is written reads back as the same tally, whatever later versions add to the names.

use crate::names::Label as _;
use std::collections::BTreeMap;
use strum::VariantArray as _;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::tally::{Institution, StatusCounts, Tally};
use crate::counting::amounts::AmountHistogram;
use crate::rightfoot::{CheckStatus, RowReject, SubmittedVia};

#[derive(Serialize, Deserialize)]
struct Stored {
    all: Vec<(String, String, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    counted: Vec<(String, String, u64)>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    institutions: BTreeMap<String, (DateTime<Utc>, BTreeMap<String, u64>)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    overflowed: bool,
    #[serde(default)]
    histogram: AmountHistogram,
    newest: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    rejected: BTreeMap<String, u64>,
}

fn status(label: &str) -> CheckStatus {
    CheckStatus::VARIANTS.iter().copied().find(|status| status.as_str() == label).unwrap_or(CheckStatus::Unknown)
}

fn via(label: &str) -> SubmittedVia {
    SubmittedVia::VARIANTS.iter().copied().find(|via| via.as_str() == label).unwrap_or(SubmittedVia::Api)
}

fn counts(counts: &StatusCounts) -> Vec<(String, String, u64)> {
    counts.iter().map(|((status, via), rows)| (status.as_str().into(), via.as_str().into(), *rows)).collect()
}

fn read_counts(counts: &[(String, String, u64)]) -> StatusCounts {
    counts.iter().map(|(name, way, rows)| ((status(name), via(way)), *rows)).collect()
}

/// The tally as text. Of a settled batch only what is still shown is kept: the rest is in the totals.
pub(super) fn write(tally: &Tally, settled: bool) -> Option<String> {
    let mut stored = Stored {
        all: counts(&tally.all),
        counted: Vec::new(),
        institutions: BTreeMap::new(),
        overflowed: false,
        histogram: AmountHistogram::default(),
        newest: tally.newest,
        rejected: BTreeMap::new(),
    };
    if !settled {
        stored.counted = counts(&tally.counted);
        stored.histogram = tally.histogram.clone();
        stored.overflowed = tally.overflowed;
        stored.institutions = tally
            .institutions
            .iter()
            .map(|(name, institution)| {
                let by_status = institution.by_status().map(|(status, rows)| (status.as_str().into(), rows));
                (name.to_string(), (institution.first, by_status.collect()))
            })
            .collect();
        stored.rejected = tally.rejected.iter().map(|(reason, rows)| (reason.as_str().into(), *rows)).collect();
    }
    serde_json::to_string(&stored).ok()
}

pub(super) fn read(text: &str) -> Option<Tally> {
    let stored: Stored = serde_json::from_str(text).ok()?;
    let institutions = stored.institutions.into_iter().map(|(name, (first, by_status))| {
        let mut institution = Institution::new(first);
        by_status.iter().for_each(|(name, rows)| institution.add(status(name), *rows));
        (name.into(), institution)
    });
    let rejected =
        RowReject::VARIANTS.iter().copied().filter_map(|reason| Some((reason, *stored.rejected.get(reason.as_str())?)));
    Some(Tally {
        all: read_counts(&stored.all),
        counted: read_counts(&stored.counted),
        institutions: institutions.collect(),
        overflowed: stored.overflowed,
        histogram: stored.histogram,
        newest: stored.newest,
        rejected: rejected.collect(),
        incomplete: false,
    })
}
