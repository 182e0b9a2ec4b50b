//! The kinds of value that variables and flags have.
//!
//! Flows in: text. Flows out: a checked value, or what to write instead. Invariant: no message repeats the text.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use url::{Host, Url};
use uuid::Uuid;

use crate::money::Usd;

/// Reads `30s`, `5m` or `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a whole number and a unit, such as 30s, 5m or 1h".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

/// A duration as it is written in the configuration.
pub(super) fn written(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(3_600) => format!("{}h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// A duration between two bounds, inclusive.
pub(super) fn duration_within(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let value = duration(text)?;
    if value < least || value > most {
        return Err(format!("write a duration from {} to {}", written(least), written(most)));
    }
    Ok(value)
}

/// A polling interval.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    duration_within(text, Duration::from_secs(1), Duration::from_secs(24 * 3_600))
}

/// The label `account`.
pub(super) fn account(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    if fits { Ok(text.to_owned()) } else { Err("write 1 to 64 of a-z, 0-9, _ and -".to_owned()) }
}

/// A vendor's base URL: TLS, or a loopback address.
pub(super) fn base_url(text: &str) -> Result<Url, String> {
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
pub(super) fn threshold(text: &str) -> Result<Usd, String> {
    match Usd::parse(text) {
        Ok(amount) if !amount.is_negative() => Ok(amount),
        _ => Err("write an amount in US dollars, such as 50 or 49.50".to_owned()),
    }
}

/// A UTC date.
pub(super) fn date(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|_| text.len() == 10)
        .ok_or_else(|| "write a UTC date such as 2026-05-01".to_owned())
}

/// A UTC date, meaning its first moment, or a time.
pub(super) fn date_or_time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = date(text) {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .map_err(|_| "write a UTC date such as 2026-05-01, or a time such as 2026-05-01T14:00:00Z".to_owned())
}

/// A whole number of requests a minute.
pub(super) fn per_minute(text: &str) -> Result<u32, String> {
    text.parse::<u32>()
        .ok()
        .filter(|number| (1..=100_000).contains(number))
        .ok_or_else(|| "write a whole number of requests from 1 to 100000".to_owned())
}

/// Comma-separated UUIDs; `position` of a wrong one counts from 1.
pub(super) fn uuids(text: &str) -> Result<Vec<Uuid>, String> {
    let mut ids = Vec::new();
    for (position, part) in text.split(',').map(str::trim).enumerate().filter(|(_, part)| !part.is_empty()) {
        match Uuid::try_parse(part) {
            Ok(id) => ids.push(id),
            Err(_) => {
                return Err(format!(
                    "entry {} is not a UUID: write batch ids such as 8ac1f4a6-1234-4abc-9d3e-001122334455, separated by commas",
                    position + 1
                ));
            }
        }
    }
    Ok(ids)
}

/// What the webhook's secret may be made of.
pub(super) fn is_webhook_secret(text: &str) -> bool {
    (32..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// `127.0.0.1:10700`, `[::1]:10700`, `localhost:10700`, or `:10700` for every address.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
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
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3_600)));
        for text in ["", "s", "5", "5 m", "-5m", "5d", "1.5h", "99999999999999999999h", "ü"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
        for text in ["0s", "30s", "90s", "5m", "1h", "36h"] {
            assert_eq!(duration(&written(duration(text).unwrap())), duration(text));
        }
    }

    #[test]
    fn base_urls() {
        for text in ["https://api.batchdata.com", "http://127.0.0.1:9", "http://localhost:9/x", "http://[::1]:9"] {
            assert!(base_url(text).is_ok(), "{text}");
        }
        for text in [
            "http://api.batchdata.com",
            "ftp://127.0.0.1",
            "api.batchdata.com",
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
