//! Attempts that somebody asks for, as `POST /-/poll` does.
//!
//! Flows in: chance, and how the attempts ended. Flows out: the first answer that is not true. Invariant: who is told that an
//! attempt has ended sees it in the next scrape.

use tokio::task::JoinHandle;
use wallet_exporter::poll::attempts::PollOutcome;

use crate::plan::SOURCES;
use crate::text::Scrape;
use crate::world::World;

/// An attempt that was asked for.
pub struct Asked {
    source: &'static str,
    /// When, in milliseconds, and how many attempts and failures had been counted in the scrape before.
    ms: i64,
    before: (f64, f64),
    answer: JoinHandle<PollOutcome>,
}

/// Whoever asks is answered within ten seconds; the rest is for the machine.
const PATIENCE_MS: i64 = 11_000;

fn counted(scrape: &Scrape, source: &str) -> (f64, f64) {
    let labels = format!("source=\"{source}\"");
    let of = |family| scrape.family(family).filter(|(text, _)| text.contains(&labels)).map(|(_, value)| value).sum();
    (of("wallet_exporter_source_polls_total"), of("wallet_exporter_source_failures_total"))
}

impl World {
    /// Asks for an attempt of a source.
    pub fn poll_now(&mut self) {
        let source = SOURCES[self.rng.usize(..SOURCES.len())];
        let Some(exporter) = &self.exporter else { return };
        let before = counted(&Scrape::read(&exporter.look().0).unwrap(), source);
        let answer = exporter.poll_now(source);
        self.say(|| format!("{source} is asked for"));
        self.asked.push(Asked { source, ms: self.time.ms(), before, answer });
    }

    /// Checks the answers that have come; `text` is the scrape.
    pub fn answered(&mut self, text: &str) -> Result<(), String> {
        if self.asked.is_empty() {
            return Ok(());
        }
        let scrape = Scrape::read(text)?;
        let limited = |wallet: bool| self.network.state().limited_until.get(&wallet).copied().unwrap_or(i64::MIN);
        for asked in std::mem::take(&mut self.asked) {
            let Asked { source, ms, before, answer } = asked;
            if !answer.is_finished() {
                if self.time.ms() - ms > PATIENCE_MS {
                    return Err(format!(
                        "{source}: nobody answered who asked for a poll {} ms ago",
                        self.time.ms() - ms
                    ));
                }
                self.asked.push(Asked { source, ms, before, answer });
                continue;
            }
            let Some(outcome) = futures_util::FutureExt::now_or_never(answer) else { continue };
            let now = counted(&scrape, source);
            match outcome.map_err(|error| format!("{source}: the one who asked panicked: {error}"))? {
                PollOutcome::Ended(outcome) => {
                    let (polls, failures) = (now.0 - before.0, now.1 - before.1);
                    if polls < 1.0 || (outcome.is_err() && failures < 1.0) || (outcome.is_ok() && polls == failures) {
                        return Err(format!("{source}: told {outcome:?} after {polls} polls and {failures} failures"));
                    }
                }
                PollOutcome::Paused(left) => {
                    let until = limited(source != "batches");
                    if ms + i64::try_from(left.as_millis()).unwrap() > until + 2_500 {
                        return Err(format!("{source}: paused for {left:?} without a reason"));
                    }
                }
                PollOutcome::Pending => {}
            }
        }
        Ok(())
    }
}
