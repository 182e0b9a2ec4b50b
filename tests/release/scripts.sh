#!/bin/bash
# The scripts and workflows of the release: linted, and those that run on a host tried with what a host would give them.
set -euo pipefail
cd "$(dirname "$0")/../.."
fail() { echo "scripts: FAILED: $*" >&2; exit 1; }
mapfile -t scripts < <(grep -rlE '^#!/bin/(ba)?sh' release tests/release)
shellcheck "${scripts[@]}"
if command -v actionlint > /dev/null; then actionlint; else echo 'SKIPPED: actionlint is not there and cannot be installed'; fi
zizmor --quiet --offline .github || fail zizmor

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Actions on a host of our own: a plain tag and an annotated one.
git init --quiet "$work/host/actions/checkout"
commit() { git -C "$work/host/$1" -c user.name=x -c user.email=x@localhost commit --quiet --allow-empty -m x; }
commit actions/checkout
git -C "$work/host/actions/checkout" -c user.name=x -c user.email=x@localhost tag -a -m x v5
cp -r "$work/host/actions/checkout" "$work/host/actions/upload-artifact"
commit actions/upload-artifact
git -C "$work/host/actions/upload-artifact" tag v4
cp -r .github/workflows "$work/workflows"
sed -i '/download-artifact/d' "$work"/workflows/*.yml
ACTIONS_HOST=$work/host release/pin-actions "$work/workflows" > /dev/null
for pair in checkout:v5 upload-artifact:v4; do
    head=$(git -C "$work/host/actions/${pair%:*}" rev-parse HEAD)
    grep -qx " *- uses: actions/${pair%:*}@$head # ${pair#*:}" "$work/workflows/release.yml" || fail "pin-actions: $pair"
done
cp .github/workflows/* "$work/workflows/"
if ACTIONS_HOST=$work/host release/pin-actions "$work/workflows" > /dev/null 2>&1; then fail 'pin-actions: an unknown action'; fi

# A tag is only accepted with its changelog.
git archive HEAD Cargo.toml CHANGELOG.md deploy/helm release | tar -x -C "$work"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
sed -i "0,/^## .*/s//## $version (2026-01-31)/" "$work/CHANGELOG.md"
"$work/release/check-tag" "v$version" || fail 'check-tag refuses a good tag'
"$work/release/notes" "$version" | grep -q . || fail 'no notes'
if "$work/release/check-tag" v9.9.9 2> /dev/null; then fail 'check-tag accepts a wrong tag'; fi
sed -i "0,/^## .*/s//## $version (not released yet)/" "$work/CHANGELOG.md"
if "$work/release/check-tag" "v$version" 2> /dev/null; then fail 'check-tag accepts an unreleased changelog'; fi
sed -i 's/^appVersion: .*/appVersion: 9.9.9/' "$work/deploy/helm/wallet-exporter/Chart.yaml"
sed -i "0,/^## .*/s//## $version (2026-01-31)/" "$work/CHANGELOG.md"
if "$work/release/check-tag" "v$version" 2> /dev/null; then fail 'check-tag accepts another chart'; fi
echo 'scripts: passed'
