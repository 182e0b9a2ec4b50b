//! How long a failure may keep a source from its next attempt, and which failures there may be at all.
//!
//! Flows in: scrapes, and how the network ended requests. Flows out: bounds, and the first failure that should not be.
//! Invariant: where an attempt may have failed by another answer than the last one, nothing is claimed.

use crate::checks::Seen;
use crate::gauges::operation;
use crate::network::State;
use crate::plan::Trouble;

/// The longest pause that is the exporter's own choice.
pub const LONGEST_PAUSE_MS: i64 = 900_000;
/// The longest pause after the first failure that passes by itself; it doubles with each further one.
const FIRST_PAUSE_MS: i64 = 5_000;

/// The longest pause where the last answer was a failure that passes without anybody's doing. Only of a source whose
/// attempt ends with its first bad answer.
pub fn passing_ms(state: &State, source: &str, failures: f64) -> Option<i64> {
    let ends_at_once = matches!(source, "balance" | "card_transactions");
    let is_open = state.begun.get(&operation(source)).is_some_and(|(_, open)| *open > 0);
    let status = state.last_status.get(&operation(source)).copied().flatten()?;
    if !ends_at_once || is_open || !matches!(status, 408 | 425 | 500..=599) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a small count")]
    let doublings = (failures as i64 - 1).clamp(0, 10);
    Some((FIRST_PAUSE_MS << doublings).min(LONGEST_PAUSE_MS))
}

/// A connection that was closed without an answer fails no attempt before a second request was lost, too.
pub fn only_lost_twice(seen: &Seen<'_>) -> Result<(), String> {
    if seen.plan.has(Trouble::Faults) {
        return Ok(());
    }
    let state = seen.network.state();
    for source in ["balance", "consumption", "batches"] {
        let labels = [format!("source=\"{source}\""), "reason=\"truncated\"".to_owned()];
        let failures = seen.scrape.family("wallet_exporter_source_failures_total");
        let failures = failures.filter(|(text, _)| labels.iter().all(|label| text.contains(label)));
        let failures: f64 = failures.map(|(_, failures)| failures).sum();
        let most = state.lost_twice.get(&operation(source)).copied().unwrap_or(0);
        if failures > most as f64 {
            return Err(format!("{source}: {failures} attempts got no answer, and at most {most} asked twice in vain"));
        }
    }
    Ok(())
}
