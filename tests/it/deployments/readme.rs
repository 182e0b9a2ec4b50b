//! The commands of `deploy/README.md`, run as written as far as they can run without an engine or a cluster.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::files::{strings, text, top, yaml};
use super::tools;

/// The commands below a heading, block by block.
fn blocks(heading: &str) -> Vec<String> {
    let readme = text("deploy/README.md");
    let section =
        readme.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no {heading}")).to_owned();
    let section = section.split("\n## ").next().unwrap();
    section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().replace("\\\n", "")).collect()
}

/// Runs commands in a directory that has the repository's `deploy`, a token and a built program, below another root.
fn run_below(root: &Path, commands: &str) {
    let checkout = root.join("checkout");
    std::fs::create_dir_all(checkout.join("target/release")).unwrap();
    std::os::unix::fs::symlink(top().join("deploy"), checkout.join("deploy")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_wallet-exporter"), checkout.join("target/release/wallet-exporter")).unwrap();
    std::fs::write(checkout.join("TOKEN"), "token\n").unwrap();
    let root = root.display();
    let commands = commands.replace(" /etc/", &format!(" {root}/etc/")).replace(" /usr/", &format!(" {root}/usr/"));
    tools::succeeds(Command::new("sh").args(["-e", "-c", &commands]).current_dir(&checkout));
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o7777
}

#[test]
fn the_commands_for_systemd_install_what_the_unit_reads() {
    let [commands] = &blocks("systemd")[..] else { panic!("one block") };
    let (installing, starting): (Vec<&str>, Vec<&str>) =
        commands.lines().partition(|line| !line.starts_with("systemctl "));
    assert_eq!(starting, ["systemctl daemon-reload", "systemctl enable --now wallet-exporter"]);
    let root = tempfile::tempdir().unwrap();
    run_below(root.path(), &installing.join("\n"));

    let at = |path: &str| root.path().join(path);
    assert_eq!(mode(&at("usr/local/bin/wallet-exporter")), 0o755);
    assert_eq!(mode(&at("etc/wallet-exporter/secrets")), 0o700);
    assert_eq!(mode(&at("etc/wallet-exporter/secrets/batchdata-api-token")), 0o600);
    assert_eq!(mode(&at("etc/wallet-exporter/wallet-exporter.env")), 0o600);
    let unit = at("etc/systemd/system/wallet-exporter.service");
    assert_eq!(mode(&unit), 0o644);
    let written = std::fs::read_to_string(&unit).unwrap();
    for line in
        written.lines().filter_map(|line| line.strip_prefix("EnvironmentFile=").or(line.strip_prefix("ExecStart=")))
    {
        assert!(at(line.trim_start_matches('/')).is_file(), "the unit reads {line}");
    }
    let Some(analyze) = tools::find("systemd-analyze") else { return };
    let program = at("usr/local/bin/wallet-exporter");
    std::fs::write(&unit, written.replace("/usr/local/bin/wallet-exporter", program.to_str().unwrap())).unwrap();
    let output = tools::run(Command::new(analyze).args(["verify", "--man=no"]).arg(&unit));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
fn the_commands_for_docker_give_the_image_a_token_that_it_can_read() {
    let blocks = blocks("Docker");
    let last = blocks.last().unwrap();
    let install = last.lines().find_map(|line| line.strip_prefix("sudo install ")).unwrap();
    assert!(text("Dockerfile").contains("\nUSER 65532:65532\n"));
    assert!(install.contains("-m 0400 -o 65532 -g 65532 "), "{install}");
    let installed = install.split(' ').next_back().unwrap();
    let run = last.lines().find(|line| line.starts_with("docker run ")).unwrap();
    let mounted = format!("-v {installed}:/run/secrets/token:ro");
    assert!(run.contains(&mounted) && run.contains("BATCHDATA_API_TOKEN_FILE=/run/secrets/token "), "{run}");
    if nix_root() {
        let root = tempfile::tempdir().unwrap();
        run_below(root.path(), &format!("install {install}"));
        assert_eq!(mode(&root.path().join(installed.trim_start_matches('/'))), 0o400);
    }
}

/// Whether this is root, who alone may give a file away.
fn nix_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[test]
fn the_commands_for_kubernetes_make_the_secret_after_its_namespace_and_with_every_file() {
    let blocks = blocks("Kubernetes");
    let [demo, production, shards] = blocks.as_slice() else { panic!("{blocks:?}") };
    let lines: Vec<&str> = production.lines().collect();
    let namespace = lines[0].strip_prefix("kubectl apply -f ").unwrap();
    let name = yaml(namespace)["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(lines[1].starts_with(&format!("kubectl -n {name} create secret generic wallet-exporter ")), "{}", lines[1]);
    let overlay = lines[2].strip_prefix("kubectl apply -k ").unwrap();
    assert_eq!(yaml(&format!("{overlay}/kustomization.yaml"))["namespace"], name.as_str());
    let settings = text(&format!("{overlay}/settings.env"));
    let files =
        settings.lines().filter_map(|line| line.split_once("=/run/secrets/wallet-exporter/")).map(|(_, file)| file);
    let files: Vec<&str> = files.collect();
    assert!(files.len() >= 2);
    for file in files {
        assert!(lines[1].contains(&format!("--from-file={file}=")), "the secret has no {file}");
    }

    let lines: Vec<&str> = shards.lines().collect();
    assert_eq!(yaml(lines[0].strip_prefix("kubectl apply -f ").unwrap())["metadata"]["name"], name.as_str());
    let overlay = lines[2].strip_prefix("kubectl apply -k ").unwrap();
    let accounts = yaml(&format!("{overlay}/accounts.yml"))["accounts"].clone();
    for account in accounts.as_array().unwrap() {
        let key = account["api_token_file"].as_str().unwrap();
        assert!(lines[1].contains(&format!("--from-file={key}=")), "the secret has no {key}");
    }

    let overlay = demo.lines().find_map(|line| line.strip_prefix("kubectl apply -k ")).unwrap();
    let images = yaml(&format!("{overlay}/kustomization.yaml"))["images"].clone();
    let tag = format!("wallet-exporter:{}", images[0]["newTag"].as_str().unwrap());
    assert!(demo.contains(&format!("docker tag wallet-exporter {tag}")), "the demo runs {tag}");
    let Some(kubectl) = tools::find("kubectl") else { return };
    for line in blocks.concat().lines().filter_map(|line| line.strip_prefix("kubectl apply -k ")) {
        tools::succeeds(Command::new(&kubectl).arg("kustomize").arg(top().join(line)));
    }
}

#[test]
fn the_commands_for_helm_set_values_that_the_chart_has() {
    let commands = blocks("Helm").concat();
    let values = yaml("deploy/helm/wallet-exporter/values.yaml");
    let mut seen = 0;
    for rest in commands.split("--set ").skip(1) {
        for setting in rest.split_whitespace().next().unwrap().split(',') {
            let (name, _) = setting.split_once('=').unwrap();
            let place = format!("/{}", name.replace('.', "/"));
            assert!(values.pointer(&place).is_some(), "the chart has no value {name}");
            seen += 1;
        }
    }
    assert_eq!(seen, 7);
}

#[test]
fn the_commands_that_delete_the_demo_delete_what_was_installed_and_silence_its_alert() {
    let deletion = blocks("Delete the demo").concat();
    let installed = blocks("Kubernetes").concat();
    let overlay = installed.lines().find_map(|line| line.strip_prefix("kubectl apply -k ")).unwrap();
    assert!(deletion.contains(&format!("kubectl delete -k {overlay} ")), "{deletion}");
    let installed = blocks("Helm").concat();
    let demo = installed.lines().find(|line| line.contains("--set demo=true")).unwrap();
    let namespace = demo.split("-n ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(deletion.contains(&format!("helm uninstall wallet-exporter -n {namespace} ")), "{deletion}");
    let alert = deletion.split("alertname=").nth(1).unwrap().split(' ').next().unwrap();
    assert!(text("deploy/prometheus/wallet-alerts.rules.yml").contains(&format!("- alert: {alert}\n")), "{alert}");
}

#[test]
fn the_commands_for_compose_are_accepted() {
    let Some(compose) = tools::find("docker-compose") else { return };
    let commands = blocks("Docker Compose").concat();
    let mut seen = 0;
    for rest in commands.lines().filter_map(|line| line.strip_prefix("docker compose ")) {
        let words: Vec<&str> = rest.split(' ').collect();
        // The command itself needs an engine: its help shows that it and its flags exist.
        let command = words[2];
        let help = tools::succeeds(Command::new(&compose).args([command, "--help"]));
        for flag in words[3..].iter().filter(|word| word.starts_with('-')) {
            assert!(help.contains(flag), "{command} has no {flag}");
        }
        tools::succeeds(Command::new(&compose).arg("-f").arg(top().join(words[1])).args(["config", "-q"]));
        seen += 1;
    }
    assert_eq!(seen, 3);
    let secret = commands.lines().find_map(|line| line.strip_prefix("sudo install ")).unwrap();
    let name = secret.split('/').next_back().unwrap();
    assert!(text("deploy/.env.example").contains(&format!("=/run/secrets/{name}\n")));
    let volumes = yaml("deploy/compose.yaml")["services"]["exporter"]["volumes"].clone();
    assert!(strings(&volumes).iter().any(|volume| volume.starts_with("./compose/secrets:/run/secrets")));
}

#[test]
fn every_file_that_a_command_names_is_there() {
    let readme = text("deploy/README.md");
    let mut seen = 0;
    for block in readme.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        for word in block.split_whitespace().filter(|word| word.starts_with("deploy/")) {
            // What a command makes.
            if word == "deploy/.env" || word.starts_with("deploy/compose/secrets/") {
                continue;
            }
            let found =
                if word.contains('*') { word.split('*').next().unwrap().rsplit_once('/').unwrap().0 } else { word };
            assert!(top().join(found).exists(), "{word} is not there");
            seen += 1;
        }
    }
    assert!(seen > 6, "{seen}");
}
