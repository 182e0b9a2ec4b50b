//! The query of a request whose answer depends on every word of it.

use std::borrow::Cow;

use axum::http::Uri;
use url::form_urlencoded;

/// The parameters of these names, in their order; at most one of each.
///
/// # Errors
/// What to write instead, for a parameter that is unknown, empty or repeated.
pub(super) fn parameters<'a, const N: usize>(
    uri: &'a Uri,
    names: [&'static str; N],
) -> Result<[Option<Cow<'a, str>>; N], String> {
    let mut found = [const { None }; N];
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        let place = names.iter().zip(&mut found).find(|(known, _)| **known == name);
        let Some((known, place)) = place else {
            return Err(format!("A parameter of the query is unknown: write {}.\n", names.join(", ")));
        };
        if value.is_empty() {
            return Err(format!("{known} is empty: give it a value or leave it out.\n"));
        }
        if place.replace(value).is_some() {
            return Err(format!("{known} is there twice: write it once.\n"));
        }
    }
    Ok(found)
}
