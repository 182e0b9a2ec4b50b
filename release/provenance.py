#!/usr/bin/env python3
"""Prints the provenance of a release: an in-toto statement with SLSA's predicate, to be signed by release/sign.

    provenance.py REVISION VERSION FILE...
"""
import hashlib
import json
import os
import subprocess
import sys


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def installed():
    """Every package of the root directory, and the wheels beside them."""
    listed = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${Version} ${Architecture}\n"], check=True, capture_output=True, text=True
    )
    for line in listed.stdout.splitlines():
        name, version, architecture = line.split()
        yield {"uri": f"pkg:deb/debian/{name}@{version}?arch={architecture}"}
    with open("/opt/wheels.txt", encoding="utf-8") as file:
        for line in file:
            name, version = line.strip().split("==")
            yield {"uri": f"pkg:pypi/{name}@{version}"}


def main(revision, version, *files):
    subjects = [{"name": os.path.basename(path), "digest": {"sha256": digest(path)}} for path in sorted(files)]
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "release/build",
                "externalParameters": {
                    "version": version,
                    "architectures": os.environ["ARCHITECTURES"].split(),
                    "imageRepository": os.environ["IMAGE_REPOSITORY"],
                },
                "internalParameters": {
                    "sourceDateEpoch": int(os.environ["SOURCE_DATE_EPOCH"]),
                    "optimised": os.environ["QUICK"] != "yes",
                },
                "resolvedDependencies": [
                    {"name": "source", "digest": {"gitCommit": revision}},
                    {"name": "Cargo.lock", "digest": {"sha256": digest("/src/Cargo.lock")}},
                    *installed(),
                ],
            },
            # Who built is who signed: a key says it better than a name.
            "runDetails": {"builder": {"id": "release/build"}},
        },
    }
    json.dump(statement, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
