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

/// For the lists of variables.
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
    let distances = known.map(|known| (strsim::osa_distance(name, known), known));
    distances.filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let nearest = |name| nearest(name, 2, VARIABLES.iter().map(|variable| variable.name));
        for name in ["STORAGE_PATH", "STORAGE_PAHT", "STORAGE_PAT", "STORAGE_PATTH", "STORAGE_BATH"] {
            assert_eq!(nearest(name), Some("STORAGE_PATH"), "{name}");
        }
        assert_eq!(nearest("PATH"), None);
    }
}
