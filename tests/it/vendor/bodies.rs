//! The three JSON endpoints against bodies of every kind: what is harmless is a success with the right values, and
//! everything else has one reason.

use wallet_exporter::batchdata;
use wallet_exporter::names::Operation;
use wallet_exporter::upstream::Reason;

use super::client::{call, card, enveloped, good_body, page, report, settings};
use super::fake::{Fake, Reply};

const JSON: [Operation; 3] =
    [batchdata::BALANCE.operation, batchdata::CONSUMPTION.operation, batchdata::CARD_TRANSACTIONS.operation];

async fn outcome(
    operation: Operation,
    body: impl AsRef<[u8]>,
) -> Result<String, wallet_exporter::upstream::RequestError> {
    let fake = Fake::always(Reply::json(body)).await;
    let outcome = call(operation, settings(fake.url())).await;
    assert_eq!(fake.count(), 1);
    outcome
}

async fn fails(operation: Operation, name: &str, body: impl AsRef<[u8]>, reason: Reason, detail: &str) {
    let fault = outcome(operation, body).await.expect_err(name);
    assert_eq!(fault.reason, reason, "{name}: {fault}");
    assert!(fault.detail.contains(detail), "{name}: {fault}");
    assert_eq!(fault.status, Some(200), "{name}");
    assert!(!fault.to_string().contains("oops"), "{name}: {fault}");
}

#[tokio::test]
async fn envelopes() {
    use Reason::{Decode, Refused, Truncated};
    for operation in JSON {
        let good = good_body(operation);
        for (name, body, reason, detail) in [
            ("refused", r#"{"status":{"code":403,"text":"oops"}}"#.to_owned(), Refused, "status.code 403"),
            ("refused in words", r#"{"status":{"code":"401"},"results":null}"#.into(), Refused, "status.code 401"),
            ("429 inside", r#"{"results":[],"status":{"code":429}}"#.into(), Refused, "status.code 429"),
            ("refused with good results", good.replace(r#""code":200"#, r#""code":500"#), Refused, "status.code 500"),
            ("refused beyond HTTP", good.replace(r#""code":200"#, r#""code":1e9"#), Refused, "status.code"),
            (
                "refused by the last of two codes",
                good.replace(r#""code":200"#, r#""code":200,"code":500"#),
                Refused,
                "status.code 500",
            ),
            ("two statuses", r#"{"status":{},"status":{"code":403}}"#.into(), Refused, "status.code 403"),
            ("a message alone", r#"{"message":"oops"}"#.into(), Decode, "results is missing"),
            ("results are null", r#"{"results":null,"status":{"code":200}}"#.into(), Decode, "results"),
            ("results are a list", r#"{"results":[],"status":{"code":200}}"#.into(), Decode, "results"),
            ("results are a text", r#"{"results":"oops","status":{"code":200}}"#.into(), Decode, "results"),
            ("a list", "[]".into(), Decode, "the body"),
            ("a text", r#""oops""#.into(), Decode, "the body"),
            ("null", "null".into(), Decode, "the body"),
            ("malformed", r#"{"results":oops}"#.into(), Decode, "malformed JSON"),
            ("two bodies", good.repeat(2), Decode, "malformed JSON"),
            ("two results", good.replacen('{', r#"{"results":{},"#, 1), Decode, ""),
            ("deep", "[".repeat(100_000), Decode, ""),
            ("deep inside", enveloped(&"[".repeat(100_000)), Decode, ""),
            ("ends early", good[..good.len() - 5].into(), Truncated, "ends early"),
            ("white space", "  \n".into(), Truncated, "ends early"),
        ] {
            fails(operation, name, body, reason, detail).await;
        }
        let mut latin1 = good.clone().into_bytes();
        latin1.splice(1..1, b"\"caf\xe9\":1,".iter().copied());
        fails(operation, "not UTF-8", latin1, Decode, "not UTF-8").await;
        let mut cut = good.clone().into_bytes();
        cut.splice(cut.len() - 1.., b",\"caf\xc3".iter().copied());
        fails(operation, "cut inside a character", cut, Truncated, "inside a character").await;

        let plain = outcome(operation, &good).await.unwrap();
        for (name, body) in [
            ("a code in words", good.replace(r#""code":200"#, r#""code":"200""#)),
            ("no status", good.replace(r#""status""#, r#""extra""#)),
            ("a strange status", good.replace(r#"{"code":200,"message":"OK"}"#, r#""ok""#)),
            ("more fields", good.replacen('{', r#"{"more":{"a":[1,{"b":null}]},"#, 1)),
            ("white space around", format!("\n {good} \n")),
        ] {
            assert_eq!(outcome(operation, body).await.unwrap(), plain, "{name}");
        }
    }
}

#[tokio::test]
async fn balances() {
    use Reason::{Decode, Implausible};
    let body = |amount: &str| {
        enveloped(&format!(r#"{{"balance":{amount},"currency":"USD","asOf":"2026-05-19T11:43:21+00:00"}}"#))
    };
    for (written, read) in [
        ("42.5000", "42.5000"),
        (r#""42.5000""#, "42.5000"),
        ("-3.75", "-3.75"),
        ("0", "0"),
        ("1e3", "1000"),
        ("123456789012.1234", "123456789012.1234"),
        ("0.30000000000000004", "0.300000000000"),
    ] {
        let told = outcome(batchdata::BALANCE.operation, body(written)).await.unwrap();
        assert_eq!(told, format!("{read} at 2026-05-19T11:43:21Z"), "{written}");
    }
    for (name, amount, reason, detail) in [
        ("null", "null", Decode, "results.balance is missing or null"),
        ("a list", "[]", Decode, "results.balance"),
        ("an object", r#"{"oops":1}"#, Decode, "results.balance"),
        ("true", "true", Decode, "results.balance"),
        ("words", r#""oops""#, Decode, "results.balance"),
        ("nothing", r#""""#, Decode, "results.balance"),
        ("NaN in words", r#""NaN""#, Decode, "results.balance"),
        ("NaN", "NaN", Decode, "malformed"),
        ("infinity", "Infinity", Decode, "malformed"),
        ("with a separator", r#""1,000.00""#, Decode, "results.balance"),
        ("beyond belief", "1e13", Implausible, "beyond 1e12"),
        ("huge", "1e999999999", Implausible, "beyond 1e12"),
        ("many digits", "99999999999999999999999999999999999999", Implausible, "beyond 1e12"),
    ] {
        fails(batchdata::BALANCE.operation, name, body(amount), reason, detail).await;
    }
    let good = good_body(batchdata::BALANCE.operation);
    for (name, from, to, reason, detail) in [
        ("euros", "USD", "EUR", Implausible, "currency is not USD"),
        ("small letters", "USD", "usd", Implausible, "currency is not USD"),
        ("no currency", "currency", "other", Decode, "results.currency is missing"),
        ("a currency that is a number", r#""USD""#, "1", Decode, "results.currency is not a text"),
        ("no time", "asOf", "as_of", Decode, "results.asOf is missing"),
        ("a time without offset", "21+00:00", "21", Decode, "results.asOf is not an RFC 3339 time"),
        ("far ahead", "2026-05-19T11", "2026-05-20T13", Implausible, "results.asOf is more than a day ahead"),
    ] {
        fails(batchdata::BALANCE.operation, name, good.replace(from, to), reason, detail).await;
    }
    // A little ahead is another time zone's mistake or a clock that is off; old is what the vendor says.
    for time in ["2026-05-20T11:59:00+00:00", "2026-05-20T13:30:00+02:00", "2020-01-01T00:00:00.123456Z"] {
        outcome(batchdata::BALANCE.operation, good.replace("2026-05-19T11:43:21+00:00", time)).await.unwrap();
    }
}

fn period(name: &str, debit: &str, credit: &str, origins: &str, paths: &str) -> String {
    format!(r#"{{"period":{name},"debit":{debit},"credit":{credit},"by_origin":{origins},"by_endpoint":{paths}}}"#)
}

#[tokio::test]
async fn reports() {
    let operation = batchdata::CONSUMPTION.operation;
    let origins =
        r#"{"api_request":{"debit":0.1200},"card":{"credit":"5"},"none":{"debit":null},"odd":[],"new":{"x":1}}"#;
    let paths = r#"{"/api/v1/address/verify":0.0220,"/b\/c":"0.12","/n":null}"#;
    let list = format!(
        "[{},{}]",
        period(r#""2026-05-02""#, "0.4500", "5", origins, paths),
        period(r#""2026-05-01""#, r#""-1.00""#, "0", "[]", "null"),
    );
    let told = outcome(operation, report(&list, -55, 500)).await;
    // -0.55 is written by the summary's own sign below; here it must fail, as -55 cents print as "0.-55".
    assert_eq!(told.unwrap_err().reason, Reason::Decode);
    let body = report(&list, 0, 500).replace(r#""total_debit":0.00"#, r#""total_debit":"-0.5500""#);
    let told = outcome(operation, &body).await.unwrap();
    assert_eq!(
        told,
        "{2026-05-01: DayConsumption { total: Flow { debit: $-1.00, credit: $0 }, by_origin: {}, by_path: {} }, \
         2026-05-02: DayConsumption { total: Flow { debit: $0.4500, credit: $5 }, by_origin: {\
         \"api_request\": Flow { debit: $0.1200, credit: $0 }, \"card\": Flow { debit: $0, credit: $5 }, \
         \"new\": Flow { debit: $0, credit: $0 }, \"none\": Flow { debit: $0, credit: $0 }, \
         \"odd\": Flow { debit: $0, credit: $0 }}, \
         by_path: {\"/api/v1/address/verify\": $0.0220, \"/b/c\": $0.12, \"/n\": $0} }}"
    );
    assert_eq!(outcome(operation, report("[]", 0, 0)).await.unwrap(), "{}");
    // A cent is rounding, more is not.
    let one = format!("[{}]", period(r#""2026-05-02""#, "1.0000", "2", "{}", "{}"));
    for (debit, credit) in [(100, 200), (101, 200), (99, 201)] {
        outcome(operation, report(&one, debit, credit)).await.unwrap();
    }
    fails(operation, "debit", report(&one, 102, 200), Reason::Implausible, "summary.total_debit").await;
    fails(operation, "credit", report(&one, 100, 198), Reason::Implausible, "summary.total_credit").await;
}

#[tokio::test]
async fn reports_that_are_not_believed() {
    use Reason::{Decode, Implausible};
    let operation = batchdata::CONSUMPTION.operation;
    let good = period(r#""2026-05-02""#, "1", "0", "{}", "{}");
    for (name, list, reason, detail) in [
        ("a day twice", format!("[{good},{good}]"), Implausible, "appears twice"),
        ("the day before", format!("[{}]", good.replace("05-02", "04-30")), Implausible, "outside the asked dates"),
        ("the day after", format!("[{}]", good.replace("05-02", "05-20")), Implausible, "outside the asked dates"),
        ("hours", format!("[{}]", good.replace("05-02", "05-02T14:00:00")), Implausible, "another length"),
        ("weeks", format!("[{}]", good.replace("05-02", "W18")), Implausible, "another length"),
        ("months", format!("[{}]", good.replace("05-02", "05")), Implausible, "another length"),
        ("no date", format!("[{}]", good.replace("05-02", "oops")), Decode, "data[].period"),
        ("no such date", format!("[{}]", good.replace("05-02", "02-30")), Decode, "data[].period"),
        ("a long period", format!("[{}]", good.replace("05-02", &"9".repeat(1_000))), Decode, "data[].period"),
        ("a number for a period", format!("[{}]", good.replace(r#""2026-05-02""#, "2026")), Decode, "data[].period"),
        ("no period", format!("[{}]", good.replace("period", "oops")), Decode, "data[].period is missing"),
        ("no debit", format!("[{}]", good.replace("debit", "oops")), Decode, "data[].debit is missing"),
        ("no credit", format!("[{}]", good.replace("credit", "oops")), Decode, "data[].credit is missing"),
        ("no origins", format!("[{}]", good.replace("by_origin", "oops")), Decode, "data[].by_origin is missing"),
        ("no paths", format!("[{}]", good.replace("by_endpoint", "oops")), Decode, "data[].by_endpoint is missing"),
        ("debit null", format!("[{}]", good.replace(r#""debit":1"#, r#""debit":null"#)), Decode, "data[].debit"),
        ("debit words", format!("[{}]", good.replace(r#""debit":1"#, r#""debit":"oops""#)), Decode, "data[].debit"),
        ("huge", format!("[{}]", good.replace(r#""debit":1"#, r#""debit":1e40"#)), Implausible, "beyond 1e12"),
        (
            "a list of origins",
            format!("[{}]", good.replace(r#""by_origin":{}"#, r#""by_origin":["oops"]"#)),
            Decode,
            "data[].by_origin",
        ),
        (
            "origins that are numbers",
            format!("[{}]", good.replace(r#""by_origin":{}"#, r#""by_origin":{"oops":1}"#)),
            Decode,
            "data[].by_origin",
        ),
        (
            "paths that are objects",
            format!("[{}]", good.replace(r#""by_endpoint":{}"#, r#""by_endpoint":{"oops":{}}"#)),
            Decode,
            "data[].by_endpoint",
        ),
        (
            "origins twice",
            format!("[{}]", good.replace(r#""by_origin":{}"#, r#""by_origin":{},"by_origin":{}"#)),
            Decode,
            "twice",
        ),
        ("a period that is a list", "[[]]".into(), Decode, "data"),
        ("data as an object", "{}".into(), Decode, "data"),
        ("data null", "null".into(), Decode, "data"),
    ] {
        fails(operation, name, report(&list, 100, 0), reason, detail).await;
    }
    for (name, from, to, detail) in [
        ("no summary", "summary", "oops", "results.summary is missing"),
        ("no data", r#""data""#, r#""oops""#, "results.data is missing"),
        ("no total", "total_credit", "oops", "summary.total_credit is missing"),
        ("a total null", r#""total_debit":0.00"#, r#""total_debit":null"#, "summary.total_debit"),
    ] {
        fails(operation, name, report("[]", 0, 0).replace(from, to), Decode, detail).await;
    }
}

#[tokio::test]
async fn cards() {
    let operation = batchdata::CARD_TRANSACTIONS.operation;
    let good = card(7);
    let plain = "[CardTransaction { id: 7, credits: Some($50.00), sales_tax: $4.13, processing_fee: $1.50, \
                 card_brand: \"visa\", status: Paid, created_at: 2026-05-15T14:30:21Z }]";
    for (name, from, to, became) in [
        ("as documented", "", "", ("", "")),
        ("an id in words", r#""id":7"#, r#""id":"7""#, ("", "")),
        ("amounts in words", "50.00", r#""50.00""#, ("", "")),
        ("a status in words", r#""status":1"#, r#""status":"1""#, ("", "")),
        ("a refund", "50.00", "-50.00", ("$50.00", "$-50.00")),
        ("failed", r#""status":1"#, r#""status":2"#, ("Paid", "Failed")),
        ("pending", r#""status":1"#, r#""status":0"#, ("Paid", "Pending")),
        ("a new status", r#""status":1"#, r#""status":9"#, ("Paid", "Unknown")),
        ("a negative status", r#""status":1"#, r#""status":-1"#, ("Paid", "Unknown")),
        ("a status as a word", r#""status":1"#, r#""status":"paid""#, ("Paid", "Unknown")),
        ("status null", r#""status":1"#, r#""status":null"#, ("Paid", "Unknown")),
        ("no status", r#""status":1,"#, "", ("Paid", "Unknown")),
        ("tax null", "4.13", "null", ("$4.13", "$0")),
        ("no fee", r#""card_processing_fee":1.50,"#, "", ("$1.50", "$0")),
        ("brand null", r#""visa""#, "null", ("\"visa\"", "\"\"")),
        ("no brand", r#""card_brand":"visa","#, "", ("\"visa\"", "\"\"")),
        ("a brand with escapes", r#""visa""#, r#""v\u0069sa\"""#, ("\"visa\"", "\"visa\\\"\"")),
        ("no last four", r#""card_last4":"4242","#, "", ("", "")),
        ("last four of another type", r#""4242""#, r#"{"a":[4242]}"#, ("", "")),
        ("an offset", "21.000000Z", "21+00:00", ("", "")),
    ] {
        let told = outcome(operation, page(&[good.replacen(from, to, 1)], 1, 1, 1)).await.expect(name);
        assert_eq!(told, plain.replacen(became.0, became.1, 1), "{name}");
    }
    let pending = good.replace("50.00", "null").replace(r#""status":1"#, r#""status":0"#);
    assert!(outcome(operation, page(&[pending], 1, 1, 1)).await.unwrap().contains("credits: None"));
}

#[tokio::test]
async fn cards_that_are_not_believed() {
    use Reason::{Decode, Implausible};
    let operation = batchdata::CARD_TRANSACTIONS.operation;
    for (name, from, to, reason, detail) in [
        ("no id", r#""id":7,"#, "", Decode, "data[].id is missing"),
        ("a broken id", r#""id":7"#, r#""id":7.5"#, Decode, "data[].id is not a whole number"),
        ("a huge id", r#""id":7"#, r#""id":99999999999999999999"#, Decode, "data[].id"),
        ("paid without credits", "50.00", "null", Decode, "data[].credits"),
        ("credits in words", "50.00", r#""oops""#, Decode, "data[].credits"),
        ("credits beyond belief", "50.00", "5e15", Implausible, "data[].credits is beyond"),
        ("a brand that is a number", r#""visa""#, "1", Decode, "data[].card_brand"),
        ("a status that is a list", r#""status":1"#, r#""status":[1]"#, Decode, "data[].status"),
        ("a status that is true", r#""status":1"#, r#""status":true"#, Decode, "data[].status"),
        ("no time", "created_at", "oops", Decode, "data[].created_at is missing"),
        ("a broken time", "2026-05-15T14", "oops", Decode, "data[].created_at"),
    ] {
        fails(operation, name, page(&[card(7).replacen(from, to, 1)], 1, 1, 1), reason, detail).await;
    }
    let good = page(&[card(7)], 1, 1, 1);
    for (name, from, to, reason, detail) in [
        ("no data", r#""data""#, r#""oops""#, Decode, "results.data is missing"),
        ("data as an object", r#""data":["#, r#""data":{},"oops":["#, Decode, "results"),
        ("a row that is a number", r#""data":["#, r#""data":[1,"#, Decode, "results"),
        ("no meta", r#""meta""#, r#""oops""#, Decode, "results.meta is missing"),
        ("no last page", "last_page", "oops", Decode, "meta.last_page is missing"),
        ("a negative total", r#""total":1"#, r#""total":-1"#, Implausible, "meta.total is out of range"),
        ("a total in words", r#""total":1"#, r#""total":"oops""#, Decode, "meta.total"),
        ("another page", r#""current_page":1"#, r#""current_page":2"#, Implausible, "meta.current_page"),
        ("too many pages", r#""last_page":1"#, r#""last_page":201"#, Reason::TooLarge, "more than 200 pages"),
    ] {
        fails(operation, name, good.replacen(from, to, 1), reason, detail).await;
    }
}

#[tokio::test]
async fn more_than_is_kept_in_memory_is_too_large() {
    let rows: Vec<String> = (0..1_001).map(card).collect();
    let words = "the page has more than 1000 transactions";
    fails(batchdata::CARD_TRANSACTIONS.operation, "rows", page(&rows, 1, 1, 1_001), Reason::TooLarge, words).await;
    assert!(outcome(batchdata::CARD_TRANSACTIONS.operation, page(&rows[..1_000], 1, 1, 1_000)).await.is_ok());

    let parts =
        |entry: &str| (0..100_001).map(|part| format!(r#""name {part}":{entry}"#)).collect::<Vec<_>>().join(",");
    let words = "the report has more than 100000 origins and paths, each day's counted";
    let origins = format!("{{{}}}", parts("{}"));
    let paths = format!("{{{}}}", parts("0"));
    for (name, origins, paths) in [("origins", origins.as_str(), "{}"), ("paths", "{}", paths.as_str())] {
        let list = format!("[{}]", period(r#""2026-05-02""#, "0", "0", origins, paths));
        fails(batchdata::CONSUMPTION.operation, name, report(&list, 0, 0), Reason::TooLarge, words).await;
    }
    let few = |parts: &str| format!("{{{}\"last\":{{}}}}", parts.split_inclusive(',').take(9_999).collect::<String>());
    let (origins, paths) = (few(&parts("{}")), few(&parts("0")).replace("{}}", "0}"));
    let days = (1..=6).map(|day| period(&format!(r#""2026-05-0{day}""#), "0", "0", &origins, &paths));
    let list = format!("[{}]", days.collect::<Vec<_>>().join(","));
    fails(batchdata::CONSUMPTION.operation, "all days", report(&list, 0, 0), Reason::TooLarge, words).await;
    let paths = format!("{{{}}}", parts("0").split_inclusive(',').take(10_000).collect::<String>() + r#""last":0"#);
    let list = format!("[{}]", period(r#""2026-05-02""#, "0", "0", "{}", &paths));
    let words = "the report has more than 10000 different names";
    fails(batchdata::CONSUMPTION.operation, "names", report(&list, 0, 0), Reason::TooLarge, words).await;
    let fewer = report(&list, 0, 0).replacen(r#""name 7":0,"#, "", 1);
    assert!(outcome(batchdata::CONSUMPTION.operation, fewer).await.is_ok());
}
