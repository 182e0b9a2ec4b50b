//! The kinds of value that variables and flags have.
//!
//! Flows in: text. Flows out: a checked value, or what to write instead. Invariant: no message repeats the text: the
//! caller does, where it cannot be a secret.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use url::{Host, Url};

use crate::money::Usd;

const DAY: u64 = 86_400_000;

/// The units of a duration, the largest first, in milliseconds. A year has 365 days, as in Prometheus.
const UNITS: [(&str, u64); 7] =
    [("y", 365 * DAY), ("w", 7 * DAY), ("d", DAY), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Longer than anything here can last, and far from where sums of times overflow.
pub const LONGEST: Duration = Duration::from_secs(3_650 * 86_400);

/// Reads `30s`, `5m`, `1m30s`, `1d`, `500ms`, `1y` and the like, as Prometheus does.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a duration such as 30s, 5m, 1h30m or 1d: whole numbers, each with its unit".to_owned();
    let (mut rest, mut milliseconds) = (text, 0_u64);
    for (unit, factor) in UNITS {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let is_unit = |after: &&str| unit != "m" || !after.starts_with('s');
        let Some(after) = after.strip_prefix(unit).filter(is_unit) else { continue };
        let number = number.parse::<u64>().map_err(|error| match error.kind() {
            std::num::IntErrorKind::PosOverflow => too_long(),
            _ => wrong(),
        })?;
        milliseconds = milliseconds.saturating_add(number.saturating_mul(factor));
        rest = after;
    }
    if text.is_empty() || !rest.is_empty() {
        return Err(wrong());
    }
    let duration = Duration::from_millis(milliseconds);
    if duration > LONGEST { Err(too_long()) } else { Ok(duration) }
}

fn too_long() -> String {
    format!("write a duration of at most {}", written(LONGEST))
}

/// A duration as it is written in the configuration; like Prometheus, in years, weeks or days only where nothing is left
/// over.
pub fn written(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, factor) in UNITS {
        if rest >= factor && (factor < DAY || rest.is_multiple_of(factor)) {
            text.push_str(&format!("{}{unit}", rest / factor));
            rest %= factor;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A duration between two bounds, inclusive.
pub fn duration_within(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let value = duration(text)?;
    if value < least || value > most {
        return Err(format!("write a duration from {} to {}", written(least), written(most)));
    }
    Ok(value)
}

/// A path. `~` would be a directory of that name: only a shell expands it.
///
/// # Errors
/// What to write instead.
pub fn path(text: &str) -> Result<PathBuf, String> {
    match text {
        "~" => Err("only a shell expands ~: write the whole path, such as /home/me".to_owned()),
        _ if text.starts_with("~/") => {
            Err("only a shell expands ~: write the whole path, such as /home/me/wallet-exporter".to_owned())
        }
        _ => Ok(PathBuf::from(text)),
    }
}

/// A polling interval.
pub fn interval(text: &str) -> Result<Duration, String> {
    duration_within(text, Duration::from_secs(1), Duration::from_secs(24 * 3_600))
}

/// The label `account`.
pub fn account(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    if fits {
        Ok(text.to_owned())
    } else {
        Err("write 1 to 64 lower-case letters, digits, _ and -, such as growth-team".to_owned())
    }
}

/// A vendor's base URL: TLS, or a loopback address.
pub fn base_url(text: &str) -> Result<Url, String> {
    let wrong = || "write an absolute URL such as https://api.example.com, without user, query or fragment".to_owned();
    let url = Url::parse(text).map_err(|_| wrong())?;
    let bare =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if !bare || url.cannot_be_a_base() {
        return Err(wrong());
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(wrong()),
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => Err("write https: plain http is accepted for a loopback address only, because it would send the token in clear text".to_owned()),
        _ => Err(wrong()),
    }
}

/// An amount that may be a threshold.
pub fn threshold(text: &str) -> Result<Usd, String> {
    match Usd::parse(text) {
        Ok(amount) if !amount.is_negative() => Ok(amount),
        _ => Err("write an amount in US dollars, such as 50 or 49.50".to_owned()),
    }
}

/// A UTC date.
pub fn date(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|_| text.len() == 10)
        .ok_or_else(|| "write a UTC date such as 2026-05-01".to_owned())
}

/// A UTC date, meaning its first moment, or a time.
pub fn date_or_time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = date(text) {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .map_err(|_| "write a UTC date such as 2026-05-01, or a time such as 2026-05-01T14:00:00Z".to_owned())
}

/// A whole number of requests a minute.
pub fn per_minute(text: &str) -> Result<u32, String> {
    text.parse::<u32>()
        .ok()
        .filter(|number| (1..=100_000).contains(number))
        .ok_or_else(|| "write a whole number of requests from 1 to 100000".to_owned())
}

/// A whole number of megabytes.
pub fn megabytes(text: &str) -> Result<u64, String> {
    text.parse::<u64>()
        .ok()
        .filter(|number| (1..=100_000).contains(number))
        .ok_or_else(|| "write a whole number of megabytes from 1 to 100000".to_owned())
}

/// The vendors do not say what their credentials are made of.
pub fn credential(_: &str) -> Result<(), &'static str> {
    Ok(())
}

/// The webhook's secret, which is a part of a path.
pub fn webhook_secret(text: &str) -> Result<(), &'static str> {
    let fits = (32..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if fits { Ok(()) } else { Err("write 32 to 128 of A-Z, a-z, 0-9, _ and -") }
}

/// `127.0.0.1:10700`, `[::1]:10700`, `localhost:10700`, or `:10700` for every address.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || "write an address and a port, such as 127.0.0.1:10700 or :10700".to_owned();
    if let Some(port) = text.strip_prefix(':') {
        let port = port.parse().map_err(|_| wrong())?;
        return Ok(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port));
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        return Ok(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port.parse().map_err(|_| wrong())?));
    }
    text.parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("30s", 30),
            ("5m", 300),
            ("1h", 3_600),
            ("1m30s", 90),
            ("1d", 86_400),
            ("1w", 7 * 86_400),
            ("1w2d3h4m5s", 788_645),
            ("90m", 5_400),
            ("0s", 0),
            ("3650d", 315_360_000),
            ("1y", 31_536_000),
            ("10y", 315_360_000),
            ("5000ms", 5),
            ("1m1s", 61),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text:?}");
        }
        for text in
            ["", "s", "5", "5 m", "-5m", "1.5h", "1s1m", "1m1m", "1m30", "m30s", "1ms1s", "1d1y", "ms", "ü", "1h ü"]
        {
            assert!(duration(text).unwrap_err().starts_with("write a duration such as"), "{text:?}");
        }
        for text in
            ["3651d", "3650d1s", "9999999999h", "99999999999999999999h", "18446744073709551615w1w", "11y", "10y1ms"]
        {
            assert!(duration(text).is_err(), "{text:?}");
        }
        assert!(duration("9999999999h").unwrap_err().contains("at most 10y"));
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for (seconds, text) in [
            (0, "0s"),
            (30, "30s"),
            (90, "1m30s"),
            (3_600, "1h"),
            (5_400, "1h30m"),
            (36 * 3_600, "36h"),
            (86_400, "1d"),
            (7 * 86_400, "1w"),
            (8 * 86_400, "8d"),
            (90_061, "25h1m1s"),
        ] {
            assert_eq!(written(Duration::from_secs(seconds)), text);
        }
        for seconds in (0..400_000).step_by(37) {
            let value = Duration::from_secs(seconds);
            assert_eq!(duration(&written(value)), Ok(value));
        }
    }

    #[test]
    fn base_urls() {
        for text in ["https://api.example.com", "http://127.0.0.1:9", "http://localhost:9/x", "http://[::1]:9"] {
            assert!(base_url(text).is_ok(), "{text}");
        }
        for text in [
            "http://api.example.com",
            "ftp://127.0.0.1",
            "api.example.com",
            "https://u:p@host",
            "https://h?q=1",
            "data:x",
        ] {
            assert!(base_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn listen_addresses() {
        assert_eq!(listen_address(":10700").unwrap().to_string(), "[::]:10700");
        assert_eq!(listen_address("localhost:1").unwrap().to_string(), "127.0.0.1:1");
        for text in ["", ":", "10700", "127.0.0.1", ":99999", "host:1"] {
            assert!(listen_address(text).is_err(), "{text:?}");
        }
    }
}
