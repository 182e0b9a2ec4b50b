#!/usr/bin/env python3
"""Writes a container image as an OCI archive: the static program, the certificate authorities, /data and /history.

    oci.py PROGRAM VERSION REVISION ARCHITECTURE ARCHIVE

It describes itself as the Dockerfile's image does; a test compares the two.
"""
import hashlib
import io
import json
import os
import sys
import tarfile
import time

from tarball import EPOCH, compressed, info

USER = 65532
LAYOUT = "application/vnd.oci.image"


def layer(program):
    """The only layer, uncompressed."""
    files = {
        "etc/ssl/certs/ca-certificates.crt": ("/etc/ssl/certs/ca-certificates.crt", 0o644),
        "usr/local/bin/wallet-exporter": (program, 0o755),
        "usr/share/licenses/wallet-exporter/LICENSE": ("LICENSE", 0o644),
    }
    directories = {str(parent) for name in files for parent in parents(name)}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in sorted(directories):
            tar.addfile(info(name, 0o755, kind=tarfile.DIRTYPE))
        tar.addfile(info("data", 0o700, kind=tarfile.DIRTYPE, owner=USER))
        tar.addfile(info("history", 0o755, kind=tarfile.DIRTYPE, owner=USER))
        for name, (source, mode) in sorted(files.items()):
            with open(source, "rb") as file:
                content = file.read()
            tar.addfile(info(name, mode, len(content)), io.BytesIO(content))
    return out.getvalue()


def parents(name):
    parts = name.split("/")[:-1]
    return ["/".join(parts[: length + 1]) for length in range(len(parts))]


def configuration(version, revision, architecture, tar):
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(EPOCH)),
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": f"{USER}:{USER}",
            "ExposedPorts": {"10700/tcp": {}, "10701/tcp": {}},
            "Env": [
                "PATH=/usr/local/bin",
                "WEB_LISTEN_ADDRESS=:10700",
                "WEBHOOK_LISTEN_ADDRESS=:10701",
                "STORAGE_PATH=/data",
                "SQLITE_TMPDIR=/data",
            ],
            "Entrypoint": ["/usr/local/bin/wallet-exporter"],
            "Volumes": {"/data": {}},
            # Not in the standard; Docker reads it, the others pass over it.
            "Healthcheck": {
                "Test": ["CMD", "/usr/local/bin/wallet-exporter", "healthcheck"],
                "Interval": 30_000_000_000,
                "Timeout": 5_000_000_000,
                "StartPeriod": 5_000_000_000,
            },
            "Labels": {
                "org.opencontainers.image.title": "wallet-exporter",
                "org.opencontainers.image.description": "Prometheus exporter for prepaid data-API wallets",
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.revision": revision,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]},
    }


def main(program, version, revision, architecture, archive):
    blobs = {}

    def blob(kind, content):
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": f"{LAYOUT}.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    def as_json(value):
        return json.dumps(value, separators=(",", ":")).encode()

    tar = layer(program)
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{LAYOUT}.manifest.v1+json",
        "config": blob("config.v1+json", as_json(configuration(version, revision, architecture, tar))),
        "layers": [blob("layer.v1.tar+gzip", compressed(tar))],
    }
    reference = blob("manifest.v1+json", as_json(manifest))
    reference["platform"] = {"architecture": architecture, "os": "linux"}
    reference["annotations"] = {"org.opencontainers.image.ref.name": version}
    index = {"schemaVersion": 2, "mediaType": f"{LAYOUT}.index.v1+json", "manifests": [reference]}
    files = {"index.json": as_json(index), "oci-layout": as_json({"imageLayoutVersion": "1.0.0"})}
    files.update({f"blobs/sha256/{digest}": content for digest, content in blobs.items()})
    with tarfile.open(archive, mode="w", format=tarfile.GNU_FORMAT) as out:
        for name in ("blobs", "blobs/sha256"):
            out.addfile(info(name, 0o755, kind=tarfile.DIRTYPE))
        for name, content in sorted(files.items()):
            out.addfile(info(name, 0o644, len(content)), io.BytesIO(content))


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    main(*sys.argv[1:])
