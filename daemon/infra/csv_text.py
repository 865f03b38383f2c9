"""Tables for spreadsheets, which run as a formula what looks like one."""

import csv
import re
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

_NUMBER = re.compile(r"[+-]?[0-9.]+")


def write(out: TextIO, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """CSV with a header line; None is empty. Text that would be run as a formula gets an apostrophe."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_harmless(one) for one in row])


def _harmless(value: Any) -> Any:
    risky = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return "'" + value if risky and not _NUMBER.fullmatch(value) else value
