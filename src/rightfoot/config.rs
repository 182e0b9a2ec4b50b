//! The section `RIGHTFOOT_*`.
//!
//! Flows in: raw strings. Flows out: [`Config`], or errors. Invariant: nothing else can construct one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use url::Url;
use uuid::Uuid;

use super::{BATCHES, VENDOR, ids_file};
use crate::config::secret::Secret;
use crate::config::{ConfigErrors, CountSince, Variable, Variables, default_of, section, values, variable};
use crate::integration::Configured;

pub(super) const PREFIX: &str = "RIGHTFOOT_";

/// In the order of the documentation.
pub(super) const VARIABLES: &[Variable] = &[
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

/// The variables, as envy fills them.
#[derive(Clone, Debug, Default, serde::Deserialize)]
struct Raw {
    api_key: Option<String>,
    api_key_file: Option<String>,
    account: Option<String>,
    base_url: Option<String>,
    batch_ids: Option<String>,
    batch_ids_file: Option<String>,
    count_since: Option<String>,
    interval: Option<String>,
    settle_after: Option<String>,
    max_age: Option<String>,
    requests_per_minute: Option<String>,
    webhook_secret: Option<String>,
    webhook_secret_file: Option<String>,
    webhook_old_secret: Option<String>,
    webhook_old_secret_file: Option<String>,
}

/// A Rightfoot account.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The bearer key.
    pub key: Secret,
    /// The label `account`.
    pub account: String,
    /// Where the API is.
    pub base_url: Url,
    /// The batches that the environment names.
    pub batch_ids: Vec<Uuid>,
    /// A file with more of them.
    pub batch_ids_file: Option<PathBuf>,
    /// What is wrong with that file although it can be used.
    pub batch_ids_warning: Option<String>,
    /// From when on rows are counted, if it was set.
    pub count_since: Option<DateTime<Utc>>,
    /// How often open batches are polled.
    pub interval: Duration,
    /// How old the newest row of a batch must be before the batch counts as complete.
    pub settle_after: Duration,
    /// How long a last good value is served.
    pub max_age: Duration,
    /// The key's request budget.
    pub requests_per_minute: u32,
    /// Opens the webhook.
    pub webhook_secret: Option<Secret>,
    /// Opens it, too, while the secret is being replaced.
    pub old_webhook_secret: Option<Secret>,
}

impl Raw {
    /// The base line, if the account is on and its date can be read, whatever else is wrong.
    fn base_line(&self) -> Option<CountSince> {
        self.api_key.as_ref().or(self.api_key_file.as_ref())?;
        Some(CountSince {
            variable: "RIGHTFOOT_COUNT_SINCE",
            vendor: VENDOR,
            account: self.account.as_deref().unwrap_or(default_of(VARIABLES, "RIGHTFOOT_ACCOUNT")).to_owned(),
            sources: &[BATCHES],
            since: values::date_or_time(self.count_since.as_deref()?).ok()?.to_rfc3339(),
            out_of_reach: None,
        })
    }
}

fn warning_about(ids_file: &Path, errors: &mut ConfigErrors) -> Option<String> {
    match ids_file::read(ids_file) {
        Ok(found) => found.warning(),
        Err(error) => {
            errors.add("RIGHTFOOT_BATCH_IDS_FILE", format!("{error}: name a readable file with one batch id a line"));
            None
        }
    }
}

fn count_since(text: Option<String>, now: DateTime<Utc>, errors: &mut ConfigErrors) -> Option<DateTime<Utc>> {
    let count_since = section::optional("RIGHTFOOT_COUNT_SINCE", text, errors, values::date_or_time);
    if let Some(since) = count_since.filter(|since| *since > now) {
        let since = since.format("%Y-%m-%dT%H:%M:%SZ");
        let remedy =
            format!("{since} is in the future: write a UTC date or time up to now, such as {}", now.date_naive());
        errors.add("RIGHTFOOT_COUNT_SINCE", remedy);
    }
    count_since
}

/// Comma-separated batch ids; `position` of a wrong one counts from 1.
fn batch_ids(text: &str) -> Result<Vec<Uuid>, String> {
    let mut ids = Vec::new();
    for (position, part) in text.split(',').map(str::trim).enumerate().filter(|(_, part)| !part.is_empty()) {
        match Uuid::try_parse(part) {
            Ok(id) => ids.push(id),
            Err(_) => {
                return Err(format!(
                    "entry {} is not a UUID: write batch ids such as 8ac1f4a6-1234-4abc-9d3e-001122334455, separated by commas",
                    position + 1
                ));
            }
        }
    }
    Ok(ids)
}

/// Checks the section; `None` if the vendor is off or faulty.
fn check(raw: Raw, now: DateTime<Utc>, errors: &mut ConfigErrors) -> Option<Config> {
    let key = section::secret("RIGHTFOOT_API_KEY", raw.api_key, raw.api_key_file, errors, values::credential);
    let account = section::value(VARIABLES, "RIGHTFOOT_ACCOUNT", raw.account, errors, values::account);
    let base_url = section::value(VARIABLES, "RIGHTFOOT_BASE_URL", raw.base_url, errors, values::base_url);
    let batch_ids = section::value(VARIABLES, "RIGHTFOOT_BATCH_IDS", raw.batch_ids, errors, batch_ids);
    let batch_ids_file = section::optional("RIGHTFOOT_BATCH_IDS_FILE", raw.batch_ids_file, errors, values::path);
    let batch_ids_warning = batch_ids_file.as_deref().and_then(|file| warning_about(file, errors));
    let count_since = count_since(raw.count_since, now, errors);
    let interval = section::value(VARIABLES, "RIGHTFOOT_INTERVAL", raw.interval, errors, values::interval);
    let settle_after = section::value(VARIABLES, "RIGHTFOOT_SETTLE_AFTER", raw.settle_after, errors, |text| {
        values::duration_within(text, Duration::from_secs(1), Duration::from_secs(7 * 24 * 3_600))
    });
    let max_age = section::value(VARIABLES, "RIGHTFOOT_MAX_AGE", raw.max_age, errors, values::duration);
    if let (Some(max_age), Some(interval)) = (max_age, interval)
        && max_age < interval * 2
    {
        errors.add(
            "RIGHTFOOT_MAX_AGE",
            format!("write at least {}, twice RIGHTFOOT_INTERVAL", values::written(interval * 2)),
        );
    }
    let requests_per_minute =
        section::value(VARIABLES, "RIGHTFOOT_REQUESTS_PER_MINUTE", raw.requests_per_minute, errors, values::per_minute);
    let webhook_secret = section::secret(
        "RIGHTFOOT_WEBHOOK_SECRET",
        raw.webhook_secret,
        raw.webhook_secret_file,
        errors,
        values::webhook_secret,
    );
    let old_webhook_secret = section::secret(
        "RIGHTFOOT_WEBHOOK_OLD_SECRET",
        raw.webhook_old_secret,
        raw.webhook_old_secret_file,
        errors,
        values::webhook_secret,
    );
    if old_webhook_secret.is_some() && webhook_secret.is_none() {
        errors.add(
            "RIGHTFOOT_WEBHOOK_OLD_SECRET",
            "has no effect without RIGHTFOOT_WEBHOOK_SECRET: set it, or unset this",
        );
    }
    Some(Config {
        key: key?,
        account: account?,
        base_url: base_url?,
        batch_ids: batch_ids?,
        batch_ids_file,
        batch_ids_warning,
        count_since,
        interval: interval?,
        settle_after: settle_after?,
        max_age: max_age?,
        requests_per_minute: requests_per_minute?,
        webhook_secret,
        old_webhook_secret,
    })
}

/// Checks the variables.
pub(super) fn configure(variables: &Variables, now: DateTime<Utc>, errors: &mut ConfigErrors) -> Configured {
    let raw: Raw = variables.section(PREFIX, errors);
    let base_line = raw.base_line();
    let config = check(raw, now, errors);
    variables.refuse_without(VENDOR.secret_variable, PREFIX, errors);
    Configured { base_line, account: config.map(|config| Arc::new(config) as _) }
}
