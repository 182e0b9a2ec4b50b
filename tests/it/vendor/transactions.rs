//! The transactions' CSV through the client: what is taken, what is rejected, what fails.

use chrono::SecondsFormat;
use vendor_simulator::{CsvChange, Fault, Operation};
use wallet_exporter::batchdata;
use wallet_exporter::batchdata::transactions::{Transaction, TransactionSink};
use wallet_exporter::money::Usd;
use wallet_exporter::names::Label as _;
use wallet_exporter::upstream::{Reason, RequestError, RequestLimits};

use super::client::{day, noon, settings};
use super::fake::{Fake, Reply, Step, chunk, head};
use crate::rig::Rig;

const HEADER: &str = "Date,Type,Amount,Balance After,Origin,Reference ID,Endpoint,Description";
/// The vendor's own sample.
const ROW: &str = "2026-05-01 14:00:00,Debit,0.45,42.05,api_request,req_abc123,property-lookup-all-attributes,Property lookup request";
const PLAIN: &str = "2026-05-01T14:00:00Z|debit|Debit|0.45|42.05|api_request|property-lookup-all-attributes|req_abc123|Property lookup request";

#[derive(Default)]
struct TransactionRows(Vec<String>);

impl TransactionSink for TransactionRows {
    fn row(&mut self, row: &Transaction<'_>) {
        let shown = format!("{row:?}");
        assert!(!shown.contains("req_") && !shown.contains("lookup request"), "{shown}");
        self.0.push(format!(
            "{}|{}|{}|{}|{}|{}|{}|{}|{}",
            row.at.to_rfc3339_opts(SecondsFormat::Secs, true),
            row.kind.as_str(),
            row.kind_text,
            row.amount,
            row.balance_after.map_or("-".to_owned(), |balance| balance.to_string()),
            row.origin,
            row.endpoint_name,
            row.personal.reference_id,
            row.personal.description,
        ));
    }
}

async fn ask(reply: Reply) -> (Result<(u64, u64), RequestError>, Vec<String>, String) {
    let fake = Fake::always(reply).await;
    let mut rows = TransactionRows::default();
    let client = batchdata::Client::new(settings(fake.url()), true).unwrap();
    let outcome = client.transactions(day("2026-05-01"), day("2026-05-19"), &mut rows).await;
    let target = fake.seen()[0].target().to_owned();
    (outcome.map(|summary| (summary.rows, summary.rejected)), rows.0, target)
}

async fn csv(body: impl AsRef<[u8]>) -> (Result<(u64, u64), RequestError>, Vec<String>) {
    let (outcome, rows, _) = ask(Reply::csv(body)).await;
    (outcome, rows)
}

#[tokio::test]
async fn what_is_asked_and_what_is_harmless() {
    let body = format!("{HEADER}\n{ROW}\n");
    let (_, _, target) = ask(Reply::csv(&body)).await;
    let query = "start_date=2026-05-01&end_date=2026-05-19&format=csv";
    assert_eq!(target, format!("/api/v1/wallet/consumption-report?{query}"));
    let quoted = ROW.split(',').map(|field| format!("\"{field}\"")).collect::<Vec<_>>().join(",");
    for (name, body) in [
        ("as documented", body.clone()),
        ("a BOM", format!("\u{feff}{body}")),
        ("CRLF", body.replace('\n', "\r\n")),
        ("no last line end", body.trim_end().to_owned()),
        ("all quoted", format!("{HEADER}\n{quoted}\n")),
        ("empty lines", format!("\n\r\n{HEADER}\n\n{ROW}\n\n")),
        ("a column more", format!("Note,{HEADER},Region\nx,{ROW},\"a,\"\"b\"\n")),
        ("spaces around names", format!("{}\n{ROW}\n", HEADER.replace(',', " , "))),
        ("spaces around values", body.replace(",0.45,", ", 0.45 ,")),
        ("a T", body.replace("05-01 14", "05-01T14")),
    ] {
        let (outcome, rows) = csv(body).await;
        assert_eq!(outcome.expect(name), (1, 0), "{name}");
        assert_eq!(rows, [PLAIN], "{name}");
    }
    let (outcome, rows) = csv(format!("{HEADER}\n")).await;
    assert_eq!((outcome.unwrap(), rows.len()), ((0, 0), 0), "a header alone is a day without transactions");
}

#[tokio::test]
async fn values() {
    for (name, from, to, became_from, became_to) in [
        ("a credit", "Debit,0.45", "Credit,100", "debit|Debit|0.45", "credit|Credit|100"),
        ("another type", "Debit", "Hold", "debit|Debit", "other|Hold"),
        ("capital letters", "Debit", "DEBIT", "|Debit|", "|DEBIT|"),
        ("a negative amount", "0.45", "-0.45", "0.45", "-0.45"),
        ("many digits", "0.45", "0.30000000000000004", "0.45", "0.300000000000"),
        ("no balance", "42.05", "", "42.05", "-"),
        ("no origin", "api_request", "", "|api_request|", "||"),
        ("a quoted origin", "api_request", "\"a, \"\"b\"\"\nc\"", "|api_request|", "|a, \"b\"\nc|"),
    ] {
        let (outcome, rows) = csv(format!("{HEADER}\n{}\n", ROW.replacen(from, to, 1))).await;
        assert_eq!((outcome.expect(name), rows), ((1, 0), vec![PLAIN.replacen(became_from, became_to, 1)]), "{name}");
    }
    let latin1 = [HEADER.as_bytes(), b"\n", ROW.replace("api_request", "caf@").as_bytes(), b"\n"].concat();
    let latin1: Vec<u8> = latin1.into_iter().map(|byte| if byte == b'@' { 0xe9 } else { byte }).collect();
    assert_eq!(csv(latin1).await.1, [PLAIN.replace("api_request", "caf\u{fffd}")]);
}

#[tokio::test]
async fn rows_that_are_rejected_and_headers_that_do_not_fit() {
    for (name, bad, reason) in [
        ("a column more", format!("{ROW},"), "columns"),
        ("a column less", ROW.replace(",42.05", ""), "columns"),
        ("no date", ROW.replace("2026-05-01 14:00:00", ""), "date"),
        ("no such date", ROW.replace("05-01", "02-30"), "date"),
        ("no such hour", ROW.replace("14:00", "24:00"), "date"),
        ("a zone", ROW.replace("14:00:00", "14:00:00+02:00"), "date"),
        ("a day that was not asked for", ROW.replace("05-01", "04-30"), "date"),
        ("no amount", ROW.replace("0.45", ""), "amount"),
        ("a separator", ROW.replace("0.45", "\"1,250.00\""), "amount"),
        ("too much", ROW.replace("0.45", "1e15"), "amount"),
        ("no balance", ROW.replace("42.05", "oops"), "balance"),
    ] {
        let (outcome, rows) = csv(format!("{HEADER}\n{ROW}\n{bad}\n{ROW}\n")).await;
        assert_eq!((outcome.expect(name), rows), ((2, 1), vec![PLAIN.to_owned(); 2]), "{name}");
        let fault = csv(format!("{HEADER}\n{bad}\n")).await.0.unwrap_err();
        assert_eq!((fault.reason, fault.detail), (Reason::Decode, format!("all 1 rows were rejected: {reason} 1")));
    }
    for column in HEADER.split(',') {
        let fault = csv(format!("{}\n{ROW}\n", HEADER.replacen(column, "oops", 1))).await.0.unwrap_err();
        assert_eq!((fault.reason, fault.detail), (Reason::Decode, format!("the column {column} is missing")));
        let fault = csv(format!("{HEADER},{column}\n")).await.0.unwrap_err();
        assert_eq!(fault.detail, format!("the column {column} appears twice"));
    }
    for body in [String::new(), "\n\n".to_owned(), format!("{HEADER}\n\"2026")] {
        assert_eq!(csv(&body).await.0.unwrap_err().reason, Reason::Truncated, "{body:?}");
    }
    for start in ["x", "\""] {
        let body = Reply::raw(head("200 OK", &["Content-Type: text/csv", "Transfer-Encoding: chunked"]))
            .then(Step::Send(chunk(format!("{HEADER}\n{start}").as_bytes())))
            .then(Step::Forever(chunk(&[b'y'; 65_536])));
        assert_eq!(ask(body).await.0.unwrap_err().detail, "a record is longer than 1048576 bytes");
    }
}

/// Every fault that the other CSV survives, by the simulator.
#[tokio::test]
async fn every_fault_has_its_reason_and_an_error_tells_nothing_personal() {
    let rig = Rig::new().await;
    for _ in 0..50 {
        rig.vendors.spend(noon(), "api_request", "/api/v1/address/verify", Usd::from_cents(45));
    }
    let set = |column: &str, text: &str| Fault::csv(CsvChange::Set(column.to_owned(), text.to_owned()));
    let cases = [
        ("nothing", None, Ok((50, 0))),
        ("hang", Some(Fault::Hang), Err(Reason::Timeout)),
        ("drip", Some(Fault::Drip { every_ms: 100 }), Err(Reason::Timeout)),
        ("no reply", Some(Fault::NoReply), Err(Reason::Truncated)),
        ("reset mid-body", Some(Fault::ResetMidBody), Err(Reason::Truncated)),
        ("short content-length", Some(Fault::ShortContentLength), Err(Reason::Truncated)),
        ("aborted chunk", Some(Fault::AbortedChunk), Err(Reason::Truncated)),
        ("cut inside a record", Some(Fault::CutInRecord), Err(Reason::Truncated)),
        ("cut at a line end", Some(Fault::CutAtLineEnd), Err(Reason::Truncated)),
        ("no framing", Some(Fault::Unframed), Err(Reason::Truncated)),
        ("401", Some(Fault::status(401)), Err(Reason::Unauthorized)),
        ("403", Some(Fault::status(403)), Err(Reason::Forbidden)),
        ("422", Some(Fault::status(422)), Err(Reason::ClientError)),
        ("500 with HTML", Some(Fault::html(500)), Err(Reason::ServerError)),
        ("HTML under 200", Some(Fault::Html), Err(Reason::Decode)),
        ("empty body", Some(Fault::EmptyBody), Err(Reason::Truncated)),
        ("1 GB of rows", Some(Fault::Repeat { bytes: 1 << 30 }), Err(Reason::TooLarge)),
        ("1 GB in one record", Some(Fault::Flood { bytes: 1 << 30 }), Err(Reason::Decode)),
        ("missing column", Some(Fault::csv(CsvChange::Drop("Amount".to_owned()))), Err(Reason::Decode)),
        ("all rejected", Some(set("Date", "soon")), Err(Reason::Decode)),
        ("an open quote", Some(Fault::csv(CsvChange::OpenQuote(3))), Err(Reason::Truncated)),
        ("a ragged row", Some(Fault::csv(CsvChange::RaggedLong(3))), Ok((49, 1))),
        ("a short row", Some(Fault::csv(CsvChange::RaggedShort(3))), Ok((49, 1))),
        ("reversed", Some(Fault::csv(CsvChange::Reverse)), Ok((50, 0))),
        ("not UTF-8", Some(Fault::csv(CsvChange::NotUtf8("Origin".to_owned()))), Ok((50, 0))),
        ("an unknown type", Some(set("Type", "Hold")), Ok((50, 0))),
        ("no last line end", Some(Fault::csv(CsvChange::NoFinalNewline)), Ok((50, 0))),
        ("CRLF and BOM", Some(Fault::Csv { changes: vec![CsvChange::Bom, CsvChange::Crlf] }), Ok((50, 0))),
        ("too many requests", Some(Fault::throttled(Some("90"))), Err(Reason::RateLimited)),
    ];
    let limits = RequestLimits {
        csv_idle: std::time::Duration::from_millis(400),
        csv_bytes: 4 * 1024 * 1024,
        ..RequestLimits::default()
    };
    let token = vendor_simulator::Options::quiet(crate::rig::vendor_clock(&rig.clock)).batchdata_token;
    let secret = wallet_exporter::config::secret::Secret::fixed(token.into());
    let url = rig.settings["BATCHDATA_BASE_URL"].parse().unwrap();
    let settings = wallet_exporter::upstream::ClientSettings { secret, limits, ..settings(url) };
    let client = batchdata::Client::new(settings, true).unwrap();
    for (name, fault, expected) in cases {
        if let Some(fault) = fault {
            rig.vendors.fault(Operation::ConsumptionCsv, fault, None);
        }
        let mut rows = TransactionRows::default();
        let outcome = client.transactions(day("2026-05-19"), day("2026-05-19"), &mut rows).await;
        rig.vendors.clear_faults(None);
        if let Err(error) = &outcome {
            let words = error.to_string();
            assert!(vendor_simulator::CANARIES.iter().all(|canary| !words.contains(canary)), "{name}: {words}");
        }
        let outcome = outcome.map(|summary| (summary.rows, summary.rejected)).map_err(|error| error.reason);
        assert_eq!(outcome, expected, "{name}");
    }
}
