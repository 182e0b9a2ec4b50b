//! The last events, for whoever has to understand a failure.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::clock::TrueTime;

/// Events that are kept.
const KEPT: usize = 40;

#[derive(Default)]
pub struct Trace {
    lines: Mutex<VecDeque<String>>,
    /// Print each event at once.
    loud: bool,
}

impl Trace {
    pub fn new(loud: bool) -> Trace {
        Trace { loud, ..Trace::default() }
    }

    pub fn add(&self, time: TrueTime, line: impl FnOnce() -> String) {
        let line = format!("{} {:>12} ms  {}", time.now().format("%F %T%.3f"), time.ms(), line());
        if self.loud {
            println!("{line}");
        }
        let mut lines = self.lines.lock().unwrap();
        if lines.len() >= KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub fn last(&self) -> String {
        self.lines.lock().unwrap().iter().cloned().collect::<Vec<_>>().join("\n")
    }
}
