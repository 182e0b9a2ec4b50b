//! A vendor of many wallets, each with a token of its own, `wallet-17`; those with the same number are one wallet. The
//! tokens `hang`, `fail` and `flood` are of wallets that answer never, with an error, or with more than is read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Timelike as _, Utc};

/// Cents that a path takes in an hour.
const AN_HOUR: usize = 4;
/// More than is read.
const FLOOD: usize = 48 * 1024 * 1024;

pub struct Wallets {
    /// Cents that were spent from each wallet today, on top of what each hour takes.
    pub spent: AtomicI64,
    /// So many requests came with each token.
    pub requests: Mutex<BTreeMap<String, usize>>,
    /// Origins and paths in each hour of the report.
    pub parts: (usize, usize),
    pub now: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

type Asked = Query<BTreeMap<String, String>>;

impl Wallets {
    pub async fn serve(self: &Arc<Wallets>) -> SocketAddr {
        let routes = Router::new()
            .route("/api/v1/wallet/balance", get(balance))
            .route("/api/v1/wallet/consumption-report", get(report))
            .route("/api/v1/wallet/credit-card-transactions", get(cards))
            .with_state(Arc::clone(self));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        address
    }

    /// The number of the wallet, or what is answered instead.
    async fn wallet(&self, headers: &HeaderMap) -> Result<i64, Response> {
        let token = headers[AUTHORIZATION].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
        *self.requests.lock().unwrap().entry(token.clone()).or_default() += 1;
        match token.as_str() {
            "hang" => std::future::pending().await,
            "fail" => Err(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
            "flood" => Err(self.answer("x".repeat(FLOOD))),
            wallet => Ok(wallet.trim_start_matches("wallet-").parse().unwrap()),
        }
    }

    fn answer(&self, body: String) -> Response {
        let date = (self.now)().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        ([(CONTENT_TYPE, "application/json".to_owned()), (DATE, date)], body).into_response()
    }

    /// One period of the report: so many hours of a day. With its cents.
    fn period(&self, name: &str, hours: usize, more: i64) -> (String, i64) {
        let (origins, paths) = self.parts;
        let cents = i64::try_from(hours * AN_HOUR * paths).unwrap() + more;
        let debit = dollars(cents);
        let mut by = [String::new(), String::new()];
        for origin in 0..origins {
            let _ = write!(by[0], r#","origin_{origin}":{{"debit":{}e-2}}"#, hours * AN_HOUR);
        }
        for path in 0..paths {
            let _ = write!(by[1], r#","/api/v1/path/{path}":{}e-2"#, hours * AN_HOUR);
        }
        let [origins, paths] = by.map(|parts| parts.trim_start_matches(',').to_owned());
        let period = format!(
            r#"{{"period":"{name}","debit":{debit},"credit":0,"by_origin":{{{origins}}},"by_endpoint":{{{paths}}}}}"#
        );
        (period, cents)
    }
}

fn dollars(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

async fn balance(State(wallets): State<Arc<Wallets>>, headers: HeaderMap) -> Response {
    let wallet = match wallets.wallet(&headers).await {
        Ok(wallet) => wallet,
        Err(response) => return response,
    };
    let cents = 100_000 + wallet - wallets.spent.load(Ordering::Relaxed);
    let (balance, now) = (dollars(cents), (wallets.now)().to_rfc3339());
    wallets.answer(format!(r#"{{"results":{{"balance":{balance},"currency":"USD","asOf":"{now}"}}}}"#))
}

async fn report(State(wallets): State<Arc<Wallets>>, Query(asked): Asked, headers: HeaderMap) -> Response {
    if let Err(response) = wallets.wallet(&headers).await {
        return response;
    }
    let day = |name: &str| asked[name].parse::<NaiveDate>().unwrap();
    let (now, mut date, to) = ((wallets.now)(), day("start_date"), day("end_date"));
    if to > now.date_naive() {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    let by_day = asked.get("group_by").is_some_and(|group| group == "day");
    let mut periods = Vec::new();
    while date <= to {
        let is_today = date == now.date_naive();
        let hours = if is_today { now.hour() as usize + 1 } else { 24 };
        let spent = if is_today { wallets.spent.load(Ordering::Relaxed) } else { 0 };
        if by_day {
            periods.push(wallets.period(&date.to_string(), hours, spent));
        } else {
            for hour in 0..hours {
                let begin = date.and_time(NaiveTime::from_hms_opt(hour as u32, 0, 0).unwrap());
                let more = if hour + 1 == hours { spent } else { 0 };
                periods.push(wallets.period(&begin.format("%Y-%m-%dT%H:%M:%S").to_string(), 1, more));
            }
        }
        date = date + Days::new(1);
    }
    let total = dollars(periods.iter().map(|(_, cents)| cents).sum());
    let periods = periods.into_iter().map(|(period, _)| period).collect::<Vec<_>>().join(",");
    let summary = format!(r#"{{"total_debit":{total},"total_credit":0}}"#);
    wallets.answer(format!(r#"{{"results":{{"summary":{summary},"data":[{periods}]}}}}"#))
}

async fn cards(State(wallets): State<Arc<Wallets>>, headers: HeaderMap) -> Response {
    if let Err(response) = wallets.wallet(&headers).await {
        return response;
    }
    let meta = r#"{"current_page":1,"last_page":1,"per_page":100,"total":0}"#;
    wallets.answer(format!(r#"{{"results":{{"data":[],"meta":{meta}}}}}"#))
}
