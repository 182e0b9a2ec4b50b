//! The CSV export through the client: what is taken, what is rejected, what fails.

use wallet_exporter::names::Label as _;
use wallet_exporter::rightfoot;
use wallet_exporter::rightfoot::RowReject;
use wallet_exporter::upstream::{Reason, RequestError};

use super::client::{BATCH, HEADER, Rows, batch, call, row, settings};
use super::fake::{Fake, Reply, Step, chunk, head};

async fn export(body: impl AsRef<[u8]>) -> (Result<(u64, u64), RequestError>, Rows) {
    let fake = Fake::always(Reply::csv(body)).await;
    let mut rows = Rows::default();
    let outcome = rightfoot::Client::new(settings(fake.url())).unwrap().balances_csv(&[batch()], &mut rows).await;
    assert_eq!(fake.count(), 1);
    (outcome.map(|summary| (summary.rows, summary.rejected)), rows)
}

const PLAIN: &str = "Bank of America|12.50|success|dashboard|2026-05-17T19:24:12";

#[tokio::test]
async fn what_is_harmless() {
    let good = row("12.50", "SUCCESS");
    let body = format!("{HEADER}\n{good}\n");
    let quoted = good.split(',').map(|field| format!("\"{field}\"")).collect::<Vec<_>>().join(",");
    for (name, body) in [
        ("as documented", body.clone()),
        ("a BOM", format!("\u{feff}{body}")),
        ("a BOM before a quoted header", format!("\u{feff}\"Authorizer ID\"{}", &body["Authorizer ID".len()..])),
        ("CRLF", body.replace('\n', "\r\n")),
        ("all quoted", format!("{HEADER}\n{quoted}\n")),
        ("empty lines", format!("\n\r\n{HEADER}\n\n{good}\n\n")),
        ("more columns", format!("{HEADER},meta_a,meta_b\n{good},\"x\n,\"\"y\",\n")),
        ("spaces around names", format!("{}\n{good}\n", HEADER.replace(',', " , "))),
        ("spaces around values", body.replace(",12.50,SUCCESS,", ", 12.50 , SUCCESS ,")),
        ("Z", body.replace("+00:00", "Z")),
    ] {
        let (outcome, rows) = export(body).await;
        assert_eq!(outcome.expect(name), (1, 0), "{name}");
        assert_eq!(rows.taken, [PLAIN], "{name}");
    }
    let (outcome, rows) = export(format!("{HEADER}\n")).await;
    assert_eq!((outcome.unwrap(), rows), ((0, 0), Rows::default()), "a header alone is a batch without results");
    // Columns in another order.
    let (outcome, rows) = export(format!(
        "Timestamp,Creator,Status,Balance,Institution,Batch ID\n2026-05-17T19:24:12+00:00,x,SUCCESS,12.50,Bank of America,{BATCH}\n"
    ))
    .await;
    assert_eq!((outcome.unwrap(), rows.taken), ((1, 0), vec![PLAIN.to_owned()]));
}

#[tokio::test]
async fn values() {
    let good = row("12.50", "SUCCESS");
    for (name, from, to, became) in [
        ("no balance", "12.50", "", "Bank of America|-|success|dashboard|2026-05-17T19:24:12"),
        ("a negative balance", "12.50", "-0.01", "Bank of America|-0.01|success|dashboard|2026-05-17T19:24:12"),
        ("by API", "jane.doe@acme.com", "", "Bank of America|12.50|success|api|2026-05-17T19:24:12"),
        ("by API, a space", "jane.doe@acme.com", " ", "Bank of America|12.50|success|api|2026-05-17T19:24:12"),
        ("a known status", "SUCCESS", "RETRY_LIMIT", "Bank of America|12.50|retry_limit|dashboard|2026-05-17T19:24:12"),
        ("a new status", "SUCCESS", "SLEEPING", "Bank of America|12.50|unknown|dashboard|2026-05-17T19:24:12"),
        ("no status", "SUCCESS", "", "Bank of America|12.50|unknown|dashboard|2026-05-17T19:24:12"),
        (
            "a quoted comma",
            "Bank of America",
            "\"A, \"\"B\"\"\nC\"",
            "A, \"B\"\nC|12.50|success|dashboard|2026-05-17T19:24:12",
        ),
        ("another offset", "19:24:12+00:00", "21:24:12+02:00", PLAIN),
        ("capital letters", BATCH, "8AC1F4A6-1234-4ABC-9D3E-001122334455", PLAIN),
    ] {
        let (outcome, rows) = export(format!("{HEADER}\n{}\n", good.replace(from, to))).await;
        assert_eq!((outcome.expect(name), rows.taken), ((1, 0), vec![became.to_owned()]), "{name}");
    }
    let latin1 = [HEADER.as_bytes(), b"\n", good.replace("Bank of America", "Caf@").as_bytes(), b"\n"].concat();
    let latin1: Vec<u8> = latin1.into_iter().map(|byte| if byte == b'@' { 0xe9 } else { byte }).collect();
    let (outcome, rows) = export(latin1).await;
    assert_eq!(outcome.unwrap(), (1, 0));
    assert!(rows.taken[0].starts_with("Caf\u{fffd}|"), "{rows:?}");
}

#[tokio::test]
async fn rows_that_are_rejected() {
    let good = row("12.50", "SUCCESS");
    let known = Some(batch());
    for (name, bad, reason, id) in [
        ("a column more", format!("{good},"), RowReject::Columns, None),
        ("a column less", good.replace(",10001", ""), RowReject::Columns, None),
        ("one field", "x".to_owned(), RowReject::Columns, None),
        ("an institution with a bare comma", good.replace("Bank", "Bank, First"), RowReject::Columns, None),
        ("no amount", good.replace("12.50", "oops"), RowReject::Balance, known),
        ("a separator", good.replace("12.50", "\"1,250.00\""), RowReject::Balance, known),
        ("NaN", good.replace("12.50", "NaN"), RowReject::Balance, known),
        ("too much", good.replace("12.50", "1e15"), RowReject::Balance, known),
        ("no time", good.replace("2026-05-17T19:24:12+00:00", ""), RowReject::Timestamp, known),
        ("no such time", good.replace("05-17", "02-30"), RowReject::Timestamp, known),
        ("no batch", good.replace(BATCH, ""), RowReject::BatchId, None),
        ("not a batch", good.replace(BATCH, "oops"), RowReject::BatchId, None),
        ("another batch", good.replace("8ac1", "9ac1"), RowReject::BatchId, None),
        ("a batch without hyphens", good.replace(BATCH, &BATCH.replace('-', "")), RowReject::BatchId, None),
    ] {
        let (outcome, rows) = export(format!("{HEADER}\n{good}\n{bad}\n{good}\n")).await;
        assert_eq!(outcome.expect(name), (2, 1), "{name}");
        assert_eq!(rows.taken, [PLAIN, PLAIN], "{name}");
        assert_eq!(rows.rejected, [(reason, id)], "{name}");
        // Rows, and not one that could be read: the export is of another shape.
        let (outcome, _) = export(format!("{HEADER}\n{bad}\n")).await;
        let fault = outcome.unwrap_err();
        assert_eq!(fault.reason, Reason::Decode, "{name}");
        assert_eq!(fault.detail, format!("all 1 rows were rejected: {} 1", reason.as_str()), "{name}");
    }
}

#[tokio::test]
async fn headers_that_do_not_fit() {
    for column in ["Batch ID", "Institution", "Balance", "Status", "Creator", "Timestamp"] {
        for other in ["oops".to_owned(), column.to_lowercase(), format!("{column}s")] {
            let (outcome, rows) =
                export(format!("{}\n{}\n", HEADER.replace(column, &other), row("1", "SUCCESS"))).await;
            let fault = outcome.unwrap_err();
            assert_eq!(fault.reason, Reason::Decode, "{fault}");
            assert_eq!(fault.detail, format!("the column {column} is missing"));
            assert_eq!(rows, Rows::default());
        }
        let (outcome, _) = export(format!("{HEADER},{column}\n")).await;
        assert_eq!(outcome.unwrap_err().detail, format!("the column {column} appears twice"));
    }
    for column in ["Authorizer ID", "Phone", "Zip"] {
        let (outcome, _) = export(format!("{}\n{}\n", HEADER.replace(column, "x"), row("1", "SUCCESS"))).await;
        assert_eq!(outcome.unwrap(), (1, 0), "{column} is not needed");
    }
}

#[tokio::test]
async fn the_last_record_needs_no_line_end_where_the_framing_is_complete() {
    let good = row("12.50", "SUCCESS");
    let quoted = good.replace("2026-05-17T19:24:12+00:00", "\"2026-05-17T19:24:12+00:00\"");
    for last in [good.clone(), format!("{good}\r"), quoted] {
        let body = format!("{HEADER}\n{good}\n{last}");
        let chunked = Reply::raw(head("200 OK", &["Content-Type: text/csv", "Transfer-Encoding: chunked"]))
            .then(Step::Send(chunk(&body.as_bytes()[..body.len() - 3])))
            .then(Step::Send(chunk(&body.as_bytes()[body.len() - 3..])))
            .then(Step::Send(b"0\r\n\r\n".to_vec()));
        for reply in [Reply::csv(&body), chunked] {
            let fake = Fake::always(reply).await;
            let mut rows = Rows::default();
            let summary =
                rightfoot::Client::new(settings(fake.url())).unwrap().balances_csv(&[batch()], &mut rows).await;
            let summary = summary.unwrap();
            assert_eq!((summary.rows, summary.rejected), (2, 0), "{last:?}");
            assert_eq!(rows.taken, [PLAIN, PLAIN], "{last:?}");
        }
    }
    let (outcome, rows) = export(HEADER).await;
    assert_eq!((outcome.unwrap(), rows), ((0, 0), Rows::default()), "a header alone");
    // One that was cut by the vendor itself is a row of another shape.
    let (outcome, rows) = export(format!("{HEADER}\n{good}\n{}", &good[..20])).await;
    assert_eq!((outcome.unwrap(), rows.rejected), ((1, 1), vec![(RowReject::Columns, None)]));
}

#[tokio::test]
async fn an_export_that_ends_within_quotes_or_before_its_header_is_truncated() {
    let good = row("3.75", "SUCCESS");
    for body in [
        format!("{HEADER}\n{good}\n\"{}", &good[..20]),
        format!("{HEADER}\n{good}\n\"\n"),
        format!("{HEADER}\n{good}\n{},\"", &good[..20]),
        "\u{feff}".to_owned(),
        "\n\n".to_owned(),
        String::new(),
    ] {
        let (outcome, _) = export(&body).await;
        assert_eq!(outcome.unwrap_err().reason, Reason::Truncated, "{body:?}");
    }
}

#[tokio::test]
async fn a_record_without_end_is_not_gathered_up() {
    for start in ["x", "\""] {
        let body = Reply::raw(head("200 OK", &["Content-Type: text/csv", "Transfer-Encoding: chunked"]))
            .then(Step::Send(chunk(format!("{HEADER}\n{start}").as_bytes())))
            .then(Step::Forever(chunk(&[b'y'; 65_536])));
        let fake = Fake::always(body).await;
        let fault = call(rightfoot::BATCHES.operation, settings(fake.url())).await.unwrap_err();
        assert_eq!(fault.reason, Reason::Decode, "{fault}");
        assert_eq!(fault.detail, "a record is longer than 1048576 bytes");
    }
}

#[tokio::test]
async fn without_ids_nothing_is_asked() {
    let fake = Fake::always(Reply::csv("")).await;
    let summary =
        rightfoot::Client::new(settings(fake.url())).unwrap().balances_csv(&[], &mut Rows::default()).await.unwrap();
    assert_eq!((summary.rows, summary.rejected, fake.count()), (0, 0, 0));
}

#[tokio::test]
async fn many_ids_are_repeated_pairs() {
    let ids: Vec<uuid::Uuid> = (1..=200).map(uuid::Uuid::from_u128).collect();
    let fake = Fake::always(Reply::csv(format!("{HEADER}\n"))).await;
    rightfoot::Client::new(settings(fake.url())).unwrap().balances_csv(&ids, &mut Rows::default()).await.unwrap();
    let expected: Vec<String> = ids.iter().map(|id| format!("batch_ids={id}")).collect();
    assert_eq!(fake.seen()[0].target(), format!("/v1/balances/csv?{}", expected.join("&")));
}
