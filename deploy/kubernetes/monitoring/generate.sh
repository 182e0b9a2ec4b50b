#!/bin/sh
# Flows in: the rule files that Prometheus reads. Flows out: one PrometheusRule object for each, in monitoring/rules,
# which a test compares with the originals. Run it after each change of a rule file.
set -eu
cd "$(dirname "$0")"
source=../../prometheus
rm -rf rules
mkdir rules
names=
for file in "$source"/*.rules.yml; do
    name=$(basename "$file" .rules.yml)
    names="$names $name"
    {
        echo "# Written by generate.sh from deploy/prometheus/$name.rules.yml: change that file, not this one."
        echo 'apiVersion: monitoring.coreos.com/v1'
        echo 'kind: PrometheusRule'
        echo 'metadata:'
        echo "  name: wallet-exporter-$name"
        echo 'spec:'
        sed -e '/^---$/d' -e 's/^\(.\)/  \1/' "$file"
    } > "rules/$name.yaml"
done
{
    echo '# Written by generate.sh.'
    echo 'apiVersion: kustomize.config.k8s.io/v1beta1'
    echo 'kind: Kustomization'
    echo 'resources:'
    for name in $names; do echo "  - $name.yaml"; done
} > rules/kustomization.yaml
