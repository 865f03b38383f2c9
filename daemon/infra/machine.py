"""Asks the machine what `fks doctor` tells: clock, disk, systemd. Changes nothing that stays."""

import ctypes
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

FSYNCS, FSYNC_BUDGET_S = 100, 2.0
COMMAND_S = 5.0
_BLOCK = os.urandom(4096)  # what a small transaction appends
_UNSYNCHRONIZED = 5  # TIME_ERROR, adjtimex(2)
_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "UnitFileState",
    "WatchdogUSec",
    "NRestarts",
)


class _Timex(ctypes.Structure):
    """The beginning of `struct timex`; the kernel writes less than `rest` holds."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    )


def time_service() -> tuple[bool | None, float]:
    """Whether the kernel's clock is disciplined, and by how many seconds it is wrong at most; None where
    the kernel does not say.
    """
    told = _Timex()  # modes 0: only read
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(told))
    except (OSError, AttributeError):
        return None, 0.0
    return (None if state < 0 else state != _UNSYNCHRONIZED), told.maxerror / 1e6


def fsync_seconds(folder: Path) -> list[float]:
    """How long each of some fsyncs took, of a file that is gone afterwards. Raises OSError."""
    taken: list[float] = []
    with tempfile.TemporaryFile(dir=folder) as file:
        began = time.perf_counter()
        while len(taken) < FSYNCS and time.perf_counter() - began < FSYNC_BUDGET_S:
            file.write(_BLOCK)
            file.flush()
            start = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - start)
    return taken


def has_systemd() -> bool:
    """Whether systemd runs this machine, as sd_booted(3) tells."""
    return Path("/run/systemd/system").is_dir()


def unit_properties(unit: str) -> dict[str, str]:
    """What systemd knows of a unit; empty when it does not answer."""
    lines = _told(["systemctl", "show", unit, f"--property={','.join(_PROPERTIES)}"]).splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def unit_security(unit: str) -> str:
    """The text of `systemd-analyze security`; empty when it cannot be told."""
    return _told(["systemd-analyze", "security", "--no-pager", unit])


def _told(command: Sequence[str]) -> str:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)  # noqa: S603 - our own words
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout
