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
        "address of the metrics and the status page; `:10700` listens on all interfaces",
    ),
    variable("WEB_TELEMETRY_PATH", "/metrics", "path of the metrics"),
    variable("WEB_CONFIG_FILE", "", "file with TLS and passwords, in the format of the Prometheus exporter-toolkit"),
    variable("WEB_ENABLE_LIFECYCLE", "false", "`true` allows `POST /-/reload`"),
    variable(
        "WEBHOOK_LISTEN_ADDRESS",
        "127.0.0.1:10701",
        "address of the webhook; used only if a webhook secret is set",
    ),
    variable("WEBHOOK_CONFIG_FILE", "", "file with TLS for the webhook, in the same format"),
    variable("STORAGE_PATH", "./data", "directory of the storage; `none` keeps nothing on disk"),
    variable(
        "METRICS_START_AT_ZERO",
        "2m",
        "how long a new counter series shows 0; at least twice the scrape interval",
    ),
    variable("LOG_LEVEL", "info", "`error`, `warn`, `info`, `debug` or `trace`"),
    variable("LOG_FORMAT", "text", "`text` or `json`"),
    variable("BATCHDATA_API_TOKEN", "", "bearer token with the three wallet permissions; enables BatchData"),
    variable("BATCHDATA_API_TOKEN_FILE", "", "file that contains it; read again when it changes"),
    variable("BATCHDATA_ACCOUNT", "default", "value of the label `account`; 1 to 64 of a-z, 0-9, _ and -"),
    variable(
        "BATCHDATA_BASE_URL",
        "https://api.batchdata.com",
        "URL of the API; plain `http` only for a loopback address",
    ),
    variable("BATCHDATA_SOURCES", "balance,consumption,card_transactions", "reports to poll"),
    variable("BATCHDATA_BALANCE_INTERVAL", "1m", "how often the balance is polled"),
    variable("BATCHDATA_CONSUMPTION_INTERVAL", "5m", "how often the consumption report is polled"),
    variable("BATCHDATA_CARD_INTERVAL", "5m", "how often the card transactions are polled"),
    variable("BATCHDATA_COUNT_SINCE", "", "UTC date; with a new storage, counters include the history from that day"),
    variable("BATCHDATA_WARNING_BALANCE_USD", "", "balance below which the warning alert fires"),
    variable("BATCHDATA_CRITICAL_BALANCE_USD", "", "balance below which the critical alert fires"),
    variable("BATCHDATA_MAX_AGE", "1h", "how long the last good value is served while polls fail"),
    variable("BATCHDATA_REQUESTS_PER_MINUTE", "300", "maximum number of requests per minute with the token"),
    variable("RIGHTFOOT_API_KEY", "", "bearer key; enables Rightfoot"),
    variable("RIGHTFOOT_API_KEY_FILE", "", "file that contains it; read again when it changes"),
    variable("RIGHTFOOT_ACCOUNT", "default", "value of the label `account`; 1 to 64 of a-z, 0-9, _ and -"),
    variable(
        "RIGHTFOOT_BASE_URL",
        "https://api.rightfoot.com",
        "URL of the API; plain `http` only for a loopback address",
    ),
    variable("RIGHTFOOT_BATCH_IDS", "", "batch ids, separated by commas"),
    variable(
        "RIGHTFOOT_BATCH_IDS_FILE",
        "",
        "file with one batch id per line and `#` comments; read again when it changes",
    ),
    variable("RIGHTFOOT_COUNT_SINCE", "", "UTC date or time; earlier results are shown but not counted"),
    variable(
        "RIGHTFOOT_INTERVAL",
        "1m",
        "how often open batches are polled; unchanged ones less often, down to every 30m",
    ),
    variable("RIGHTFOOT_SETTLE_AFTER", "6h", "age of the newest result at which a batch counts as complete"),
    variable("RIGHTFOOT_MAX_AGE", "1h", "how long the last good value is served while polls fail"),
    variable("RIGHTFOOT_REQUESTS_PER_MINUTE", "300", "maximum number of requests per minute with the key"),
    variable("RIGHTFOOT_WEBHOOK_SECRET", "", "32 to 128 of A-Z, a-z, 0-9, _ and -; enables the webhook"),
    variable("RIGHTFOOT_WEBHOOK_SECRET_FILE", "", "file that contains it; read again when it changes"),
    variable("RIGHTFOOT_WEBHOOK_OLD_SECRET", "", "second secret that is accepted while you replace the first"),
    variable("RIGHTFOOT_WEBHOOK_OLD_SECRET_FILE", "", "file that contains it; read again when it changes"),
];

/// The variable whose name is nearest, if it is at most so many slips away: a letter more, less or other, or two swapped.
pub(super) fn nearest(name: &str, most: usize) -> Option<&'static str> {
    let distances = VARIABLES.iter().map(|variable| (slips(name, variable.name), variable.name));
    distances.filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
}

/// How many slips turn one name into another.
fn slips(from: &str, to: &str) -> usize {
    let to = to.as_bytes();
    // Three rows of the table are enough: a swap looks two back.
    let mut older: Vec<usize> = Vec::new();
    let mut old: Vec<usize> = (0..=to.len()).collect();
    let mut before = None;
    for (place, byte) in from.bytes().enumerate() {
        let mut row = vec![place + 1];
        for (column, other) in to.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&old, column) + usize::from(byte != *other);
            let mut least = replaced.min(at(&old, column + 1) + 1).min(at(&row, column) + 1);
            let swapped = column > 0 && before == Some(*other) && to.get(column - 1) == Some(&byte);
            if swapped {
                least = least.min(at(&older, column - 1) + 1);
            }
            row.push(least);
        }
        older = std::mem::replace(&mut old, row);
        before = Some(byte);
    }
    old.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (from, to, expected) in [
            ("LOG_LEVEL", "LOG_LEVEL", 0),
            ("LOG_LEVL", "LOG_LEVEL", 1),
            ("LOG_LEVELL", "LOG_LEVEL", 1),
            ("STORAGE_PAHT", "STORAGE_PATH", 1),
            ("LOG_FORMAT", "LOG_LEVEL", 5),
            ("", "abc", 3),
            ("abc", "", 3),
        ] {
            assert_eq!(slips(from, to), expected, "{from} {to}");
        }
        assert_eq!(nearest("WEB_LISTEN_ADRESS", 2), Some("WEB_LISTEN_ADDRESS"));
        assert_eq!(nearest("PATH", 2), None);
    }
}
