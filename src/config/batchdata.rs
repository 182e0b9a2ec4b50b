//! The section `BATCHDATA_*`.
//!
//! Flows in: raw strings. Flows out: [`BatchData`], or errors. Invariant: nothing else can construct one.

use std::time::Duration;

use chrono::NaiveDate;
use url::Url;

use super::errors::ConfigErrors;
use super::secret::Secret;
use super::{BaseLine, section, values};
use crate::money::Usd;
use crate::names::{Source, Vendor};

/// The variables, as envy fills them.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub(super) struct RawBatchData {
    api_token: Option<String>,
    api_token_file: Option<String>,
    account: Option<String>,
    base_url: Option<String>,
    sources: Option<String>,
    balance_interval: Option<String>,
    consumption_interval: Option<String>,
    card_interval: Option<String>,
    count_since: Option<String>,
    warning_balance_usd: Option<String>,
    critical_balance_usd: Option<String>,
    max_age: Option<String>,
    requests_per_minute: Option<String>,
}

/// A BatchData wallet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BatchData {
    /// The bearer token.
    pub token: Secret,
    /// The label `account`.
    pub account: String,
    /// Where the API is.
    pub base_url: Url,
    /// Which reports are polled, and how often.
    pub sources: Vec<(Source, Duration)>,
    /// From which UTC day on history is counted, if it was set.
    pub count_since: Option<NaiveDate>,
    /// Below this the wallet deserves attention.
    pub warning_balance: Option<Usd>,
    /// Below this the wallet is about to run dry.
    pub critical_balance: Option<Usd>,
    /// How long a last good value is served.
    pub max_age: Duration,
    /// The token's request budget.
    pub requests_per_minute: u32,
}

impl RawBatchData {
    /// The base line, if the wallet is on and its date can be read, whatever else is wrong.
    pub(super) fn base_line(&self) -> Option<BaseLine> {
        self.api_token.as_ref().or(self.api_token_file.as_ref())?;
        Some(BaseLine {
            variable: "BATCHDATA_COUNT_SINCE",
            vendor: Vendor::BatchData,
            account: self.account.as_deref().unwrap_or(values::DEFAULT_ACCOUNT).to_owned(),
            since: values::date(self.count_since.as_deref()?).ok()?.to_string(),
        })
    }
}

const SOURCES: &str = "balance,consumption,card_transactions";

fn sources(text: &str) -> Result<Vec<Source>, String> {
    let wrong = || format!("write some of {SOURCES}, separated by commas");
    let mut chosen = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let source = match part {
            "balance" => Source::Balance,
            "consumption" => Source::Consumption,
            "card_transactions" => Source::CardTransactions,
            _ => return Err(wrong()),
        };
        if !chosen.contains(&source) {
            chosen.push(source);
        }
    }
    if chosen.is_empty() { Err(wrong()) } else { Ok(chosen) }
}

/// Checks the section; `None` if the vendor is off or faulty.
pub(super) fn check(raw: RawBatchData, today: NaiveDate, errors: &mut ConfigErrors) -> Option<BatchData> {
    let token = section::secret("BATCHDATA_API_TOKEN", raw.api_token, raw.api_token_file, errors, values::credential);
    let account = section::value("BATCHDATA_ACCOUNT", raw.account, values::DEFAULT_ACCOUNT, errors, values::account);
    let base_url =
        section::value("BATCHDATA_BASE_URL", raw.base_url, "https://api.batchdata.com", errors, values::base_url);
    let chosen = section::value("BATCHDATA_SOURCES", raw.sources, SOURCES, errors, sources);
    let mut interval = |name: &str, text, default| section::value(name, text, default, errors, values::interval);
    let balance = interval("BATCHDATA_BALANCE_INTERVAL", raw.balance_interval, "1m");
    let consumption = interval("BATCHDATA_CONSUMPTION_INTERVAL", raw.consumption_interval, "5m");
    let card = interval("BATCHDATA_CARD_INTERVAL", raw.card_interval, "5m");
    let count_since = section::optional("BATCHDATA_COUNT_SINCE", raw.count_since, errors, values::date);
    if let Some(day) = count_since.filter(|day| *day > today) {
        errors.add("BATCHDATA_COUNT_SINCE", format!("{day} is in the future: write a UTC date up to today, {today}"));
    }
    let warning =
        section::optional("BATCHDATA_WARNING_BALANCE_USD", raw.warning_balance_usd, errors, values::threshold);
    let critical =
        section::optional("BATCHDATA_CRITICAL_BALANCE_USD", raw.critical_balance_usd, errors, values::threshold);
    if let (Some(warning), Some(critical)) = (warning, critical)
        && critical >= warning
    {
        errors.add(
            "BATCHDATA_CRITICAL_BALANCE_USD",
            "write an amount below BATCHDATA_WARNING_BALANCE_USD, such as 50 for a warning at 200",
        );
    }
    let max_age = section::value("BATCHDATA_MAX_AGE", raw.max_age, "1h", errors, values::duration);
    if let (Some(max_age), Some(longest)) = (max_age, [balance, consumption, card].into_iter().flatten().max())
        && max_age < longest * 2
    {
        errors.add(
            "BATCHDATA_MAX_AGE",
            format!("write at least {}, twice the longest BATCHDATA_*_INTERVAL", values::written(longest * 2)),
        );
    }
    let requests_per_minute =
        section::value("BATCHDATA_REQUESTS_PER_MINUTE", raw.requests_per_minute, "300", errors, values::per_minute);
    let every = |source| match source {
        Source::Balance => balance,
        Source::Consumption => consumption,
        _ => card,
    };
    Some(BatchData {
        token: token?,
        account: account?,
        base_url: base_url?,
        sources: chosen?.into_iter().filter_map(|source| Some((source, every(source)?))).collect(),
        count_since,
        warning_balance: warning,
        critical_balance: critical,
        max_age: max_age?,
        requests_per_minute: requests_per_minute?,
    })
}
