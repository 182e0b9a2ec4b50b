#!/bin/bash
# Where a package has its files. Flows in: the tree of the archive, and the directory of zsh's completions, the one thing
# in which distributions differ. Flows out: a root directory.
#   place.sh TREE ROOT ZSH
set -euo pipefail
tree=$1 root=$2 zsh=$3
rm -rf "$root"
install -D -m 0755 "$tree/wallet-exporter" "$root/usr/bin/wallet-exporter"
for page in "$tree"/man/*.1; do
    install -d "$root/usr/share/man/man1"
    gzip -9nc "$page" > "$root/usr/share/man/man1/$(basename "$page").gz"
    chmod 0644 "$root/usr/share/man/man1/$(basename "$page").gz"
done
install -D -m 0644 "$tree/completions/wallet-exporter.bash" "$root/usr/share/bash-completion/completions/wallet-exporter"
install -D -m 0644 "$tree/completions/wallet-exporter.fish" "$root/usr/share/fish/vendor_completions.d/wallet-exporter.fish"
install -D -m 0644 "$tree/completions/_wallet-exporter" "$root/$zsh/_wallet-exporter"
# A user that stays, instead of one for each start: administrators give the files of a package to a name.
install -d "$root/usr/lib/systemd/system"
sed -e 's|^ExecStart=/usr/local/bin/|ExecStart=/usr/bin/|' -e 's|^DynamicUser=yes|User=wallet-exporter\nGroup=wallet-exporter|' \
    "$tree/systemd/wallet-exporter.service" > "$root/usr/lib/systemd/system/wallet-exporter.service"
chmod 0644 "$root/usr/lib/systemd/system/wallet-exporter.service"
install -D -m 0600 "$tree/systemd/wallet-exporter.env" "$root/etc/wallet-exporter/wallet-exporter.env"
install -d -m 0700 "$root/etc/wallet-exporter/secrets"
