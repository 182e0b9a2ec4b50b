//! `GET /api/v1/gate`: is there enough money?
//!
//! Flows in: a query. Flows out: 200 if there is, 409 if not, with the reason as JSON. Invariant: no question that is not
//! understood to its last word is answered with 200.

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use super::query::parameters;
use super::shared::Shared;
use crate::config::values::{LONGEST, duration_within, threshold};
use crate::money::Usd;
use crate::snapshot::{AccountError, GateQuestion};

pub(super) async fn answer(State(shared): State<Shared>, uri: Uri) -> Response {
    let question = match question(&uri) {
        Ok(question) => question,
        Err(text) => return (StatusCode::BAD_REQUEST, text).into_response(),
    };
    match shared.site.gate(&question) {
        Ok(gate) if gate.open => Json(gate).into_response(),
        Ok(gate) => (StatusCode::CONFLICT, Json(gate)).into_response(),
        Err(AccountError::Unknown) => {
            (StatusCode::NOT_FOUND, "No account of that name with a balance is configured.\n").into_response()
        }
        Err(AccountError::Several) => {
            (StatusCode::BAD_REQUEST, "Several accounts have a balance: name one with account.\n").into_response()
        }
    }
}

fn question(uri: &Uri) -> Result<GateQuestion, String> {
    let [account, min, cost, max_age] = parameters(uri, ["account", "min_usd", "cost_usd", "max_age"])?;
    let usd = |name: &str, value: Option<Cow<'_, str>>| match value.as_deref().map(threshold) {
        None => Ok(Usd::ZERO),
        Some(amount) => amount.map_err(|remedy| format!("{name}: {remedy}.\n")),
    };
    let age = |text: &str| duration_within(text, Duration::from_secs(1), LONGEST);
    let max_age = max_age.as_deref().map(age).transpose().map_err(|remedy| format!("max_age: {remedy}.\n"))?;
    Ok(GateQuestion {
        account: account.map(Into::into),
        min: usd("min_usd", min)?,
        cost: usd("cost_usd", cost)?,
        max_age,
    })
}
