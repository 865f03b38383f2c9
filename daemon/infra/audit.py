"""The audit trail as a file: a copy of the journal's event chain, one JSON line a record.

The journal is the truth; the file can always be made again. No cursor is kept anywhere: the last
complete line says where to go on. A rotated file is continued by the next one's first `prev`.
"""

import gzip
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from fks.domain.errors import FksError
from fks.infra import chain
from fks.infra.chain import VerifyResult
from fks.infra.ledger_sqlite import SqliteStore

_TAIL = 1 << 20  # more than any record
_BATCH = 1000
_SYNC = 1000  # records written between two fsyncs


class AuditDiffers(FksError):
    """The file is not a copy of this journal. Nothing was written to it."""


class AuditExporter:
    """Appends committed events to the file. Not for two threads at once.

    A method that raised leaves the file closed; the next `pump` opens it again and goes on behind its
    last complete line.
    """

    def __init__(self, path: Path, store: SqliteStore) -> None:
        self._path = path
        self._store = store
        self._file = -1
        self._last = (0, chain.GENESIS)  # number and hash of the last record written
        self.synced = 0  # up to that record all are on disk for certain: those the journal may forget

    def pump(self) -> int:
        """Write what is committed and not in the file yet; how many records that was, 0 when none is left.

        Raises OSError for a failing disk, AuditDiffers for a file that was changed by somebody else.
        """
        try:
            if self._file < 0:
                self._open()
            return self._append()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Put the file on disk and let go of it."""
        if self._file >= 0:
            descriptor, self._file = self._file, -1
            try:
                self._sync(descriptor)
            finally:
                os.close(descriptor)

    def _sync(self, descriptor: int) -> None:
        os.fsync(descriptor)
        self.synced = self._last[0]

    def _append(self) -> int:
        seq, head = self._last
        after = seq
        lines = bytearray()
        events, stored = self._store.read(
            lambda reader: (
                found := reader.events(after, _BATCH),
                reader.chain_hash(found[-1].seq) if found else None,
            )
        )
        for event in events:
            if event.seq != seq + 1:
                raise AuditDiffers(f"{self._path} ends at record {seq}, the journal goes on at {event.seq}")
            record = chain.line(event, chain.encode_data(event.data), head)
            lines += record + b"\n"
            seq, head = event.seq, chain.digest(record)
        if not events:
            return 0
        if head != stored:
            raise AuditDiffers(
                f"the journal's records {after + 1} to {seq} do not continue {self._path}: "
                "`fks journal verify` says which of the two was changed"
            )
        _write_all(self._file, bytes(lines))
        self._last = (seq, head)
        if seq - self.synced >= _SYNC:
            self._sync(self._file)
        return len(events)

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        size = os.fstat(self._file).st_size
        tail = os.pread(self._file, _TAIL, max(0, size - _TAIL))
        complete = tail.rfind(b"\n") + 1
        if complete < len(tail):  # the process died within a write
            os.ftruncate(self._file, size - (len(tail) - complete))
        last = _last_line(tail[:complete])
        if last:
            number = _sequence(last)
            if number is None:
                raise AuditDiffers(
                    f"the last line of {self._path} is not an audit record: move the file away"
                )
            self._last = self._resume(self._path, number, chain.digest(last))
        elif self._last[0] == 0:
            self._last = (
                self._rotated() or self._store.read(lambda reader: reader.chain_start()) or self._last
            )
        self._sync(self._file)

    def _resume(self, path: Path, number: int, digest: str) -> tuple[int, str]:
        """Raises AuditDiffers unless the journal has this very record."""
        stored = self._store.read(lambda reader: reader.chain_hash(number))
        if stored is None:
            raise AuditDiffers(
                f"{path} ends at record {number}, which the journal does not have (another journal, an older "
                "backup of it, or one that was pruned since): move the file away, a new one is begun"
            )
        if stored != digest:
            raise AuditDiffers(
                f"record {number} in {path} differs from the journal: move the file away, as evidence"
            )
        return number, stored

    def _rotated(self) -> tuple[int, str] | None:
        """Where the newest rotated file ended, when the process started right after a rotation."""
        ends = [(*end, path) for path in rotated(self._path) if (end := last_record(path)) is not None]
        return self._resume(max(ends)[2], max(ends)[0], max(ends)[1]) if ends else None


def rotated(path: Path) -> list[Path]:
    """What a file was rotated to, oldest first: who renames, numbers, dates, compresses it keeps its time."""
    return sorted(path.parent.glob(f"{path.name}[.-]*"), key=lambda one: one.stat().st_mtime)


def last_record(path: Path) -> tuple[int, str] | None:
    """Number and hash of the last whole record in that file; None when there is none."""
    with _opened(path) as file:
        if isinstance(file, gzip.GzipFile):
            tail = file.read()
        else:
            file.seek(max(0, path.stat().st_size - _TAIL))
            tail = file.read()
    last = _last_line(tail[: tail.rfind(b"\n") + 1])
    number = _sequence(last)
    return None if number is None else (number, chain.digest(last))


def _write_all(descriptor: int, data: bytes) -> None:
    written = 0
    while written < len(data):
        written += os.write(descriptor, data[written:])


def _last_line(data: bytes) -> bytes:
    return data.rstrip(b"\n").rpartition(b"\n")[2]


def _opened(path: Path) -> BinaryIO:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


class _Link(Struct):
    seq: int
    prev: str


def _link(record: bytes) -> _Link | None:
    try:
        return msgspec.json.decode(record, type=_Link)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _sequence(record: bytes) -> int | None:
    link = _link(record)
    return None if link is None else link.seq


def verify(paths: Sequence[Path], known: Mapping[int, str] | None = None) -> VerifyResult:
    """Check the chain over files, oldest first; it stops at the record where it breaks.

    A chain alone cannot show that its end was cut off: compare `head` with the journal's. `known` are hashes
    that the journal has, by record: the last it has forgotten proves what was before. Raises OSError.
    """
    known = known or {}
    last: _Link | None = None
    head, count = chain.GENESIS, 0
    for where, record, complete in _records(paths):
        link = _link(record)
        problem = None
        if not complete:
            problem = f"record {count + 1} is cut off"
        elif link is None:
            problem = f"record {count + 1} is not an audit record"
        elif last is not None and link.seq != last.seq + 1:
            problem = f"record {link.seq} follows record {last.seq}: what is between them is missing"
        elif link.prev != head and (last is not None or link.seq == 1):
            problem = f"the chain breaks at record {link.seq}: it, or the one before it, was changed"
        digest = chain.digest(record)
        if problem is None and link is not None and known.get(link.seq, digest) != digest:
            problem = f"record {link.seq} is not the one that the journal has"
        if problem is not None:
            return VerifyResult(records=count, problems=(f"{where}: {problem}",), head=head)
        last, head, count = link, digest, count + 1
    return VerifyResult(records=count, head=head)


def _records(paths: Sequence[Path]) -> Iterator[tuple[str, bytes, bool]]:
    """Where, the record without its line end, and whether it has one."""
    for path in paths:
        with _opened(path) as file:
            for number, raw in enumerate(file, start=1):
                yield f"{path} line {number}", raw.removesuffix(b"\n"), raw.endswith(b"\n")
