//! The simulator keeps to the vendors' documents, repeats itself, and misbehaves exactly as ordered.

mod documents;
mod life;
mod wire;
