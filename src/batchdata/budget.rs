//! What a wallet may spend in a period.
//!
//! Flows in: variables, and the list `budgets` of an accounts file. Flows out: [`Budget`]s, or errors. Invariant: a name is
//! unique for its period.

use std::collections::BTreeMap;

use chrono::{Datelike as _, Days, Months, NaiveDate};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::config::{ItemField, values};
use crate::counting::labels::clean;
use crate::money::Usd;

/// The running period that a budget is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum BudgetPeriod {
    /// The UTC day.
    Day,
    /// The ISO week, from Monday.
    Week,
    /// The UTC month.
    Month,
}

impl BudgetPeriod {
    /// First and last day, inclusive.
    #[must_use]
    pub fn days(self, today: NaiveDate) -> (NaiveDate, NaiveDate) {
        let back = |days: u32| today.checked_sub_days(Days::new(days.into())).unwrap_or(today);
        match self {
            BudgetPeriod::Day => (today, today),
            BudgetPeriod::Week => {
                let monday = back(today.weekday().num_days_from_monday());
                (monday, monday.checked_add_days(Days::new(6)).unwrap_or(today))
            }
            BudgetPeriod::Month => {
                let first = back(today.day0());
                let next = first.checked_add_months(Months::new(1));
                (first, next.and_then(|next| next.pred_opt()).unwrap_or(today))
            }
        }
    }
}

/// What is counted against a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BudgetScope {
    /// All debits of the wallet.
    Wallet,
    /// Debits of an origin.
    Origin(String),
    /// Debits of an API path.
    ApiPath(String),
}

/// An amount that may be spent, again in each period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The label `budget`.
    pub name: String,
    /// The label `period`.
    pub period: BudgetPeriod,
    /// US dollars that may be spent in the period.
    pub amount: Usd,
    /// What is counted against it.
    pub scope: BudgetScope,
}

/// An amount of a budget.
pub(super) fn amount(text: &str) -> Result<Usd, String> {
    let amount = values::threshold(text)?;
    if amount.is_zero() { Err("write an amount above 0, such as 3000".to_owned()) } else { Ok(amount) }
}

/// What a budget of the list may say.
pub(super) const FIELDS: &[ItemField] = &[
    ItemField {
        name: "name",
        required: true,
        one_of: &[],
        meaning: "the label budget, unique for its period; 1 to 64 of a-z, 0-9, _ and -",
    },
    ItemField {
        name: "period",
        required: true,
        one_of: &["day", "week", "month"],
        meaning: "the running UTC day, ISO week or UTC month",
    },
    ItemField {
        name: "amount_usd",
        required: true,
        one_of: &[],
        meaning: "US dollars that may be spent in the period, above 0",
    },
    ItemField {
        name: "api_path",
        required: false,
        one_of: &[],
        meaning: "count only debits of this API path; not together with origin",
    },
    ItemField {
        name: "origin",
        required: false,
        one_of: &[],
        meaning: "count only debits of this origin; not together with api_path",
    },
];

/// The list of an accounts file, as JSON: mappings of texts. Returns those without an error, and all errors.
pub(super) fn list(text: &str) -> (Vec<Budget>, Vec<String>) {
    let Ok(entries) = serde_json::from_str::<Vec<BTreeMap<String, String>>>(text) else {
        let remedy = "write a list of mappings: name, period, amount_usd and optionally api_path or origin";
        return (Vec::new(), vec![remedy.to_owned()]);
    };
    let (mut budgets, mut errors) = (Vec::new(), Vec::new());
    for (index, entry) in entries.into_iter().enumerate() {
        let name = entry.get("name").cloned().unwrap_or_else(|| format!("number {}", index + 1));
        let mut found = Vec::new();
        let budget = budget(entry, &mut found);
        errors.extend(found.into_iter().map(|error| format!("budget {name}: {error}")));
        budgets.extend(budget);
    }
    (budgets, errors)
}

/// A budget, if nothing is wrong with it.
fn budget(mut entry: BTreeMap<String, String>, errors: &mut Vec<String>) -> Option<Budget> {
    let unknown = entry.keys().filter(|name| !FIELDS.iter().any(|field| field.name == name.as_str()));
    errors.extend(unknown.map(|name| format!("{name} is not a field of a budget: check its spelling")));
    let of = |field: &'static str| move |remedy: String| format!("{field}: {remedy}");
    let name = entry.remove("name").ok_or("name is missing".to_owned());
    let name = name.and_then(|text| values::account(&text).map_err(of("name")));
    let period = entry.remove("period").and_then(|text| text.parse().ok());
    let period = period.ok_or("period: write day, week or month".to_owned());
    let usd = entry.remove("amount_usd").ok_or("amount_usd is missing".to_owned());
    let usd = usd.and_then(|text| amount(&text).map_err(of("amount_usd")));
    // As the counters name it.
    let name_of = |field: &str, text: String| match text.trim() {
        "" => Err(format!("{field}: write a name")),
        text => Ok(clean(text).to_owned()),
    };
    let scope = match (entry.remove("origin"), entry.remove("api_path")) {
        (None, None) => Ok(BudgetScope::Wallet),
        (Some(origin), None) => name_of("origin", origin).map(BudgetScope::Origin),
        (None, Some(path)) => name_of("api_path", path).map(BudgetScope::ApiPath),
        (Some(_), Some(_)) => Err("write api_path or origin, not both".to_owned()),
    };
    let name = name.map_err(|error| errors.push(error)).ok();
    let period = period.map_err(|error| errors.push(error)).ok();
    let amount = usd.map_err(|error| errors.push(error)).ok();
    let scope = scope.map_err(|error| errors.push(error)).ok();
    let budget = Budget { name: name?, period: period?, amount: amount?, scope: scope? };
    errors.is_empty().then_some(budget)
}

/// The first name that two budgets of one period have.
pub(super) fn duplicate(budgets: &[Budget]) -> Option<&Budget> {
    let same = |one: &Budget, other: &Budget| one.name == other.name && one.period == other.period;
    budgets
        .iter()
        .enumerate()
        .find(|(index, budget)| budgets.iter().take(*index).any(|other| same(budget, other)))
        .map(|(_, budget)| budget)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Label as _;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn periods_at_the_turns_of_weeks_months_and_years_and_on_a_leap_day() {
        for (today, period, first, last) in [
            ("2026-12-31", BudgetPeriod::Day, "2026-12-31", "2026-12-31"),
            ("2027-01-01", BudgetPeriod::Week, "2026-12-28", "2027-01-03"),
            ("2026-11-30", BudgetPeriod::Week, "2026-11-30", "2026-12-06"),
            ("2026-12-06", BudgetPeriod::Week, "2026-11-30", "2026-12-06"),
            ("2028-02-29", BudgetPeriod::Month, "2028-02-01", "2028-02-29"),
            ("2027-02-28", BudgetPeriod::Month, "2027-02-01", "2027-02-28"),
            ("2026-12-01", BudgetPeriod::Month, "2026-12-01", "2026-12-31"),
        ] {
            assert_eq!(period.days(day(today)), (day(first), day(last)), "{today} {period:?}");
        }
    }

    #[test]
    fn a_list_is_read_or_says_what_to_mend() {
        let text = r#"[{"name":"team","period":"month","amount_usd":"3000","api_path":"/api/v1/x"}]"#;
        let (budgets, errors) = list(text);
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(budgets[0].scope, BudgetScope::ApiPath("/api/v1/x".to_owned()));
        assert_eq!(budgets[0].amount, Usd::from_cents(300_000));
        for (from, to, said) in [
            (r#""period":"month","#, "", "budget team: period: write day, week or month"),
            ("month", "year", "budget team: period: write day, week or month"),
            ("3000", "0", "amount_usd: write an amount above 0"),
            ("3000", "$3", "amount_usd: write an amount in US dollars"),
            (r#""name":"team","#, "", "budget number 1: name is missing"),
            ("team", "Team", "budget Team: name: "),
            ("/api/v1/x", " ", "budget team: api_path: write a name"),
            (r#""api_path""#, r#""apipath""#, "apipath is not a field of a budget"),
            (r#""api_path""#, r#""origin":"x","api_path""#, "write api_path or origin, not both"),
        ] {
            let (budgets, errors) = list(&text.replace(from, to));
            assert!(budgets.is_empty() && errors.iter().any(|error| error.contains(said)), "{to}: {errors:?}");
        }
        let periods = FIELDS.iter().find(|field| field.name == "period").map(|field| field.one_of.to_vec());
        assert_eq!(periods, Some(BudgetPeriod::VARIANTS.iter().map(|period| period.as_str()).collect()));
    }
}
