//! The parsers, and what must hold for any input.

mod amount;
mod csv;
mod json;
mod text;
mod transactions;
mod web;

use wallet_exporter::money::Usd;

use crate::engine::Target;

/// Stands where a secret or a vendor's value could: no error may repeat it.
const SECRET: &str = "hunter2";

/// Every parser of bytes that come from outside.
pub const TARGETS: &[Target] = &[
    Target { name: "csv", words: include_str!("../words/csv"), check: csv::check },
    Target { name: "transactions", words: include_str!("../words/transactions"), check: transactions::check },
    Target { name: "balance", words: include_str!("../words/json"), check: json::balance },
    Target { name: "consumption", words: include_str!("../words/json"), check: json::consumption },
    Target { name: "cards", words: include_str!("../words/json"), check: json::cards },
    Target { name: "amount", words: include_str!("../words/amount"), check: amount::check },
    Target { name: "accept", words: include_str!("../words/accept"), check: text::accept },
    Target { name: "web", words: include_str!("../words/web"), check: web::check },
    Target { name: "ids", words: include_str!("../words/ids"), check: text::ids },
    Target { name: "webhook", words: include_str!("../words/json"), check: json::webhook },
];

fn ensure(holds: bool, error: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(error()) }
}

/// An amount that is printed, as the storage does, reads back as the same.
fn prints(amount: Usd) -> Result<(), String> {
    ensure(Usd::stored(&amount.to_string()) == Some(amount), || format!("{amount} does not read back"))
}
