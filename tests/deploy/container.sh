#!/bin/bash
# Flows in: the root of an image, the directory that is its volume /data, the image's environment and a command. Flows
# out: the command as process 1 of its own process tree, as user 65532 without privileges, on a read-only root where only
# /data can be written. That is what a container engine would do; there is none here. The network is the machine's.
# Usage: container.sh ROOT DATA NAME=VALUE... -- COMMAND...
set -euo pipefail
if [ "${CONTAINER_IS_SEPARATE:-}" != yes ]; then
    export CONTAINER_IS_SEPARATE=yes
    exec unshare --mount --pid --fork --kill-child=KILL --propagation private -- "$0" "$@"
fi

root=$1 data=$2
shift 2
environment=()
while [ "$1" != -- ]; do environment+=("$1"); shift; done
shift

mount --bind "$root" "$root"
mount --bind "$data" "$root/data"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount --bind /dev "$root/dev"
mount --bind /etc/hosts "$root/etc/hosts"
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
mount -o remount,bind,ro "$root"
exec /usr/bin/env -i "${environment[@]}" \
    /usr/bin/setpriv --no-new-privs /usr/sbin/chroot --userspec=65532:65532 --groups= "$root" "$@"
