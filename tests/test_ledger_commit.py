"""The journal's file keeps its own rules, commits as a group, and is checked by its operator."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import pytest

from fks.domain.messages import NewAlert, Verdict
from fks.domain.orders import NEXT, State
from fks.domain.secret import Secret
from fks.infra import journal_check, journal_stats, sqlite_file
from fks.infra.ledger_sqlite import SqliteStore
from fks.infra.sqlite_schema import DERIVED
from fks.ledger import Ledger
from ledger_cases import NOON, alert, do, kinds, opened, order, planned, report, sent, sql
from ledger_fixtures import fixture_path, fixture_store  # noqa: F401 - fixtures

# -- the file keeps its own rules


def test_transitions_are_also_a_trigger(path: Path) -> None:
    store = opened(path)
    one = sent(store)
    store.close()
    connection = apsw.Connection(str(path))
    for now in State:
        for to in State:
            connection.execute("BEGIN; DROP TRIGGER order_transition")
            connection.execute("UPDATE order_ SET state = ?", (now.value,))
            connection.execute(DERIVED["order_transition"][1])
            if to is now or to in NEXT[now]:
                connection.execute("UPDATE order_ SET state = ?", (to.value,))
            else:
                with pytest.raises(apsw.ConstraintError):
                    connection.execute("UPDATE order_ SET state = ?", (to.value,))
            connection.execute("ROLLBACK")
    assert connection.execute("SELECT state FROM order_ WHERE id = ?", (one.id,)).get == "sending"
    connection.close()


@pytest.mark.parametrize(
    "statement", ["DELETE FROM event", "UPDATE event SET data = '{}'", "DELETE FROM order_"]
)
def test_history_cannot_be_rewritten(store: SqliteStore, path: Path, statement: str) -> None:
    planned(store, order(alert()))
    with pytest.raises(apsw.ConstraintError):
        sql(path, statement)


def test_secret_cannot_get_into_an_event(store: SqliteStore) -> None:
    with pytest.raises(TypeError):
        do(store, lambda ledger: ledger.note("alarm", key=Secret("canary")))


# -- group commit


def test_one_failing_operation_fails_alone(store: SqliteStore) -> None:
    def broken(ledger: Any) -> None:
        ledger.note("alarm", code="lost")
        raise ZeroDivisionError

    def wrong(ledger: Any) -> None:
        ledger.note("alarm", code="lost")
        ledger.connection.execute("INSERT INTO intent(alert_id, account) VALUES ('none', 'paper')")

    new = alert()
    committed = store.commit(
        [
            lambda ledger: ledger.note("alarm", code="first"),
            broken,
            wrong,
            lambda ledger: ledger.accept(new),
        ]
    )
    kept, zero, constraint, acceptance = committed.results
    assert kept is None
    assert isinstance(zero, ZeroDivisionError)
    assert isinstance(constraint, apsw.ConstraintError)
    assert acceptance.verdict is Verdict.FRESH
    assert [event.data.get("code") for event in committed.events] == ["first", None]
    assert store.read(lambda reader: tuple(reader.events(0))) == committed.events


def test_readers_see_only_what_is_committed(store: SqliteStore) -> None:
    def look(ledger: Any) -> tuple[int, int]:
        ledger.note("alarm", code="x")
        return len(ledger.events(0)), store.read(lambda reader: len(reader.events(0)))

    assert do(store, look) == (1, 0)


@pytest.mark.real_time
def test_many_threads_read_whole_snapshots_while_one_writes(store: SqliteStore) -> None:
    def snapshot() -> bool:
        for _ in range(30):
            orders, events = store.read(lambda reader: (len(reader.orders()), len(reader.events(0))))
            if events != 4 * orders:  # accepted, decided, planned, working
                return False
        return True

    with ThreadPoolExecutor(6) as pool:
        reading = [pool.submit(snapshot) for _ in range(6)]
        for n in range(40):
            new = alert(n)

            def whole(ledger: Ledger, new: NewAlert = new) -> None:
                ledger.accept(new)
                ledger.plan(ledger.intents_of(new.id)[0], [order(new)])

            do(store, whole)
        assert all(one.result() for one in reading)


# -- checks for the operator


def test_verify_names_what_was_changed_behind_the_journals_back(path: Path) -> None:
    store = opened(path)
    one = sent(store)
    do(store, lambda ledger: ledger.settle(one.id, report(one, State.FILLED, "1", "100"), NOON))
    store.close()
    sql(path, "UPDATE position SET amount = '2'; UPDATE order_ SET filled = '5'; DROP TRIGGER event_is_final")
    sql(path, "UPDATE event SET data = '{}' WHERE seq = 4")
    with journal_check.open_journal(path) as reader:
        problems = " | ".join(journal_check.verify_journal(reader).problems)
    assert "record 4" in problems
    assert "position of paper in BTC/USDT" in problems
    assert one.id in problems


def test_stats_and_backup_work_beside_the_daemon(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    planned(store, order(alert()))
    with journal_check.open_journal(path) as reader:
        told = journal_stats.stats(reader)
        sqlite_file.backup(reader.connection, tmp_path / "copy.db")
    assert told["orders"] == {"planned": 1}
    assert told["rows"]["order"] == 1
    copy = opened(tmp_path / "copy.db")
    assert kinds(copy) == kinds(store)
    copy.close()
