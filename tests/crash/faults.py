"""A disk and a clock that fail on demand, for one daemon: see faults.c, which is preloaded into it."""

import mmap
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path

_SOURCE = Path(__file__).with_name("faults.c")
_NAMES = ("clock_ns", "sync", "full", "stop_after", "kill_before", "writes")
HONEST, FAILS, LIES, HANGS = range(4)  # what becomes of a sync

NO_COMPILER = "no C compiler for tests/crash/faults.c"


def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@cache
def _built(folder: Path) -> Path:
    library = folder / "faults.so"
    cc = compiler()
    assert cc is not None
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([cc, *flags, "-o", str(library), str(_SOURCE), "-ldl"], check=True)
    return library


class Faults:
    """The switches of one daemon's disk and clock. `env` goes to its start."""

    def __init__(self, build: Path, disk: Path, work: Path) -> None:
        """`disk` is what fails; `work` holds the switches and the platter."""
        self.disk = disk
        self.platter = work / "platter"
        self.platter.mkdir(parents=True)
        switches = work / "switches"
        switches.write_bytes(bytes(8 * len(_NAMES)))
        with switches.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8 * len(_NAMES))
        self.env = {
            "LD_PRELOAD": str(_built(build)),
            "FKS_FAULTS": str(switches),
            "FKS_DISK": str(disk),
            "FKS_PLATTER": str(self.platter),
            "STATE_DIRECTORY": str(disk),
        }

    def set(self, name: str, value: int) -> None:
        struct.pack_into("=q", self._map, 8 * _NAMES.index(name), value)

    def get(self, name: str) -> int:
        (value,) = struct.unpack_from("=q", self._map, 8 * _NAMES.index(name))
        return int(value)

    def jump(self, seconds: float) -> None:
        """Set the wall clock by so much from what it really is."""
        self.set("clock_ns", int(seconds * 1e9))

    def cut_the_power(self) -> None:
        """After the kill: the disk is what was synced, and nothing else."""
        for path in self.disk.iterdir():
            path.unlink()
        for path in self.platter.iterdir():
            if path.suffix != ".part":
                shutil.copy(path, self.disk)
                (self.disk / path.name).chmod(0o600)
