#!/usr/bin/env python3
"""The Helm chart, rendered by Helm for every way to use it.

    chart.py HELM CHART KUBERNETES-VALIDATE OPERATOR-MODULES

CHART is a directory or a packaged chart. Every rendering must be what Kubernetes' and the operator's schemas say, and each
case says what must be in it, or with which words it must be refused.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

TOP = Path(__file__).resolve().parents[2]
HELM, CHART, VALIDATE, MODULES = sys.argv[1:]
BATCH = "00000000-0000-4000-8000-000000000001"
SECRET = "0123456789abcdef0123456789abcdef"
CREDENTIALS = {"credentials": {"existingSecret": "money"}}
ACCOUNTS = (TOP / "deploy/kubernetes/overlays/shards/accounts.yml").read_text(encoding="utf-8")
SHARDS = {**CREDENTIALS, "accounts": {"existingConfigMap": "wallets"}, "shards": 3}
WEBHOOK = {**CREDENTIALS, "rightfoot": {"enabled": True}, "webhook": {"enabled": True}}


def helm(values, *arguments):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(values, file)
        file.flush()
        return subprocess.run(
            [HELM, *arguments, CHART, "--values", file.name], capture_output=True, text=True, env={**os.environ, "KUBECONFIG": "/dev/null"}
        )


def render(values, name="run", kubernetes="1.32.0"):
    return helm(values, "template", name, "--namespace", "money", "--kube-version", kubernetes)


class Objects(list):
    def one(self, kind, ending=""):
        found = [entry for entry in self if entry["kind"] == kind and entry["metadata"]["name"].endswith(ending)]
        assert len(found) == 1, f"{len(found)} objects {kind} {ending}"
        return found[0]

    def all(self, kind):
        return [entry for entry in self if entry["kind"] == kind]

    def pod(self):
        return self.workload()["spec"]["template"]["spec"]

    def workload(self):
        (found,) = [entry for entry in self if entry["kind"] in ("Deployment", "StatefulSet")]
        return found

    def container(self):
        return self.pod()["containers"][0]

    def settings(self):
        (found,) = [entry["data"] for entry in self.all("ConfigMap") if "LOG_FORMAT" in entry["data"]]
        return found


def volumes(objects):
    return {volume["name"]: volume for volume in objects.pod()["volumes"]}


def every_file_is_mounted(objects):
    mounts = [mount["mountPath"] for mount in objects.container()["volumeMounts"]]
    for name, value in objects.settings().items():
        if name.endswith("_FILE") or name == "SECRETS_DIRECTORY":
            assert any(f"{value}/".startswith(f"{mount}/") for mount in mounts), f"{name}={value}: nothing is mounted there"


def existing_secret(objects):
    assert not objects.all("Secret")
    assert volumes(objects)["credentials"]["secret"]["secretName"] == "money"
    assert objects.settings()["BATCHDATA_API_TOKEN_FILE"] == "/run/secrets/wallet-exporter/batchdata-api-token"
    assert objects.one("PersistentVolumeClaim")["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert objects.one("Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert objects.container()["securityContext"]["readOnlyRootFilesystem"] is True
    assert len(objects) == 4, "the default installs more than it says"


def created_secret(objects):
    secret = objects.one("Secret")
    assert secret["stringData"] == {"batchdata-api-token": "token", "rightfoot-api-key": "key", "rightfoot-webhook-secret": SECRET}
    assert volumes(objects)["credentials"]["secret"]["secretName"] == secret["metadata"]["name"]
    assert "RIGHTFOOT_WEBHOOK_OLD_SECRET_FILE" not in objects.settings()


def rightfoot_alone(objects):
    assert set(objects.one("Secret")["stringData"]) == {"rightfoot-api-key", "rightfoot-webhook-secret", "rightfoot-webhook-old-secret"}
    assert not any(name.startswith("BATCHDATA_") for name in objects.settings())
    assert objects.settings()["RIGHTFOOT_WEBHOOK_OLD_SECRET_FILE"] == "/run/secrets/wallet-exporter/rightfoot-webhook-old-secret"


def named(objects):
    assert {entry["metadata"]["name"].split("-")[0] for entry in objects} == {"purse"}
    assert objects.workload()["metadata"]["labels"]["app.kubernetes.io/name"] == "pouch"
    assert objects.container()["image"] == "wallet-exporter:edge" and objects.container()["imagePullPolicy"] == "Always"
    service = objects.one("Service")
    assert service["spec"]["type"] == "NodePort"
    assert [port["port"] for port in service["spec"]["ports"]] == [80, 81]
    # Prometheus scrapes the pod behind it.
    assert service["metadata"]["annotations"]["prometheus.io/port"] == "10700"
    claim = objects.one("PersistentVolumeClaim")
    assert claim["metadata"]["annotations"] == {"backup": "no"}
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOncePod"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "2Gi"}},
    }
    policy = objects.one("NetworkPolicy")["spec"]
    assert [rule["from"] for rule in policy["ingress"]] == [[{"podSelector": {}}], [{"namespaceSelector": {}}]]
    assert policy["egress"][-1] == {"to": [{"podSelector": {}}]}
    pod = objects.pod()
    assert pod["terminationGracePeriodSeconds"] == 60
    assert pod["securityContext"]["fsGroup"] == 1000 and objects.container()["securityContext"]["procMount"] == "Default"


def demo(objects):
    assert objects.container()["args"] == ["demo", "--storage.path=none"]
    assert not objects.all("PersistentVolumeClaim") and not objects.all("Secret")
    assert objects.settings() == {"LOG_FORMAT": "json"}
    assert objects.one("NetworkPolicy")["spec"]["egress"] == []


def webhook(objects):
    ports = {port["name"]: port["port"] for port in objects.one("Service")["spec"]["ports"]}
    assert ports == {"metrics": 10700, "webhook": 10701}
    rule = objects.one("Ingress")["spec"]["rules"][0]
    assert rule["host"] == "wallet.example.org"
    path = rule["http"]["paths"][0]
    assert path["path"] == "/webhooks/" and path["backend"]["service"]["port"]["name"] == "webhook"
    assert objects.one("Ingress")["spec"]["tls"][0]["secretName"] == "certificate"
    sources = objects.one("NetworkPolicy")["spec"]["ingress"]
    assert [rule["ports"][0]["port"] for rule in sources] == ["metrics", "webhook"]
    assert objects.settings()["RIGHTFOOT_WEBHOOK_OLD_SECRET_FILE"].endswith("/rightfoot-webhook-old-secret")
    assert objects.one("ConfigMap", "-batches")["data"]["batch-ids.txt"].splitlines()[1:] == [BATCH]


def kustomizes_policy(objects):
    with open(TOP / "deploy/kubernetes/base/networkpolicy.yaml", encoding="utf-8") as file:
        wanted = yaml.safe_load(file)["spec"]
    policy = objects.one("NetworkPolicy")["spec"]
    assert policy["egress"] == wanted["egress"] and policy["ingress"] == wanted["ingress"]
    # Whom it protects is the pod, by its labels.
    labels = objects.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()


def monitoring(objects):
    monitor = objects.one("ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "stack"
    service = objects.one("Service")["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service.items()
    endpoint = monitor["spec"]["endpoints"][0]
    assert endpoint["path"] == "/money" and endpoint["scheme"] == "https" and endpoint["tlsConfig"] == {"insecureSkipVerify": True}
    assert endpoint["relabelings"][0]["replacement"] == "run-wallet-exporter.money.svc:10700"
    assert endpoint["interval"] == "1m" and endpoint["scrapeTimeout"] == "20s"
    assert objects.container()["livenessProbe"]["httpGet"]["scheme"] == "HTTPS"
    for file in sorted((TOP / "deploy/prometheus").glob("*.rules.yml")):
        with open(file, encoding="utf-8") as text:
            name = file.name.removesuffix(".rules.yml").removeprefix("wallet-")
            assert objects.one("PrometheusRule", f"-{name}")["spec"] == yaml.safe_load(text), file
    files = sorted((TOP / "grafana/dashboards").glob("*.json"))
    boards = [entry for entry in objects.all("ConfigMap") if entry["metadata"]["labels"].get("grafana_dashboard") == "1"]
    assert {name: text for board in boards for name, text in board["data"].items()} == {
        file.name: file.read_text(encoding="utf-8") for file in files
    }
    assert len(objects.all("PrometheusRule")) == 2 and len(files) == 4


def scrape_config(objects):
    spec = objects.one("ScrapeConfig")["spec"]
    assert spec["staticConfigs"] == [{"targets": ["run-wallet-exporter.money.svc:10700"]}]
    assert spec["metricsPath"] == "/metrics" and spec["scheme"] == "HTTP" and spec["scrapeInterval"] == "1m" and spec["scrapeTimeout"] == "20s"


def accounts(objects):
    assert objects.settings() == {
        "LOG_FORMAT": "json",
        "CONFIG_FILE": "/etc/wallet-exporter/accounts",
        "SECRETS_DIRECTORY": "/run/secrets/wallet-exporter",
        "BATCHDATA_BASE_URL": "http://127.0.0.1:1",
    }
    assert objects.one("ConfigMap", "-accounts")["data"] == {"accounts.yml": ACCOUNTS}
    assert volumes(objects)["accounts"]["configMap"]["name"] == objects.one("ConfigMap", "-accounts")["metadata"]["name"]
    assert objects.one("Secret")["stringData"] == {"growth": "token", "sales": "another"}
    assert objects.one("Deployment")["spec"]["replicas"] == 1 and "batches" not in volumes(objects)


def kustomizes_shards(objects):
    """The same as in the overlay, but for what values set."""
    with open(TOP / "deploy/kubernetes/overlays/shards/statefulset.yaml", encoding="utf-8") as file:
        wanted = {patch["path"]: patch.get("value") for patch in yaml.safe_load(file)}
    workload, service = objects.one("StatefulSet"), objects.one("Service")
    assert not objects.all("PersistentVolumeClaim") and "strategy" not in workload["spec"]
    for field in ("replicas", "podManagementPolicy"):
        assert workload["spec"][field] == wanted[f"/spec/{field}"]
    assert workload["spec"]["serviceName"] == service["metadata"]["name"] and service["spec"]["clusterIP"] == "None"
    assert objects.container()["args"] == wanted["/spec/template/spec/containers/0/args"]
    assert objects.container()["env"] == [wanted["/spec/template/spec/containers/0/env/-"]]
    claim = workload["spec"]["volumeClaimTemplates"][0]
    assert claim["metadata"] == {"name": "data"} and claim["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert "data" not in volumes(objects) and volumes(objects)["accounts"]["configMap"]["name"] == "wallets"
    relabeling = objects.one("ServiceMonitor")["spec"]["endpoints"][0]["relabelings"][0]
    assert relabeling == {
        "sourceLabels": ["__meta_kubernetes_pod_name"],
        "targetLabel": "instance",
        "replacement": f"$1.{service['metadata']['name']}.money.svc:10700",
    }


def scraped_shards(objects):
    names = [f"run-wallet-exporter-{shard}.run-wallet-exporter-shards.money.svc:10700" for shard in range(3)]
    assert objects.one("ScrapeConfig")["spec"]["staticConfigs"] == [{"targets": names}]
    assert volumes(objects)["data"]["emptyDir"] == {} and "volumeClaimTemplates" not in objects.workload()["spec"]


def extras(objects):
    container, pod = objects.container(), objects.pod()
    assert container["image"] == "registry.example.org/exporter@sha256:" + "0" * 64
    assert container["env"] == [{"name": "HTTPS_PROXY", "value": "http://proxy.example.org:3128"}]
    assert container["envFrom"][1] == {"secretRef": {"name": "more"}}
    assert container["args"] == ["--log.level=debug"]
    assert container["resources"] == {"requests": {"cpu": "10m", "memory": "40Mi"}, "limits": {"memory": "64Mi"}}
    assert volumes(objects)["data"]["persistentVolumeClaim"]["claimName"] == "mine" and not objects.all("PersistentVolumeClaim")
    assert objects.settings()["BATCHDATA_CRITICAL_BALANCE_USD"] == "100"
    assert pod["nodeSelector"] == {"disk": "fast"} and pod["serviceAccountName"] == "me" and pod["priorityClassName"] == "high"
    annotations = objects.one("Service")["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true" and annotations["prometheus.io/port"] == "10700"
    assert all(entry["metadata"]["labels"]["team"] == "data" for entry in objects)


CASES = [
    ("an existing Secret", CREDENTIALS, existing_secret),
    (
        "a created Secret",
        {
            "credentials": {"batchdataApiToken": "token", "rightfootApiKey": "key", "rightfootWebhookSecret": SECRET},
            "rightfoot": {"enabled": True},
            "webhook": {"enabled": True},
        },
        created_secret,
    ),
    ("the demo", {"demo": True, "networkPolicy": {"enabled": True}}, demo),
    (
        "the webhook",
        {
            **WEBHOOK,
            "rightfoot": {"enabled": True, "batchIds": [BATCH]},
            "webhook": {
                "enabled": True,
                "acceptOldSecret": True,
                "ingress": {"enabled": True, "className": "nginx", "host": "wallet.example.org", "tlsSecretName": "certificate", "annotations": {"a": "b"}},
            },
            "networkPolicy": {"enabled": True},
        },
        webhook,
    ),
    ("the network policy", {**CREDENTIALS, "networkPolicy": {"enabled": True}}, kustomizes_policy),
    (
        "the operator",
        {
            **CREDENTIALS,
            "config": {"WEB_TELEMETRY_PATH": "/money"},
            "webConfig": {"existingSecret": "web", "tls": True},
            "serviceMonitor": {
                "enabled": True,
                "labels": {"release": "stack"},
                "interval": "1m",
                "scrapeTimeout": "20s",
                "endpoint": {"tlsConfig": {"insecureSkipVerify": True}},
            },
            "prometheusRule": {"enabled": True, "labels": {"release": "stack"}},
            "dashboards": {"enabled": True, "labels": {"board": "yes"}, "annotations": {"grafana_folder": "Money"}},
        },
        monitoring,
    ),
    (
        "a ScrapeConfig",
        {
            **CREDENTIALS,
            "scrapeConfig": {
                "enabled": True,
                "labels": {"release": "stack"},
                "interval": "1m",
                "scrapeTimeout": "20s",
                "spec": {"scrapeClass": "default"},
            },
        },
        scrape_config,
    ),
    (
        "Rightfoot alone",
        {
            "batchdata": {"enabled": False},
            "rightfoot": {"enabled": True},
            "credentials": {"rightfootApiKey": "key", "rightfootWebhookSecret": SECRET, "rightfootWebhookOldSecret": SECRET[::-1]},
            "webhook": {"enabled": True, "acceptOldSecret": True},
        },
        rightfoot_alone,
    ),
    (
        "other names, addresses and limits",
        {
            **WEBHOOK,
            "nameOverride": "pouch",
            "fullnameOverride": "purse",
            "image": {"tag": "edge", "pullPolicy": "Always"},
            "service": {"type": "NodePort", "port": 80, "webhookPort": 81},
            "scrapeAnnotations": True,
            "persistence": {
                "storageClassName": "fast",
                "accessModes": ["ReadWriteOncePod"],
                "size": "2Gi",
                "annotations": {"backup": "no"},
                "keep": False,
            },
            "networkPolicy": {
                "enabled": True,
                "prometheus": [{"podSelector": {}}],
                "webhook": [{"namespaceSelector": {}}],
                "extraEgress": [{"to": [{"podSelector": {}}]}],
            },
            "terminationGracePeriodSeconds": 60,
            "podSecurityContext": {"fsGroup": 1000},
            "securityContext": {"procMount": "Default"},
        },
        named,
    ),
    (
        "an accounts file",
        {
            "accounts": {"content": ACCOUNTS},
            "credentials": {"accounts": {"growth": "token", "sales": "another"}},
            "rightfoot": {"enabled": True},
            "config": {"BATCHDATA_BASE_URL": "http://127.0.0.1:1"},
        },
        accounts,
    ),
    ("shards", {**SHARDS, "persistence": {"size": "10Gi"}, "serviceMonitor": {"enabled": True}}, kustomizes_shards),
    ("shards without persistence", {**SHARDS, "persistence": {"enabled": False}, "scrapeConfig": {"enabled": True}}, scraped_shards),
    (
        "everything else",
        {
            **CREDENTIALS,
            "commonLabels": {"team": "data"},
            "image": {"repository": "registry.example.org/exporter", "digest": "sha256:" + "0" * 64},
            "imagePullSecrets": [{"name": "pull"}],
            "config": {"BATCHDATA_CRITICAL_BALANCE_USD": 100},
            "persistence": {"existingClaim": "mine"},
            "scrapeAnnotations": True,
            "service": {"annotations": {"x": "y"}},
            "resources": {"requests": {"memory": "40Mi"}},
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.org:3128"}],
            "extraEnvFrom": [{"secretRef": {"name": "more"}}],
            "extraVolumes": [{"name": "more", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
            "extraArgs": ["--log.level=debug"],
            "podAnnotations": {"p": "q"},
            "podLabels": {"r": "s"},
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "serviceAccountName": "me",
            "priorityClassName": "high",
        },
        extras,
    ),
    ("no persistence", {**CREDENTIALS, "persistence": {"enabled": False}}, lambda objects: volumes(objects)["data"]["emptyDir"]),
]

REFUSED = [
    ({}, "BatchData needs its token"),
    ({"batchdata": {"enabled": False}}, "no vendor is on"),
    ({**CREDENTIALS, "credentials": {"existingSecret": "x", "batchdataApiToken": "y"}}, "not both"),
    ({"batchdata": {"enabled": False}, "rightfoot": {"enabled": True}}, "Rightfoot needs its key"),
    ({**CREDENTIALS, "webhook": {"enabled": True}}, "webhook.enabled needs rightfoot.enabled"),
    ({**WEBHOOK, "webhook": {"enabled": True, "ingress": {"enabled": True}}}, "webhook.ingress.host"),
    ({**CREDENTIALS, "serviceMonitor": {"enabled": True}, "scrapeConfig": {"enabled": True}}, "twice"),
    ({**CREDENTIALS, "accounts": {"content": "x", "existingConfigMap": "y"}}, "not both"),
    ({"accounts": {"content": "x"}}, "the accounts need their secrets"),
    ({**CREDENTIALS, "accounts": {"content": "x"}, "config": {"BATCHDATA_MAX_AGE": "1h"}}, "config.BATCHDATA_MAX_AGE"),
    ({**CREDENTIALS, "accounts": {"content": "x"}, "rightfoot": {"batchIds": [BATCH]}}, "rightfoot.batchIds"),
    ({**CREDENTIALS, "shards": 2}, "needs an accounts file"),
    ({**SHARDS, "webhook": {"enabled": True}}, "one of the shards"),
    ({**SHARDS, "persistence": {"existingClaim": "mine"}}, "a claim of its own"),
    ({**SHARDS, "service": {"type": "LoadBalancer"}}, "headless"),
    # The schema.
    ({**CREDENTIALS, "shards": 0}, "shards"),
    ({**CREDENTIALS, "config": {"CONFIG_FILE": "/accounts.yml"}}, "CONFIG_FILE"),
    ({**CREDENTIALS, "persistance": {}}, "persistance"),
    ({**CREDENTIALS, "config": {"BATCHDATA_CRITICAL_BALANCE": "1"}}, "BATCHDATA_CRITICAL_BALANCE"),
    ({**CREDENTIALS, "config": {"BATCHDATA_API_TOKEN": "secret"}}, "BATCHDATA_API_TOKEN"),
    ({**CREDENTIALS, "rightfoot": {"enabled": True, "batchIds": ["nonsense"]}}, "batchIds"),
    ({**WEBHOOK, "credentials": {"rightfootWebhookSecret": "short"}}, "rightfootWebhookSecret"),
    ({**CREDENTIALS, "serviceMonitor": {"interval": "often"}}, "interval"),
    ({**CREDENTIALS, "persistence": {"accessModes": ["ReadWriteMany"]}}, "accessModes"),
]


def accepted(text, objects):
    with tempfile.TemporaryDirectory() as directory:
        core, custom = Path(directory, "core.yaml"), []
        core.write_text(yaml.safe_dump_all([entry for entry in objects if "coreos" not in entry["apiVersion"]]), encoding="utf-8")
        for version in ("1.25", "1.32", "1.37"):
            subprocess.run([VALIDATE, "-k", version, "--strict", core], check=True, capture_output=True)
        for number, entry in enumerate(entry for entry in objects if "coreos" in entry["apiVersion"]):
            custom.append(Path(directory, f"{number}.json"))
            custom[-1].write_text(json.dumps(entry), encoding="utf-8")
        if custom:
            subprocess.run(["node", TOP / "tests/deploy/operator.mjs", MODULES, *custom], check=True, capture_output=True)


def places(values, schema, path=()):
    """The values that can be set, each with its default; a group without fixed names is one value."""
    if schema.get("additionalProperties") is not False:
        yield path, values
        return
    for name, value in values.items():
        yield from places(value, schema["properties"][name], (*path, name))


def at(values, path):
    for name in path:
        values = values.get(name, {}) if isinstance(values, dict) else {}
    return values


def without(values, path):
    first, *rest = path
    return {name: without(value, rest) if name == first else value for name, value in values.items() if name != first or rest}


def every_value_is_tried():
    """Some case changes it, and what is rendered then is something else."""
    chart = TOP / "deploy/helm/wallet-exporter"
    defaults, schema = yaml.safe_load((chart / "values.yaml").read_text()), json.loads((chart / "values.schema.json").read_text())
    tried = 0
    for path, default in places(defaults, schema):
        name = ".".join(path)
        values = next((values for _, values, _ in CASES if at(values, path) not in ({}, default)), None)
        assert values is not None, f"no case changes {name}"
        assert render(values).stdout != render(without(values, path)).stdout, f"{name} changes nothing"
        tried += 1
    print(f"chart: {tried} values are each changed by a case")


def main():
    lint = helm(CREDENTIALS, "lint", "--strict")
    assert lint.returncode == 0, lint.stdout + lint.stderr
    print("chart: lint passes")
    for name, values, check in CASES:
        done = render(values)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        objects = Objects(entry for entry in yaml.safe_load_all(done.stdout) if entry)
        try:
            check(objects)
            every_file_is_mounted(objects)
            accepted(done.stdout, objects)
        except (AssertionError, subprocess.CalledProcessError) as error:
            sys.exit(f"chart: FAILED: {name}: {error!r} {getattr(error, 'stdout', b'')!r} {getattr(error, 'stderr', b'')!r}")
        print(f"chart: {name}: {len(objects)} objects")
    for values, words in REFUSED:
        done = render(values)
        assert done.returncode != 0 and words in done.stderr, f"{values} gave {done.returncode}: {done.stderr}"
    print(f"chart: {len(REFUSED)} wrong values are refused by name")
    every_value_is_tried()
    # A changed setting starts a new pod, a changed list of batches does not.
    def digest(values):
        objects = Objects(entry for entry in yaml.safe_load_all(render(values).stdout) if entry)
        return objects.workload()["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert digest(CREDENTIALS) != digest({**CREDENTIALS, "config": {"LOG_LEVEL": "debug"}})
    assert digest({**CREDENTIALS, "accounts": {"content": "a"}}) != digest({**CREDENTIALS, "accounts": {"content": "b"}})
    rightfoot = {**CREDENTIALS, "rightfoot": {"enabled": True}}
    assert digest(rightfoot) == digest({**rightfoot, "rightfoot": {"enabled": True, "batchIds": [BATCH]}}), "new batch ids restart the pod"
    # Names stay names of Kubernetes, however long the release's is.
    long = render(CREDENTIALS, name="a" * 53)
    assert long.returncode == 0, long.stderr
    for entry in yaml.safe_load_all(long.stdout):
        assert not entry or len(entry["metadata"]["name"]) <= 63
    assert render(CREDENTIALS, kubernetes="1.24.0").returncode != 0, "an old cluster is accepted"
    assert "needs Kubernetes 1.28" in render(SHARDS, kubernetes="1.27.9").stderr, "shards on an old cluster are accepted"
    print("chart: passed")


main()
