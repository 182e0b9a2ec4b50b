#!/bin/bash
# The packages in a fresh Debian root directory: installed, configured, started by the unit's command line as the unit's
# user, upgraded with the ledger and the settings kept, removed, purged. The former version is the same program in a package
# of a lower version: what a package does at an upgrade is its scripts'.
#   packages.sh DIRECTORY
set -euo pipefail
shopt -s nullglob
cd "$(dirname "$0")/../.."
if [ "${PACKAGES_ARE_SEPARATE:-}" != yes ]; then
    export PACKAGES_ARE_SEPARATE=yes
    exec unshare --mount --pid --fork --kill-child --mount-proc --propagation private -- "$0" "$@"
fi
files=$(realpath "$1")
architectures=$(tests/release/architectures "$files")
target=${CARGO_TARGET_DIR:-$PWD/target}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
fail() { echo "packages: FAILED: $*" >&2; exit 1; }
work=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true; umount "$work"/*/proc 2> /dev/null || true; rm -rf "$work"' EXIT

fresh=$target/release-tools/debian.tar
if [ ! -e "$fresh" ]; then
    valid=$(apt-config shell value Acquire::Check-Valid-Until)
    mmdebstrap --quiet --format=tar --variant=minbase ${valid:+--aptopt="Acquire::Check-Valid-Until \"$(eval "$valid"; echo "$value")\""} \
        bookworm "$fresh.part"
    mv "$fresh.part" "$fresh"
fi
new_root() {
    root=$work/$1
    mkdir "$root"
    tar -xf "$fresh" -C "$root"
    mount -t proc proc "$root/proc"
}
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
mode() { stat -c '%a %U' "$root/$1"; }

# Reads the unit as systemd does, as far as it matters here: ExecStart, User, Environment, EnvironmentFile, LoadCredential.
start() {
    local unit=$root/usr/lib/systemd/system/wallet-exporter.service command user uid environment=()
    command=$(sed -n 's/^ExecStart=//p' "$unit")
    user=$(sed -n 's/^User=//p' "$unit")
    uid=$(chroot "$root" id -u "$user") || fail "no user $user"
    rm -rf "$root/run/credentials"
    install -d -m 0700 -o "$uid" "$root/run/credentials" "$root/run/credentials/wallet-exporter.service"
    for file in "$root"/etc/wallet-exporter/secrets/*; do
        install -m 0400 -o "$uid" "$file" "$root/run/credentials/wallet-exporter.service/secret_$(basename "$file")"
    done
    mapfile -t environment < <(sed -n 's/^Environment=//p' "$unit" | sed 's|%S|/var/lib|'; grep -E '^[A-Z_]+=' "$root/etc/wallet-exporter/wallet-exporter.env")
    # shellcheck disable=SC2086
    env -i "${environment[@]}" /usr/bin/setpriv --no-new-privs /usr/sbin/chroot --userspec="$uid:$uid" --groups= "$root" $command > "$work/log" 2>&1 &
    service=$!
}
stop() { kill -TERM "$service"; wait "$service" || { cat "$work/log"; fail "it ended with $?"; }; }
counter() {
    for _ in $(seq 300); do
        kill -0 "$service" 2> /dev/null || { cat "$work/log"; fail 'it ended'; }
        if curl -sf "http://127.0.0.1:$port/metrics" | grep -E '^batchdata_wallet_debit_usd_total\{.*\} [0-9.]*[1-9]' > "$work/counter"; then
            sed 's/.* //' "$work/counter"
            return
        fi
        sleep 0.2
    done
    cat "$work/log"
    fail 'no counter'
}
simulate() {
    vendor=$(free_port) port=$(free_port)
    chroot "$root" /usr/bin/wallet-exporter simulate "--simulator.listen-address=127.0.0.1:$vendor" > "$work/vendor" 2>&1 &
    simulator=$!
    until grep -q BATCHDATA_API_TOKEN= "$work/vendor"; do kill -0 "$simulator" || { cat "$work/vendor"; fail 'the simulator'; }; sleep 0.1; done
    (umask 077 && sed -n 's/.*BATCHDATA_API_TOKEN=\([^ ]*\).*/\1/p' "$work/vendor" > "$root/etc/wallet-exporter/secrets/batchdata-api-token")
    {
        echo "BATCHDATA_BASE_URL=http://127.0.0.1:$vendor"
        echo "BATCHDATA_COUNT_SINCE=$(date -u -d '10 days ago' +%F)"
        echo "WEB_LISTEN_ADDRESS=127.0.0.1:$port"
        echo METRICS_START_AT_ZERO=1s
    } >> "$root/etc/wallet-exporter/wallet-exporter.env"
}
configured_and_running() {
    [ "$(mode etc/wallet-exporter/secrets)" = '700 root' ] || fail "secrets: $(mode etc/wallet-exporter/secrets)"
    [ "$(mode etc/wallet-exporter/wallet-exporter.env)" = '600 root' ] || fail "settings: $(mode etc/wallet-exporter/wallet-exporter.env)"
    [ "$(stat -c %u "$root/var/lib/wallet-exporter")" = "$(chroot "$root" id -u wallet-exporter)" ] || fail 'the owner of the ledger'
    [ "$(stat -c %a "$root/var/lib/wallet-exporter")" = 700 ] || fail 'the mode of the ledger'
    # Without a credential it says what to do, and systemd leaves it down.
    start
    code=0
    wait "$service" || code=$?
    if [ "$code" != 64 ] || ! grep -q BATCHDATA_API_TOKEN_FILE "$work/log"; then
        cat "$work/log"
        fail "without a credential it ended with $code"
    fi
    simulate
    start
    before=$(counter)
    [ "$(awk '/^Uid/ {print $2}' "/proc/$service/status")" != 0 ] || fail 'it runs as root'
    stop
    kill "$simulator"
    [ -s "$root/var/lib/wallet-exporter/wallet-exporter.db" ] || fail 'no ledger'
}
# The vendor is gone: what is shown comes from the ledger.
went_on() {
    grep -q "^BATCHDATA_BASE_URL=http://127.0.0.1:$vendor" "$root/etc/wallet-exporter/wallet-exporter.env" || fail 'the settings were replaced'
    start
    after=$(counter)
    stop
    python3 -c 'import sys; sys.exit(float(sys.argv[2]) < float(sys.argv[1]))' "$before" "$after" || fail "the counter went from $before to $after"
    echo "packages: $1: the counter stands at $after after the upgrade, was $before"
}

only_the_program_is_gone() {
    [ ! -e "$root/usr/bin/wallet-exporter" ] || fail 'removing left the program'
    for kept in var/lib/wallet-exporter/wallet-exporter.db etc/wallet-exporter/secrets/batchdata-api-token; do
        [ -s "$root/$kept" ] || fail "removing took $kept"
    done
}

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
mkdir "$work/tree" "$work/former"
tar -xzf "$files/wallet-exporter-$version-linux-amd64.tar.gz" -C "$work/tree" --strip-components=1
# Its settings differ from today's, so that the upgrade has a changed file to deal with.
sed -i '1i # The former version.' "$work/tree/systemd/wallet-exporter.env"
release/deb.sh "$work/tree" 0.0.9 amd64 "$work/former"
release/rpm.sh "$work/tree" 0.0.9 x86_64 "$work/former"

# --- Debian --------------------------------------------------------------------------------------------------------------
new_root deb
cp "$work/former"/*.deb "$files/wallet-exporter_${version}_amd64.deb" "$root/tmp/"
apt=(chroot "$root" env DEBIAN_FRONTEND=noninteractive dpkg)
"${apt[@]}" --install /tmp/wallet-exporter_0.0.9_amd64.deb > "$work/dpkg" 2>&1 || { cat "$work/dpkg"; fail 'dpkg --install'; }
grep -q 'systemctl enable --now' "$work/dpkg" || fail 'it does not say what is next'
configured_and_running
"${apt[@]}" --force-confold --install "/tmp/wallet-exporter_${version}_amd64.deb" > "$work/dpkg" 2>&1 || { cat "$work/dpkg"; fail 'the upgrade'; }
went_on deb
for file in usr/share/man/man1/wallet-exporter.1.gz usr/share/bash-completion/completions/wallet-exporter usr/share/zsh/vendor-completions/_wallet-exporter \
    usr/share/fish/vendor_completions.d/wallet-exporter.fish; do [ -s "$root/$file" ] || fail "no $file"; done
"${apt[@]}" --remove wallet-exporter > /dev/null 2>&1 || fail 'dpkg --remove'
only_the_program_is_gone
"${apt[@]}" --purge wallet-exporter > /dev/null 2>&1 || fail 'dpkg --purge'
left=$(find "$root" -xdev -path '*wallet-exporter*' ! -path "$root/tmp/*" ! -path "$root/run/*")
[ -z "$left" ] || fail "purging left $left"
if [[ $architectures == *arm64* ]]; then
    dpkg-deb --info "$files/wallet-exporter_${version}_arm64.deb" | grep -q '^ Architecture: arm64$' || fail 'the arm64 package'
    dpkg-deb --fsys-tarfile "$files/wallet-exporter_${version}_arm64.deb" | tar -xO ./usr/bin/wallet-exporter > "$work/arm64"
    readelf -h "$work/arm64" | grep -q AArch64 || fail 'the arm64 package holds another program'
fi

# --- RPM -----------------------------------------------------------------------------------------------------------------
new_root rpm
# Debian's rpm knows no package of the root directory, so it cannot see that the commands which the scripts need are there.
rpm=(rpm --root "$root" --dbpath /var/lib/rpm --nodeps)
rpm --root "$root" --dbpath /var/lib/rpm --initdb
"${rpm[@]}" --install "$work/former/wallet-exporter-0.0.9-1.x86_64.rpm" > "$work/said" 2>&1 || { cat "$work/said"; fail 'rpm --install'; }
grep -q 'systemctl enable --now' "$work/said" || fail 'it does not say what is next'
configured_and_running
"${rpm[@]}" --upgrade "$files/wallet-exporter-$version-1.x86_64.rpm" > "$work/said" 2>&1 || { cat "$work/said"; fail 'rpm --upgrade'; }
went_on rpm
[ -e "$root/etc/wallet-exporter/wallet-exporter.env.rpmnew" ] || fail 'the new settings are not laid beside the kept ones'
# Only the settings, a file of configuration, differ from the package.
if "${rpm[@]}" --verify wallet-exporter | grep -v ' c /etc/wallet-exporter/wallet-exporter.env$'; then fail 'rpm --verify'; fi
"${rpm[@]}" --erase wallet-exporter > "$work/said" 2>&1 || { cat "$work/said"; fail 'rpm --erase'; }
only_the_program_is_gone
[[ $architectures != *arm64* ]] || [ "$(rpm --query --package --queryformat '%{ARCH}' "$files/wallet-exporter-$version-1.aarch64.rpm" 2> /dev/null)" = aarch64 ] || fail 'the aarch64 package'
echo 'packages: passed'
