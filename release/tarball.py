#!/usr/bin/env python3
"""Writes a compressed tar archive whose bytes depend on names, contents and modes alone.

    tarball.py ARCHIVE PATH=NAME...    each PATH, a file or a directory, as NAME in the archive

Owners are root, times are SOURCE_DATE_EPOCH, the order is by name.
"""
import gzip
import io
import os
import sys
import tarfile

EPOCH = int(os.environ["SOURCE_DATE_EPOCH"])


def entries(path, name):
    """Path and name of everything below, directories first, in the order of the names."""
    yield path, name
    if os.path.isdir(path) and not os.path.islink(path):
        for child in sorted(os.listdir(path)):
            yield from entries(os.path.join(path, child), f"{name}/{child}")


def info(name, mode, size=0, kind=tarfile.REGTYPE, owner=0):
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size, entry.type, entry.mtime = mode, size, kind, EPOCH
    entry.uid = entry.gid = owner
    return entry


def compressed(tar):
    """The bytes of the gzip file: no name and no time in its header."""
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=out, mtime=0) as stream:
        stream.write(tar)
    return out.getvalue()


def main(archive, *pairs):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, name in (entry for pair in pairs for entry in entries(*pair.split("=", 1))):
            if os.path.isdir(path):
                tar.addfile(info(name, 0o755, kind=tarfile.DIRTYPE))
            else:
                with open(path, "rb") as file:
                    content = file.read()
                mode = 0o755 if os.stat(path).st_mode & 0o100 else 0o644
                tar.addfile(info(name, mode, len(content)), io.BytesIO(content))
    with open(archive, "wb") as file:
        file.write(compressed(out.getvalue()))


if __name__ == "__main__":
    main(*sys.argv[1:])
