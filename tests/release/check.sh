#!/bin/bash
# The release, built and then used as people use it. Flows in: this commit. Flows out: exit 0 if every part of
# target/release-files does what it is for. Needs root; takes 20 to 60 minutes with an empty target directory, most of it
# for compiling twice. CHECK_ONLY=yes checks what release/build has left there, REBUILD=no leaves out the second build.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/release
target=${CARGO_TARGET_DIR:-$PWD/target}
files=$target/release-files
export RELEASE_ROOT=${RELEASE_ROOT:-$target/release-root}
SECONDS=0
say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

say tools
"$here/tools.sh"
tests/deploy/tools.sh
export PATH=$target/release-tools/bin:$target/release-tools/python/bin:$PATH

if [ "${CHECK_ONLY:-}" != yes ]; then
    say build
    release/build "$files"
fi
say 'the files'
"$here/files.sh" "$files"
say 'the packages'
"$here/packages.sh" "$files"
say 'the images'
"$here/images.sh" "$files"
say 'the chart'
if command -v helm > /dev/null; then
    "$target/release-tools/python/bin/python" "$here/chart.py" "$(command -v helm)" "$files"/wallet-exporter-chart-*.tgz \
        "$target/deploy-tools/bin/kubernetes-validate" "$target/deploy-tools/npm/node_modules"
else
    echo 'SKIPPED: helm is not there and cannot be installed'
fi
say 'scripts and workflows'
"$here/scripts.sh"
if [ "${CHECK_ONLY:-}" != yes ] && [ "${REBUILD:-}" != no ]; then
    say 'the same once more, elsewhere'
    "$here/again.sh" "$files"
fi
