#!/bin/bash
# The image archives: loaded by a container tool, described as the Dockerfile describes its image, run read-only as user
# 65532, the arm64 one under qemu; both under one name.
#   images.sh DIRECTORY
set -euo pipefail
cd "$(dirname "$0")/../.."
files=$(realpath "$1")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
fail() { echo "images: FAILED: $*" >&2; exit 1; }
work=$(mktemp -d)
outer=
buildah=(buildah --root "$work/images" --runroot "$work/run" --storage-driver vfs)
clean_up() {
    set +e
    [ -z "$outer" ] || kill -KILL "$outer" 2> /dev/null
    "${buildah[@]}" rm --all > /dev/null 2>&1
    rm -rf "$work"
}
trap clean_up EXIT

architectures=$(tests/release/architectures "$files")
for architecture in $architectures; do
    archive=$files/wallet-exporter-$version-linux-$architecture.oci.tar
    container=$("${buildah[@]}" from --pull-never --arch "$architecture" "oci-archive:$archive")
    "${buildah[@]}" inspect --type container "$container" > "$work/image.json"
    python3 - "$work/image.json" "$architecture" "$version" <<'CHECK' > "$work/environment" || fail "$architecture: it describes itself otherwise"
import json, re, sys
from pathlib import Path
image = json.load(open(sys.argv[1]))
config, recipe = image["OCIv1"]["config"], Path("Dockerfile").read_text()
assert image["OCIv1"]["architecture"] == sys.argv[2]
final = recipe.rsplit("FROM scratch", 1)[1]
assert config["User"] == re.search(r"^USER (\S+)", final, re.M)[1]
assert sorted(config["ExposedPorts"]) == [f"{port}/tcp" for port in re.search(r"^EXPOSE (.+)", final, re.M)[1].split()]
assert list(config["Volumes"]) == json.loads(re.search(r"^VOLUME (.+)", final, re.M)[1])
assert config["Entrypoint"] == json.loads(re.search(r"^ENTRYPOINT (.+)", final, re.M)[1])
wanted = set(re.findall(r"(?:ENV |    )([A-Z_]+=\S+)", final))
wanted = {variable for variable in wanted if not variable.startswith("MALLOC_")}
assert wanted == {entry for entry in config["Env"] if not entry.startswith("PATH=")}, (wanted, config["Env"])
labels = dict(re.findall(r'(org\.opencontainers\.image\.\w+)="([^"$]+)"', final))
assert labels.items() <= config["Labels"].items() and config["Labels"]["org.opencontainers.image.version"] == sys.argv[3]
print("\n".join(config["Env"]))
CHECK
    mapfile -t environment < "$work/environment"
    root=$("${buildah[@]}" mount "$container")
    echo "images: $architecture: $(stat -c %s "$archive") bytes"
    [ "$(find "$root" -type f | wc -l)" = 3 ] || fail "$architecture: $(find "$root" -type f)"
    [ "$(stat -c '%u %a' "$root/data")" = '65532 700' ] || fail "$architecture: /data"
    [ "$(stat -c '%u %a' "$root/history")" = '65532 755' ] || fail "$architecture: /history"
    mkdir -p "$root"/{proc,dev}
    touch "$root"/etc/{hosts,resolv.conf}
    command=(/usr/local/bin/wallet-exporter)
    if [ "$architecture" = arm64 ]; then
        # Beside the program only for this run: its emulator is this machine's, with its libraries.
        qemu=$(command -v qemu-aarch64)
        ldd "$qemu" | grep -o '/[^ ]*' | xargs cp --dereference --parents --target-directory="$root"
        install -D "$qemu" "$root/emulator"
        command=(/emulator /usr/local/bin/wallet-exporter)
    fi
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    install -d -o 65532 -g 65532 -m 0700 "$work/data-$architecture"
    tests/deploy/container.sh "$root" "$work/data-$architecture" "${environment[@]}" "WEB_LISTEN_ADDRESS=127.0.0.1:$port" -- \
        "${command[@]}" demo > "$work/log" 2>&1 &
    outer=$!
    for _ in $(seq 600); do
        kill -0 "$outer" 2> /dev/null || { cat "$work/log"; fail "$architecture ended"; }
        if curl -sf "http://127.0.0.1:$port/metrics" | grep -qE '^batchdata_wallet_balance_usd\{.*\} [0-9]'; then break; fi
        sleep 0.2
    done
    curl -sf "http://127.0.0.1:$port/metrics" | grep -qE '^batchdata_wallet_balance_usd\{.*\} [0-9]' || { cat "$work/log"; fail "$architecture: no balance"; }
    [ "$(stat -c %u "$work/data-$architecture"/wallet-exporter.db)" = 65532 ] || fail "$architecture: the ledger"
    pid=$(pgrep -P "$outer")
    awk '$5 == "/" { print $6 }' "/proc/$pid/mountinfo" | tail -n 1 | grep -qE '(^|,)ro(,|$)' || fail "$architecture: its root can be written"
    kill -TERM "$pid"
    wait "$outer" || { cat "$work/log"; fail "$architecture ended with $?"; }
    outer=
    echo "images: $architecture: serves the demo read-only as 65532 and ends with 0"
done

release/image-index "$files" "$version" "dir:$work/index"
python3 - "$work/index/manifest.json" "$architectures" <<'CHECK' || fail 'the index'
import json, sys
index = json.load(open(sys.argv[1]))
assert sorted(entry["platform"]["architecture"] for entry in index["manifests"]) == sorted(sys.argv[2].split()), index
CHECK
echo 'images: passed'
