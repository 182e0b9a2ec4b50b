//! Changes to a JSON text that keep every other byte as it is.
