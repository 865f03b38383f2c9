"""How large the daemon's files are, and what the disk below them still takes."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct


class DiskUsage(Struct, frozen=True):
    """Bytes. `files` by what they are: journal, wal, audit; one that is not there counts 0.

    `free` is what a user without privileges may still write; `size` the whole file system.
    """

    files: dict[str, int]
    free: int
    size: int


def disk_usage(journal: Path, audit: Path) -> DiskUsage:
    """Looks only. Raises OSError when the journal's folder cannot be asked."""
    system = os.statvfs(journal.parent)
    files: Mapping[str, Path] = {
        "journal": journal,
        "wal": journal.with_name(journal.name + "-wal"),
        "audit": audit,
    }
    sizes = dict.fromkeys(files, 0)
    for name, path in files.items():
        with suppress(FileNotFoundError):
            sizes[name] = path.stat().st_size
    return DiskUsage(sizes, free=system.f_bavail * system.f_frsize, size=system.f_blocks * system.f_frsize)
