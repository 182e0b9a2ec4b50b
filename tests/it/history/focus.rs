//! Days as FOCUS rows: they add up to the report and to the card, and the official validator accepts them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use rust_decimal::Decimal;
use vendor_simulator::{CardEvent, Part};
use wallet_exporter::batchdata::history::Out;
use wallet_exporter::batchdata::history::focus::Focus;
use wallet_exporter::money::Usd;

use super::{Past, day};
use crate::deployments::tools;
use crate::rig::at;

async fn rows(past: &Past, days: (&str, &str)) -> (String, Vec<BTreeMap<String, String>>) {
    let mut text = Vec::new();
    past.days(days, |_| Box::<Focus>::default(), Out::Stream(&mut text)).await.unwrap();
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let rows = reader.deserialize().map(Result::unwrap).collect();
    (String::from_utf8(text).unwrap(), rows)
}

fn amount(row: &BTreeMap<String, String>, column: &str) -> Decimal {
    row[column].parse().unwrap()
}

fn sum<'r>(rows: impl IntoIterator<Item = &'r BTreeMap<String, String>>, column: &str) -> Decimal {
    rows.into_iter().map(|row| amount(row, column)).sum()
}

async fn wallet() -> Past {
    let past = Past::of_days(40).await;
    let vendors = &past.rig.vendors;
    vendors.credit(at("2026-05-02T10:00:00Z"), "admin_adjustment", Usd::from_cents(500));
    vendors.spend(at("2026-05-02T11:00:00Z"), "=sum(A1)", "/api/v1/address/verify", Usd::from_ten_thousandths(70));
    vendors.restate(day("2026-05-03"), &Part::Total, Usd::from_cents(123), Usd::ZERO);
    let event = CardEvent { at: Some(at("2026-05-04T10:00:00Z")), ..CardEvent::paid(Usd::from_cents(10_000)) };
    vendors.card(&CardEvent {
        sales_tax: Some(Decimal::new(825, 2)),
        processing_fee: Some(Decimal::new(320, 2)),
        ..event
    });
    vendors.card(&CardEvent { at: Some(at("2026-05-04T11:00:00Z")), ..CardEvent::paid(-Usd::from_cents(2_500)) });
    vendors.card(&CardEvent { at: Some(at("2026-05-04T12:00:00Z")), ..CardEvent::failed(Usd::from_cents(77_700)) });
    past
}

#[tokio::test]
async fn effective_costs_are_the_report_and_billed_costs_are_the_card() {
    let past = wallet().await;
    let (_, rows) = rows(&past, ("2026-05-01", "2026-05-18")).await;
    let notes = past.notes.take();
    assert!(notes[0].starts_with("2026-05-03: debits: the transactions add up to"), "{notes:?}");
    for (date, flow) in past.rig.vendors.expected().by_day.range(day("2026-05-01")..=day("2026-05-18")) {
        let of_day = rows.iter().filter(|row| row["ChargePeriodStart"].starts_with(&date.to_string()));
        assert_eq!(sum(of_day, "EffectiveCost"), flow.debit, "{date}");
    }
    let cards = past.client.card_transactions(Some(day("2026-05-01")), Some(day("2026-05-18"))).await.unwrap();
    let paid = cards.iter().filter(|card| card.status == wallet_exporter::batchdata::CardStatus::Paid);
    let charged: Usd = paid.map(|card| card.credits.unwrap() + card.sales_tax + card.processing_fee).sum();
    assert_eq!(sum(&rows, "BilledCost"), charged.decimal());
    assert!(rows.iter().all(|row| amount(row, "EffectiveCost").is_zero() || amount(row, "BilledCost").is_zero()));
    let of = |category: &str| rows.iter().filter(|row| row["ChargeCategory"] == category).collect::<Vec<_>>();
    assert!(of("Usage").len() > 100 && of("Purchase").len() >= 2 && !of("Tax").is_empty());
    let adjustments = of("Adjustment");
    let of_report =
        adjustments.iter().find(|row| row["ChargeDescription"].starts_with("Debits of the report")).unwrap();
    assert_eq!(of_report["EffectiveCost"], "1.23");
    let credit = adjustments.iter().find(|row| row["x_Origin"] == "admin_adjustment").unwrap();
    assert_eq!((credit["x_WalletCredit"].as_str(), amount(credit, "BilledCost")), ("5.00", Decimal::ZERO));
    assert!(adjustments.iter().any(|row| row["BilledCost"] == "-25.00"));
    assert!(rows.iter().any(|row| row["x_Origin"] == "'=sum(A1)" && row["EffectiveCost"] == "0.007"));
}

#[tokio::test]
async fn a_day_whose_report_alone_was_restated_is_written_again_with_the_amounts() {
    let past = wallet().await;
    let folder = tempfile::tempdir().unwrap();
    let export = async || {
        let out = Out::Directory(folder.path().to_owned());
        past.days(("2026-05-05", "2026-05-06"), |_| Box::<Focus>::default(), out).await.unwrap()
    };
    assert_eq!(export().await, 2);
    past.notes.take();
    past.rig.vendors.restate(day("2026-05-05"), &Part::Total, Usd::from_cents(12), Usd::from_cents(40));
    // A run that was killed after it replaced the file has remembered nothing.
    let file = folder.path().join("account=default/year=2026/month=05/day=05/focus.csv");
    std::fs::write(&file, "longer than it was").unwrap();
    assert_eq!(export().await, 1);
    let notes = past.notes.take();
    let said = notes.iter().find(|note| note.contains("has restated it")).expect("it is said");
    assert!(said.contains("credits in the report $") && said.contains("(+$0.40)"), "{said}");
    assert!(said.contains("debits in the report $") && said.contains("(+$0.12)"), "{said}");
    let mut rows = csv::Reader::from_path(&file).unwrap();
    let rows: Vec<BTreeMap<String, String>> = rows.deserialize().map(Result::unwrap).collect();
    let beyond = rows.iter().find(|row| row["ChargeDescription"].starts_with("Credits of the report")).unwrap();
    assert_eq!(amount(beyond, "x_WalletCredit"), Decimal::new(40, 2));

    // A top-up by card that is in no transaction is the card's money, and no credit beside it.
    let top_up = Part::Everywhere { origin: "wallet_card_top_up".into(), path: String::new() };
    past.rig.vendors.restate(day("2026-05-06"), &top_up, Usd::ZERO, Usd::from_cents(10_000));
    assert_eq!(export().await, 0, "nothing of it is in the file");
}

/// `FOCUS_VALIDATOR` names it, or it is where `tests/deploy/tools.sh` installs it. It needs Python 3.12.
fn validator() -> Option<PathBuf> {
    let named = std::env::var_os("FOCUS_VALIDATOR").filter(|name| !name.is_empty()).map(PathBuf::from);
    let installed = tools::directory().join("focus/bin/focus-validator");
    named.or_else(|| installed.is_file().then_some(installed))
}

#[tokio::test]
async fn the_official_validator_accepts_it() {
    let Some(validator) = validator() else {
        eprintln!("SKIPPED: focus-validator is not installed (it needs Python 3.12)");
        return;
    };
    let past = wallet().await;
    let (text, _) = rows(&past, ("2026-05-01", "2026-05-18")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("focus.csv");
    std::fs::write(&file, text).unwrap();
    // It looks for its own files below the directory in which it is installed.
    // Not imported: that would write a log here.
    let package = "import importlib.util as u; print(u.find_spec('focus_validator').submodule_search_locations[0])";
    let package = crate::alerts::tools::run(&validator.with_file_name("python3"), &["-c", package]);
    let directory = std::path::Path::new(package.trim()).parent().unwrap();
    let output = Command::new(validator)
        .args(["--validate-version", "1.2", "--block-download", "--data-file"])
        .arg(&file)
        .current_dir(directory)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let failed: Vec<&str> = said.lines().filter(|line| line.contains(": FAIL ")).collect();
    // An invoice's id is given in all rows or in none, and each of the two is a rule: one of them always fails.
    let expected = |line: &&&str| line.contains("InvoiceId-C-005-C: FAIL");
    assert!(output.status.success() && said.contains("Pass: 136 "), "{said}");
    assert_eq!((failed.len(), failed.iter().filter(expected).count()), (1, 1), "{failed:#?}");
}
