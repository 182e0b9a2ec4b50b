//! Every environment variable of the program, with its default and meaning.
//!
//! Flows out: the list that decides which names are ours, and that the documentation is tested against.

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

const fn variable(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning }
}

/// All of them, in the order of the documentation.
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
    variable("LOG_LEVEL", "info", "`error`, `warn`, `info`, `debug` or `trace`"),
    variable("LOG_FORMAT", "text", "`text` or `json`"),
    variable("BATCHDATA_API_TOKEN", "", "bearer token with the three wallet permissions; turns BatchData on"),
    variable("BATCHDATA_API_TOKEN_FILE", "", "file that holds it; read again when it changes"),
    variable("BATCHDATA_ACCOUNT", "default", "label `account` and key in the storage; 1 to 64 of a-z, 0-9, _ and -"),
    variable("BATCHDATA_BASE_URL", "https://api.batchdata.com", "plain `http` to a loopback address only"),
    variable("BATCHDATA_SOURCES", "balance,consumption,card_transactions", "reports that are polled"),
    variable("BATCHDATA_BALANCE_INTERVAL", "1m", "how often the balance is polled"),
    variable("BATCHDATA_CONSUMPTION_INTERVAL", "5m", "how often the consumption report is polled"),
    variable("BATCHDATA_CARD_INTERVAL", "5m", "how often the card transactions are polled"),
    variable("BATCHDATA_COUNT_SINCE", "", "UTC date; a fresh storage counts the vendor's history from that day on"),
    variable("BATCHDATA_WARNING_BALANCE_USD", "", "threshold of the warning alert"),
    variable("BATCHDATA_CRITICAL_BALANCE_USD", "", "threshold of the critical alert"),
    variable("BATCHDATA_MAX_AGE", "1h", "how long a last good value is served while polls fail"),
    variable("BATCHDATA_REQUESTS_PER_MINUTE", "300", "request budget of the token, paging included"),
    variable("RIGHTFOOT_API_KEY", "", "bearer key; turns Rightfoot on"),
    variable("RIGHTFOOT_API_KEY_FILE", "", "file that holds it; read again when it changes"),
    variable("RIGHTFOOT_ACCOUNT", "default", "label `account` and key in the storage; 1 to 64 of a-z, 0-9, _ and -"),
    variable("RIGHTFOOT_BASE_URL", "https://api.rightfoot.com", "plain `http` to a loopback address only"),
    variable("RIGHTFOOT_BATCH_IDS", "", "batch ids, separated by commas"),
    variable("RIGHTFOOT_BATCH_IDS_FILE", "", "file of batch ids, one a line, `#` comments; read again when it changes"),
    variable("RIGHTFOOT_COUNT_SINCE", "", "UTC date or time; earlier rows are shown and not counted"),
    variable(
        "RIGHTFOOT_INTERVAL",
        "1m",
        "how often open batches are polled; unchanged ones ever less often, up to 30m",
    ),
    variable("RIGHTFOOT_SETTLE_AFTER", "6h", "how old the newest row must be before a batch counts as complete"),
    variable("RIGHTFOOT_MAX_AGE", "1h", "how long a last good value is served while polls fail"),
    variable("RIGHTFOOT_REQUESTS_PER_MINUTE", "300", "request budget of the key"),
    variable("RIGHTFOOT_WEBHOOK_SECRET", "", "32 to 128 of A-Z, a-z, 0-9, _ and -; opens the webhook"),
    variable("RIGHTFOOT_WEBHOOK_SECRET_FILE", "", "file that holds it; read again when it changes"),
    variable("RIGHTFOOT_WEBHOOK_OLD_SECRET", "", "opens the webhook as well, while the secret is being replaced"),
    variable("RIGHTFOOT_WEBHOOK_OLD_SECRET_FILE", "", "file that holds it; read again when it changes"),
];
