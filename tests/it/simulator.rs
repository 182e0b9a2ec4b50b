//! The simulator keeps to the vendors' documents, repeats itself, and misbehaves exactly as ordered.

mod control;
mod documents;
mod faults;
mod life;
mod rules;
mod wire;
