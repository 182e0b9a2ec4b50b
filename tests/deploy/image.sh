#!/bin/bash
# The image, really built and really run. Flows in: the Dockerfile and what it copies. Flows out: exit 0 if the image,
# as its own user on a read-only root, shows the demo's metrics, ends cleanly on SIGTERM, keeps its counters in /data for
# the next container, and is small; its size is printed. Needs root. What is slow to make (stand-ins of the base images,
# compiled dependencies) stays under target/deploy-image for the next run; all else is removed.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/deploy
IMAGE_STORAGE=${CARGO_TARGET_DIR:-$PWD/target}/deploy-image
LARGEST_IMAGE_MB=40
SECONDS=0

fail() { echo "image: FAILED: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail 'building and mounting images needs root'
mkdir -p "$IMAGE_STORAGE"
exec 9> "$IMAGE_STORAGE/lock"
flock 9

missing=()
for program in buildah:buildah debootstrap:debootstrap newuidmap:uidmap curl:curl python3:python3; do
    command -v "${program%%:*}" > /dev/null || missing+=("${program#*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
    tests/may-install.sh "${missing[@]}"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" > /dev/null
fi

# Overlays make layers cheap, so that compiled dependencies are kept; where the kernel has none, every run compiles all.
choose_driver() {
    if [ -e "$IMAGE_STORAGE/driver" ]; then return; fi
    local container
    if container=$(buildah --root "$IMAGE_STORAGE/images" --runroot "$IMAGE_STORAGE/run" --storage-driver overlay from scratch 2> /dev/null); then
        buildah --root "$IMAGE_STORAGE/images" --runroot "$IMAGE_STORAGE/run" --storage-driver overlay rm "$container" > /dev/null
        echo overlay > "$IMAGE_STORAGE/driver"
    else
        rm -rf "$IMAGE_STORAGE/images" "$IMAGE_STORAGE/run"
        echo vfs > "$IMAGE_STORAGE/driver"
    fi
}
choose_driver
IMAGE_DRIVER=$(cat "$IMAGE_STORAGE/driver")
export IMAGE_STORAGE IMAGE_DRIVER
buildah=(buildah --root "$IMAGE_STORAGE/images" --runroot "$IMAGE_STORAGE/run" --storage-driver "$IMAGE_DRIVER")
if [ "$IMAGE_DRIVER" = overlay ]; then layers=--layers; else layers=--layers=false; fi

work=$(mktemp -d)
declare -A running=()
clean_up() {
    # A child that is ended before it has put off what it inherits would clean up for all.
    [ "$BASHPID" = "$$" ] || return
    set +e
    local pid
    for pid in "${!running[@]}"; do kill -KILL "$pid" 2> /dev/null; wait "$pid" 2> /dev/null; done
    # All containers of this storage are ours, also one that an interrupted build has left; no mount may outlive the run,
    # or the target directory could not be deleted.
    "${buildah[@]}" rm --all > /dev/null 2>&1
    umount "$IMAGE_STORAGE/images/overlay" 2> /dev/null
    rm -rf "$work"
}
trap clean_up EXIT

# --- build ---------------------------------------------------------------------------------------------------------------
"$here/standins.sh"
revision=$(git rev-parse --short=12 HEAD 2> /dev/null || echo 0123456789ab)
registry=${CARGO_HOME:-$HOME/.cargo}/registry
mkdir -p "$registry"
started=$SECONDS
# docker: the other format has no place for the health check.
"${buildah[@]}" bud --isolation chroot --pull-never --format docker "$layers" \
    -v /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro \
    -v "$registry:/usr/local/cargo/registry" \
    --build-arg "GIT_REVISION=$revision" -t localhost/wallet-exporter-test . > "$work/build.log" 2>&1 \
    || { tail -n 60 "$work/build.log"; fail 'the build'; }
echo "image: built in $((SECONDS - started)) s ($IMAGE_DRIVER)"

# --- what it says of itself ------------------------------------------------------------------------------------------------
"${buildah[@]}" inspect --type image localhost/wallet-exporter-test > "$work/image.json"
python3 - "$work/image.json" "$revision" > "$work/environment" <<'CHECK' || fail 'the image describes itself otherwise'
import json, sys
config = json.load(open(sys.argv[1]))["Docker"]["config"]
for name, wanted in {
    "User": "65532:65532",
    "Entrypoint": ["/usr/local/bin/wallet-exporter"],
    "ExposedPorts": {"10700/tcp": {}, "10701/tcp": {}},
    "Volumes": {"/data": {}},
}.items():
    if config[name] != wanted:
        sys.exit(f"{name} is {config[name]}, not {wanted}")
if config["Labels"]["org.opencontainers.image.revision"] != sys.argv[2]:
    sys.exit("the label of the revision is wrong")
if "healthcheck" not in config["Healthcheck"]["Test"]:
    sys.exit("no health check")
print("\n".join(config["Env"]))
CHECK
mapfile -t environment < "$work/environment"
size=$("${buildah[@]}" images --json localhost/wallet-exporter-test | python3 -c '
import json, re, sys
number, unit = re.match(r"([0-9.]+) ?([kKMG]?B)", json.load(sys.stdin)[0]["size"]).groups()
print(round(float(number) * {"B": 1e-6, "kB": 1e-3, "KB": 1e-3, "MB": 1, "GB": 1e3}[unit], 1))')
echo "image: $size MB"
python3 -c "import sys; sys.exit(float(sys.argv[1]) > float(sys.argv[2]))" "$size" "$LARGEST_IMAGE_MB" || fail "larger than $LARGEST_IMAGE_MB MB"

# --- containers ------------------------------------------------------------------------------------------------------------
# The root of a new container, with the mount points that every engine makes in it.
new_root() {
    local container root
    container=$("${buildah[@]}" from --pull-never localhost/wallet-exporter-test)
    root=$("${buildah[@]}" mount "$container")
    mkdir -p "$root"/{proc,dev,etc}
    touch "$root"/etc/{hosts,resolv.conf}
    new_root=$root
}
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# start NAME ROOT DATA NAME=VALUE... -- ARGUMENTS...: sets `pid` to the program's process as this machine sees it.
start() {
    local name=$1 root=$2 data=$3 settings=()
    shift 3
    while [ "$1" != -- ]; do settings+=("$1"); shift; done
    shift
    "$here/container.sh" "$root" "$data" "${environment[@]}" "${settings[@]}" -- /usr/local/bin/wallet-exporter "$@" \
        > "$work/$name.out" 2> "$work/$name.err" 9>&- &
    outer=$!
    running[$outer]=$name
    pid=
    until [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = wallet-exporter ]; do
        kill -0 "$outer" 2> /dev/null || { cat "$work/$name".*; fail "$name did not start"; }
        pid=$(pgrep -P "$outer" || true)
        sleep 0.05
    done
}
# stop NAME OUTER PID: SIGTERM, and the exit code must be 0 within the time that an engine gives.
stop() {
    local name=$1 outer=$2 code=0 begun=$SECONDS
    kill -TERM "$3"
    ( sleep 60; kill -KILL "$3" 2> /dev/null ) 9>&- & local watchdog=$!
    wait "$outer" || code=$?
    kill "$watchdog" 2> /dev/null || true
    unset "running[$outer]"
    [ "$code" = 0 ] || { cat "$work/$name".*; fail "$name ended with $code on SIGTERM"; }
    echo "image: $name ended with 0 on SIGTERM after $((SECONDS - begun)) s"
}
# wait_for NAME URL PATTERN: until a line of the answer matches.
wait_for() {
    local name=$1 url=$2 pattern=$3 deadline=$((SECONDS + 60))
    until curl -sf "$url" 2> /dev/null | grep -E "$pattern" > "$work/match"; do
        [ "$SECONDS" -lt "$deadline" ] || { cat "$work/$name".*; curl -s "$url" | head -n 40; fail "$name: $url has no $pattern"; }
        sleep 0.2
    done
}
new_data() { install -d -o 65532 -g 65532 -m 0700 "$work/$1"; }

new_root
root=$new_root
"$here/container.sh" "$root" "$work" "${environment[@]}" -- /usr/local/bin/wallet-exporter --version | tee "$work/version"
grep -q "$revision" "$work/version" || fail 'the program does not know its revision'
grep -q 'BEGIN CERTIFICATE' "$root/etc/ssl/certs/ca-certificates.crt" || fail 'no certificate authorities'
[ ! -e "$root/bin/sh" ] && [ ! -e "$root/usr/bin/env" ] || fail 'there is a shell'

# --- the demo --------------------------------------------------------------------------------------------------------------
new_data demo-data
port=$(free_port)
start demo "$root" "$work/demo-data" "WEB_LISTEN_ADDRESS=0.0.0.0:$port" WEBHOOK_LISTEN_ADDRESS=127.0.0.1:0 -- demo --storage.path=none
wait_for demo "http://127.0.0.1:$port/-/ready" .
wait_for demo "http://127.0.0.1:$port/metrics" '^batchdata_wallet_balance_usd\{.*\} [0-9]'
wait_for demo "http://127.0.0.1:$port/metrics" '^wallet_exporter_build_info\{.*'"$revision"
state=$(cat "/proc/$pid/status")
grep -qE '^Uid:\s+65532\s+65532' <<< "$state" || fail 'it runs as another user'
grep -qE '^CapEff:\s+0+$' <<< "$state" || fail 'it has privileges'
grep -qE '^NoNewPrivs:\s+1' <<< "$state" || fail 'it could gain privileges'
grep -qE '^NSpid:.*\s1$' <<< "$state" || fail 'it is not process 1'
awk '$5 == "/" { print $6 }' "/proc/$pid/mountinfo" | tail -n 1 | grep -qE '(^|,)ro(,|$)' || fail 'its root can be written'
health() { "$here/container.sh" "$root" "$work/demo-data" "${environment[@]}" "WEB_LISTEN_ADDRESS=0.0.0.0:$port" -- /usr/local/bin/wallet-exporter healthcheck; }
health || fail 'the health check of a healthy exporter'
stop demo "$outer" "$pid"
if health 2> /dev/null; then fail 'the health check finds a dead exporter healthy'; fi

# --- the state -------------------------------------------------------------------------------------------------------------
vendor=$(free_port) port=$(free_port)
new_data none
start vendor "$root" "$work/none" -- simulate "--simulator.listen-address=127.0.0.1:$vendor"
vendor_outer=$outer vendor_pid=$pid
until grep -q BATCHDATA_API_TOKEN= "$work/vendor.out"; do kill -0 "$vendor_outer" || fail 'the simulator ended'; sleep 0.1; done
token=$(sed -n 's/.*BATCHDATA_API_TOKEN=\([^ ]*\).*/\1/p' "$work/vendor.out")
new_data state
# As deploy/README.md says: only the image's user can read it. It lies in /data because that is what is mounted here.
install -m 0400 -o 65532 -g 65532 /dev/stdin "$work/state/token" <<< "$token"
settings=("WEB_LISTEN_ADDRESS=0.0.0.0:$port" METRICS_START_AT_ZERO=1s BATCHDATA_API_TOKEN_FILE=/data/token
    "BATCHDATA_BASE_URL=http://localhost:$vendor" "BATCHDATA_COUNT_SINCE=$(date -u -d '10 days ago' +%F)")
start first "$root" "$work/state" "${settings[@]}" --
wait_for first "http://127.0.0.1:$port/metrics" '^batchdata_wallet_debit_usd_total\{.*\} [0-9.]*[1-9]'
before=$(cat "$work/match")
stop first "$outer" "$pid"
stop vendor "$vendor_outer" "$vendor_pid"
[ "$(stat -c %u "$work/state/wallet-exporter.db")" = 65532 ] || fail 'the state belongs to another user'

# Another container, and the vendor is gone: what it shows can only come from the volume.
new_root
start second "$new_root" "$work/state" "${settings[@]}" --
wait_for second "http://127.0.0.1:$port/metrics" '^batchdata_wallet_debit_usd_total'
after=$(cat "$work/match")
python3 - "$before" "$after" <<'CHECK' || fail "the counter went from '$before' to '$after'"
import sys
before, after = (line.rsplit(" ", 1) for line in sys.argv[1:])
sys.exit(before[0] != after[0] or float(after[1]) < float(before[1]))
CHECK
stop second "$outer" "$pid"
echo "image: a new container goes on where the last one ended: $after"

# Layers of earlier sources pile up; the stand-ins and this build's layers are worth keeping until then.
if [ "$(du -sm "$IMAGE_STORAGE/images" | cut -f 1)" -gt 8000 ]; then
    "${buildah[@]}" rmi --prune > /dev/null || true
fi
echo "image: passed in $SECONDS s"
