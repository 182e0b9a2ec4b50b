#!/bin/bash
# An RPM package. Flows in: the tree of the archive. Flows out: wallet-exporter-VERSION-1.MACHINE.rpm.
#   rpm.sh TREE VERSION MACHINE DIRECTORY
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$1 version=$2 machine=$3 directory=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/place.sh" "$tree" "$work/files" usr/share/zsh/site-functions
install -D -m 0644 "$tree/LICENSE" "$work/files/usr/share/licenses/wallet-exporter/LICENSE"
find "$work/files" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
# The files are ready: nothing is stripped, compressed or looked into.
rpmbuild -bb --quiet --target "$machine-linux" --define "_topdir $work/rpm" --define "package_version $version" \
    --define "release_files $work/files" --define '_unitdir /usr/lib/systemd/system' --define '__os_install_post %{nil}' \
    --define 'debug_package %{nil}' --define '_build_id_links none' --define '_buildhost localhost' \
    --define 'source_date_epoch_from_changelog 0' --define 'use_source_date_epoch_as_buildtime 1' \
    --define 'build_mtime_policy clamp_to_source_date_epoch' --define 'clamp_mtime_to_source_date_epoch 1' \
    --define '_rpmformat 4' --define '_binary_payload w19.xzdio' --buildroot "$work/root" "$here/wallet-exporter.spec"
cp "$work"/rpm/RPMS/*/*.rpm "$directory/wallet-exporter-$version-1.$machine.rpm"
