//! The section `RIGHTFOOT_*`.
//!
//! Flows in: raw strings. Flows out: [`Rightfoot`], or errors. Invariant: nothing else can construct one.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use url::Url;
use uuid::Uuid;

use super::errors::ConfigErrors;
use super::ids_file;
use super::secret::Secret;
use super::{BaseLine, section, values};
use crate::names::Vendor;

/// The variables, as envy fills them.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub(super) struct RawRightfoot {
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
pub struct Rightfoot {
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

impl RawRightfoot {
    /// The base line, if the account is on and its date can be read, whatever else is wrong.
    pub(super) fn base_line(&self) -> Option<BaseLine> {
        self.api_key.as_ref().or(self.api_key_file.as_ref())?;
        Some(BaseLine {
            variable: "RIGHTFOOT_COUNT_SINCE",
            vendor: Vendor::Rightfoot,
            account: self.account.as_deref().unwrap_or(values::DEFAULT_ACCOUNT).to_owned(),
            since: values::date_or_time(self.count_since.as_deref()?).ok()?.to_rfc3339(),
        })
    }
}

/// Checks the section; `None` if the vendor is off or faulty.
pub(super) fn check(raw: RawRightfoot, now: DateTime<Utc>, errors: &mut ConfigErrors) -> Option<Rightfoot> {
    let key = section::secret("RIGHTFOOT_API_KEY", raw.api_key, raw.api_key_file, errors, values::credential);
    let account = section::value("RIGHTFOOT_ACCOUNT", raw.account, values::DEFAULT_ACCOUNT, errors, values::account);
    let base_url =
        section::value("RIGHTFOOT_BASE_URL", raw.base_url, "https://api.rightfoot.com", errors, values::base_url);
    let batch_ids = section::value("RIGHTFOOT_BATCH_IDS", raw.batch_ids, "", errors, values::uuids);
    let batch_ids_file = section::optional("RIGHTFOOT_BATCH_IDS_FILE", raw.batch_ids_file, errors, values::path);
    let batch_ids_warning = match batch_ids_file.as_deref().map(ids_file::read) {
        None => None,
        Some(Ok(found)) => found.warning(),
        Some(Err(error)) => {
            errors.add("RIGHTFOOT_BATCH_IDS_FILE", format!("{error}: name a readable file with one batch id a line"));
            None
        }
    };
    let count_since = section::optional("RIGHTFOOT_COUNT_SINCE", raw.count_since, errors, values::date_or_time);
    if let Some(since) = count_since.filter(|since| *since > now) {
        let since = since.format("%Y-%m-%dT%H:%M:%SZ");
        let remedy =
            format!("{since} is in the future: write a UTC date or time up to now, such as {}", now.date_naive());
        errors.add("RIGHTFOOT_COUNT_SINCE", remedy);
    }
    let interval = section::value("RIGHTFOOT_INTERVAL", raw.interval, "1m", errors, values::interval);
    let settle_after = section::value("RIGHTFOOT_SETTLE_AFTER", raw.settle_after, "6h", errors, |text| {
        values::duration_within(text, Duration::from_secs(1), Duration::from_secs(7 * 24 * 3_600))
    });
    let max_age = section::value("RIGHTFOOT_MAX_AGE", raw.max_age, "1h", errors, values::duration);
    if let (Some(max_age), Some(interval)) = (max_age, interval)
        && max_age < interval * 2
    {
        errors.add(
            "RIGHTFOOT_MAX_AGE",
            format!("write at least {}, twice RIGHTFOOT_INTERVAL", values::written(interval * 2)),
        );
    }
    let requests_per_minute =
        section::value("RIGHTFOOT_REQUESTS_PER_MINUTE", raw.requests_per_minute, "300", errors, values::per_minute);
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
    Some(Rightfoot {
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
