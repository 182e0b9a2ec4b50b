#!/bin/bash
# The files of a release: complete, summed, signed, and refused once they are changed; the programs static, without a path
# of the machine that built them, and alive; the manual page and completions as the shells see them.
#   files.sh DIRECTORY
set -euo pipefail
cd "$(dirname "$0")/../.."
files=$(realpath "$1")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
fail() { echo "files: FAILED: $*" >&2; exit 1; }
work=$(mktemp -d)
program=
trap '[ -z "$program" ] || kill "$program" 2> /dev/null || true; rm -rf "$work"' EXIT

expected="wallet-exporter-chart-$version.tgz wallet-exporter-monitoring-$version.tar.gz wallet-exporter-$version.provenance.json SHA256SUMS"
architectures=$(tests/release/architectures "$files")
for architecture in amd64:x86_64 arm64:aarch64; do
    [[ " $architectures " == *" ${architecture%:*} "* ]] || { echo "SKIPPED: ${architecture%:*} is not in this release"; continue; }
    name=wallet-exporter-$version-linux-${architecture%:*}
    expected+=" $name.tar.gz $name.cdx.json $name.oci.tar wallet-exporter_${version}_${architecture%:*}.deb wallet-exporter-$version-1.${architecture#*:}.rpm"
done
for file in $expected; do [ -s "$files/$file" ] || fail "$file is missing"; done
[ "$(find "$files" -type f ! -name '*.sigstore.json' ! -name '*.pub' | wc -l)" = "$(wc -w <<< "$expected")" ] || fail "there is more than $expected"

# --- signatures ----------------------------------------------------------------------------------------------------------
cosign=$(command -v cosign || echo "$RELEASE_ROOT/usr/bin/cosign")
export COSIGN_PASSWORD=only-for-this-test
cp -r "$files" "$work/signed"
(cd "$work" && "$cosign" generate-key-pair > /dev/null 2>&1 && mkdir other && cd other && "$cosign" generate-key-pair > /dev/null 2>&1)
release/sign "$work/signed" "$work/cosign.key" 2> /dev/null
release/verify "$work/signed" "$work/cosign.pub" > "$work/said" 2>&1 || { cat "$work/said"; fail 'a signed release is refused'; }
refused() { if release/verify "$work/signed" "${2:-$work/cosign.pub}" > "$work/said" 2>&1; then fail "$1 is not noticed"; fi; echo "files: refused: $1"; }
refused 'another key' "$work/other/cosign.pub"
deb=$work/signed/wallet-exporter_${version}_amd64.deb
cp "$deb" "$work/deb"
printf x >> "$deb"
refused 'a changed package'
sed -i "s/^[0-9a-f]*\(  wallet-exporter_${version}_amd64.deb\)/$(sha256sum "$deb" | cut -d ' ' -f 1)\1/" "$work/signed/SHA256SUMS"
refused 'a changed package with a changed sum'
cp "$files/SHA256SUMS" "$work/signed/"
cp "$work/deb" "$deb"
# By the sums alone; the second is the beginning of names that are part of the release.
mv "$work/signed/provenance.sigstore.json" "$work/"
for name in more wallet-exporter more.pub more.sigstore.json; do
    touch "$work/signed/$name"
    refused "a file $name that was put beside"
    rm "$work/signed/$name"
done
cp "$work/other/cosign.pub" "$work/signed/"
refused 'another key that was put beside'
rm "$work/signed/cosign.pub"
mv "$work/provenance.sigstore.json" "$work/signed/"
# Somebody who downloads one package verifies that one.
mkdir "$work/one"
cp "$deb" "$work/signed/SHA256SUMS" "$work/signed"/*.sigstore.json "$work/one/"
release/verify "$work/one" "$work/cosign.pub" > "$work/said" 2>&1 || { cat "$work/said"; fail 'a part of a release is refused'; }
# The same without cosign, as docs/install.md says.
python3 -c 'import base64, json, sys; sys.stdout.buffer.write(base64.b64decode(json.load(open(sys.argv[1]))["messageSignature"]["signature"]))' \
    "$work/one/SHA256SUMS.sigstore.json" > "$work/signature"
openssl dgst -sha256 -verify "$work/cosign.pub" -signature "$work/signature" "$work/one/SHA256SUMS" > /dev/null || fail 'openssl refuses the signature'

# --- programs ------------------------------------------------------------------------------------------------------------
for architecture in $architectures; do
    mkdir "$work/$architecture"
    tar -xzf "$files/wallet-exporter-$version-linux-$architecture.tar.gz" -C "$work/$architecture" --strip-components=1
    binary=$work/$architecture/wallet-exporter
    if readelf -lW "$binary" | grep -q INTERP || readelf -dW "$binary" 2> /dev/null | grep -q NEEDED; then fail "$architecture: not static"; fi
    # The directories of release/enter. Not `/src/` alone, which is in the remapped path of every crate, nor `/opt/`, where
    # certificates are looked for.
    if LC_ALL=C grep -aoE '/(cargo/registry|usr/src|usr/lib/rustlib|opt/ziglang|build/((x86_64|aarch64)-unknown-linux-musl|release|debug|zig|stage)|src/(src|simulator)|root)/[A-Za-z0-9_./-]+' "$binary" > "$work/paths"; then
        sort -u "$work/paths" | head >&2
        fail "$architecture: paths of the build"
    fi
    # What it says of its parts: the schema, and the crates of the lock file that matter most.
    python3 - "$files/wallet-exporter-$version-linux-$architecture.cdx.json" "$binary" <<'CHECK' || fail "$architecture: the SBOM"
import hashlib, json, re, sys
from pathlib import Path
text = Path(sys.argv[1]).read_text()
bom = json.loads(text)
assert bom["metadata"]["component"]["hashes"][0]["content"] == hashlib.sha256(Path(sys.argv[2]).read_bytes()).hexdigest()
locked = set(re.findall(r'name = "(.+)"\nversion = "(.+)"', Path("Cargo.lock").read_text()))
listed = {(part["name"], part["version"]) for part in bom["components"]}
assert listed <= locked, listed - locked
names = {name for name, _ in listed}
assert {"tokio", "rustls", "ring", "rusqlite", "libsqlite3-sys", "axum"} <= names and len(listed) > 100, len(listed)
assert not {"insta", "proptest", "clap_mangen"} & names, "parts that are not in the program"
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
assert error is None, error
print(f"files: SBOM of {len(listed)} crates")
CHECK
done

# serve NAME COMMAND...: the demo answers, and its resident memory is printed where it is this machine's own program.
serve() {
    local name=$1 port
    shift
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$@" demo --storage.path=none "--web.listen-address=127.0.0.1:$port" > "$work/$name.out" 2>&1 &
    program=$!
    for _ in $(seq 600); do
        kill -0 "$program" 2> /dev/null || { cat "$work/$name.out"; fail "$name ended"; }
        if curl -sf "http://127.0.0.1:$port/metrics" | grep -E '^batchdata_wallet_balance_usd\{.*\} [0-9]' > "$work/balance"; then break; fi
        sleep 0.2
    done
    [ -s "$work/balance" ] || { cat "$work/$name.out"; fail "$name serves no balance"; }
    echo "files: $name serves $(cat "$work/balance"); $(awk '/^VmRSS/ {print $2 " kB resident"}' "/proc/$program/status")"
    kill -TERM "$program"
    wait "$program" || fail "$name ended with $?"
    program=
}
"$work/amd64/wallet-exporter" --version | grep -q "^wallet-exporter $version (revision $(git rev-parse --short=12 HEAD))" \
    || echo "files: built from another commit: $("$work/amd64/wallet-exporter" --version)"
serve amd64 "$work/amd64/wallet-exporter"
[ ! -e "$work/arm64" ] || serve 'arm64 under qemu' qemu-aarch64 "$work/arm64/wallet-exporter"
# It needs nothing: no library, no file.
mkdir "$work/empty"
cp "$work/amd64/wallet-exporter" "$work/empty/"
chroot "$work/empty" /wallet-exporter --version > /dev/null || fail 'it does not start in an empty root'
stat -c 'files: program of %s bytes' "$work"/a*64/wallet-exporter

# --- manual and completions ----------------------------------------------------------------------------------------------
manual=$work/amd64
for page in "$manual"/man/*.1; do
    man --warnings --local-file "$page" > "$work/page" 2> "$work/warnings" || fail "man $page"
    [ ! -s "$work/warnings" ] || { cat "$work/warnings"; fail "man warns of $page"; }
done
man --local-file "$manual/man/wallet-exporter.1" | grep -q BATCHDATA_API_TOKEN_FILE || fail 'the manual page names no variables'
export PATH=$manual:$PATH
# completes TYPED WANTED: bash's own way of asking, for the last word.
completes() {
    bash -c 'source "$1"; asked=$(complete -p wallet-exporter | sed "s/.*-F \([^ ]*\).*/\1/")
        COMP_WORDS=(wallet-exporter "$2"); COMP_CWORD=1; "$asked" wallet-exporter "$2" wallet-exporter; [ "${COMPREPLY[*]}" = "$3" ]' \
        - "$manual/completions/wallet-exporter.bash" "$1" "$2" || fail "bash does not complete $1"
}
completes che check
completes --web.li --web.listen-address
[ "$(fish --no-config -c "source $manual/completions/wallet-exporter.fish; complete -C 'wallet-exporter che'" | cut -f 1)" = check ] \
    || fail 'fish does not complete "che"'
[ "$(fish --no-config -c "source $manual/completions/wallet-exporter.fish; complete -C 'wallet-exporter --log.level debug check --on'" | cut -f 1)" = --online ] \
    || fail 'fish does not complete "check --on"'
python3 - "$manual/completions" <<'CHECK' || fail 'zsh does not complete'
import os, pty, select, sys, time
# A real terminal: zsh completes nowhere else.
pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "dumb"
    os.execvp("zsh", ["zsh", "-f", "-i"])
seen = b""
def read(seconds):
    global seen
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 4096)
def until(words, seconds=30):
    end = time.monotonic() + seconds
    while words not in seen:
        assert time.monotonic() < end, seen
        read(0.2)
os.write(terminal, f"unsetopt zle_bracketed_paste; fpath=({sys.argv[1]} $fpath); autoload -U compinit; compinit -u -D; echo rea''dy\n".encode())
until(b"ready\r\n")
for typed, completed in (b"wallet-exporter che", b"check"), (b"wallet-exporter --web.li", b"--web.listen-address"):
    seen = b""
    os.write(terminal, typed + b"\t")
    until(completed)
    os.write(terminal, b"\x15")
CHECK
echo 'files: bash, fish and zsh complete; passed'
