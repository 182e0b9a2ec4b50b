//! The simulator keeps to the vendors' documents, repeats itself, and has exactly the faults that it is given.

mod control;
mod documents;
mod faults;
mod rules;
mod scenarios;
mod wire;
