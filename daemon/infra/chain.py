"""The audit record: one canonical JSON line an event, each naming the SHA-256 of the line before it.

The line is what is hashed in the journal and what is written to the audit file, byte for byte: so
`sha256sum` of a line is the event's hash and the next line's `prev`.
"""

import hashlib
from collections.abc import Iterator
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


class VerifyResult(Struct, frozen=True, kw_only=True):
    """`records` that hold, `problems` (none: all is well) and the hash of the last record that holds."""

    records: int
    problems: tuple[str, ...] = ()
    head: str = GENESIS


def verify_events(events: Iterator[tuple[Event, str]], start: tuple[int, str]) -> VerifyResult:
    """Check the chain of events with their stored hashes; `start` is the record before the first one."""
    seq, head = start
    count = 0
    for event, stored in events:
        if event.seq != seq + 1:
            problem = f"record {event.seq} follows record {seq}: what is between them is missing"
            return VerifyResult(records=count, problems=(problem,), head=head)
        if digest(line(event, encode_data(event.data), head)) != stored:
            problem = f"the chain breaks at record {event.seq}: it was changed"
            return VerifyResult(records=count, problems=(problem,), head=head)
        seq, head, count = event.seq, stored, count + 1
    return VerifyResult(records=count, head=head)
