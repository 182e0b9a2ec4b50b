//! The section `BATCHDATA_*`.
//!
//! Flows in: raw strings. Flows out: [`Config`], or errors. Invariant: nothing else can construct one.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use strum::VariantArray as _;
use url::Url;

use super::budget::{self, Budget, BudgetPeriod, BudgetScope};
use super::consumption::ledger::REACH;
use super::history::reach;
use super::{CARD_TRANSACTIONS, CONSUMPTION, Client, TRANSACTIONS, VENDOR, WalletReport};
use crate::config::secret::Secret;
use crate::config::{ConfigErrors, CountSince, ListField, Variable, Variables, default_of, section, values, variable};
use crate::integration::Configured;
use crate::money::Usd;
use crate::names::Label as _;
use crate::poll::builder::Dependencies;
use crate::upstream::{BuildError, Unobserved};

pub(super) const PREFIX: &str = "BATCHDATA_";

/// In the order of the documentation.
pub(super) const VARIABLES: &[Variable] = &[
    variable("BATCHDATA_API_TOKEN", "", "bearer token with the three wallet permissions; enables BatchData"),
    variable("BATCHDATA_API_TOKEN_FILE", "", "file that contains it; read again when it changes"),
    variable("BATCHDATA_ACCOUNT", "default", "value of the label `account`; 1 to 64 of a-z, 0-9, _ and -"),
    variable(
        "BATCHDATA_BASE_URL",
        "https://api.batchdata.com",
        "URL of the API; plain `http` only for a loopback address",
    ),
    variable("BATCHDATA_SOURCES", SOURCES, "reports to poll; `transactions` is off unless it is among them"),
    variable("BATCHDATA_BALANCE_INTERVAL", "1m", "how often the balance is polled"),
    variable("BATCHDATA_CONSUMPTION_INTERVAL", "5m", "how often the consumption report is polled"),
    variable("BATCHDATA_CARD_INTERVAL", "5m", "how often the card transactions are polled"),
    variable("BATCHDATA_TRANSACTIONS_INTERVAL", "1h", "how often the transactions are polled"),
    variable(
        "BATCHDATA_TRANSACTIONS_MB_PER_HOUR",
        "100",
        "megabytes of transactions per hour; a larger file is downloaded less often",
    ),
    variable(
        "BATCHDATA_COUNT_SINCE",
        "",
        "UTC date; with a new storage, counters include the history from that day, up to 365 days",
    ),
    variable("BATCHDATA_WARNING_BALANCE_USD", "", "balance below which the warning alert fires"),
    variable("BATCHDATA_CRITICAL_BALANCE_USD", "", "balance below which the critical alert fires"),
    variable("BATCHDATA_BUDGET_DAY_USD", "", "budget of the UTC day"),
    variable("BATCHDATA_BUDGET_WEEK_USD", "", "budget of the ISO week, from Monday in UTC"),
    variable("BATCHDATA_BUDGET_MONTH_USD", "", "budget of the UTC month"),
    variable("BATCHDATA_MAX_AGE", "1h", "how long the last good value is served while polls fail"),
    variable("BATCHDATA_REQUESTS_PER_MINUTE", "300", "maximum number of requests per minute with the token"),
];

/// The variables, as envy fills them.
#[derive(Clone, Debug, Default, serde::Deserialize)]
struct Raw {
    api_token: Option<String>,
    api_token_file: Option<String>,
    account: Option<String>,
    base_url: Option<String>,
    sources: Option<String>,
    balance_interval: Option<String>,
    consumption_interval: Option<String>,
    card_interval: Option<String>,
    transactions_interval: Option<String>,
    transactions_mb_per_hour: Option<String>,
    count_since: Option<String>,
    warning_balance_usd: Option<String>,
    critical_balance_usd: Option<String>,
    budget_day_usd: Option<String>,
    budget_week_usd: Option<String>,
    budget_month_usd: Option<String>,
    /// Of an accounts file alone.
    budgets: Option<String>,
    max_age: Option<String>,
    requests_per_minute: Option<String>,
}

/// The field of an accounts file that no variable has: a list of mappings.
pub(super) const LISTS: &[ListField] = &[ListField {
    variable: variable(
        "BATCHDATA_BUDGETS",
        "",
        "budgets: `name`, `period` (`day`, `week`, `month`), `amount_usd`, and optionally `api_path` or `origin`",
    ),
    items: budget::FIELDS,
}];

fn budgets(
    by_variable: [(&'static str, BudgetPeriod, Option<String>); 3],
    listed: Option<String>,
    sources: Option<&[WalletReport]>,
    errors: &mut ConfigErrors,
) -> Arc<[Budget]> {
    let mut budgets = Vec::new();
    for (name, period, text) in by_variable {
        let amount = section::optional(name, text, errors, budget::amount);
        budgets.extend(amount.map(|amount| Budget {
            name: period.as_str().to_owned(),
            period,
            amount,
            scope: BudgetScope::Wallet,
        }));
    }
    if let Some(text) = listed {
        let (found, remedies) = budget::list(&text);
        budgets.extend(found);
        remedies.into_iter().for_each(|remedy| errors.add("BATCHDATA_BUDGETS", remedy));
    }
    if let Some(twice) = budget::duplicate(&budgets) {
        let remedy =
            format!("two budgets of a {} have the name {}: give each its own", twice.period.as_str(), twice.name);
        errors.add("BATCHDATA_BUDGETS", remedy);
    }
    if !budgets.is_empty() && sources.is_some_and(|sources| !sources.contains(&WalletReport::Consumption)) {
        let remedy = "does not poll consumption, which budgets need: add consumption, or remove the budgets";
        errors.add("BATCHDATA_SOURCES", remedy);
    }
    budgets.into()
}

/// A BatchData wallet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The bearer token.
    pub token: Secret,
    /// The label `account`.
    pub account: String,
    /// Where the API is.
    pub base_url: Url,
    /// Which reports are polled, and how often.
    pub sources: Vec<(WalletReport, Duration)>,
    /// How many bytes of transactions may be downloaded in an hour.
    pub transactions_bytes_per_hour: u64,
    /// From which UTC day on history is counted, if it was set.
    pub count_since: Option<NaiveDate>,
    /// Below this the wallet deserves attention.
    pub warning_balance: Option<Usd>,
    /// Below this the wallet is about to run dry.
    pub critical_balance: Option<Usd>,
    /// What may be spent in a period.
    pub budgets: Arc<[Budget]>,
    /// How long a last good value is served.
    pub max_age: Duration,
    /// The token's request budget.
    pub requests_per_minute: u32,
}

impl Raw {
    /// The base line, if the wallet is on and its date can be read, whatever else is wrong.
    fn base_line(&self, today: NaiveDate) -> Option<CountSince> {
        self.api_token.as_ref().or(self.api_token_file.as_ref())?;
        let (since, kept) = (values::date(self.count_since.as_deref()?).ok()?, reach(today));
        let out_of_reach = (since < kept).then(|| {
            format!(
                "BATCHDATA_COUNT_SINCE is {since}, and the vendor's report covers the last {REACH} days: what was spent \
                 before {kept} may be missing from the counters"
            )
        });
        Some(CountSince {
            variable: "BATCHDATA_COUNT_SINCE",
            vendor: VENDOR,
            account: self.account.as_deref().unwrap_or(default_of(VARIABLES, "BATCHDATA_ACCOUNT")).to_owned(),
            sources: &[CONSUMPTION, CARD_TRANSACTIONS, TRANSACTIONS],
            since: since.to_string(),
            out_of_reach,
        })
    }
}

const SOURCES: &str = "balance,consumption,card_transactions";

fn sources(text: &str) -> Result<Vec<WalletReport>, String> {
    let known = WalletReport::VARIANTS;
    let wrong = || {
        let names: Vec<&str> = known.iter().map(|report| report.source().name).collect();
        format!("write some of {}, separated by commas", names.join(","))
    };
    let mut chosen = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let report = *known.iter().find(|report| report.source().name == part).ok_or_else(wrong)?;
        if !chosen.contains(&report) {
            chosen.push(report);
        }
    }
    if chosen.is_empty() { Err(wrong()) } else { Ok(chosen) }
}

/// Below which balances the alerts fire: warning and critical.
fn thresholds(
    warning: Option<String>,
    critical: Option<String>,
    errors: &mut ConfigErrors,
) -> (Option<Usd>, Option<Usd>) {
    let warning = section::optional("BATCHDATA_WARNING_BALANCE_USD", warning, errors, values::threshold);
    let critical = section::optional("BATCHDATA_CRITICAL_BALANCE_USD", critical, errors, values::threshold);
    if let (Some(warning), Some(critical)) = (warning, critical)
        && critical >= warning
    {
        errors.add(
            "BATCHDATA_CRITICAL_BALANCE_USD",
            format!("write an amount below BATCHDATA_WARNING_BALANCE_USD: {critical} is not below {warning}"),
        );
    }
    (warning, critical)
}

/// Checks the section; `None` if the vendor is off or faulty.
fn check(raw: Raw, today: NaiveDate, errors: &mut ConfigErrors) -> Option<Config> {
    let token = section::secret("BATCHDATA_API_TOKEN", raw.api_token, raw.api_token_file, errors, values::credential);
    let account = section::value(VARIABLES, "BATCHDATA_ACCOUNT", raw.account, errors, values::account);
    let base_url = section::value(VARIABLES, "BATCHDATA_BASE_URL", raw.base_url, errors, values::base_url);
    let chosen = section::value(VARIABLES, "BATCHDATA_SOURCES", raw.sources, errors, sources);
    let mut interval = |name: &str, text| section::value(VARIABLES, name, text, errors, values::interval);
    let balance = interval("BATCHDATA_BALANCE_INTERVAL", raw.balance_interval);
    let consumption = interval("BATCHDATA_CONSUMPTION_INTERVAL", raw.consumption_interval);
    let card = interval("BATCHDATA_CARD_INTERVAL", raw.card_interval);
    let transactions = interval("BATCHDATA_TRANSACTIONS_INTERVAL", raw.transactions_interval);
    let name = "BATCHDATA_TRANSACTIONS_MB_PER_HOUR";
    let megabytes = section::value(VARIABLES, name, raw.transactions_mb_per_hour, errors, values::megabytes);
    let count_since = section::optional("BATCHDATA_COUNT_SINCE", raw.count_since, errors, values::date);
    if let Some(day) = count_since.filter(|day| *day > today) {
        errors.add("BATCHDATA_COUNT_SINCE", format!("{day} is in the future: write a UTC date up to today, {today}"));
    }
    let (warning, critical) = thresholds(raw.warning_balance_usd, raw.critical_balance_usd, errors);
    let by_variable = [
        ("BATCHDATA_BUDGET_DAY_USD", BudgetPeriod::Day, raw.budget_day_usd),
        ("BATCHDATA_BUDGET_WEEK_USD", BudgetPeriod::Week, raw.budget_week_usd),
        ("BATCHDATA_BUDGET_MONTH_USD", BudgetPeriod::Month, raw.budget_month_usd),
    ];
    let budgets = budgets(by_variable, raw.budgets, chosen.as_deref(), errors);
    let max_age = section::value(VARIABLES, "BATCHDATA_MAX_AGE", raw.max_age, errors, values::duration);
    if let (Some(max_age), Some(longest)) = (max_age, [balance, consumption, card].into_iter().flatten().max())
        && max_age < longest * 2
    {
        errors.add(
            "BATCHDATA_MAX_AGE",
            format!("write at least {}, twice the longest BATCHDATA_*_INTERVAL", values::written(longest * 2)),
        );
    }
    let requests_per_minute =
        section::value(VARIABLES, "BATCHDATA_REQUESTS_PER_MINUTE", raw.requests_per_minute, errors, values::per_minute);
    let every = |report| match report {
        WalletReport::Balance => balance,
        WalletReport::Consumption => consumption,
        WalletReport::CardTransactions => card,
        WalletReport::Transactions => transactions,
    };
    Some(Config {
        token: token?,
        account: account?,
        base_url: base_url?,
        sources: chosen?.into_iter().filter_map(|report| Some((report, every(report)?))).collect(),
        transactions_bytes_per_hour: megabytes? * 1_000_000,
        count_since,
        warning_balance: warning,
        critical_balance: critical,
        budgets,
        max_age: max_age?,
        requests_per_minute: requests_per_minute?,
    })
}

/// Checks the variables.
pub(super) fn configure(variables: &Variables, now: DateTime<Utc>, errors: &mut ConfigErrors) -> Configured {
    let raw: Raw = variables.section(PREFIX, errors);
    let base_line = raw.base_line(now.date_naive());
    let config = check(raw, now.date_naive(), errors);
    variables.refuse_without(VENDOR.secret_variable, PREFIX, errors);
    Configured { base_line, account: config.map(|config| Arc::new(config) as _) }
}

impl Config {
    /// A client for the wallet, without polls and storage.
    ///
    /// # Errors
    /// If the settings cannot work at all.
    pub fn client(&self, dependencies: &Dependencies) -> Result<Client, BuildError> {
        let observer = Arc::new(Unobserved);
        let settings = dependencies.client_settings(&self.base_url, &self.token, self.requests_per_minute, observer);
        Client::new(settings, true)
    }
}
