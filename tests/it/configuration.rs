//! Configuration through its door: what is set goes in, a checked configuration or all faults at once come out.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, Utc};
use wallet_exporter::app::{Config, variables};
use wallet_exporter::config::secret::{Refresh, SecretError};
use wallet_exporter::config::{ConfigErrors, FileError, Flags};
use wallet_exporter::{batchdata, rightfoot};

const SECRET: &str = "tok-CANARY-8f2b";

fn now() -> DateTime<Utc> {
    "2026-05-19T18:43:21Z".parse().unwrap()
}

fn load(pairs: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let pairs = pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::load(&Flags::default(), pairs, now())
}

fn faults(pairs: &[(&str, &str)]) -> Vec<String> {
    load(pairs).expect_err("this configuration has a fault").names().map(str::to_owned).collect()
}

#[test]
fn one_secret_is_enough_and_defaults_are_as_documented() {
    let config = load(&[("BATCHDATA_API_TOKEN", SECRET)]).unwrap();
    let wallet = config.account::<batchdata::Config>().unwrap();
    assert_eq!(wallet.account, "default");
    assert_eq!(wallet.base_url.as_str(), "https://api.batchdata.com/");
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let sources = [
        (batchdata::WalletReport::Balance, minutes(1)),
        (batchdata::WalletReport::Consumption, minutes(5)),
        (batchdata::WalletReport::CardTransactions, minutes(5)),
    ];
    assert_eq!(wallet.sources, sources);
    assert_eq!((wallet.max_age, wallet.requests_per_minute), (minutes(60), 300));
    assert!(config.account::<rightfoot::Config>().is_none());
    assert_eq!(config.process.listen, "127.0.0.1:10700");
    assert_eq!(config.process.start_at_zero, minutes(2));
    assert_eq!(config.process.storage.unwrap().to_str(), Some("./data"));
}

#[test]
fn every_fault_is_listed_at_once_by_its_variable() {
    let found = faults(&[
        ("BATCHDATA_API_TOKEN", SECRET),
        ("BATCHDATA_ACCOUNT", "Not Allowed"),
        ("BATCHDATA_BASE_URL", "http://api.batchdata.com"),
        ("BATCHDATA_SOURCES", "balance,spend"),
        ("BATCHDATA_BALANCE_INTERVAL", "0s"),
        ("BATCHDATA_COUNT_SINCE", "2026-05-20"),
        ("BATCHDATA_WARNING_BALANCE_USD", "10"),
        ("BATCHDATA_CRITICAL_BALANCE_USD", "20"),
        ("BATCHDATA_MAX_AGE", "9m"),
        ("BATCHDATA_REQUESTS_PER_MINUTE", "0"),
        ("BATCHDATA_TYPO", "x"),
        ("RIGHTFOOT_API_KEY", SECRET),
        ("RIGHTFOOT_API_KEY_FILE", "/nowhere"),
        ("RIGHTFOOT_BATCH_IDS", "not-a-uuid"),
        ("RIGHTFOOT_COUNT_SINCE", "yesterday"),
        ("RIGHTFOOT_SETTLE_AFTER", "6 hours"),
        ("RIGHTFOOT_WEBHOOK_SECRET", "too-short"),
        ("LOG_LEVEL", "loud"),
        ("WEB_LISTEN_ADDRESS", "10700"),
    ]);
    for name in [
        "BATCHDATA_ACCOUNT",
        "BATCHDATA_BASE_URL",
        "BATCHDATA_SOURCES",
        "BATCHDATA_BALANCE_INTERVAL",
        "BATCHDATA_COUNT_SINCE",
        "BATCHDATA_CRITICAL_BALANCE_USD",
        "BATCHDATA_MAX_AGE",
        "BATCHDATA_REQUESTS_PER_MINUTE",
        "BATCHDATA_TYPO",
        "RIGHTFOOT_API_KEY",
        "RIGHTFOOT_BATCH_IDS",
        "RIGHTFOOT_COUNT_SINCE",
        "RIGHTFOOT_SETTLE_AFTER",
        "RIGHTFOOT_WEBHOOK_SECRET",
        "LOG_LEVEL",
        "WEB_LISTEN_ADDRESS",
    ] {
        assert!(found.iter().any(|found| found == name), "{name} is missing in {found:?}");
    }
    assert_eq!(found.len(), 16, "{found:?}");
}

#[test]
fn a_refused_value_is_shown_unless_it_may_be_a_secret() {
    // A secret may end up in any variable by mistake: vendors' tokens are long, and Rightfoot's keys begin with rf_.
    for secret in
        ["CANARY0123456789abcdef0123456789", "rf_CANARY", "https://me:CANARY@vendor.example/", "Bearer CANARY"]
    {
        for variable in variables() {
            let of_secret = ["SECRET", "API_TOKEN", "API_KEY"].iter().any(|kind| variable.name.contains(kind))
                && variable.name != "SECRETS_DIRECTORY";
            if secret.starts_with("Bearer") && !of_secret {
                continue;
            }
            let mut pairs = vec![(variable.name, secret)];
            if variable.name != "BATCHDATA_API_TOKEN" {
                pairs.push(("BATCHDATA_API_TOKEN", "another"));
            }
            if variable.name.starts_with("RIGHTFOOT_") && variable.name != "RIGHTFOOT_API_KEY" {
                pairs.push(("RIGHTFOOT_API_KEY", "another"));
            }
            let shown = match load(&pairs) {
                Err(faults) => format!("{faults} {faults:?}"),
                Ok(config) if of_secret && !variable.name.ends_with("_FILE") => format!("{config:?}"),
                Ok(_) => continue,
            };
            assert!(!shown.contains("CANARY"), "{}: {shown}", variable.name);
        }
    }
    // One with slashes is a path of several names.
    let slashes = "CANARY/xY12abcdefgh+kLmN/opqrstuVwx0123";
    let fault = load(&[("BATCHDATA_API_TOKEN_FILE", slashes)]).unwrap_err().to_string();
    assert!(fault.contains("BATCHDATA_API_TOKEN_FILE") && !fault.contains("CANARY"), "{fault}");
    // Paths are shown, since naming them is the message's use.
    for path in ["/nowhere", "/etc/nowhere/wallet-exporter/secrets/batchdata.token", "token", "Secrets/Token"] {
        let fault = load(&[("BATCHDATA_API_TOKEN_FILE", path)]).unwrap_err().to_string();
        assert!(fault.contains(&format!("cannot read {path}: no such file or directory")), "{fault}");
    }
    // Not even a short one, where a secret belongs.
    let fault =
        load(&[("BATCHDATA_API_TOKEN", "a b"), ("RIGHTFOOT_API_KEY", "k"), ("RIGHTFOOT_WEBHOOK_SECRET", "shrt")]);
    let fault = fault.unwrap_err().to_string();
    assert!(!fault.contains("a b") && !fault.contains("shrt"), "{fault}");

    for (name, value, example) in [
        ("LOG_LEVEL", "loud", "write error, warn, info, debug or trace"),
        ("LOG_FORMAT", "logfmt", "write text (logfmt) or json"),
        ("STORAGE_PATH", "~/data", "/home/me"),
        ("WEB_LISTEN_ADDRESS", "10700", "127.0.0.1:10700"),
        ("WEB_TELEMETRY_PATH", "metrics", "/metrics"),
        ("WEB_ENABLE_LIFECYCLE", "yes", "write true or false"),
        ("METRICS_START_AT_ZERO", "2 minutes", "30s"),
        ("BATCHDATA_ACCOUNT", "Growth Team", "growth-team"),
        ("BATCHDATA_BASE_URL", "http://api.batchdata.com/a/longer/path", "write https"),
        ("BATCHDATA_SOURCES", "balance,spend", "card_transactions"),
        ("BATCHDATA_BALANCE_INTERVAL", "0.5m", "30s"),
        ("BATCHDATA_WARNING_BALANCE_USD", "$200", "49.50"),
        ("BATCHDATA_COUNT_SINCE", "19.05.2026", "2026-05-01"),
        ("BATCHDATA_REQUESTS_PER_MINUTE", "many", "1 to 100000"),
    ] {
        let fault = load(&[("BATCHDATA_API_TOKEN", SECRET), (name, value)]).unwrap_err().to_string();
        let line = fault.lines().nth(1).unwrap();
        assert!(line.starts_with(&format!("  {name}: {value:?} is not valid: ")), "{fault}");
        assert!(line.contains(example), "{fault}");
    }
}

#[test]
fn a_slip_in_a_name_is_an_error_with_our_prefixes_and_a_warning_without() {
    let token = ("BATCHDATA_API_TOKEN", SECRET);
    for (name, meant) in [
        ("BATCHDATA_API_TOKN", "BATCHDATA_API_TOKEN"),
        ("BATCHDATA_BALANCE_INTERVALL", "BATCHDATA_BALANCE_INTERVAL"),
        ("BATCHDATA_WARNING_BALANCE", "BATCHDATA_WARNING_BALANCE_USD"),
        ("RIGHTFOOT_BATCH_ID", "RIGHTFOOT_BATCH_IDS"),
    ] {
        let fault = load(&[token, (name, "x")]).unwrap_err().to_string();
        assert!(
            fault.contains(&format!("{name}: is not a variable of this program: did you mean {meant}?")),
            "{fault}"
        );
    }
    let fault = load(&[token, ("BATCHDATA_X", "x")]).unwrap_err().to_string();
    assert!(fault.contains("BATCHDATA_X: is not a variable of this program: see --help"), "{fault}");

    let warned = |name: &str| load(&[token, ("BATCHDATA_WARNING_BALANCE_USD", "1"), (name, "/x")]).unwrap().warnings();
    for (name, meant) in [
        ("STORAGE_PAHT", "STORAGE_PATH"),
        ("WEB_LISTEN_ADRESS", "WEB_LISTEN_ADDRESS"),
        ("LOG_LEVL", "LOG_LEVEL"),
        ("BATHDATA_ACCOUNT", "BATCHDATA_ACCOUNT"),
    ] {
        let expected = format!("{name} is not a variable of this program and has no effect: did you mean {meant}?");
        assert!(warned(name).contains(&expected), "{:?}", warned(name));
    }
    for other in ["PATH", "HOME", "LOGNAME", "LOG_FILE", "STORAGE_CLASS", "WEB_CONCURRENCY", "HTTP_PROXY_HOST"] {
        assert!(!warned(other).iter().any(|warning| warning.contains(other)), "{other}: {:?}", warned(other));
    }
}

#[test]
fn a_tilde_a_copied_header_and_quotes_are_explained() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "Bearer CANARY\n").unwrap();
    let quoted = directory.path().join("quoted");
    std::fs::write(&quoted, "\"CANARY\"\n").unwrap();
    let without_quotes = "write the secret without the quotes around it";
    for (name, value, words) in [
        ("BATCHDATA_API_TOKEN", "\"CANARY\"", without_quotes),
        ("BATCHDATA_API_TOKEN", "'CANARY'", without_quotes),
        ("BATCHDATA_API_TOKEN_FILE", quoted.to_str().unwrap(), without_quotes),
        ("BATCHDATA_API_TOKEN_FILE", "~/token", "only a shell expands ~"),
        ("RIGHTFOOT_BATCH_IDS_FILE", "~/ids", "only a shell expands ~"),
        ("WEB_CONFIG_FILE", "~/web.yml", "only a shell expands ~"),
        ("STORAGE_PATH", "~/data", "only a shell expands ~"),
        ("BATCHDATA_API_TOKEN", "bearer CANARY", "write the token alone, without the word Bearer before it"),
        (
            "BATCHDATA_API_TOKEN_FILE",
            file.to_str().unwrap(),
            "write the token alone, without the word Bearer before it",
        ),
    ] {
        let fault = load(&[("RIGHTFOOT_API_KEY", SECRET), (name, value)]).unwrap_err().to_string();
        assert!(fault.contains(&format!("  {name}: ")) && fault.contains(words), "{fault}");
        assert!(fault.contains("1 error:") && !fault.contains("CANARY"), "{fault}");
    }
}

#[test]
fn an_empty_variable_is_unset() {
    let config = load(&[("BATCHDATA_API_TOKEN", SECRET), ("BATCHDATA_API_TOKEN_FILE", ""), ("BATCHDATA_ACCOUNT", "")]);
    assert_eq!(config.unwrap().account::<batchdata::Config>().unwrap().account, "default");
}

#[test]
fn a_vendors_variable_without_its_secret_is_a_fault() {
    let found = faults(&[("BATCHDATA_API_TOKEN", SECRET), ("RIGHTFOOT_INTERVAL", "1m"), ("RIGHTFOOT_BATCH_IDS", "")]);
    assert_eq!(found, ["RIGHTFOOT_INTERVAL"]);
}

#[test]
fn without_a_vendor_the_demo_is_pointed_at() {
    let fault = load(&[]).unwrap_err().to_string();
    assert!(fault.contains("wallet-exporter demo") && fault.contains("BATCHDATA_API_TOKEN"), "{fault}");
}

#[test]
fn service_links_of_kubernetes_are_no_typos() {
    let config = load(&[
        ("BATCHDATA_API_TOKEN", SECRET),
        ("BATCHDATA_PROXY_SERVICE_HOST", "10.0.0.1"),
        ("BATCHDATA_PROXY_SERVICE_PORT", "80"),
        ("BATCHDATA_PROXY_SERVICE_PORT_HTTP", "80"),
        ("BATCHDATA_PROXY_PORT", "tcp://10.0.0.1:80"),
        ("BATCHDATA_PROXY_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("BATCHDATA_PROXY_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("RIGHTFOOT_SERVICE_HOST", "10.0.0.2"),
        ("RIGHTFOOT_PORT_80_TCP", "tcp://10.0.0.2:80"),
    ]);
    assert!(config.is_ok(), "{config:?}");
}

#[test]
fn secrets_come_from_files_with_one_line_end_trimmed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let load_file = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        load(&[("BATCHDATA_API_TOKEN_FILE", path.to_str().unwrap())])
    };
    assert!(load_file(b"token\n").is_ok());
    assert!(load_file(b"token\r\n").is_ok());
    for bad in [&b""[..], b"\n", b"token\n\n", b"two words", b"\xff\xfe", b" token"] {
        assert_eq!(load_file(bad).unwrap_err().names().collect::<Vec<_>>()[0], "BATCHDATA_API_TOKEN_FILE", "{bad:?}");
    }
    std::fs::remove_file(&path).unwrap();
    let fault = load(&[("BATCHDATA_API_TOKEN_FILE", path.to_str().unwrap())]).unwrap_err().to_string();
    assert!(fault.contains("BATCHDATA_API_TOKEN_FILE") && fault.contains("no such file"), "{fault}");
}

#[test]
fn missing_thresholds_and_missing_ids_are_warned_of() {
    let config = load(&[("BATCHDATA_API_TOKEN", SECRET), ("RIGHTFOOT_API_KEY", SECRET)]).unwrap();
    let warnings = config.warnings().join("\n");
    assert!(
        warnings.contains("BATCHDATA_WARNING_BALANCE_USD") && warnings.contains("RIGHTFOOT_BATCH_IDS"),
        "{warnings}"
    );
}

#[test]
fn a_balance_that_is_polled_too_rarely_to_be_compared_is_warned_of() {
    let warned = |interval: &str, sources: &str| {
        let pairs =
            [("BATCHDATA_API_TOKEN", SECRET), ("BATCHDATA_BALANCE_INTERVAL", interval), ("BATCHDATA_SOURCES", sources)];
        load(&pairs).unwrap().warnings().join("\n").contains("BATCHDATA_BALANCE_INTERVAL is longer than 5m")
    };
    assert!(warned("301s", "balance,consumption"));
    assert!(!warned("5m", "balance,consumption"));
    assert!(!warned("20m", "balance,card_transactions"));
}

#[test]
fn durations_are_those_of_prometheus_and_have_an_end() {
    let token = ("BATCHDATA_API_TOKEN", SECRET);
    let wallet = |pairs: &[(&str, &str)]| {
        load(&[&[token], pairs].concat()).unwrap().account::<batchdata::Config>().unwrap().clone()
    };
    let seconds = Duration::from_secs;
    assert_eq!(wallet(&[("BATCHDATA_MAX_AGE", "1d12h")]).max_age, seconds(36 * 3_600));
    assert_eq!(wallet(&[("BATCHDATA_MAX_AGE", "3650d")]).max_age, seconds(3_650 * 86_400));
    assert_eq!(wallet(&[("BATCHDATA_MAX_AGE", "1y500ms")]).max_age, Duration::from_millis(31_536_000_500));
    assert_eq!(wallet(&[("BATCHDATA_BALANCE_INTERVAL", "1m30s")]).sources[0].1, seconds(90));
    let key = ("RIGHTFOOT_API_KEY", SECRET);
    for (secret, name) in [(token, "BATCHDATA_MAX_AGE"), (key, "RIGHTFOOT_MAX_AGE")] {
        let fault = load(&[secret, (name, "9999999999h")]).unwrap_err().to_string();
        assert!(fault.contains(name) && fault.contains("at most 10y"), "{fault}");
    }
    // At least twice every interval.
    for (pairs, name) in [
        ([token, ("BATCHDATA_CARD_INTERVAL", "1d"), ("BATCHDATA_MAX_AGE", "1d23h59m59s")], "BATCHDATA_MAX_AGE"),
        ([key, ("RIGHTFOOT_INTERVAL", "1h"), ("RIGHTFOOT_MAX_AGE", "1h59m")], "RIGHTFOOT_MAX_AGE"),
    ] {
        assert_eq!(faults(&pairs), [name]);
        assert!(load(&pairs).unwrap_err().to_string().contains("twice"));
    }
}

#[test]
fn the_flag_start_at_zero_wins_over_its_variable() {
    let pairs = [("BATCHDATA_API_TOKEN", SECRET), ("METRICS_START_AT_ZERO", "5m")];
    assert_eq!(load(&pairs).unwrap().process.start_at_zero, Duration::from_secs(300));
    let flags = Flags { metrics_start_at_zero: Some("1m30s".to_owned()), ..Flags::default() };
    let pairs = pairs.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    assert_eq!(Config::load(&flags, pairs, now()).unwrap().process.start_at_zero, Duration::from_secs(90));
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// The result of something that must not block.
fn in_time<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(what()));
    result.recv_timeout(Duration::from_secs(60)).expect("it does not block")
}

#[test]
fn only_regular_files_are_read_and_a_fifo_blocks_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fifo(Path::new(&path("fifo")));
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    std::os::unix::fs::symlink(path("fifo"), path("link to a fifo")).unwrap();
    for irregular in [path("fifo"), path("link to a fifo"), path("socket"), path(""), "/dev/zero".to_owned()] {
        for variable in ["BATCHDATA_API_TOKEN_FILE", "RIGHTFOOT_WEBHOOK_SECRET_FILE", "RIGHTFOOT_BATCH_IDS_FILE"] {
            let (file, mut pairs) = (irregular.clone(), vec![]);
            if variable.starts_with("RIGHTFOOT") {
                pairs.push(("RIGHTFOOT_API_KEY", SECRET.to_owned()));
            }
            let fault = in_time(move || {
                pairs.push((variable, file));
                let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
                load(&pairs).unwrap_err().to_string()
            });
            assert!(fault.contains("1 error:") && fault.contains(variable), "{fault}");
            assert!(fault.contains("is not a regular file"), "{fault}");
        }
    }

    // A link to a regular file is how Kubernetes mounts secrets.
    std::fs::write(path("token"), "first").unwrap();
    std::os::unix::fs::symlink(path("token"), path("link")).unwrap();
    let secret = load(&[("BATCHDATA_API_TOKEN_FILE", &path("link"))])
        .unwrap()
        .account::<batchdata::Config>()
        .unwrap()
        .token
        .clone();
    std::fs::remove_file(path("link")).unwrap();
    fifo(Path::new(&path("link")));
    let fault = SecretError::File(FileError::NotRegular(path("link").into()));
    assert_eq!(in_time(move || secret.refresh()), Refresh::Unreadable(fault));
}

#[test]
fn a_file_that_is_far_too_large_is_a_fault() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let name = path.to_str().unwrap();
    for (bytes, fits) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        std::fs::write(&path, "x".repeat(bytes)).unwrap();
        let loaded = load(&[("BATCHDATA_API_TOKEN_FILE", name)]);
        assert_eq!(loaded.is_ok(), fits);
        assert!(fits || loaded.unwrap_err().to_string().contains("is larger than 64 KiB"));
    }
    for (bytes, fits) in [(40 << 20, true), ((40 << 20) + 1, false)] {
        std::fs::write(&path, "\n".repeat(bytes)).unwrap();
        let loaded = load(&[("RIGHTFOOT_API_KEY", SECRET), ("RIGHTFOOT_BATCH_IDS_FILE", name)]);
        assert_eq!(loaded.is_ok(), fits);
        assert!(fits || loaded.unwrap_err().to_string().contains("is larger than 40960 KiB"));
    }
    // The file system says that these hold nothing.
    let endless = Path::new("/proc/kallsyms");
    if std::fs::read(endless).is_ok_and(|bytes| bytes.len() > 64 * 1024) {
        let fault = load(&[("BATCHDATA_API_TOKEN_FILE", endless.to_str().unwrap())]).unwrap_err().to_string();
        assert!(fault.contains("is larger than 64 KiB"), "{fault}");
    }
}

#[test]
fn a_webhook_secret_that_changes_is_held_to_the_rule_of_the_start() {
    use secrecy::ExposeSecret as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    let write = |content: &str| std::fs::write(&path, content).unwrap();
    let pairs = [("RIGHTFOOT_API_KEY", SECRET), ("RIGHTFOOT_WEBHOOK_SECRET_FILE", path.to_str().unwrap())];
    write("x");
    let fault = load(&pairs).unwrap_err().to_string();
    assert!(fault.contains("RIGHTFOOT_WEBHOOK_SECRET_FILE") && fault.contains("32 to 128"), "{fault}");
    let (first, second) = ("a".repeat(32), "b".repeat(128));
    write(&first);
    let secret = load(&pairs).unwrap().account::<rightfoot::Config>().unwrap().webhook_secret.clone().unwrap();
    for bad in ["x", &"c".repeat(31), &"c".repeat(129), &format!("{first}/"), "", "two\nlines"] {
        write(bad);
        assert!(matches!(secret.refresh(), Refresh::Unreadable(_)), "{bad:?}");
        assert_eq!(secret.current().expose_secret(), first, "{bad:?}");
    }
    write(&format!("{second}\n"));
    assert_eq!(secret.refresh(), Refresh::Changed);
    assert_eq!(secret.current().expose_secret(), second);
}

#[test]
fn a_proxy_that_cannot_be_used_is_an_error_that_does_not_repeat_it() {
    let token = ("BATCHDATA_API_TOKEN", SECRET);
    for (name, value) in [
        ("HTTPS_PROXY", "ht!tp://bad"),
        ("https_proxy", "socks5://alice:hunter2@proxy:1080"),
        ("ALL_PROXY", "hunter2 proxy"),
        ("http_proxy", "ftp://alice:hunter2@proxy"),
        ("HTTPS_PROXY", "http://alice:hunter2@proxy:3128\n"),
        ("HTTPS_PROXY", "http:///hunter2:3128"),
    ] {
        let errors = load(&[token, (name, value)]).unwrap_err();
        assert_eq!(errors.names().collect::<Vec<_>>(), [name]);
        assert!(!errors.to_string().contains("hunter2"), "{errors}");
    }
    for value in ["", "http://proxy:3128", "https://alice:hunter2@proxy", "proxy:3128"] {
        assert!(load(&[token, ("HTTPS_PROXY", value), ("NO_PROXY", "localhost,.example")]).is_ok(), "{value}");
    }
}

#[test]
fn what_other_users_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let (token, storage) = (directory.path().join("token"), directory.path().join("data"));
    std::fs::write(&token, SECRET).unwrap();
    std::fs::create_dir(&storage).unwrap();
    let warnings = |of_token: u32, of_storage: u32| {
        let chmod = |path: &std::path::Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        chmod(&token, of_token);
        chmod(&storage, of_storage);
        let pairs = [
            ("BATCHDATA_API_TOKEN_FILE", token.to_str().unwrap()),
            ("STORAGE_PATH", storage.to_str().unwrap()),
            ("BATCHDATA_WARNING_BALANCE_USD", "1"),
        ];
        load(&pairs).unwrap().warnings()
    };
    assert_eq!(warnings(0o600, 0o700), Vec::<String>::new());
    assert_eq!(warnings(0o640, 0o750), Vec::<String>::new(), "a group is the operator's choice");
    let (found, path) = (warnings(0o644, 0o701), token.display());
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], format!("{path} is open to other users (mode 0644): chmod 600 {path}"));
}

#[test]
fn the_help_of_a_flag_has_its_variable_and_the_variables_default() {
    let command = <Flags as clap::Args>::augment_args(clap::Command::new("wallet-exporter"));
    let mut seen = 0;
    for flag in command.get_arguments() {
        let help = flag.get_help().unwrap().to_string();
        let part =
            |begin: &str| help.split(begin).nth(1).and_then(|rest| rest.split(['=', ']']).next()).map(str::to_owned);
        let name = part("[env: ").unwrap_or_else(|| panic!("{help} names no variable"));
        let variable = variables().find(|variable| variable.name == name).unwrap_or_else(|| panic!("{name}"));
        let default = part("[default: ").unwrap_or_default();
        // A switch is off, which needs no words.
        assert!(default == variable.default || variable.default == "false", "{help}: {}", variable.default);
        seen += 1;
    }
    assert_eq!(seen, wallet_exporter::config::VARIABLES.len());
}
