#!/bin/bash
# The files of a release as they are unpacked from the archive, and as the packages place them. Flows in: the program and
# the directory of the manual. Flows out: a tree.
#   tree.sh TREE PROGRAM MANUAL
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$1 program=$2 manual=$3
rm -rf "$tree"
install -D -m 0755 "$program" "$tree/wallet-exporter"
install -m 0644 LICENSE README.md CHANGELOG.md "$tree/"
install -D -m 0644 -t "$tree/man" "$manual"/*.1
install -D -m 0644 -t "$tree/completions" "$manual/wallet-exporter.bash" "$manual/_wallet-exporter" "$manual/wallet-exporter.fish"
install -D -m 0644 -t "$tree/systemd" deploy/systemd/wallet-exporter.service deploy/systemd/wallet-exporter.env
