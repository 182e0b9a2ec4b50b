//! The Kubernetes manifests: rendered by kustomize, valid by the schemas, and the same rules and dashboards as everywhere.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::files::{documents, stem, strings, text, top, under, yaml};
use super::tools;

const OVERLAYS: [&str; 3] = ["demo", "production", "shards"];
const RULES: &str = "deploy/prometheus";
const DASHBOARDS: &str = "grafana/dashboards";
/// `kubectl apply` keeps a copy of an object in an annotation, which holds no more.
const LARGEST_ANNOTATION: usize = 262_144;

fn render(directory: &Path) -> Option<String> {
    let kubectl = tools::find("kubectl")?;
    Some(tools::succeeds(Command::new(kubectl).arg("kustomize").arg(directory)))
}

fn overlay(name: &str) -> Option<Vec<Value>> {
    render(&top().join("deploy/kubernetes/overlays").join(name)).map(|stream| documents(&stream))
}

fn one<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "more than one {kind}");
    first
}

/// What makes the pods.
fn workload(objects: &[Value]) -> &Value {
    let kind = if objects.iter().any(|object| object["kind"] == "StatefulSet") { "StatefulSet" } else { "Deployment" };
    one(objects, kind)
}

#[test]
fn each_rule_object_is_the_rule_file_that_prometheus_reads() {
    let originals: BTreeSet<String> = under(RULES, ".rules.yml").iter().map(|path| stem(path, ".rules.yml")).collect();
    assert!(!originals.is_empty());
    let kustomization = yaml("deploy/kubernetes/monitoring/rules/kustomization.yaml");
    let listed: BTreeSet<String> =
        strings(&kustomization["resources"]).iter().map(|name| stem(name, ".yaml")).collect();
    assert_eq!(listed, originals, "run deploy/kubernetes/monitoring/generate.sh");
    for name in originals {
        let object = yaml(&format!("deploy/kubernetes/monitoring/rules/{name}.yaml"));
        let original = yaml(&format!("{RULES}/{name}.rules.yml"));
        assert_eq!(object["spec"], original, "{name}: run deploy/kubernetes/monitoring/generate.sh");
    }
}

#[test]
fn each_dashboard_is_listed_as_a_config_map() {
    let kustomization = yaml("grafana/kustomization.yaml");
    assert_eq!(kustomization["generatorOptions"]["labels"]["grafana_dashboard"], "1");
    let listed: BTreeSet<String> = kustomization["configMapGenerator"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|generator| strings(&generator["files"]))
        .map(|file| format!("grafana/{file}"))
        .collect();
    let existing: BTreeSet<String> = under(DASHBOARDS, ".json").into_iter().collect();
    assert!(!existing.is_empty());
    assert_eq!(listed, existing);
}

#[test]
fn the_overlays_render_with_the_same_dashboards_rules_and_version() {
    for name in OVERLAYS {
        let Some(objects) = overlay(name) else { return };
        let dashboards: Vec<&Value> = objects
            .iter()
            .filter(|object| object["kind"] == "ConfigMap" && object["metadata"]["labels"]["grafana_dashboard"] == "1")
            .collect();
        let mut seen = BTreeSet::new();
        for dashboard in dashboards {
            for (file, data) in dashboard["data"].as_object().unwrap() {
                let original = text(&format!("{DASHBOARDS}/{file}"));
                assert_eq!(data.as_str().unwrap(), original, "{name}: {file}");
                assert!(dashboard.to_string().len() < LARGEST_ANNOTATION, "{file} is too large for kubectl apply");
                seen.insert(format!("{DASHBOARDS}/{file}"));
            }
        }
        assert_eq!(seen, under(DASHBOARDS, ".json").into_iter().collect());

        let rules = objects.iter().filter(|object| object["kind"] == "PrometheusRule");
        assert_eq!(rules.count(), under(RULES, ".rules.yml").len());
        let image = workload(&objects)["spec"]["template"]["spec"]["containers"][0]["image"].clone();
        assert!(image.as_str().unwrap().ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{image}");
    }
}

#[test]
fn the_pod_has_no_privilege_and_its_health_paths_are_probed() {
    for name in OVERLAYS {
        let Some(objects) = overlay(name) else { return };
        let workload = workload(&objects);
        // Two pods must never hold the one storage.
        if workload["kind"] == "Deployment" {
            assert_eq!(workload["spec"]["replicas"], 1);
            assert_eq!(workload["spec"]["strategy"]["type"], "Recreate");
        }
        let pod = &workload["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let container = &pod["containers"][0];
        let context = &container["securityContext"];
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(strings(&context["capabilities"]["drop"]), ["ALL"]);
        assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/-/healthy");
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/-/ready");
        for amount in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
            assert!(container["resources"].pointer(amount).is_some(), "{name}: {amount}");
        }
        let user = pod["securityContext"]["runAsUser"].as_u64().unwrap();
        assert!(text("Dockerfile").contains(&format!("USER {user}:{user}")), "the image's user is another");
    }
}

#[test]
fn the_network_policy_lets_prometheus_in_and_nothing_but_dns_and_https_out() {
    let Some(objects) = overlay("production") else { return };
    let policy = &one(&objects, "NetworkPolicy")["spec"];
    let deployment = one(&objects, "Deployment");
    assert_eq!(policy["podSelector"]["matchLabels"], deployment["spec"]["template"]["metadata"]["labels"]);
    // kustomize once rewrote this selector to the exporter's own label.
    assert_eq!(policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"], "prometheus");
    let ports: BTreeSet<u64> = policy["egress"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|rule| rule["ports"].as_array().unwrap())
        .map(|port| port["port"].as_u64().unwrap())
        .collect();
    assert_eq!(ports, BTreeSet::from([53, 443]));

    let Some(objects) = overlay("demo") else { return };
    let policy = &one(&objects, "NetworkPolicy")["spec"];
    assert_eq!(policy["egress"], serde_json::json!([]), "the demo asks nobody");
    assert_eq!(policy["policyTypes"], serde_json::json!(["Ingress", "Egress"]));
}

#[test]
fn each_shard_has_its_number_its_volume_and_its_address_and_they_share_the_accounts() {
    let Some(objects) = overlay("shards") else { return };
    assert!(objects.iter().all(|object| object["kind"] != "Deployment" && object["kind"] != "PersistentVolumeClaim"));
    let set = one(&objects, "StatefulSet");
    assert!(set["spec"].get("strategy").is_none(), "that is a Deployment's");
    let pod = &set["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let count = set["spec"]["replicas"].as_u64().unwrap();
    assert_eq!(strings(&container["args"]), [format!("--shard=$(POD_INDEX)/{count}")]);
    assert_eq!(container["resources"]["limits"]["memory"], "512Mi", "more than for one account");
    let index = container["env"].as_array().unwrap().iter().find(|entry| entry["name"] == "POD_INDEX").unwrap();
    let label = "metadata.labels['apps.kubernetes.io/pod-index']";
    assert_eq!(index["valueFrom"]["fieldRef"]["fieldPath"], label);
    let claimed: Vec<&str> = set["spec"]["volumeClaimTemplates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| claim["metadata"]["name"].as_str().unwrap())
        .collect();
    let volumes: Vec<&str> =
        pod["volumes"].as_array().unwrap().iter().map(|volume| volume["name"].as_str().unwrap()).collect();
    let mounts = container["volumeMounts"].as_array().unwrap();
    for mount in mounts {
        let name = mount["name"].as_str().unwrap();
        assert!(claimed.contains(&name) != volumes.contains(&name), "{name}");
    }
    let service = one(&objects, "Service");
    assert_eq!(service["spec"]["clusterIP"], "None");
    assert_eq!(set["spec"]["serviceName"], service["metadata"]["name"]);
    // Pods with one address would be one instance.
    let relabeling = &one(&objects, "ServiceMonitor")["spec"]["endpoints"][0]["relabelings"][0];
    assert_eq!(relabeling["sourceLabels"][0], "__meta_kubernetes_pod_name");
    // Each path that the accounts and the settings name is mounted.
    let settings = objects.iter().find(|object| object["data"].get("CONFIG_FILE").is_some()).unwrap();
    let mounted = |path: &str| mounts.iter().any(|mount| path.starts_with(mount["mountPath"].as_str().unwrap()));
    for setting in ["CONFIG_FILE", "SECRETS_DIRECTORY"] {
        assert!(mounted(settings["data"][setting].as_str().unwrap()), "{setting}");
    }
    let named = pod["volumes"][0]["configMap"]["name"].as_str().unwrap();
    let accounts =
        objects.iter().find(|object| object["metadata"]["name"] == named).expect("the ConfigMap of the accounts");
    assert!(accounts["data"]["accounts.yml"].as_str().unwrap().contains("accounts:\n"));
}

#[test]
fn production_mounts_its_credentials_as_files_that_can_be_replaced() {
    let Some(objects) = overlay("production") else { return };
    let pod = &one(&objects, "Deployment")["spec"]["template"]["spec"];
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    // A file mounted by subPath never changes.
    assert!(mounts.iter().all(|mount| mount.get("subPath").is_none()));
    let settings = objects
        .iter()
        .find(|object| object["kind"] == "ConfigMap" && object["data"].get("BATCHDATA_API_TOKEN_FILE").is_some())
        .unwrap();
    for (name, value) in settings["data"].as_object().unwrap() {
        if name.ends_with("_FILE") {
            let path = value.as_str().unwrap();
            let mounted = mounts.iter().any(|mount| path.starts_with(mount["mountPath"].as_str().unwrap()));
            assert!(mounted, "{name} is at {path}, where nothing is mounted");
        }
    }
}

#[test]
fn the_webhook_opens_its_port_in_the_pod_the_service_and_the_policy() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().canonicalize().unwrap();
    // kustomize takes relative paths only.
    let up = "../".repeat(place.components().count() - 1);
    let manifests = format!("{up}{}", top().join("deploy/kubernetes").strip_prefix("/").unwrap().display());
    let kustomization =
        format!("resources: ['{manifests}/overlays/production']\ncomponents: ['{manifests}/webhook']\n");
    std::fs::write(place.join("kustomization.yaml"), kustomization).unwrap();
    let Some(stream) = render(&place) else { return };
    let objects = documents(&stream);
    let container = &one(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert!(container["ports"].as_array().unwrap().iter().any(|port| port["containerPort"] == 10701));
    assert!(container["env"].as_array().unwrap().iter().any(|entry| entry["name"] == "RIGHTFOOT_WEBHOOK_SECRET_FILE"));
    let ports = one(&objects, "Service")["spec"]["ports"].as_array().unwrap();
    assert!(ports.iter().any(|port| port["port"] == 10701));
    let ingress = one(&objects, "NetworkPolicy")["spec"]["ingress"].as_array().unwrap();
    assert!(ingress.iter().any(|rule| rule["ports"][0]["port"] == "webhook"));
}

#[test]
fn kubernetes_own_schemas_accept_the_objects() {
    let Some(validate) = tools::find("kubernetes-validate") else { return };
    for name in OVERLAYS {
        let Some(stream) = render(&top().join("deploy/kubernetes/overlays").join(name)) else { return };
        let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        std::fs::write(file.path(), stream).unwrap();
        tools::succeeds(Command::new(&validate).args(["-k", "1.32", "--strict"]).arg(file.path()));
    }
}

#[test]
fn the_operators_schemas_accept_the_rules_and_the_service_monitor() {
    let modules = tools::directory().join("npm/node_modules");
    if !modules.join("@kubernetes-models/prometheus-operator").is_dir() {
        return tools::absent("@kubernetes-models/prometheus-operator");
    }
    let Some(node) = tools::find("node") else { return };
    let Some(objects) = overlay("production") else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(node);
    command.arg(top().join("tests/deploy/operator.mjs")).arg(modules);
    let mut kinds = BTreeSet::new();
    for (index, object) in objects.iter().enumerate() {
        if object["apiVersion"] == "monitoring.coreos.com/v1" {
            let path = directory.path().join(format!("{index}.json"));
            std::fs::write(&path, object.to_string()).unwrap();
            command.arg(path);
            kinds.insert(object["kind"].as_str().unwrap());
        }
    }
    assert_eq!(kinds, BTreeSet::from(["PrometheusRule", "ServiceMonitor"]));
    let said = tools::succeeds(&mut command);
    assert_eq!(said.lines().count(), under(RULES, ".rules.yml").len() + 1);
}
