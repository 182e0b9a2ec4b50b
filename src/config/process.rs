//! The process flags and their environment variables.
//!
//! Flows in: flags as typed, and the environment. Flows out: [`Process`]. Invariant: a flag wins over its variable, an
//! empty variable is unset, and every error is collected.

use std::path::PathBuf;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use super::errors::{ConfigErrors, refused};
use super::paths::RESERVED;
use super::shard::Shard;
use super::values;
use super::variables::{VARIABLES, default_of};

/// The flags as they were typed; nothing is checked yet. The help texts name the environment variables.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Address of the metrics and the status page; :10700 listens on all interfaces [env: WEB_LISTEN_ADDRESS] [default: 127.0.0.1:10700]
    #[arg(long = "web.listen-address", value_name = "ADDRESS", global = true)]
    pub web_listen_address: Option<String>,
    /// Path of the metrics [env: WEB_TELEMETRY_PATH] [default: /metrics]
    #[arg(long = "web.telemetry-path", value_name = "PATH", global = true)]
    pub web_telemetry_path: Option<String>,
    /// File with TLS and passwords, in the format of the Prometheus exporter-toolkit [env: WEB_CONFIG_FILE]
    #[arg(long = "web.config.file", value_name = "FILE", global = true)]
    pub web_config_file: Option<String>,
    /// Allow POST /-/reload and POST /-/poll [env: WEB_ENABLE_LIFECYCLE=true]
    #[arg(long = "web.enable-lifecycle", global = true)]
    pub web_enable_lifecycle: bool,
    /// Address of the webhook; used only if a webhook secret is set [env: WEBHOOK_LISTEN_ADDRESS] [default: 127.0.0.1:10701]
    #[arg(long = "webhook.listen-address", value_name = "ADDRESS", global = true)]
    pub webhook_listen_address: Option<String>,
    /// File with TLS for the webhook, in the same format as --web.config.file [env: WEBHOOK_CONFIG_FILE]
    #[arg(long = "webhook.config.file", value_name = "FILE", global = true)]
    pub webhook_config_file: Option<String>,
    /// Directory of the storage; none keeps nothing on disk [env: STORAGE_PATH] [default: ./data]
    #[arg(long = "storage.path", value_name = "DIRECTORY", global = true)]
    pub storage_path: Option<String>,
    /// How long a new counter series shows 0; at least twice the scrape interval [env: METRICS_START_AT_ZERO] [default: 2m]
    #[arg(long = "metrics.start-at-zero", value_name = "DURATION", global = true)]
    pub metrics_start_at_zero: Option<String>,
    /// Accounts, a YAML file or a directory of them, instead of the vendors' variables [env: CONFIG_FILE]
    #[arg(long = "config.file", value_name = "FILE", global = true)]
    pub config_file: Option<String>,
    /// The only directory whose secrets the accounts file may name; by default its own [env: SECRETS_DIRECTORY]
    #[arg(long = "secrets.directory", value_name = "DIRECTORY", global = true)]
    pub secrets_directory: Option<String>,
    /// Poll only the accounts of one shard of several, such as 0/3: those whose name has this hashmod in Prometheus [env: SHARD]
    #[arg(long = "shard", value_name = "I/N", global = true)]
    pub shard: Option<String>,
    /// Log level: error, warn, info, debug or trace [env: LOG_LEVEL] [default: info]
    #[arg(long = "log.level", value_name = "LEVEL", global = true)]
    pub log_level: Option<String>,
    /// Log format: text (logfmt) or json [env: LOG_FORMAT] [default: text]
    #[arg(long = "log.format", value_name = "FORMAT", global = true)]
    pub log_format: Option<String>,
}

/// The environment variables, as envy fills them.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub(super) struct RawProcess {
    web_listen_address: Option<String>,
    web_telemetry_path: Option<String>,
    web_config_file: Option<String>,
    web_enable_lifecycle: Option<String>,
    webhook_listen_address: Option<String>,
    webhook_config_file: Option<String>,
    storage_path: Option<String>,
    metrics_start_at_zero: Option<String>,
    config_file: Option<String>,
    secrets_directory: Option<String>,
    shard: Option<String>,
    log_level: Option<String>,
    log_format: Option<String>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// logfmt.
    Text,
    /// One JSON object a line.
    Json,
}

/// The process's own settings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Process {
    /// Where metrics and the page are served.
    pub listen: String,
    /// The path of the metrics.
    pub telemetry_path: String,
    /// The web configuration file.
    pub web_config: Option<PathBuf>,
    /// Whether `POST /-/reload` and `POST /-/poll` work.
    pub enable_lifecycle: bool,
    /// Where the webhook listens, if it is opened.
    pub webhook_listen: String,
    /// TLS of the webhook's address.
    pub webhook_config: Option<PathBuf>,
    /// The accounts file or directory; `None`: one account of each vendor, from its variables.
    pub config_file: Option<PathBuf>,
    /// Where the secrets of the accounts file are.
    pub secrets_directory: Option<PathBuf>,
    /// Which accounts of the file are polled; `None`: all.
    pub shard: Option<Shard>,
    /// The directory of the ledger; `None` keeps nothing on disk.
    pub storage: Option<PathBuf>,
    /// How long a new counter series shows 0.
    pub start_at_zero: Duration,
    /// The least severe level that is logged.
    pub log_level: LevelFilter,
    /// How log lines are written.
    pub log_format: LogFormat,
}

/// Whether the exposition can be served at this path.
pub(crate) fn is_telemetry_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    path.starts_with('/') && path.bytes().all(plain) && !RESERVED.contains(&path)
}

/// The value of a flag or of its variable, with the name that it was set by.
fn pick(name: &'static str, flag: &Option<String>, twin: Option<String>) -> (String, String) {
    let variable = name.to_uppercase().replace(['.', '-'], "_");
    match (flag, twin) {
        (Some(value), _) => (format!("--{name}"), value.clone()),
        (None, None) => (format!("--{name}"), default_of(VARIABLES, &variable).to_owned()),
        (None, Some(value)) => (variable, value),
    }
}

/// Reads a value; one that is refused is an error, and `otherwise` stands for it.
fn read<T>(
    (name, value): (String, String),
    otherwise: T,
    errors: &mut ConfigErrors,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> T {
    read(&value).unwrap_or_else(|remedy| {
        errors.add(name, refused(&value, &remedy));
        otherwise
    })
}

fn log_level(text: &str) -> Result<LevelFilter, String> {
    let known = ["error", "warn", "info", "debug", "trace"].contains(&text);
    text.parse().ok().filter(|_| known).ok_or_else(|| "write error, warn, info, debug or trace".to_owned())
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("write text (logfmt) or json".to_owned()),
    }
}

fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "write true or false".to_owned())
}

fn telemetry_path(text: &str) -> Result<String, String> {
    let remedy = "write a path such as /metrics that no other address of the exporter uses";
    if is_telemetry_path(text) { Ok(text.to_owned()) } else { Err(remedy.to_owned()) }
}

fn listen_address(picked: (String, String), errors: &mut ConfigErrors) -> String {
    let address = picked.1.clone();
    read(picked, address.clone(), errors, |text| values::listen_address(text).map(|_| address))
}

pub(super) fn check(flags: &Flags, raw: RawProcess, errors: &mut ConfigErrors) -> Process {
    let listen = pick("web.listen-address", &flags.web_listen_address, raw.web_listen_address);
    let webhook = pick("webhook.listen-address", &flags.webhook_listen_address, raw.webhook_listen_address);
    let path = pick("web.telemetry-path", &flags.web_telemetry_path, raw.web_telemetry_path);
    let storage = pick("storage.path", &flags.storage_path, raw.storage_path);
    let start_at_zero = pick("metrics.start-at-zero", &flags.metrics_start_at_zero, raw.metrics_start_at_zero);
    let level = pick("log.level", &flags.log_level, raw.log_level);
    let format = pick("log.format", &flags.log_format, raw.log_format);
    let (listen, webhook_listen) = (listen_address(listen, errors), listen_address(webhook, errors));
    let shown = path.1.clone();
    let telemetry_path = read(path, shown, errors, telemetry_path);
    let start_at_zero = read(start_at_zero, Duration::ZERO, errors, |text| {
        values::duration_within(text, Duration::ZERO, Duration::from_secs(3_600))
    });
    let log_level = read(level, LevelFilter::INFO, errors, log_level);
    let log_format = read(format, LogFormat::Text, errors, log_format);
    let lifecycle = raw.web_enable_lifecycle.map(|text| ("WEB_ENABLE_LIFECYCLE".to_owned(), text));
    let lifecycle = lifecycle.is_some_and(|set| read(set, false, errors, switch));
    let mut path = |name: &'static str, flag: &Option<String>, twin: Option<String>| {
        let set = flag.is_some() || twin.is_some();
        set.then(|| read(pick(name, flag, twin), None, errors, |text| values::path(text).map(Some)))?
    };
    let web_config = path("web.config.file", &flags.web_config_file, raw.web_config_file);
    let webhook_config = path("webhook.config.file", &flags.webhook_config_file, raw.webhook_config_file);
    let config_file = path("config.file", &flags.config_file, raw.config_file);
    let secrets_directory = path("secrets.directory", &flags.secrets_directory, raw.secrets_directory);
    let shard = (flags.shard.is_some() || raw.shard.is_some())
        .then(|| read(pick("shard", &flags.shard, raw.shard), None, errors, |text| Shard::read(text).map(Some)))
        .flatten();
    if shard.is_some() && config_file.is_none() {
        errors.add("--shard", "has no effect without --config.file: set it, or leave --shard out");
    }
    let storage = read(storage, None, errors, |text| match text {
        "none" => Ok(None),
        directory => values::path(directory).map(Some),
    });
    Process {
        listen,
        telemetry_path,
        web_config,
        enable_lifecycle: flags.web_enable_lifecycle || lifecycle,
        webhook_listen,
        webhook_config,
        config_file,
        secrets_directory,
        shard,
        storage,
        start_at_zero,
        log_level,
        log_format,
    }
}
