#!/bin/bash
# Flows in: Debian's packages, PyPI and Go modules. Flows out: what the tests of a release need, in target/release-tools/bin
# and on the system.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=${CARGO_TARGET_DIR:-$PWD/target}/release-tools
mkdir -p "$tools/bin"
missing=()
for pair in mmdebstrap:mmdebstrap rpm:rpm fish:fish zsh:zsh shellcheck:shellcheck qemu-aarch64:qemu-user buildah:buildah \
    newuidmap:uidmap curl:curl man:man-db go:golang-go pip3:python3-pip node:nodejs npm:npm readelf:binutils openssl:openssl \
    pgrep:procps; do
    command -v "${pair%%:*}" > /dev/null || missing+=("${pair#*:}")
done
[ -e /usr/share/bash-completion/bash_completion ] || missing+=(bash-completion)
python3 -c 'import ensurepip' 2> /dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
    tests/may-install.sh "${missing[@]}"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" > /dev/null
fi
if [ ! -x "$tools/python/bin/zizmor" ]; then
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet zizmor==1.32.0 pyyaml==6.0.3 'cyclonedx-python-lib[json-validation]==11.5.0'
fi
# Programs in Go, where this machine has them not. A release of Go that is too old, or no module proxy, is an absent tool.
for pair in helm:helm.sh/helm/v3/cmd/helm@v3.19.0 actionlint:github.com/rhysd/actionlint/cmd/actionlint@v1.7.7; do
    name=${pair%%:*}
    if command -v "$name" > /dev/null || [ -x "$tools/bin/$name" ]; then continue; fi
    GOBIN=$tools/bin go install "${pair#*:}" 2> "$tools/$name.log" || echo "release: $name cannot be installed: $(tail -n 1 "$tools/$name.log")" >&2
done
