"""Files that forget what was not synced: the file system under the ledger's real SQLite.

What is written is seen at once, and survives a power cut for certain only behind an fsync: of what was
not synced yet each sector may be on the disk or not, whatever the order of writing.
"""

from random import Random
from typing import Any, Protocol

import apsw

SECTOR = 512
POWERSAFE_OVERWRITE = 0x1000  # a torn write spoils nothing beside it, as SQLite assumes of every disk


class File:
    """What programs see of it, what the disk has for certain, and the writes between the two."""

    def __init__(self, content: bytes = b"") -> None:
        self.seen = bytearray(content)
        self.kept = bytearray(content)
        self.unsynced: list[tuple[int, bytes]] = []  # offset, content

    def write(self, content: bytes, offset: int) -> None:
        _put(self.seen, content, offset)
        self.unsynced.append((offset, content))

    def sync(self) -> None:
        for offset, content in self.unsynced:
            _put(self.kept, content, offset)
        del self.kept[len(self.seen) :]
        self.unsynced.clear()

    def after_power_cut(self, tear: Random | None) -> "File":
        """As the next start finds it. Without `tear` nothing survived that was not synced; with it all
        did, or nothing, or some sectors.
        """
        if self.seen == self.kept:
            return self
        left = File(bytes(self.kept))
        share = tear.choice((0.0, 0.5, 1.0)) if tear else 0.0
        for offset, content in self.unsynced:
            for begin in range(0, len(content), SECTOR):
                if tear is not None and tear.random() < share:
                    _put(left.kept, content[begin : begin + SECTOR], offset + begin)
        left.seen[:] = left.kept
        return left


def _put(into: bytearray, content: bytes, offset: int) -> None:
    if len(into) < offset:
        into.extend(bytes(offset - len(into)))
    into[offset : offset + len(content)] = content


class Device(Protocol):
    """What the files are on."""

    files: dict[str, File]

    def before(self) -> None:
        """Each write and sync; raises what the disk answers instead."""

    def sync(self, file: File) -> None: ...


class FileSystem(apsw.VFS):
    """The one that SQLite knows by `NAME`; under it is the device of the execution that is under way."""

    NAME = "simulated"

    def __init__(self) -> None:
        super().__init__(self.NAME, "")
        self.device: Device
        self._chance = Random()

    def mount(self, device: Device) -> None:
        self.device = device
        self._chance.seed(0)  # SQLite's own random numbers are part of an execution

    def xOpen(self, name: Any, flags: list[int]) -> "Handle":  # noqa: N802 - SQLite's own names
        path = name if isinstance(name, str) else name.filename()
        return Handle(self, self.device.files.setdefault(path, File()))

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        return pathname in self.device.files

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self.device.files.pop(filename, None)

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name

    def xRandomness(self, numbytes: int) -> bytes:  # noqa: N802
        return self._chance.randbytes(numbytes)


class Handle:
    """An open file. Nobody else has it open, so locks are nothing."""

    def __init__(self, system: FileSystem, file: File) -> None:
        self._system = system
        self._file = file

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        return bytes(self._file.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._system.device.before()
        self._file.write(bytes(data), offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._system.device.before()
        self._system.device.sync(self._file)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        del self._file.seen[newsize:]

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._file.seen)

    def xLock(self, level: int) -> None: ...  # noqa: N802

    def xUnlock(self, level: int) -> None: ...  # noqa: N802

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return 4096

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return POWERSAFE_OVERWRITE

    def xClose(self) -> None: ...  # noqa: N802
