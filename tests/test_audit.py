import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from fks.actors.audit import Audit, AuditActor
from fks.infra.audit import AuditDiffers, AuditExporter, verify
from fks.infra.ledger_sqlite import SqliteStore
from ledger_cases import alert, do, opened, order, planned

pytestmark = pytest.mark.real_time  # worker threads: a mock clock would jump while they work


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    one = opened(tmp_path / "fks.db")
    yield one
    one.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def note(store: SqliteStore, code: str) -> None:
    do(store, lambda ledger: ledger.note("alarm", account="paper", code=code))


def export(path: Path, store: SqliteStore) -> int:
    exporter = AuditExporter(path, store)
    count = 0
    while written := exporter.pump():
        count += written
    exporter.close()
    return count


def codes(path: Path) -> list[str]:
    return [json.loads(line)["data"]["code"] for line in path.read_text().splitlines()]


def test_each_line_names_the_sha256_of_the_line_before(store: SqliteStore, path: Path) -> None:
    planned(store, order(alert()))
    assert export(path, store) == 4
    previous = "0" * 64
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        record = json.loads(line)
        assert (record["seq"], record["prev"]) == (number, previous)
        assert record["time"] == "2027-01-15T12:00:00.000000Z"
        previous = hashlib.sha256(line).hexdigest()
    assert record["event"] == "alert_working"
    assert store.read(lambda reader: reader.chain_hash(4)) == previous
    assert verify([path]).head == previous


def test_a_new_life_goes_on_behind_the_last_line(store: SqliteStore, path: Path) -> None:
    note(store, "one")
    assert export(path, store) == 1
    note(store, "two")
    assert export(path, store) == 1
    assert codes(path) == ["one", "two"]
    assert verify([path]).problems == ()


@pytest.mark.parametrize("torn", [b'{"seq":2', b"\x00\x00\x00"])
def test_torn_line_is_written_again(store: SqliteStore, path: Path, torn: bytes) -> None:
    note(store, "one")
    export(path, store)
    with path.open("ab") as file:
        file.write(torn)
    assert verify([path]).problems == (f"{path} line 2: record 2 is cut off",)
    note(store, "two")
    export(path, store)
    assert codes(path) == ["one", "two"]
    assert verify([path]).problems == ()


def test_failed_write_goes_on_behind_what_is_complete(store: SqliteStore, tmp_path: Path) -> None:
    missing = tmp_path / "later" / "audit.jsonl"
    exporter = AuditExporter(missing, store)
    note(store, "one")
    with pytest.raises(OSError, match="No such file"):
        exporter.pump()
    missing.parent.mkdir()
    assert exporter.pump() == 1
    exporter.close()


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("compress", [False, True])
def test_chain_continues_over_a_rotation(
    store: SqliteStore, path: Path, restart: bool, compress: bool
) -> None:
    exporter = AuditExporter(path, store)
    note(store, "one")
    exporter.pump()
    rotated = path.rename(path.with_name("audit.jsonl.1"))
    path.touch()
    note(store, "two")
    exporter.pump()  # logrotate has renamed, nobody has told us yet
    exporter.close()
    if compress:
        packed = path.with_name("audit.jsonl.1.gz")
        packed.write_bytes(gzip.compress(rotated.read_bytes()))
        rotated.unlink()
        rotated = packed
    if restart:
        exporter = AuditExporter(path, store)
    note(store, "three")
    exporter.pump()
    exporter.close()
    assert codes(path) == ["three"]
    result = verify([rotated, path])
    assert (result.records, result.problems) == (3, ())


def test_changed_file_is_named_and_not_written_to(store: SqliteStore, path: Path) -> None:
    note(store, "one")
    export(path, store)
    changed = path.read_text().replace("one", "eno")
    path.write_text(changed)
    note(store, "two")
    with pytest.raises(AuditDiffers, match="record 1 "):
        export(path, store)
    assert path.read_text() == changed


def test_file_of_another_journal_is_named(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    for code in ("one", "two"):
        note(store, code)
    export(path, store)
    other = opened(tmp_path / "other.db")
    with pytest.raises(AuditDiffers, match="ends at record 2"):
        export(path, other)
    other.close()


def tampered(lines: list[bytes], how: str) -> list[bytes]:
    match how:
        case "changed":
            lines[1] = lines[1].replace(b"c1", b"cX")
        case "removed":
            del lines[1]
        case "swapped":
            lines[1], lines[2] = lines[2], lines[1]
        case "garbage":
            lines[2] = b"oops\n"
    return lines


@pytest.mark.parametrize(
    ("how", "where", "holds"),
    [
        ("changed", "record 3", 2),
        ("removed", "record 3 follows record 1", 1),
        ("swapped", "record 3 follows", 1),
        ("garbage", "record 3 is not", 2),
    ],
)
def test_verify_says_where_it_breaks(
    store: SqliteStore, path: Path, how: str, where: str, holds: int
) -> None:
    for n in range(4):
        note(store, f"c{n}")
    export(path, store)
    path.write_bytes(b"".join(tampered(path.read_bytes().splitlines(keepends=True), how)))
    result = verify([path])
    assert where in result.problems[0]
    assert result.records == holds


def test_beginning_cannot_be_cut_off_unseen(store: SqliteStore, path: Path) -> None:
    note(store, "one")
    export(path, store)
    path.write_bytes(path.read_bytes().replace(b'"prev":"0', b'"prev":"1'))
    assert "record 1" in verify([path]).problems[0]


# -- the actor


async def test_actor_catches_up_and_follows(store: SqliteStore, path: Path) -> None:
    note(store, "one")
    actor = AuditActor(AuditExporter(path, store))
    await actor.start()
    assert codes(path) == ["one"]
    note(store, "two")
    await actor.handle(Audit.LOOK)
    await actor.handle(Audit.LOOK)
    assert codes(path) == ["one", "two"]


async def test_actor_writes_to_the_new_file_after_a_rotation(store: SqliteStore, path: Path) -> None:
    actor = AuditActor(AuditExporter(path, store))
    note(store, "one")
    await actor.start()
    path.rename(path.with_name("audit.jsonl.1"))  # noqa: ASYNC240 - a test
    await actor.handle(Audit.REOPEN)
    note(store, "two")
    await actor.handle(Audit.LOOK)
    assert codes(path) == ["two"]


async def test_failing_disk_is_told_once_and_survived(store: SqliteStore, tmp_path: Path) -> None:
    path = tmp_path / "later" / "audit.jsonl"
    actor = AuditActor(AuditExporter(path, store))
    note(store, "one")
    with structlog.testing.capture_logs() as lines:
        await actor.start()
        await actor.handle(Audit.LOOK)
        path.parent.mkdir()
        await actor.handle(Audit.LOOK)
    assert codes(path) == ["one"]
    assert [line["event"] for line in lines] == ["audit_failed"]
