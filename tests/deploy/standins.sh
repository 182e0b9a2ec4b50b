#!/bin/bash
# Flows in: Debian's packages and the installed Rust toolchain. Flows out: local images under the names that the
# Dockerfile starts from, for machines that reach no image registry. They are made once and kept in the storage of the
# test (IMAGE_STORAGE); another toolchain makes them again.
set -euo pipefail
: "${IMAGE_STORAGE:?the directory of the images}" "${IMAGE_DRIVER:?overlay or vfs}"
buildah=(buildah --root "$IMAGE_STORAGE/images" --runroot "$IMAGE_STORAGE/run" --storage-driver "$IMAGE_DRIVER")
builder=docker.io/library/rust:1-slim-bookworm

# The plain rustc of the toolchain in use, not the dispatcher that may stand before it.
sysroot=$(rustc --print sysroot)
release=$(rustc --version)
made_by=$("${buildah[@]}" inspect --type image --format '{{index .OCIv1.Config.Labels "toolchain"}}' "$builder" 2>/dev/null || true)
if [ "$made_by" = "$release" ]; then
    echo "stand-in: $builder is there ($release)"
    exit 0
fi

rootfs=$IMAGE_STORAGE/rootfs
if [ ! -e "$rootfs.done" ]; then
    echo 'stand-in: unpacking Debian bookworm with a C compiler'
    rm -rf "$rootfs"
    debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev bookworm "$rootfs" > "$IMAGE_STORAGE/debootstrap.log"
    rm -rf "$rootfs"/var/cache/apt/archives/*.deb "$rootfs"/var/lib/apt/lists/*
    touch "$rootfs.done"
fi

echo "stand-in: making $builder from $release"
container=$("${buildah[@]}" from scratch)
trap '"${buildah[@]}" rm "$container" > /dev/null' EXIT
root=$("${buildah[@]}" mount "$container")
cp -a "$rootfs/." "$root/"
mkdir -p "$root/usr/local/cargo"
for part in bin lib libexec etc; do
    if [ -d "$sysroot/$part" ]; then cp -a "$sysroot/$part" "$root/usr/local/"; fi
done
"${buildah[@]}" umount "$container" > /dev/null
"${buildah[@]}" config --label "toolchain=$release" --env CARGO_HOME=/usr/local/cargo \
    --env PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
"${buildah[@]}" commit --quiet --disable-compression "$container" "$builder" > /dev/null
