//! The variables that name a proxy. reqwest reads them by itself, and connects directly where it does not understand one.
//!
//! Flows in: a variable's value. Flows out: whether it can be used. Invariant: no message holds a value, because it may
//! hold a password.

use std::ffi::OsStr;

use http::Uri;
use url::Url;

/// Those that are honoured, in capitals or in small letters. `NO_PROXY` is a list of hosts and has no wrong value.
pub(super) const VARIABLES: [&str; 3] = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];

/// Checks the address of a proxy; empty is none.
pub(super) fn check(value: &OsStr) -> Result<(), &'static str> {
    let Some(text) = value.to_str() else { return Err("is not UTF-8: write http://host:port") };
    if text.is_empty() {
        return Ok(());
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("holds a space, a line end or a letter beyond ASCII: write http://host:port alone");
    }
    let wrong = "is not the address of a proxy: write http://host:port";
    // As reqwest reads it, which repairs nothing. A URL parser would, and knows more of hosts and ports.
    let uri: Uri = text.parse().map_err(|_| wrong)?;
    uri.authority().ok_or(wrong)?;
    let whole = if uri.scheme().is_some() { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&whole).map_err(|_| wrong)?;
    match url.scheme() {
        "http" | "https" if url.host().is_some_and(|host| !host.to_string().is_empty()) => Ok(()),
        "socks4" | "socks4a" | "socks5" | "socks5h" => {
            Err("SOCKS proxies are not supported: write http://host:port, or unset it")
        }
        _ => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reqwest_would_pass_over_is_an_error() {
        for good in
            ["", "http://proxy:3128", "https://user:secret@proxy.example/", "proxy:3128", "10.0.0.1:80", "[::1]:80"]
        {
            assert_eq!(check(OsStr::new(good)), Ok(()), "{good}");
        }
        for bad in ["ht!tp://bad", "socks5://proxy:1080", "ftp://proxy", "http://", "proxy:port", "http://a b", "://x"]
        {
            assert!(check(OsStr::new(bad)).is_err(), "{bad}");
        }
        // A URL parser would make an address of these.
        for repaired in [
            "http://proxy:3128\n",
            " http://proxy:3128",
            "http://proxy:3128\t",
            "http://pro\txy:3128",
            "http:///proxy:3128",
            "http:/proxy:3128",
            "http:proxy:3128",
            "http:\\\\proxy:3128",
            "http://pr\u{f6}xy:3128",
            "/proxy:3128",
        ] {
            assert!(check(OsStr::new(repaired)).is_err(), "{repaired:?}");
        }
    }
}
