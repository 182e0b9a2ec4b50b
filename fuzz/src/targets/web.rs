//! The web configuration.

use std::path::Path;

use wallet_exporter::http::Web;

use super::{SECRET, ensure};
use crate::engine::Outcome;

/// Keys whose values are shown to nobody.
const HIDDEN: [&str; 3] = ["alice:", "key:", "basic_auth_users:"];

pub fn check(input: &[u8]) -> Outcome {
    let Err(error) = Web::check(Path::new("/nowhere/web.yml"), input.to_vec()) else { return Ok("taken".to_owned()) };
    let error = error.to_string();
    let said = error.strip_prefix("web configuration /nowhere/web.yml: ").map(str::trim);
    ensure(said.is_some_and(|said| said.len() > 8), || format!("names nothing: {error}"))?;
    ensure(!error.contains(SECRET) || !only_hidden(input), || format!("repeats a secret: {error}"))?;
    // What stands in quotes comes from the input.
    let mut parts = error.split(['`', '"']);
    let (start, end) = (parts.next().unwrap_or_default(), parts.next_back().unwrap_or_default());
    Ok(start.chars().take(120).chain(end.chars().take(30)).collect())
}

/// Whether the secret stands only as the value of keys that hide theirs.
fn only_hidden(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    !text.contains(['"', '\'', '?', '|', '>', '&', '\r', '\u{85}', '\u{2028}', '\u{2029}', '{', '[', ','])
        && text.split('\n').filter(|line| line.contains(SECRET)).all(|line| {
            let hidden = HIDDEN.iter().find_map(|key| line.trim_start_matches(' ').strip_prefix(key));
            hidden.is_some_and(|value| value.trim() == SECRET)
        })
}
