"""The audit record: one canonical JSON line an event, each naming the SHA-256 of the line before it.

The line is what is hashed in the journal and what is written to the audit file, byte for byte: so
`sha256sum` of a line is the event's hash and the next line's `prev`.
"""

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from fks.domain.messages import Event

GENESIS = "0" * 64  # what the first record names as its predecessor

_json = msgspec.json.Encoder(order="deterministic")


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the audit trail; the order of the fields is that of the line."""

    seq: int
    time: str
    event: str
    alert_id: str | None = None
    order_id: str | None = None
    account: str | None = None
    data: msgspec.Raw
    prev: str


def encode_data(data: dict[str, Any]) -> bytes:
    """Canonical JSON: sorted keys, decimals as strings. Raises TypeError for what JSON cannot say."""
    return _json.encode(data)


def line(event: Event, data: bytes, prev: str) -> bytes:
    """The record of `event` without its line end; `data` is `encode_data(event.data)`."""
    return _json.encode(
        Record(
            seq=event.seq,
            time=rfc3339(event.time),
            event=event.kind,
            alert_id=event.alert_id,
            order_id=event.order_id,
            account=event.account,
            data=msgspec.Raw(data),
            prev=prev,
        )
    )


def digest(record: bytes) -> str:
    """The hash by which the next record names this one."""
    return hashlib.sha256(record).hexdigest()


def rfc3339(time: float) -> str:
    """UTC with microseconds: `2026-11-22T10:30:00.000000Z`."""
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
