//! Feeds a target.
//!
//! Flows in: a target, how many inputs, a seed. Flows out: what was done, or the first input that breaks a property, as
//! small as possible. Invariant: the same seed gives the same inputs.
//!
//! A stable compiler does not tell which code an input reached. What came of it stands in: an input with a new outcome
//! joins the pool that further inputs are made of.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::mutate::{Words, mutate};

/// Longer inputs would slow down all that are made of them.
const LONGEST_POOLED: usize = 1024;
const LARGEST_POOL: usize = 1024;
/// Attempts to make a failing input smaller.
const ATTEMPTS: usize = 20_000;

/// What came of an input, in words that are the same for inputs of one kind; or which property does not hold.
pub type Outcome = Result<String, String>;

/// A parser, and what must hold for any input.
pub struct Target {
    pub name: &'static str,
    /// The words of its format, one a line.
    pub words: &'static str,
    pub check: fn(&[u8]) -> Outcome,
}

/// What was done.
pub struct Report {
    inputs: u64,
    outcomes: usize,
    took: Duration,
    slowest: Duration,
}

/// An input that breaks a property.
pub struct Failure {
    target: &'static str,
    seed: u64,
    /// Counted from 1; `None` for an entry of the corpus.
    iteration: Option<u64>,
    input: Vec<u8>,
    error: String,
}

/// Feeds the target with its corpus, and then with so many inputs made of it.
pub fn run(target: &Target, inputs: u64, seed: u64) -> Result<Report, Failure> {
    let began = Instant::now();
    let mut rng = Rng::with_seed(seed);
    let words = Words::new(target.words);
    let mut pool = corpus(target.name);
    let mut outcomes = HashSet::new();
    let fail = |iteration, input: &[u8]| {
        let (input, error) = shrink(target, input);
        Failure { target: target.name, seed, iteration, input, error }
    };
    for input in &pool {
        outcomes.insert(digest(&run_check(target, input).map_err(|_| fail(None, input))?));
    }
    let mut slowest = Duration::ZERO;
    for iteration in 1..=inputs {
        let input = mutate(&mut rng, &pool, &words);
        let start = Instant::now();
        let outcome = run_check(target, &input).map_err(|_| fail(Some(iteration), &input))?;
        slowest = slowest.max(start.elapsed());
        if outcomes.insert(digest(&outcome)) && input.len() <= LONGEST_POOLED && pool.len() < LARGEST_POOL {
            pool.push(input);
        }
    }
    Ok(Report { inputs, outcomes: outcomes.len(), took: began.elapsed(), slowest })
}

/// The seeds of a target, and what was found before: the files of `corpus/<target>`.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let read = || -> std::io::Result<Vec<Vec<u8>>> {
        let entries: Vec<_> = std::fs::read_dir(&folder)?.collect::<Result<_, _>>()?;
        let mut paths: Vec<_> = entries.iter().map(|entry| entry.path()).collect();
        paths.sort();
        paths.iter().map(std::fs::read).collect()
    };
    read().unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}

fn run_check(target: &Target, input: &[u8]) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| (target.check)(input))).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", words.unwrap_or("without words")))
    })
}

/// Digits do not count: places in an input would make an outcome of each.
fn digest(outcome: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let parts = outcome.split(|letter: char| letter.is_ascii_digit());
    parts.filter(|part| !part.is_empty()).for_each(|part| part.hash(&mut hasher));
    hasher.finish()
}

/// Leaves out pieces, ever smaller ones, as long as some property is broken.
fn shrink(target: &Target, input: &[u8]) -> (Vec<u8>, String) {
    let mut smallest = input.to_vec();
    let mut error = run_check(target, input).err().unwrap_or_else(|| "holds when checked again".to_owned());
    let mut attempts = ATTEMPTS;
    let mut piece = smallest.len().div_ceil(2);
    while piece > 0 && attempts > 0 {
        let mut start = 0;
        while start < smallest.len() && attempts > 0 {
            attempts -= 1;
            let mut candidate = smallest.clone();
            candidate.drain(start..(start + piece).min(smallest.len()));
            match run_check(target, &candidate) {
                Ok(_) => start += piece,
                Err(broken) => (smallest, error) = (candidate, broken),
            }
        }
        piece /= 2;
    }
    (smallest, error)
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { inputs, outcomes, took, slowest } = self;
        write!(formatter, "{inputs} inputs, {outcomes} outcomes, {took:.1?}, the slowest {slowest:.1?}")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { target, seed, iteration, input, error } = self;
        let place = iteration.map_or("an entry of the corpus".to_owned(), |number| format!("iteration {number}"));
        write!(formatter, "{target}, seed {seed}, {place}: {error}\n\"{}\"", input.escape_ascii())
    }
}
