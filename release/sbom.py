#!/usr/bin/env python3
"""Prints the bill of materials (CycloneDX 1.5) of a program, from the list of crates that the program itself carries.

    sbom.py PROGRAM VERSION

cargo-auditable writes that list while it links, so this is what was compiled in, and not what a manifest asks for.
"""
import hashlib
import json
import os
import struct
import sys
import time
import uuid
import zlib


def section(program, wanted):
    """The content of a section of an ELF file of 64 bits."""
    if program[:5] != b"\x7fELF\x02":
        sys.exit("not an ELF program of 64 bits")
    (table,) = struct.unpack_from("<Q", program, 0x28)
    size, count, names = struct.unpack_from("<HHH", program, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", program, table + size * index) for index in range(count)]
    start = headers[names][4]
    for name, _, _, _, offset, length in headers:
        begin = start + name
        if program[begin : program.index(b"\0", begin)] == wanted:
            return program[offset : offset + length]
    sys.exit(f"the program has no section {wanted.decode()}: build it with cargo auditable")


def crates(program):
    """What cargo-auditable recorded: name, version, source, kind and dependencies (by index) of each crate."""
    return json.loads(zlib.decompress(section(program, b".dep-v0")))["packages"]


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def document(program, version):
    # What only ran while it was compiled is no part of the program.
    packages = crates(program)
    kept = {index for index, package in enumerate(packages) if package.get("kind", "runtime") == "runtime"}
    (root,) = [packages[index] for index in kept if packages[index].get("root")]
    if root["version"] != version:
        sys.exit(f"the program is version {root['version']}, not {version}")
    digest = hashlib.sha256(program).hexdigest()
    component = {
        "type": "application",
        "bom-ref": reference(root),
        "name": root["name"],
        "version": version,
        "purl": reference(root),
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }
    libraries = [packages[index] for index in sorted(kept) if packages[index] is not root]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))),
            "component": component,
        },
        "components": [
            {
                "type": "library",
                "bom-ref": reference(package),
                "name": package["name"],
                "version": package["version"],
                "purl": reference(package),
            }
            for package in libraries
        ],
        "dependencies": [
            {
                "ref": reference(packages[index]),
                "dependsOn": sorted({reference(packages[other]) for other in packages[index].get("dependencies", []) if other in kept}),
            }
            for index in sorted(kept)
        ],
    }


def main(path, version):
    with open(path, "rb") as file:
        json.dump(document(file.read(), version), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
