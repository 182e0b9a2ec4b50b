#!/bin/bash
# The release once more, from a clone elsewhere with an empty target directory, byte for byte the same.
#   again.sh DIRECTORY
set -euo pipefail
cd "$(dirname "$0")/../.."
files=$(realpath "$1")
target=${CARGO_TARGET_DIR:-$PWD/target}
# Beside the target directory: the temporary one may be too small.
work=$(mktemp -d "$target/again.XXXXXX")
trap 'rm -rf "$work"' EXIT
git clone --quiet . "$work/clone"
git -C "$work/clone" checkout --quiet "$(git rev-parse HEAD)"
CARGO_TARGET_DIR=$work/target "$work/clone/release/build" "$work/files"
differ=0
for file in "$work/files"/*; do
    cmp --quiet "$file" "$files/$(basename "$file")" || { echo "again: differs: $(basename "$file")"; differ=1; }
done
[ "$differ" = 0 ] || { echo 'again: FAILED' >&2; exit 1; }
echo "again: $(find "$work/files" -type f | wc -l) files are the same"
