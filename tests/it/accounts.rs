//! The accounts file: what it may say, what it means, and slices of the exposition.

use std::ffi::OsString;
use std::path::Path;

use serde_json::Value;
use vendor_simulator::Options;
use wallet_exporter::app::{Config, accounts_file, accounts_schema};
use wallet_exporter::config::Flags;
use wallet_exporter::config::secret::{Refresh, SecretError};
use wallet_exporter::{batchdata, rightfoot};

use crate::program;
use crate::rig::{Rig, at, vendor_clock};
use crate::serving::fixture::{get, until};
use crate::serving::prometheus::{binaries, run};

const FILE: &str = r#"
defaults:
  batchdata: {balance_interval: 30s, warning_balance_usd: 200}
accounts:
  - account: growth
    vendor: batchdata
    api_token_file: growth.token
    critical_balance_usd: 50
    sources: [balance, consumption]
    labels: {team: growth, cost_center: "4711"}
  - account: "007"
    vendor: batchdata
    api_token_file: seven.token
    balance_interval: 1m30s
  - account: checks
    vendor: rightfoot
    api_key_file: checks.key
    batch_ids: [5d3c6bbb-fc1a-46a4-93da-1ce4a54b0d83]
"#;

fn secrets(directory: &Path) {
    for (name, secret) in [("growth.token", "tok-growth"), ("seven.token", "tok-seven"), ("checks.key", "key-checks")] {
        std::fs::write(directory.join(name), secret).unwrap();
    }
}

fn load(path: &Path, more: &[(&str, &str)]) -> Result<Config, String> {
    let mut pairs = vec![(OsString::from("CONFIG_FILE"), path.as_os_str().to_owned())];
    pairs.extend(more.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))));
    Config::load(&Flags::default(), pairs, at("2026-05-19T12:00:00Z")).map_err(|errors| errors.to_string())
}

/// What is wrong with a file of this text beside the usual secrets.
fn errors(text: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    secrets(directory.path());
    let path = directory.path().join("accounts.yml");
    std::fs::write(&path, text).unwrap();
    let found = load(&path, &[]).expect_err(text);
    found.replace(directory.path().to_str().unwrap(), "")
}

#[test]
fn fields_are_the_variables_and_the_accounts_own_ones_win() {
    let directory = tempfile::tempdir().unwrap();
    secrets(directory.path());
    let path = directory.path().join("accounts.yml");
    std::fs::write(&path, FILE).unwrap();
    let config = load(&path, &[("BATCHDATA_BASE_URL", "http://127.0.0.1:1")]).unwrap();
    let names: Vec<&str> = config.accounts.iter().map(|account| account.config.name()).collect();
    assert_eq!(names, ["growth", "007", "checks"]);
    assert_eq!(config.accounts[0].labels["cost_center"], "4711");
    let wallets: Vec<&batchdata::Config> = config.accounts_of().collect();
    let dollars = |amount: Option<wallet_exporter::money::Usd>| amount.map(|amount| amount.to_string());
    assert_eq!(dollars(wallets[0].warning_balance).as_deref(), Some("200"));
    assert_eq!(dollars(wallets[0].critical_balance).as_deref(), Some("50"));
    let seconds = |wallet: &batchdata::Config| wallet.sources[0].1.as_secs();
    assert_eq!((seconds(wallets[0]), seconds(wallets[1])), (30, 90));
    assert_eq!((wallets[0].sources.len(), wallets[1].sources.len()), (2, 3));
    assert!(wallets.iter().all(|wallet| wallet.base_url.as_str() == "http://127.0.0.1:1/"));
    let checks: &rightfoot::Config = config.account().unwrap();
    assert_eq!((checks.batch_ids.len(), checks.base_url.as_str()), (1, "https://api.rightfoot.com/"));
}

#[test]
fn a_directory_has_a_file_for_each_owner_and_common_defaults() {
    let directory = tempfile::tempdir().unwrap();
    secrets(directory.path());
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("defaults.yml", "defaults: {batchdata: {warning_balance_usd: 7, balance_interval: 10s}}");
    write(
        "a.yml",
        "defaults: {batchdata: {balance_interval: 20s}}\naccounts: [{account: a, vendor: batchdata, api_token_file: growth.token}]",
    );
    write("b.yaml", "accounts: [{account: b, vendor: batchdata, api_token_file: seven.token}]");
    write("notes.txt", "not ours");
    write(".hidden.yml", "broken: [");
    let config = load(directory.path(), &[]).unwrap();
    let wallets: Vec<&batchdata::Config> = config.accounts_of().collect();
    let seen: Vec<(&str, u64)> =
        wallets.iter().map(|wallet| (wallet.account.as_str(), wallet.sources[0].1.as_secs())).collect();
    assert_eq!(seen, [("a", 20), ("b", 10)]);
    assert!(wallets.iter().all(|wallet| wallet.warning_balance.is_some()));
    let empty = tempfile::tempdir().unwrap();
    assert!(load(empty.path(), &[]).unwrap_err().contains("has no account"));
    let missing = load(&empty.path().join("nope"), &[]).unwrap_err();
    let hint = "name a YAML file of accounts or a directory of such files, such as /etc/wallet-exporter/accounts.yml";
    assert!(missing.contains(&format!("/nope: no such file or directory; {hint}")), "{missing}");
}

#[test]
fn every_error_is_listed_at_once_with_file_line_and_field() {
    let found = errors(
        "defaults:
  batchdata: {api_token_file: growth.token, balance_intervall: 1m}
  acme: {}
accounts:
  - account: growth
    vendor: batchdata
    api_token_file: growth.token
    balance_interval: 0s
    warning_balance_usd: 10
    critical_balance_usd: 20
    base_url: https://elsewhere.example
  - account: 7
    vendor: batchdata
  - account: two
    vendor: acme
  - account: checks
    vendor: rightfoot
    api_key: key-CANARY
    labels: {job: x, 9a: y}
  - account: growth
    vendor: batchdata
    api_token_file: seven.token
  - account: bare
    vendor: rightfoot
    key_file: seven.token
",
    );
    for expected in [
        "/accounts.yml:25: key_file (account bare): is not a field of this vendor: did you mean api_key_file?",
        "/accounts.yml:2: defaults.batchdata.api_token_file: belongs to an account",
        "/accounts.yml:2: defaults.batchdata.balance_intervall: is not a field of this vendor: did you mean balance_interval?",
        "/accounts.yml: defaults.acme: is not a vendor: write batchdata or rightfoot",
        "/accounts.yml:8: balance_interval (account growth): ",
        "/accounts.yml:10: critical_balance_usd (account growth): write an amount below warning_balance_usd: 20 is not below 10",
        "/accounts.yml:11: base_url (account growth): applies to the whole process: set the variable BATCHDATA_BASE_URL",
        "/accounts.yml:12: account: write it in quotes",
        "/accounts.yml:14: vendor: acme is not a vendor: write batchdata or rightfoot",
        "/accounts.yml:18: api_key (account checks): is a secret: name a file that holds it with api_key_file",
        "/accounts.yml:19: labels (account checks): job is a label of the exporter or of Prometheus",
        "/accounts.yml:19: labels (account checks): a label name consists of",
        "/accounts.yml:20: account (account growth): appears twice, first at /accounts.yml:5",
        "/accounts.yml:23: api_key_file (account bare): is missing",
    ] {
        assert!(found.contains(expected), "{expected}\nis not in\n{found}");
    }
    assert!(!found.contains("CANARY"));
}

#[test]
fn a_secret_belongs_to_one_account_and_lies_where_secrets_may() {
    let twice = "accounts:\n- {account: a, vendor: batchdata, api_token_file: growth.token}\n\
                 - {account: b, vendor: batchdata, api_token_file: growth.token}\n";
    let found = errors(twice);
    let said =
        "/accounts.yml:3: api_token_file (account b): is also used by account a: the money would be counted twice";
    assert!(found.contains(said), "{found}");
    let place = tempfile::tempdir().unwrap();
    let (inside, outside) = (place.path().join("etc"), place.path().join("run"));
    for directory in [&inside, &outside] {
        std::fs::create_dir(directory).unwrap();
        secrets(directory);
    }
    std::os::unix::fs::symlink(outside.join("growth.token"), inside.join("link")).unwrap();
    let path = inside.join("accounts.yml");
    let one = |file: &str| format!("accounts: [{{account: a, vendor: batchdata, api_token_file: {file}}}]");
    let run = outside.to_str().unwrap();
    for (file, directory, fits) in [
        ("growth.token", None, true),
        ("link", None, false),
        ("../run/growth.token", None, false),
        ("../run/growth.token", Some(run), true),
        ("growth.token", Some(run), true),
        ("../etc/growth.token", Some(run), false),
    ] {
        std::fs::write(&path, one(file)).unwrap();
        let more: Vec<(&str, &str)> = directory.map(|directory| ("SECRETS_DIRECTORY", directory)).into_iter().collect();
        let outcome = load(&path, &more);
        assert_eq!(outcome.is_ok(), fits, "{file} with {directory:?}: {outcome:?}");
        assert!(fits || outcome.unwrap_err().contains("is outside"), "{file}");
    }
}

#[test]
fn a_secret_in_the_wrong_field_is_in_no_error() {
    for secret in ["bd_live_CANARY0123456789abcdef0123456789", "rf_CANARY", "CANARY/xY12abcdefgh+kLmN/opqrstuVwx0123"] {
        for (vendor, key) in [("batchdata", "api_token_file"), ("rightfoot", "api_key_file")] {
            let of_vendor = [key, "account", "vendor", "max_age", "sources", "batch_ids", "batch_ids_file", "x"];
            for field in of_vendor.iter().chain(&["webhook_secret_file", "webhook_old_secret_file", "labels"]) {
                let mut fields = vec![("account", "a"), ("vendor", vendor), (key, "growth.token"), ("interval", "x")];
                fields.retain(|(name, _)| name != field);
                fields.push((field, secret));
                let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                let found = errors(&format!("accounts: [{{{}}}]", fields.join(", ")));
                assert!(!found.contains("CANARY") && found.contains("/accounts.yml:1: "), "{field}: {found}");
            }
        }
        // Without a space after the colon, it is the field's name.
        for text in [
            format!("accounts: [{{account: a, vendor: batchdata, api_token:{secret}}}]"),
            format!("defaults: {{batchdata: {{api_token:{secret}}}}}"),
            format!("defaults: {{batchdata:{secret}}}"),
            format!("{{accounts:{secret}}}"),
        ] {
            let found = errors(&text);
            assert!(!found.contains("CANARY") || secret.len() < 24, "{text}: {found}");
        }
    }
    // Whatever else is wrong with such an account is said, too.
    let two = "accounts:\n- {account: CANARY-CANARY-CANARY-CANARY, vendor: batchdata, api_token_file: growth.token, max_age: x}\n\
               - {account: CANARY-CANARY-CANARY-CANARY, vendor: batchdata, api_token_file: growth.token}\n";
    let found = errors(two);
    assert!(!found.contains("CANARY"), "{found}");
    for expected in [
        "/accounts.yml:2: account: write 1 to 64",
        "/accounts.yml:2: max_age: ",
        "/accounts.yml:3: account: appears twice",
    ] {
        assert!(found.contains(expected), "{expected}: {found}");
    }
    let found = errors("accounts: [{account: a, vendor: batchdata, api_token_file: secrets/growth-team.token}]");
    assert!(found.contains("cannot read /secrets/growth-team.token: no such file"), "{found}");
}

#[test]
fn defaults_of_a_directory_have_one_file_of_either_name_and_are_not_absent_when_they_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    secrets(directory.path());
    let file = |name: &str| directory.path().join(name);
    std::fs::write(file("a.yml"), "accounts: [{account: a, vendor: batchdata, api_token_file: growth.token}]").unwrap();
    let interval = || {
        let config = load(directory.path(), &[])?;
        Ok::<u64, String>(config.account::<batchdata::Config>().unwrap().sources[0].1.as_secs())
    };
    assert_eq!(interval(), Ok(60));
    let defaults = "defaults: {batchdata: {balance_interval: 10s}}";
    std::fs::write(file("defaults.yaml"), defaults).unwrap();
    assert_eq!(interval(), Ok(10));
    std::fs::write(file("defaults.yml"), defaults).unwrap();
    assert!(interval().unwrap_err().contains("--config.file: defaults.yml and defaults.yaml are both there: keep one"));
    for name in ["defaults.yml", "defaults.yaml"] {
        for name in ["defaults.yml", "defaults.yaml"] {
            let _ = std::fs::remove_file(file(name));
        }
        std::os::unix::fs::symlink(file("away"), file(name)).unwrap();
        let found = interval().unwrap_err();
        assert!(found.contains(&format!("{name}: no such file or directory")), "{found}");
        std::fs::write(file("away"), defaults).unwrap();
        assert_eq!(interval(), Ok(10), "{name}");
        std::fs::remove_file(file("away")).unwrap();
    }
}

#[test]
fn a_webhook_secret_may_be_the_old_one_of_its_own_account_alone() {
    let directory = tempfile::tempdir().unwrap();
    secrets(directory.path());
    let hook = "0123456789abcdef0123456789abcdef";
    for (name, secret) in [("hook", hook), ("hook.key", hook), ("b.key", "key-b")] {
        std::fs::write(directory.path().join(name), secret).unwrap();
    }
    let path = directory.path().join("accounts.yml");
    let account = |name: &str, key: &str, more: &str| {
        format!("- {{account: {name}, vendor: rightfoot, api_key_file: {key}, webhook_secret_file: hook{more}}}\n")
    };
    let both = ", webhook_old_secret_file: hook";
    let outcome = |accounts: &[String]| {
        std::fs::write(&path, format!("accounts:\n{}", accounts.concat())).unwrap();
        load(&path, &[])
    };
    assert!(outcome(&[account("a", "checks.key", both)]).is_ok());
    let found = outcome(&[account("a", "checks.key", both), account("b", "b.key", "")]).unwrap_err();
    let said = "webhook_secret_file (account b): is also used by account a: give each its own";
    assert!(found.contains(said), "{found}");
    let found = outcome(&[account("a", "hook.key", "")]).unwrap_err();
    assert!(found.contains("(account a): is also used by account a: the money"), "{found}");
}

#[test]
fn a_secret_whose_link_leads_outside_later_is_not_taken() {
    use secrecy::ExposeSecret as _;
    let place = tempfile::tempdir().unwrap();
    let (inside, outside) = (place.path().join("etc"), place.path().join("run"));
    for directory in [&inside, &outside] {
        std::fs::create_dir(directory).unwrap();
        secrets(directory);
    }
    let link = inside.join("link");
    let lead = |to: std::path::PathBuf| {
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(to, &link).unwrap();
    };
    lead(inside.join("growth.token"));
    let path = inside.join("accounts.yml");
    std::fs::write(&path, "accounts: [{account: a, vendor: batchdata, api_token_file: link}]").unwrap();
    let token = load(&path, &[]).unwrap().account::<batchdata::Config>().unwrap().token.clone();
    lead(outside.join("seven.token"));
    let outside = SecretError::Outside { path: link.clone(), directory: inside.clone() };
    assert_eq!(token.refresh(), Refresh::Unreadable(outside));
    assert_eq!(token.current().expose_secret(), "tok-growth");
    lead(inside.join("seven.token"));
    assert_eq!(token.refresh(), Refresh::Changed);
    assert_eq!(token.current().expose_secret(), "tok-seven");
}

#[test]
fn a_file_in_the_working_directory_is_named_without_it() {
    let directory = tempfile::tempdir().unwrap();
    secrets(directory.path());
    std::fs::write(directory.path().join("accounts.yml"), FILE).unwrap();
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_wallet-exporter"));
    check.args([
        "check",
        "--config.file",
        "accounts.yml",
        "--storage.path",
        "none",
        "--web.listen-address",
        "127.0.0.1:0",
    ]);
    let output = check.env_clear().current_dir(directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_is_not_such_a_file_is_refused_without_showing_what_is_in_it() {
    for text in [
        "accounts: {a: CANARY}",
        "accounts: [CANARY]",
        "account: [CANARY",
        "acounts: []",
        "accounts: [{account: a, vendor: batchdata, api_token_file: {x: CANARY}}]",
        "accounts: [{account: a, vendor: batchdata, sources: [[CANARY]]}]",
        "- CANARY",
        "CANARY",
        "a: &a [x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b]\nCANARY: *c",
        "",
        "# nothing\n",
    ] {
        let found = errors(text);
        assert!(!found.contains("CANARY") || found.contains("CANARY is not known here"), "{text}: {found}");
        assert!(found.contains("accounts.yml"), "{text}: {found}");
    }
    let beside = tempfile::tempdir().unwrap();
    secrets(beside.path());
    let path = beside.path().join("accounts.yml");
    std::fs::write(&path, FILE).unwrap();
    let found = load(&path, &[("BATCHDATA_ACCOUNT", "x"), ("RIGHTFOOT_API_KEY", "k")]).unwrap_err();
    for name in ["BATCHDATA_ACCOUNT", "RIGHTFOOT_API_KEY"] {
        assert!(found.contains(&format!("{name}: has no effect with --config.file")), "{found}");
    }
    assert!(load(&beside.path().join("nowhere.yml"), &[]).unwrap_err().contains("--config.file"));
}

/// Two wallets, of which the second one's token is refused, and balance checks.
pub async fn three_accounts(directory: &Path) -> Rig {
    secrets(directory);
    let options = Options::quiet(vendor_clock(&wallet_exporter::clock::ManualClock::new(at("2026-05-19T12:00:00Z"))));
    std::fs::write(directory.join("growth.token"), &options.batchdata_token).unwrap();
    std::fs::write(directory.join("checks.key"), &options.rightfoot_key).unwrap();
    std::fs::write(directory.join("accounts.yml"), FILE).unwrap();
    let mut rig = Rig::new().await;
    for variable in ["BATCHDATA_API_TOKEN", "RIGHTFOOT_API_KEY"] {
        rig.settings.remove(variable);
    }
    rig.set("CONFIG_FILE", directory.join("accounts.yml").to_str().unwrap());
    rig.set("WEB_ENABLE_LIFECYCLE", "true");
    rig.start().await;
    rig.until("every source was tried", |rig| rig.snapshot().sources().all(|view| view.up.is_some())).await;
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_run_beside_each_other_and_one_that_fails_fails_alone() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    let up = |account: &str, vendor: &str, source: &str| {
        let labels = format!(r#"account="{account}",vendor="{vendor}",source="{source}""#);
        rig.value(&format!("wallet_exporter_source_up{{{labels}}}"))
    };
    assert_eq!(up("growth", "batchdata", "balance"), Some(1.0));
    assert_eq!(up("007", "batchdata", "balance"), Some(0.0));
    assert!(up("checks", "rightfoot", "batches").is_some());
    let snapshot = rig.snapshot();
    let refused: Vec<&str> = snapshot
        .sources()
        .filter_map(|view| view.last_failure.as_ref().map(|failure| failure.message.as_str()))
        .filter(|message| message.starts_with("BatchData balance: "))
        .collect();
    assert!(refused.len() == 1 && refused[0].ends_with("; check api_token_file"), "{refused:?}");
    assert!(rig.value(r#"batchdata_wallet_balance_usd{account="growth"}"#).is_some());
    assert_eq!(rig.value(r#"batchdata_wallet_balance_usd{account="007"}"#), None);
    let info = r#"wallet_exporter_account_info{account="growth",vendor="batchdata",cost_center="4711",team="growth"}"#;
    assert_eq!(rig.value(info), Some(1.0));
    assert_eq!(rig.value(r#"wallet_exporter_account_info{account="checks",vendor="rightfoot"}"#), Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slices_are_parts_of_the_whole_and_together_all_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    let web = rig.web().unwrap();
    let samples = |text: &str| -> Vec<String> {
        // What a scrape itself changes is left out.
        let moving = |line: &&str| !line.starts_with('#') && !line.contains("_http_") && !line.starts_with("process_");
        text.lines().filter(moving).map(str::to_owned).collect()
    };
    let whole = samples(&get(web, "/metrics").await.text());
    let mut parts = Vec::new();
    for (query, label) in
        [("account=", None), ("account=growth", Some("growth")), ("account=007&account=checks", Some(""))]
    {
        let text = get(web, &format!("/metrics?{query}")).await.text();
        let part = samples(&text);
        assert!(!part.is_empty(), "{query}");
        for line in &part {
            let found = line.split("account=\"").nth(1).and_then(|rest| rest.split('"').next());
            match label {
                None => assert_eq!(found, None, "{line}"),
                Some("") => assert!(found.is_some_and(|name| name != "growth"), "{line}"),
                Some(name) => assert_eq!(found, Some(name), "{line}"),
            }
        }
        assert_eq!(text.contains("process_cpu_seconds_total"), label.is_none(), "{query}");
        parts.extend(part);
    }
    let (mut whole, all) = (whole, parts.len());
    whole.sort();
    parts.sort();
    parts.dedup();
    assert_eq!(parts.len(), all, "a series is in two slices");
    assert_eq!(parts, whole);
    for unknown in ["account=nobody", "account=growth&account=nobody", "account=%00"] {
        assert_eq!(get(web, &format!("/metrics?{unknown}")).await.code, 404, "{unknown}");
    }
    assert_eq!(get(web, "/metrics?format=x").await.code, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_is_told_of_a_target_for_each_account() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    let answer = get(rig.web().unwrap(), "/api/v1/targets").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let groups: Vec<Value> = serde_json::from_slice(&answer.body).unwrap();
    let label = |group: &Value, name: &str| group["labels"][name].as_str().map(str::to_owned);
    let accounts: Vec<_> = groups.iter().filter_map(|group| label(group, "__param_account")).collect();
    assert_eq!(accounts, ["", "007", "checks", "growth"]);
    let instances: Vec<_> = groups.iter().filter_map(|group| label(group, "instance")).collect();
    assert_eq!(instances, ["test", "test/007", "test/checks", "test/growth"]);
    assert!(groups.iter().all(|group| group["targets"] == serde_json::json!(["test"])));
    assert_eq!(label(&groups[3], "__meta_wallet_exporter_label_team").as_deref(), Some("growth"));
    assert!(groups.iter().all(|group| label(group, "account").is_none()));
}

#[test]
fn the_file_that_is_printed_means_the_same_as_the_variables() {
    let directory = tempfile::tempdir().unwrap();
    secrets(directory.path());
    let secret = |name: &str| directory.path().join(name).display().to_string();
    let (token, key) = (secret("growth.token"), secret("checks.key"));
    let variables = [
        ("BATCHDATA_API_TOKEN_FILE", token.as_str()),
        ("BATCHDATA_ACCOUNT", "007"),
        ("BATCHDATA_BASE_URL", "http://127.0.0.1:1"),
        ("BATCHDATA_SOURCES", "balance,consumption"),
        ("BATCHDATA_WARNING_BALANCE_USD", "1234567.10"),
        ("RIGHTFOOT_API_KEY_FILE", key.as_str()),
        ("RIGHTFOOT_COUNT_SINCE", "2026-05-01"),
        ("LOG_LEVEL", "debug"),
    ];
    let pairs = || variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let text = accounts_file(pairs()).unwrap();
    let path = directory.path().join("accounts.yml");
    std::fs::write(&path, &text).unwrap();
    let shown =
        |config: &Config| format!("{:?}", config.accounts.iter().map(|account| &account.config).collect::<Vec<_>>());
    let of_file = load(&path, &[("BATCHDATA_BASE_URL", "http://127.0.0.1:1")]).unwrap();
    let of_variables = Config::load(&Flags::default(), pairs(), at("2026-05-19T12:00:00Z")).unwrap();
    assert_eq!(shown(&of_file), shown(&of_variables), "{text}");
    let inline = [(OsString::from("BATCHDATA_API_TOKEN"), OsString::from("tok-CANARY"))];
    let error = accounts_file(inline).unwrap_err().to_string();
    assert!(error.contains("name that with BATCHDATA_API_TOKEN_FILE") && !error.contains("CANARY"), "{error}");
}

#[test]
fn the_schema_that_is_shipped_is_the_codes() {
    let shipped = include_str!("../../deploy/accounts.schema.json");
    let expected = serde_json::to_string_pretty(&accounts_schema()).unwrap() + "\n";
    if shipped != expected {
        let path = std::env::temp_dir().join("accounts.schema.json");
        std::fs::write(&path, &expected).unwrap();
        panic!("deploy/accounts.schema.json is not the code's: it is in {}", path.display());
    }
}

#[test]
fn the_documented_file_is_one() {
    let text = include_str!("../../docs/accounts.md");
    let example = text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let directory = tempfile::tempdir().unwrap();
    for (name, secret) in [("growth.token", "a"), ("sales.token", "b"), ("rightfoot.key", "c")] {
        std::fs::write(directory.path().join(name), secret).unwrap();
    }
    std::fs::write(directory.path().join("webhook.secret"), "0123456789abcdefghijklmnopqrstuvwxyz").unwrap();
    std::fs::write(directory.path().join("ids.txt"), "5d3c6bbb-fc1a-46a4-93da-1ce4a54b0d83\n").unwrap();
    let path = directory.path().join("accounts.yml");
    std::fs::write(&path, example).unwrap();
    assert_eq!(load(&path, &[]).unwrap().accounts.len(), 3);
}

/// The values of a query, by instance; empty while Prometheus does not answer.
async fn by_instance(prometheus: std::net::SocketAddr, query: &str) -> std::collections::BTreeMap<String, String> {
    let mut found = std::collections::BTreeMap::new();
    if tokio::net::TcpStream::connect(prometheus).await.is_err() {
        return found;
    }
    let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let text = get(prometheus, &format!("/api/v1/query?query={query}")).await.text();
    let (Some(from), Some(to)) = (text.find('{'), text.rfind('}')) else { return found };
    let Ok(json) = serde_json::from_str::<Value>(&text[from..=to]) else { return found };
    for result in json["data"]["result"].as_array().into_iter().flatten() {
        let instance = result["metric"]["instance"].as_str().unwrap_or_default().to_owned();
        found.insert(instance, result["value"][1].as_str().unwrap_or_default().to_owned());
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_prometheus_finds_and_scrapes_each_account() {
    let directory = tempfile::tempdir().unwrap();
    let rig = three_accounts(directory.path()).await;
    let web = rig.web().unwrap();
    for binary in binaries() {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "scrape_configs:\n- job_name: wallet\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  http_sd_configs:\n  \
             - {{url: 'http://{web}/api/v1/targets', refresh_interval: 1s}}\n  relabel_configs:\n  \
             - {{action: labelmap, regex: __meta_wallet_exporter_label_(.+)}}\n"
        );
        let (_running, prometheus) = run(&binary, folder.path(), &config);
        let targets = ["", "/007", "/checks", "/growth"].map(|name| format!("{web}{name}"));
        until("all targets are up", async || {
            let up = by_instance(prometheus, "up == 1").await;
            targets.iter().all(|target| up.contains_key(target))
        })
        .await;
        let balance = by_instance(prometheus, r#"batchdata_wallet_balance_usd{team="growth"}"#).await;
        assert_eq!(balance.keys().collect::<Vec<_>>(), [&targets[3]], "{}", binary.display());
        let own = by_instance(prometheus, "wallet_exporter_build_info").await;
        assert_eq!(own.keys().collect::<Vec<_>>(), [&targets[0]]);
    }
}

#[test]
fn the_documented_remote_write_is_accepted_by_prometheus() {
    let text = include_str!("../../docs/accounts.md");
    let snippet = text.split("```yaml\n").find(|block| block.starts_with("remote_write:")).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), snippet.split("```").next().unwrap()).unwrap();
    for promtool in crate::alerts::tools::versions("promtool") {
        let checked =
            std::process::Command::new(&promtool).args(["check", "config"]).arg(file.path()).output().unwrap();
        assert!(checked.status.success(), "{checked:?}");
    }
}

/// An accounts file with a wallet of each name.
fn many(directory: &Path, names: &[String]) -> std::path::PathBuf {
    let mut text = "accounts:\n".to_owned();
    for name in names {
        std::fs::write(directory.join(name), format!("tok-{name}")).unwrap();
        text += &format!("- {{account: {name}, vendor: batchdata, api_token_file: {name}}}\n");
    }
    let path = directory.join("accounts.yml");
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shard_of_an_account_is_the_one_that_a_real_prometheus_computes() {
    const SHARDS: usize = 3;
    let directory = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..60).map(|number| format!("account-{number}")).collect();
    let path = many(directory.path(), &names);
    let mut expected = std::collections::BTreeMap::new();
    for shard in 0..SHARDS {
        let config = load(&path, &[("SHARD", &format!("{shard}/{SHARDS}"))]).unwrap();
        for account in &config.accounts {
            assert_eq!(expected.insert(account.config.name().to_owned(), shard.to_string()), None);
        }
    }
    assert_eq!(expected.len(), names.len());
    for binary in binaries() {
        let folder = tempfile::tempdir().unwrap();
        let targets =
            names.iter().map(|name| format!("  - {{targets: ['127.0.0.1:1'], labels: {{account: {name}}}}}\n"));
        let config = format!(
            "scrape_configs:\n- job_name: shards\n  static_configs:\n{}  relabel_configs:\n  - {{action: hashmod, \
             source_labels: [account], modulus: {SHARDS}, target_label: shard}}\n",
            targets.collect::<String>()
        );
        let (_running, prometheus) = run(&binary, folder.path(), &config);
        let mut found = std::collections::BTreeMap::new();
        until("Prometheus knows its targets", async || {
            if tokio::net::TcpStream::connect(prometheus).await.is_err() {
                return false;
            }
            let text = get(prometheus, "/api/v1/targets?state=active").await.text();
            let (Some(from), Some(to)) = (text.find('{'), text.rfind('}')) else { return false };
            let Ok(json) = serde_json::from_str::<Value>(&text[from..=to]) else { return false };
            for target in json["data"]["activeTargets"].as_array().into_iter().flatten() {
                let label = |name: &str| target["labels"][name].as_str().unwrap().to_owned();
                found.insert(label("account"), label("shard"));
            }
            found.len() == names.len()
        })
        .await;
        assert_eq!(found, expected, "{}", binary.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_polls_its_accounts_and_needs_no_secret_of_the_others() {
    let directory = tempfile::tempdir().unwrap();
    for (shard, name, absent) in [("0/2", "checks", "growth.token"), ("1/2", "growth", "checks.key")] {
        let mut rig = Rig::new().await;
        secrets(directory.path());
        std::fs::remove_file(directory.path().join(absent)).unwrap();
        std::fs::write(directory.path().join("accounts.yml"), FILE).unwrap();
        for variable in ["BATCHDATA_API_TOKEN", "RIGHTFOOT_API_KEY"] {
            rig.settings.remove(variable);
        }
        rig.set("CONFIG_FILE", directory.path().join("accounts.yml").to_str().unwrap());
        rig.set("SHARD", shard);
        rig.start().await;
        rig.until("every source was tried", |rig| rig.snapshot().is_ready()).await;
        let (index, count) = shard.split_once('/').unwrap();
        let info = format!(r#"wallet_exporter_shard_info{{shard="{index}",shards="{count}"}}"#);
        assert_eq!(rig.value(&info), Some(1.0));
        let here = |name: &str| rig.snapshot().accounts.iter().any(|account| account.name() == name);
        for other in ["growth", "007", "checks"] {
            assert_eq!(here(other), (other == "checks") == (name == "checks"), "{other} in {shard}");
        }
        rig.stop().await;
    }
}

#[test]
fn an_account_with_a_webhook_in_a_shard_draws_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    secrets(directory.path());
    std::fs::write(directory.path().join("hook"), "0123456789abcdefghijklmnopqrstuvwxyz").unwrap();
    let path = directory.path().join("accounts.yml");
    let text =
        "accounts:\n- {account: checks, vendor: rightfoot, api_key_file: checks.key, webhook_secret_file: hook}\n";
    std::fs::write(&path, text).unwrap();
    let warned = |shard: &[(&str, &str)]| {
        let warnings = load(&path, shard).unwrap().warnings();
        warnings.iter().filter(|warning| warning.starts_with("account checks has a webhook: ")).count()
    };
    // In the one of the two that it is assigned to.
    assert_eq!(warned(&[("SHARD", "0/2")]) + warned(&[("SHARD", "1/2")]), 1);
    assert_eq!(warned(&[]), 0);
}

#[test]
fn a_secret_file_of_two_shards_is_refused_in_each_and_not_read_for_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let names = ["acme", "east", "growth", "north", "sales", "south", "west"].map(str::to_owned);
    let path = many(directory.path(), &names);
    let loaded = |shard: &str| load(&path, &[("SHARD", shard)]);
    let of = |shard| loaded(shard).unwrap().accounts.iter().map(|account| account.config.name().to_owned()).collect();
    let shards: [Vec<String>; 2] = ["0/2", "1/2"].map(of);
    assert!(shards.iter().all(|shard| !shard.is_empty()), "{shards:?}");
    let [one, other] = [&shards[0][0], &shards[1][0]];
    let text = std::fs::read_to_string(&path).unwrap();
    let (own, its) = (format!("api_token_file: {one}}}"), format!("api_token_file: {other}}}"));
    assert!(text.contains(&own) && text.contains(&its), "{text}");
    std::fs::write(&path, text.replace(&its, &own)).unwrap();
    for shard in ["0/2", "1/2"] {
        let found = loaded(shard).unwrap_err();
        assert!(found.contains(" of another shard: give each its own"), "{shard}: {found}");
        assert_eq!(found.matches("api_token_file (account ").count(), 1, "{shard}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_without_accounts_runs_and_says_so_and_nonsense_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    // Both fall to the first of two.
    let path = many(directory.path(), &["sales".to_owned(), "acme".to_owned()]);
    assert_eq!(load(&path, &[("SHARD", "0/2")]).unwrap().accounts.len(), 2);
    let mut rig = Rig::new().await;
    for variable in ["BATCHDATA_API_TOKEN", "RIGHTFOOT_API_KEY"] {
        rig.settings.remove(variable);
    }
    rig.set("CONFIG_FILE", path.to_str().unwrap());
    rig.set("SHARD", "1/2");
    rig.start().await;
    assert!(rig.snapshot().is_ready());
    let warnings = rig.snapshot().warnings.clone();
    assert!(
        warnings.iter().any(|warning| warning == "no account of the accounts file is assigned to shard 1/2"),
        "{warnings:?}"
    );
    for (shard, remedy) in
        [("2/2", "such as 0/3; the 2 shards are 0/2 to 1/2"), ("$(POD_INDEX)/3", "such as 0/3"), ("1", "such as 0/3")]
    {
        let found = load(&path, &[("SHARD", shard)]).unwrap_err();
        assert!(found.contains("SHARD") && found.contains(remedy), "{found}");
    }
    let alone = [("SHARD", "0/2"), ("BATCHDATA_API_TOKEN", "x")].map(|(name, value)| (name.into(), value.into()));
    let found = Config::load(&Flags::default(), alone, at("2026-05-19T12:00:00Z")).unwrap_err().to_string();
    assert!(found.contains("--shard: has no effect without --config.file"), "{found}");
}

/// What `check` says of a file of this text beside the usual secrets.
fn said(text: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    secrets(directory.path());
    let path = directory.path().join("accounts.yml");
    std::fs::write(&path, text).unwrap();
    let settings =
        [("CONFIG_FILE", path.to_str().unwrap()), ("STORAGE_PATH", "none"), ("WEB_LISTEN_ADDRESS", "127.0.0.1:0")];
    let (code, _, errors) = program::run(&["check"], &settings);
    assert_eq!(code, 64, "{text}: {errors}");
    errors.replace(directory.path().to_str().unwrap(), "")
}

#[test]
fn a_label_of_the_exporters_own_series_is_refused() {
    let own = wallet_exporter::app::families().flat_map(|family| family.labels.iter().copied());
    let own: std::collections::BTreeSet<&str> = own.chain(["le", "job", "instance"]).collect();
    assert!(own.contains("severity") && own.contains("period") && own.contains("window"), "{own:?}");
    for name in own {
        let account = "accounts:\n- account: a\n  vendor: batchdata\n  api_token_file: growth.token\n";
        let found = said(&format!("{account}  labels: {{team: x, {name}: y}}\n"));
        let expected =
            format!("/accounts.yml:5: labels (account a): {name} is a label of the exporter or of Prometheus");
        assert!(found.contains(&expected) && found.contains("has 1 error:"), "{name}: {found}");
    }
}

#[test]
fn a_fault_in_the_structure_ends_nothing_but_what_it_is_in() {
    let found = said(
        "owner: me
accounts:
- account: a
  vendor: batchdata
  api_token_file: growth.token
  labels: {team: [x]}
- account: b
  vendor: batchdata
  api_token_file: seven.token
  max_age: 1h
  max_age: 2h
  balance_interval: 0s
- neither
- account: c
  vendor: rightfoot
  api_key_file: checks.key
  batch_ids: [5d3c6bbb-fc1a-46a4-93da-1ce4a54b0d83, {x: y}]
  settle_after: {x: y}
  interval: 0s
- account: d
  vendor: batchdata
  api_token_file: seven.token
  budgets: [{name: [x], period: day, amount_usd: 1}]
defaults:
  batchdata: [x]
",
    );
    for expected in [
        "/accounts.yml:1: owner is not known here: write `accounts:`, ",
        "/accounts.yml:6: labels (account a): the value of team is not a text",
        "/accounts.yml:11: max_age (account b): is there twice: keep one",
        "/accounts.yml:12: balance_interval (account b): ",
        "/accounts.yml:13: accounts: write a mapping for each account",
        "/accounts.yml:17: batch_ids (account c): ",
        "/accounts.yml:18: settle_after (account c): write one value, not a mapping",
        "/accounts.yml:19: interval (account c): ",
        "/accounts.yml:23: budgets (account d): ",
        "/accounts.yml:25: defaults.batchdata: write a mapping",
        "(account d): is also used by account b",
    ] {
        assert!(found.contains(expected), "{expected}\nis not in\n{found}");
    }
}

#[test]
fn every_wrong_budget_is_listed() {
    let found = said(
        "accounts:
- account: a
  vendor: batchdata
  api_token_file: growth.token
  budgets:
  - {name: one, period: year, amount_usd: 1}
  - {name: two, period: day, amount_usd: 0}
  - {name: three, period: day, amount_usd: 1, scope: x}
  - {period: day, amount_usd: much}
  - {name: four, period: day, amount_usd: 1}
  - {name: four, period: day, amount_usd: 1}
",
    );
    for expected in [
        "budget one: period: write day, week or month",
        "budget two: amount_usd: write an amount above 0",
        "budget three: scope is not a field of a budget",
        "budget number 4: name is missing",
        "budget number 4: amount_usd: write an amount in US dollars",
        "two budgets of a day have the name four",
    ] {
        assert!(found.contains(&format!("(account a): {expected}")), "{expected}\nis not in\n{found}");
    }
    assert!(found.contains("has 6 errors:"), "{found}");
}

#[test]
fn the_schema_describes_a_budget_as_it_is_read() {
    let schema = accounts_schema();
    let of_wallet = schema["properties"]["accounts"]["items"]["oneOf"].as_array().unwrap().iter();
    let of_wallet = of_wallet.clone().find(|account| account["title"] == "BatchData").unwrap();
    let budget = &of_wallet["properties"]["budgets"]["items"];
    assert_eq!(budget["additionalProperties"], false);
    let required: Vec<&str> = budget["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let periods: Vec<&str> =
        budget["properties"]["period"]["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let value = |name: &str| match name {
        "amount_usd" => "3000",
        "period" => periods[0],
        _ => "x",
    };
    let of = |fields: &[(&str, &str)]| {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!(
            "accounts: [{{account: a, vendor: batchdata, api_token_file: growth.token, budgets: [{{{}}}]}}]",
            fields.join(", ")
        )
    };
    let directory = tempfile::tempdir().unwrap();
    secrets(directory.path());
    let path = directory.path().join("accounts.yml");
    let read = |fields: &[(&str, &str)]| {
        std::fs::write(&path, of(fields)).unwrap();
        load(&path, &[]).map(drop)
    };
    let least: Vec<(&str, &str)> = required.iter().map(|name| (*name, value(name))).collect();
    assert_eq!(read(&least), Ok(()));
    for place in 0..least.len() {
        let mut fewer = least.clone();
        let (name, _) = fewer.remove(place);
        assert!(read(&fewer).is_err_and(|error| error.contains(name)), "{name} is required");
    }
    let properties = budget["properties"].as_object().unwrap();
    assert_eq!(properties.len(), 5, "{properties:?}");
    for (name, described) in properties {
        let more = (name.as_str(), value(name));
        let fields = if required.contains(&more.0) { least.clone() } else { [&least[..], &[more]].concat() };
        assert_eq!(read(&fields), Ok(()), "{name}");
        assert!(described["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
    for period in &periods {
        let fields: Vec<(&str, &str)> =
            least.iter().map(|(name, value)| (*name, if *name == "period" { *period } else { *value })).collect();
        assert_eq!(read(&fields), Ok(()), "{period}");
    }
    assert!(read(&[&least[..], &[("scope", "x")]].concat()).is_err());
    // It is also a default of all accounts.
    assert_eq!(&schema["properties"]["defaults"]["properties"]["batchdata"]["properties"]["budgets"]["items"], budget);
}

/// The program in a directory of its own.
fn print_config(directory: &Path, variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = program::command(variables);
    command.args(["check", "--print-config"]).current_dir(directory).stdout(std::process::Stdio::piped());
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_file_that_is_printed_can_lie_anywhere() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().canonicalize().unwrap();
    let (one, other, etc) = (root.join("one"), root.join("other"), root.join("etc"));
    for directory in [&one, &other, &etc] {
        std::fs::create_dir(directory).unwrap();
        secrets(directory);
    }
    std::fs::write(one.join("ids"), "5d3c6bbb-fc1a-46a4-93da-1ce4a54b0d83\n").unwrap();
    let path = etc.join("accounts.yml");
    let key = other.join("checks.key");
    let alone = [("BATCHDATA_API_TOKEN_FILE", "one/growth.token"), ("RIGHTFOOT_BATCH_IDS_FILE", "one/ids")];
    for (key, needed) in [("one/checks.key", &one), (key.to_str().unwrap(), &root)] {
        let variables = [&alone[..], &[("RIGHTFOOT_API_KEY_FILE", key)]].concat();
        let (success, text) = print_config(&root, &variables);
        assert!(success, "{text}");
        let absolute = format!("api_token_file: \"{}\"", one.join("growth.token").display());
        assert!(text.contains(&absolute), "{text}");
        let flag = format!("--secrets.directory={}", needed.display());
        assert!(text.lines().any(|line| line.starts_with('#') && line.contains(&flag)), "{flag}: {text}");
        assert_eq!(text.contains("lie in 2 directories"), needed == &root, "{text}");
        std::fs::write(&path, &text).unwrap();
        assert!(load(&path, &[]).is_err_and(|error| error.contains("is outside")));
        let config = load(&path, &[("SECRETS_DIRECTORY", needed.to_str().unwrap())]).unwrap();
        assert_eq!(config.accounts.len(), 2);
    }
    // Only the root of the file system holds both, and it would hold every file.
    let variables = [("BATCHDATA_API_TOKEN_FILE", "one/growth.token"), ("RIGHTFOOT_API_KEY_FILE", "/etc/hostname")];
    let (_, text) = print_config(&root, &variables);
    assert!(text.contains("no directory but / holds all of them") && !text.contains("=/\n"), "{text}");
    let (_, text) = print_config(&root, &[("BATCHDATA_API_TOKEN_FILE", "~/growth.token")]);
    assert!(text.contains("api_token_file: \"~/growth.token\""), "{text}");
}
