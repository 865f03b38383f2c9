"""What a process has used, and how it tells it. Standard library only: it is loaded into what is measured."""

import json
import os
import sys
from pathlib import Path
from typing import Any

_MB = 1024 * 1024


def rss_mb(pid: int | str = "self") -> float:
    """Resident memory now, MiB (proc(5), statm)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MB


def cpu_s(pid: int) -> float:
    """CPU of all threads so far, user and system, seconds (proc(5), stat). Counted in steps of 10 ms."""
    # The name, in brackets, may itself hold blanks and brackets; the two fields are the 14th and 15th.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tell(value: Any) -> None:
    """One line of JSON to the bench, at once."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
