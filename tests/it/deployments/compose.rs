//! The compose project: accepted by compose, mounting what exists, and wired so that the parts find each other.

use std::process::Command;

use serde_json::Value;

use super::files::{strings, text, top, under, yaml};
use super::tools;

const FILE: &str = "deploy/compose.yaml";

fn services() -> Vec<(String, Value)> {
    let compose = yaml(FILE);
    compose["services"].as_object().unwrap().iter().map(|(name, service)| (name.clone(), service.clone())).collect()
}

fn service(name: &str) -> Value {
    services().into_iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no service {name}")).1
}

/// What is mounted into a service from the repository: the path from the top, the path inside.
fn mounts(service: &Value) -> Vec<(String, String)> {
    strings(&service["volumes"])
        .into_iter()
        .filter(|volume| volume.starts_with('.'))
        .map(|volume| {
            let mut parts = volume.split(':');
            let (source, target) = (parts.next().unwrap(), parts.next().unwrap());
            assert_eq!(parts.next(), Some("ro"), "{volume} can be written");
            let source =
                source.strip_prefix("../").map(str::to_owned).unwrap_or_else(|| source.replacen('.', "deploy", 1));
            (source, target.to_owned())
        })
        .collect()
}

/// The repository's path of a file that a service sees at `inside`.
fn origin(service: &Value, inside: &str) -> String {
    mounts(service)
        .into_iter()
        .find_map(|(source, target)| inside.strip_prefix(&target).map(|rest| format!("{source}{rest}")))
        .unwrap_or_else(|| panic!("{inside} is not mounted"))
}

#[test]
fn compose_accepts_the_project_with_and_without_an_environment_file() {
    let Some(compose) = tools::find("docker-compose") else { return };
    tools::succeeds(Command::new(&compose).arg("-f").arg(top().join(FILE)).args(["config", "-q"]));

    // A copy, so that no .env of this machine plays a part and none is left behind.
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("deploy")).unwrap();
    let project = directory.path().join(FILE);
    std::fs::write(&project, text(FILE)).unwrap();
    let command = |compose: &std::path::Path| {
        let config = tools::succeeds(
            Command::new(compose)
                .arg("-f")
                .arg(&project)
                .args(["config", "--format", "json"])
                .env_remove("WALLET_EXPORTER_COMMAND"),
        );
        let config: Value = serde_json::from_str(&config).unwrap();
        config["services"]["exporter"].clone()
    };
    let demo = command(&compose);
    assert_eq!(strings(&demo["command"])[..3], ["demo", "--storage.path=none", "--backfill=/history"]);
    std::fs::write(directory.path().join("deploy/.env"), text("deploy/.env.example")).unwrap();
    let real = command(&compose);
    assert_eq!(strings(&real["command"]), ["serve"]);
    assert_eq!(real["environment"]["BATCHDATA_API_TOKEN_FILE"], "/run/secrets/batchdata-api-token");
}

#[test]
fn every_mounted_path_exists_and_cannot_be_written() {
    let mut seen = 0;
    for (name, service) in services() {
        for (source, _) in mounts(&service) {
            assert!(top().join(&source).exists(), "{name} mounts {source}");
            seen += 1;
        }
    }
    assert!(seen >= 5, "only {seen} mounts were seen");
}

#[test]
fn every_service_has_a_fixed_version_a_health_check_and_a_port_for_this_machine_only() {
    for (name, service) in services() {
        let image = service["image"].as_str().unwrap();
        assert!(
            service.get("build").is_some() || image.split(':').nth(1).is_some_and(|tag| tag != "latest"),
            "{image}"
        );
        // The one that ends is waited for instead.
        let ends = name == "import";
        assert!(ends || service["healthcheck"]["test"][0] == "CMD", "{name}");
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port}");
        }
    }
}

#[test]
fn every_service_runs_without_privileges_and_all_but_grafana_on_a_read_only_root() {
    for (name, service) in services() {
        assert_eq!(service.get("read_only").is_some_and(|value| value == true), name != "grafana", "{name}");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(strings(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
    }
}

#[test]
fn credentials_are_files_in_a_mounted_directory_that_git_ignores() {
    let exporter = service("exporter");
    let example = text("deploy/.env.example");
    let files: Vec<&str> = example.lines().filter_map(|line| line.split_once("_FILE=")).map(|(_, path)| path).collect();
    assert!(files.len() >= 3);
    for file in files {
        assert!(origin(&exporter, file).starts_with("deploy/compose/secrets/"), "{file}");
    }
    assert!(text("deploy/compose/secrets/.gitignore").lines().any(|line| line == "*"));
    assert!(text("deploy/.gitignore").lines().any(|line| line == ".env"));
}

#[test]
fn prometheus_reads_every_shipped_rule_and_reaches_the_exporter_and_alertmanager() {
    let prometheus = service("prometheus");
    let config_flag = strings(&prometheus["command"]).into_iter().find_map(|flag| flag.strip_prefix("--config.file="));
    let path = origin(&prometheus, config_flag.unwrap());
    let config = yaml(&path);

    let patterns: Vec<String> = strings(&config["rule_files"])
        .into_iter()
        .map(|pattern| origin(&prometheus, &format!("/etc/prometheus/{pattern}")))
        .collect();
    let rules = under("deploy/prometheus", ".rules.yml");
    assert!(!rules.is_empty());
    for rule in rules {
        let read = patterns.iter().any(|pattern| match pattern.split_once('*') {
            Some((before, after)) => rule.starts_with(before) && rule.ends_with(after),
            None => &rule == pattern,
        });
        assert!(read, "{rule} is not in rule_files {patterns:?}");
    }

    let names: Vec<String> = services().into_iter().map(|(name, _)| name).collect();
    let targets = config["scrape_configs"]
        .as_array()
        .unwrap()
        .iter()
        .chain(config["alerting"]["alertmanagers"].as_array().unwrap());
    let mut hosts = Vec::new();
    for target in targets
        .flat_map(|entry| entry["static_configs"].as_array().unwrap())
        .flat_map(|entry| strings(&entry["targets"]))
    {
        let host = target.split(':').next().unwrap();
        assert!(host == "localhost" || names.iter().any(|name| name == host), "{target} is no service");
        hosts.push(host.to_owned());
    }
    for wanted in ["exporter", "alertmanager"] {
        assert!(hosts.iter().any(|host| host == wanted), "{wanted} is not asked: {hosts:?}");
    }
}

#[test]
fn alertmanagers_configuration_is_where_it_is_looked_for() {
    let alertmanager = service("alertmanager");
    let flag = strings(&alertmanager["command"]).into_iter().find_map(|flag| flag.strip_prefix("--config.file="));
    let path = origin(&alertmanager, flag.unwrap());
    let config = yaml(&path);
    assert!(config["route"].is_object());
    for template in strings(&config["templates"]) {
        let inside =
            if template.starts_with('/') { template.to_owned() } else { format!("/etc/alertmanager/{template}") };
        let directory = origin(&alertmanager, inside.rsplit_once('/').unwrap().0);
        assert!(top().join(&directory).is_dir(), "{template}");
    }
}

#[test]
fn grafana_finds_its_data_source_and_every_dashboard() {
    let grafana = service("grafana");
    let provisioning = origin(&grafana, "/etc/grafana/provisioning");
    let sources = under(&format!("{provisioning}/datasources"), ".yaml");
    assert!(!sources.is_empty());
    for source in &sources {
        for entry in yaml(source)["datasources"].as_array().unwrap() {
            assert_eq!(entry["url"], "http://prometheus:9090", "{source}");
        }
    }
    let providers = under(&format!("{provisioning}/dashboards"), ".yaml");
    assert!(!providers.is_empty());
    for provider in &providers {
        for entry in yaml(provider)["providers"].as_array().unwrap() {
            let inside = entry["options"]["path"].as_str().unwrap();
            assert_eq!(origin(&grafana, inside), "grafana/dashboards", "{provider}");
        }
    }
}

#[test]
fn the_demos_past_has_the_labels_that_prometheus_attaches() {
    let exporter = service("exporter");
    let command = exporter["command"].as_str().unwrap();
    let config = yaml("deploy/compose/prometheus.yml");
    let job = &config["scrape_configs"][0];
    let target = job["static_configs"][0]["targets"][0].as_str().unwrap();
    for label in [format!("--label=job={}", job["job_name"].as_str().unwrap()), format!("--label=instance={target}")] {
        assert!(command.contains(&label), "{label}: {command}");
    }
    let import = service("import");
    for service in [&exporter, &import] {
        assert!(strings(&service["volumes"]).contains(&"demo-history:/history"));
    }
    assert!(text("Dockerfile").contains("/image/history"), "its owner can write there");
    assert_eq!(service("prometheus")["depends_on"]["import"]["condition"], "service_completed_successfully");
}

/// The script with the real promtool: once, before the first start, for the demo alone.
#[test]
fn the_demos_past_is_imported_once_before_prometheus_starts() {
    let Some(promtool) = tools::find("promtool") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (data, history) = (folder.path().join("data"), folder.path().join("history"));
    std::fs::create_dir_all(history.join("account=demo")).unwrap();
    std::fs::create_dir(&data).unwrap();
    let path = format!("{}:/usr/bin:/bin", promtool.parent().unwrap().display());
    let import = |command: &str| {
        let mut script = Command::new("sh");
        script.arg(top().join("deploy/compose/import.sh")).env_clear().env("PATH", &path).env("COMMAND", command);
        tools::succeeds(script.env("DATA", &data).env("HISTORY", &history).env("PATIENCE", "0"));
        std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
    };
    assert!(import("demo").is_empty(), "without a past, the demo begins with its start");
    let stream = "# TYPE a gauge\na 1 1700000000\na 2 1700000240\n# EOF\n";
    std::fs::write(history.join("account=demo/history.openmetrics"), stream).unwrap();
    assert!(import("serve").is_empty(), "the real vendors have no past here");
    let blocks = import("demo --storage.path=none");
    assert!(blocks.len() == 1 && data.join(&blocks[0]).join("meta.json").is_file(), "{blocks:?}");
    std::fs::create_dir(data.join("wal")).unwrap();
    assert_eq!(import("demo").len(), 2, "a Prometheus that has started is left alone");
}
