//! The state as JSON.
//!
//! Flows in: the state, and an account's name if one is asked for. Flows out: the worst account first, and counts.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::query::parameters;
use super::shared::Shared;
use crate::snapshot::{Counts, Status};

#[derive(Serialize)]
struct StatusAnswer {
    /// Of all accounts, also where one is asked for.
    counts: Counts,
    #[serde(flatten)]
    status: Status,
}

pub(super) async fn answer(State(shared): State<Shared>, uri: Uri) -> Response {
    let account = match parameters(&uri, ["account"]) {
        Ok([account]) => account,
        Err(text) => return (StatusCode::BAD_REQUEST, text).into_response(),
    };
    let mut status = shared.site.status();
    let counts = status.counts();
    if let Some(name) = account {
        status.accounts.retain(|found| found.account == name);
        if status.accounts.is_empty() {
            return (StatusCode::NOT_FOUND, "No account of that name is configured.\n").into_response();
        }
    }
    status.sort_worst_first();
    Json(StatusAnswer { counts, status }).into_response()
}
