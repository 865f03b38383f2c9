"""How full a journal is, and how fast it grows; for any schema that this program has known."""

import time
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from fks.infra import chain
from fks.infra.sqlite_reader import SqliteReader

_TABLES = ("alert", "intent", "order_", "attempt", "fill", "position", "event")
_DAY = 86400.0
_WEEK = 7 * _DAY


class LastBackup(Struct, frozen=True):
    """What `fks journal backup` leaves beside the journal."""

    time: str
    file: str
    records: int
    head: str


def backup_note(journal: Path) -> Path:
    return journal.with_name(journal.name + ".backup.json")


def last_backup(journal: Path) -> LastBackup | None:
    """None when none is known."""
    try:
        return msgspec.json.decode(backup_note(journal).read_bytes(), type=LastBackup)
    except (OSError, msgspec.DecodeError):
        return None


def stats(reader: SqliteReader) -> dict[str, Any]:
    """JSON-ready: rows by table, alerts and orders by state, what is unfinished, sizes in bytes, growth.

    `bytes_per_day` is what is kept by its age; `alerts_per_day` the mean of the last week.
    """
    path = Path(reader.connection.filename)
    log = path.with_name(path.name + "-wal")
    page, pages, free = (_pragma(reader, name) for name in ("page_size", "page_count", "freelist_count"))
    oldest, newest = reader.first("SELECT min(received_at), max(received_at) FROM alert") or (None, None)
    first, last = (_event_time(reader, way) for way in ("ASC", "DESC"))
    start, backup = reader.chain_start(), last_backup(path)
    days = max(1.0, (last - first) / _DAY) if first is not None and last is not None else None
    return {
        "schema": _pragma(reader, "user_version"),
        "rows": {
            name.rstrip("_"): _count(reader, f"SELECT count(*) FROM {name}")  # noqa: S608 - the names above
            for name in _TABLES
        },
        "alerts": dict(reader.rows("SELECT state, count(*) FROM alert GROUP BY state ORDER BY state")),
        "orders": dict(reader.rows("SELECT state, count(*) FROM order_ GROUP BY state ORDER BY state")),
        "backlog": reader.backlog(),
        "oldest_alert": _told(oldest),
        "newest_alert": _told(newest),
        "trimmed_events": start[0] if start else 0,
        "alerts_per_day": _per_day(reader, oldest),
        "bytes_per_day": None if days is None else round((pages - free) * page / days),
        "database_bytes": path.stat().st_size,
        "free_bytes": free * page,
        "log_bytes": log.stat().st_size if log.exists() else 0,
        "last_backup": msgspec.to_builtins(backup) if backup else None,
    }


def _per_day(reader: SqliteReader, oldest: float | None) -> float | None:
    if oldest is None:
        return None
    now = time.time()
    count = _count(reader, f"SELECT count(*) FROM alert WHERE received_at > {now - _WEEK}")  # noqa: S608 - a number
    return round(count / (min(_WEEK, max(_DAY, now - oldest)) / _DAY), 1)


def _event_time(reader: SqliteReader, way: str) -> float | None:
    row = reader.first(f"SELECT time FROM event ORDER BY seq {way} LIMIT 1")  # noqa: S608 - ASC or DESC
    return row[0] if row else None


def _pragma(reader: SqliteReader, name: str) -> int:
    value = reader.connection.pragma(name)
    assert isinstance(value, int)
    return value


def _count(reader: SqliteReader, sql: str) -> int:
    row = reader.first(sql)
    return int(row[0]) if row else 0


def _told(at: float | None) -> str | None:
    return None if at is None else chain.rfc3339(at)
