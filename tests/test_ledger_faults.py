"""Another daemon, another schema, a full or failing disk, a kill: what the journal then keeps and says."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest

from fks.domain.messages import TradingState, Verdict
from fks.domain.orders import State
from fks.infra import journal_check
from fks.infra.ledger_sqlite import SqliteStore
from fks.infra.sqlite_schema import MIGRATIONS
from fks.ledger import JournalBroken, JournalBusy, JournalFull, JournalLocked, SchemaTooNew
from ledger_cases import NOON, accept, alert, do, found, kinds, opened, report, sent, sql
from ledger_fixtures import fixture_path, fixture_store  # noqa: F401 - fixtures

# -- faults


def test_second_daemon_is_told_who_holds_the_journal(store: SqliteStore, path: Path) -> None:
    with pytest.raises(JournalLocked, match=str(os.getpid())) as caught:
        opened(path)
    assert caught.value.exit_code == 77


@pytest.mark.fault(38)
def test_newer_schema_is_refused_and_kept(path: Path) -> None:
    opened(path, migrations=[*MIGRATIONS, "CREATE TABLE later(x)"]).close()
    with pytest.raises(SchemaTooNew) as caught:
        opened(path)
    assert caught.value.exit_code == 78
    assert sql(path, "SELECT count(*) FROM later") == [(0,)]


def test_older_schema_is_backed_up_and_brought_forward(path: Path) -> None:
    opened(path).close()
    later = [*MIGRATIONS, "ALTER TABLE alert ADD COLUMN later TEXT"]
    opened(path, migrations=later).close()
    assert sql(path, "PRAGMA user_version") == [(len(later),)]
    backup = path.with_name(f"fks.db.v{len(MIGRATIONS)}.bak")
    assert sql(backup, "PRAGMA user_version") == [(len(MIGRATIONS),)]


def test_failing_migration_leaves_the_old_schema(path: Path) -> None:
    opened(path).close()
    with pytest.raises(JournalBroken):
        opened(path, migrations=[*MIGRATIONS, "CREATE TABLE half(x); SELECT nonsense"])
    assert sql(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    opened(path).close()


def test_changed_view_is_made_anew_without_a_migration(path: Path) -> None:
    opened(path).close()
    sql(path, "DROP VIEW orders; CREATE VIEW orders AS SELECT 1 AS old")
    opened(path).close()
    assert sql(path, "SELECT count(client_order_id) FROM orders") == [(0,)]


@pytest.mark.parametrize("damage", [b"this is not a database at all" * 100, None])
@pytest.mark.fault(36)
def test_corrupt_file_is_refused_and_kept(path: Path, damage: bytes | None) -> None:
    store = opened(path)
    for n in range(30):
        accept(store, alert(n))
    store.close()
    data = bytearray(path.read_bytes())
    content = damage or bytes(data[:4096] + b"\x55" * 4096 + data[8192:])
    path.write_bytes(content)
    with pytest.raises(JournalBroken, match="kept"):
        opened(path)
    assert path.read_bytes() == content


def test_foreign_database_is_left_alone(path: Path) -> None:
    sql(path, "CREATE TABLE theirs(x)")
    before = path.read_bytes()
    with pytest.raises(JournalBroken, match="another program"):
        opened(path)
    assert path.read_bytes() == before


def test_unwritable_folder_is_named() -> None:
    with pytest.raises(JournalBroken, match="writable folder"):
        opened(Path("/proc/fks.db"))


@pytest.mark.fault(35)
def test_locked_database_is_busy_and_then_goes_on(store: SqliteStore, path: Path) -> None:
    intruder = apsw.Connection(str(path))
    intruder.execute("BEGIN IMMEDIATE")
    store._writer.set_busy_timeout(10)  # the wait itself is SQLite's
    with pytest.raises(JournalBusy):
        do(store, lambda ledger: ledger.accept(alert()))
    intruder.execute("ROLLBACK")
    intruder.close()
    assert do(store, lambda ledger: ledger.accept(alert())).verdict is Verdict.FRESH


def fill_the_disk(store: SqliteStore, spare_pages: int) -> None:
    pages = store._writer.pragma("page_count")
    assert isinstance(pages, int)
    store._writer.pragma("max_page_count", pages + spare_pages)


def test_full_disk_refuses_what_is_new_and_recovers(store: SqliteStore) -> None:
    fill_the_disk(store, 0)
    refused = store.commit([lambda ledger, n=n: ledger.accept(alert(n)) for n in range(200)]).results
    assert {type(one) for one in refused} == {JournalFull}
    fill_the_disk(store, 1000)
    assert do(store, lambda ledger: ledger.accept(alert(999))).verdict is Verdict.FRESH
    assert store.read(lambda reader: reader.backlog()) == 1


def test_without_any_space_the_whole_batch_is_refused(store: SqliteStore) -> None:
    fill_the_disk(store, 0)
    changes = [
        lambda ledger, n=n: ledger.set_trading(f"account{n}", TradingState.HALTED, "test", NOON)
        for n in range(500)
    ]
    with pytest.raises(JournalFull):
        store.commit(changes)
    assert kinds(store) == []
    assert store.read(lambda reader: reader.trading()) == {}


def test_reserve_is_kept_on_disk_freed_when_full_and_taken_again(store: SqliteStore, path: Path) -> None:
    reserve = path.with_name("fks.db.ballast")
    assert reserve.stat().st_size == 4096
    fill_the_disk(store, 0)
    store.commit([lambda ledger, n=n: ledger.accept(alert(n)) for n in range(200)])
    assert not reserve.exists()
    fill_the_disk(store, 1000)
    accept(store, alert())
    assert reserve.stat().st_size == 4096


def test_log_is_moved_into_the_database_now_and_then(store: SqliteStore, path: Path) -> None:
    before = path.stat().st_size
    for start in range(0, 8000, 2000):
        store.commit([lambda ledger, n=n: ledger.accept(alert(n)) for n in range(start, start + 2000)])
    assert path.stat().st_size > before


class FullOnce:
    """A disk that is full until the reserve is freed."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        fill_the_disk(store, 0)

    def free(self) -> None:
        fill_the_disk(self._store, 100)

    def fill(self) -> bool:
        return False


def test_reserve_lets_orders_under_way_go_on_while_alerts_are_refused(store: SqliteStore) -> None:
    one = sent(store)
    store._ballast = FullOnce(store)  # type: ignore[assignment]
    noise = [lambda ledger: ledger.settle(one.id, report(one, State.OPEN), NOON)]
    noise += [lambda ledger, n=n: ledger.accept(alert(n)) for n in range(2, 200)]
    settled, *refused = store.commit(noise).results
    assert settled.state is State.OPEN
    assert {type(result) for result in refused} == {JournalFull}
    assert found(store, one.id).state is State.OPEN


def test_failed_disk_stops_every_later_write(path: Path) -> None:
    store = opened(path)

    def eio(_ledger: Any) -> None:
        raise apsw.IOError("disk I/O error")

    with pytest.raises(JournalBroken):
        store.commit([lambda ledger: ledger.accept(alert()), eio])
    with pytest.raises(JournalBroken):
        do(store, lambda ledger: ledger.accept(alert()))
    store.close()
    store = opened(path)
    assert kinds(store) == []
    store.close()


def test_power_cut_keeps_what_was_acknowledged(path: Path, tmp_path: Path) -> None:
    store = opened(path)
    one = sent(store)
    copies = []

    def cut(name: str) -> None:
        copy = tmp_path / name
        copy.mkdir()
        # Another process copies: opening the file here would drop SQLite's locks.
        subprocess.run(["cp", path, f"{path}-wal", copy], check=True)
        copies.append(copy / path.name)

    cut("before")

    def midway(ledger: Any) -> None:
        ledger.settle(one.id, report(one, State.FILLED, "1", "100"), NOON)
        ledger.connection.cache_flush()  # half of the transaction is in the files already
        cut("midway")

    do(store, midway)
    cut("after")
    store.close()
    states = []
    for copy in copies:
        survivor = opened(copy)
        states.append((found(survivor, one.id).state, len(survivor.read(lambda reader: reader.positions()))))
        assert survivor.read(journal_check.verify_journal).problems == ()
        survivor.close()
    assert states == [(State.SENDING, 0), (State.SENDING, 0), (State.FILLED, 1)]


CHILD = """
import sys
from pathlib import Path
from ledger_cases import alert, do, opened, order, planned
store = opened(Path(sys.argv[1]))
base = int(sys.argv[2])
for n in range(base, base + 100000):
    planned(store, order(alert(n)), n=n)
    sys.stdout.write(f"{n}\\n")
    sys.stdout.flush()
"""


@pytest.mark.real_time
def test_kill_9_loses_nothing_that_was_acknowledged(path: Path) -> None:
    random = Random(5)
    acknowledged: set[str] = set()
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    for life in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), str(life * 1_000_000)], stdout=subprocess.PIPE, env=env
        )
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(random.randrange(20, 60))]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines(keepends=True)
        child.wait()
        child.stdout.close()
        acknowledged |= {alert(int(one)).id for one in lines if one.endswith(b"\n")}
    store = opened(path)
    orders = store.read(lambda reader: reader.orders(limit=100000))
    assert len(acknowledged) >= 60
    assert acknowledged <= {one.alert_id for one in orders}
    assert store.read(journal_check.verify_journal).problems == ()
    store.close()
