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

/// A field of an accounts file that is a list of mappings.
#[derive(Clone, Copy, Debug)]
pub struct ListField {
    /// As a variable, which only the file can set, the list is JSON.
    pub variable: Variable,
    /// What each mapping may say.
    pub items: &'static [ItemField],
}

/// A field of such a mapping.
#[derive(Clone, Copy, Debug)]
pub struct ItemField {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// What may be written; empty if that is no choice of few.
    pub one_of: &'static [&'static str],
    /// What it is for, in a few words.
    pub meaning: &'static str,
}

/// The default of a variable in a list; empty if it has none.
#[must_use]
pub fn default_of(variables: &[Variable], name: &str) -> &'static str {
    variables.iter().find(|variable| variable.name == name).map_or("", |variable| variable.default)
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
        "address of the metrics and the status page; `:10700` listens on all interfaces",
    ),
    variable("WEB_TELEMETRY_PATH", "/metrics", "path of the metrics"),
    variable("WEB_CONFIG_FILE", "", "file with TLS and passwords, in the format of the Prometheus exporter-toolkit"),
    variable("WEB_ENABLE_LIFECYCLE", "false", "`true` allows `POST /-/reload` and `POST /-/poll`"),
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
    variable("CONFIG_FILE", "", "accounts, a YAML file or a directory of them, instead of the vendors' variables"),
    variable("SECRETS_DIRECTORY", "", "the only directory whose secrets `CONFIG_FILE` may name; by default its own"),
    variable(
        "SHARD",
        "",
        "`0/3`: poll only the accounts of `CONFIG_FILE` assigned to the first of three processes, by Prometheus' `hashmod`",
    ),
    variable("LOG_LEVEL", "info", "`error`, `warn`, `info`, `debug` or `trace`"),
    variable("LOG_FORMAT", "text", "`text` (logfmt) or `json`"),
];

/// The variable whose name is nearest, if it is at most so many slips away: a letter more, less or other, or two swapped.
pub(super) fn nearest<'a>(name: &str, most: usize, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.map(|known| (slips(name, known), known));
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
            ("LOG_FORMAT", "LOG_LEVEL", 6),
            ("", "abc", 3),
            ("abc", "", 3),
        ] {
            assert_eq!(slips(from, to), expected, "{from} {to}");
        }
        let nearest = |name| nearest(name, 2, VARIABLES.iter().map(|variable| variable.name));
        assert_eq!(nearest("WEB_LISTEN_ADRESS"), Some("WEB_LISTEN_ADDRESS"));
        assert_eq!(nearest("PATH"), None);
    }
}
