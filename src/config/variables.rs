//! Environment variables with their defaults and meanings.
//!
//! Flows out: the lists that decide which names are ours, and that the documentation is tested against.

/// An environment variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What is used where it is unset or empty; empty if there is none.
    pub default: &'static str,
    /// What it is for, in a few words.
    pub meaning: &'static str,
}

/// A variable.
#[must_use]
pub const fn variable(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning }
}

/// Those of the process itself, in the order of the documentation.
pub const VARIABLES: &[Variable] = &[
    variable(
        "WEB_LISTEN_ADDRESS",
        "127.0.0.1:10700",
        "address of the metrics and the page; `:10700` listens everywhere",
    ),
    variable("WEB_TELEMETRY_PATH", "/metrics", "path of the metrics"),
    variable("WEB_CONFIG_FILE", "", "TLS and passwords, in the format of the Prometheus exporter-toolkit"),
    variable("WEB_ENABLE_LIFECYCLE", "false", "`true` allows `POST /-/reload`"),
    variable("WEBHOOK_LISTEN_ADDRESS", "127.0.0.1:10701", "address of the webhook, opened only with a webhook secret"),
    variable("WEBHOOK_CONFIG_FILE", "", "TLS of the webhook's address, in the format of `WEB_CONFIG_FILE`"),
    variable("STORAGE_PATH", "./data", "directory of the ledger; `none` keeps nothing on disk"),
    variable(
        "METRICS_START_AT_ZERO",
        "2m",
        "how long a new counter series shows 0; at least twice the scrape interval",
    ),
    variable("CONFIG_FILE", "", "accounts, a YAML file or a directory of them, instead of the vendors' variables"),
    variable("SECRETS_DIRECTORY", "", "the only directory whose secrets `CONFIG_FILE` may name; by default its own"),
    variable("LOG_LEVEL", "info", "`error`, `warn`, `info`, `debug` or `trace`"),
    variable("LOG_FORMAT", "text", "`text` or `json`"),
];
