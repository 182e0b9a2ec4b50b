#!/bin/bash
# A Debian package. Flows in: the tree of the archive. Flows out: wallet-exporter_VERSION_ARCHITECTURE.deb.
#   deb.sh TREE VERSION ARCHITECTURE DIRECTORY
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$1 version=$2 architecture=$3 directory=$4
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
"$here/place.sh" "$tree" "$root" usr/share/zsh/vendor-completions
install -D -m 0644 "$tree/LICENSE" "$root/usr/share/doc/wallet-exporter/copyright"
gzip -9nc "$tree/CHANGELOG.md" > "$root/usr/share/doc/wallet-exporter/changelog.gz"
chmod 0644 "$root/usr/share/doc/wallet-exporter/changelog.gz"
install -d "$root/DEBIAN"
install -m 0755 "$here"/debian/{postinst,prerm,postrm} "$root/DEBIAN/"
echo /etc/wallet-exporter/wallet-exporter.env > "$root/DEBIAN/conffiles"
cat > "$root/DEBIAN/control" <<CONTROL
Package: wallet-exporter
Version: $version
Architecture: $architecture
Maintainer: The authors of wallet-exporter <wallet-exporter@localhost>
Section: net
Priority: optional
Depends: passwd
Recommends: ca-certificates, systemd
Installed-Size: $(du -k -s --apparent-size --exclude=DEBIAN "$root" | cut -f 1)
Description: Prometheus exporter for prepaid data-API wallets
 It polls the reporting endpoints of BatchData and Rightfoot, and serves the
 balance, the spend and the results of balance checks as metrics.
CONTROL
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$root" "$directory/wallet-exporter_${version}_$architecture.deb" > /dev/null
