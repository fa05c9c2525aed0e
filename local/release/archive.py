"""Archives whose bytes follow from their contents alone."""

import gzip
import io
import tarfile
from datetime import datetime
from pathlib import Path


def normalise(archive: Path, made: datetime) -> None:
    """Write a .tgz again with its files in order, of one time and of nobody: helm writes the present time into it."""
    stamp = int(made.timestamp())
    packed = io.BytesIO()
    with tarfile.open(archive) as old, tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda one: one.name):
            entry = tarfile.TarInfo(member.name)
            entry.size, entry.mtime, entry.mode = member.size, stamp, 0o644
            new.addfile(entry, old.extractfile(member))
    archive.write_bytes(gzip.compress(packed.getvalue(), mtime=stamp))
