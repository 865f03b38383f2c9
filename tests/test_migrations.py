"""Every schema that was ever released comes forward with its data; `schemas/` holds journals that they made.

v1: the first. v2-shares, v2-waived: builds of main while schema 2 grew. v2: its last form.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner

from fks.cli import main
from fks.domain.messages import TradingState
from fks.domain.orders import Leg, State
from fks.infra.journal_check import open_journal, verify_journal
from fks.infra.sqlite_schema import MIGRATIONS
from fks.ledger import JournalBroken
from ledger_cases import NOON, do, found, opened, report, sql

SCHEMAS = sorted((Path(__file__).parent / "schemas").glob("*.sql"))


def made(path: Path, schema: Path) -> Path:
    connection = apsw.Connection(str(path))
    connection.execute(schema.read_text())
    connection.close()
    return path


@pytest.fixture(name="old", params=SCHEMAS, ids=lambda one: one.stem)
def fixture_old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return made(tmp_path / "fks.db", request.param)


def test_there_is_a_journal_of_every_released_schema() -> None:
    versions = [int(one.read_text().rpartition("user_version=")[2].partition(";")[0]) for one in SCHEMAS]
    assert set(versions) == set(range(1, len(MIGRATIONS)))


def test_it_comes_forward_whole_and_goes_on(old: Path) -> None:
    before = sql(old, "SELECT count(*), max(hash) FROM event")
    store = opened(old, ballast_bytes=0)
    assert store.read(verify_journal).problems == ()
    assert sql(old, "SELECT count(*), max(hash) FROM event") == before
    (position,) = store.read(lambda reader: reader.positions("paper"))
    assert (str(position.amount), str(position.fees)) == ("0.25", "0.05")
    assert store.read(lambda reader: reader.trading())["paper"] is TradingState.REDUCE
    stop = next(one for one in store.read(lambda reader: reader.orders()) if one.leg is Leg.STOP_LOSS)
    assert (stop.waived, stop.state) == (False, State.PLANNED)
    unknown = next(
        one for one in store.read(lambda reader: reader.live_orders()) if one.state is State.UNKNOWN
    )
    do(store, lambda ledger: ledger.settle(unknown.id, report(unknown, State.FILLED, "1", "100"), NOON + 9))
    do(
        store,
        lambda ledger: ledger.set_trading("paper", TradingState.ACTIVE, "test", NOON + 9, why="because"),
    )
    assert found(store, unknown.id).state is State.FILLED
    assert store.read(verify_journal).problems == ()
    store.close()


def test_it_has_the_tables_of_a_new_one(old: Path, tmp_path: Path) -> None:
    def columns(path: Path) -> set[tuple[str, str]]:
        opened(path, ballast_bytes=0).close()
        tables = [row[0] for row in sql(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {(table, row[1]) for table in tables for row in sql(path, f"PRAGMA table_info({table})")}

    assert columns(old) == columns(tmp_path / "new.db")


def test_a_verified_copy_of_the_old_one_is_kept_beside_it(old: Path) -> None:
    (version,) = sql(old, "PRAGMA user_version")[0]
    opened(old, ballast_bytes=0).close()
    copy = old.with_name(f"fks.db.v{version}.bak")
    assert sql(copy, "PRAGMA user_version") == [(version,)]
    with open_journal(copy) as reader:
        assert verify_journal(reader).problems == ()


def test_a_step_that_fails_undoes_all_of_them(old: Path) -> None:
    (version,) = sql(old, "PRAGMA user_version")[0]
    with pytest.raises(JournalBroken):
        opened(old, migrations=[*MIGRATIONS, "CREATE TABLE half(x); SELECT nonsense"])
    assert sql(old, "PRAGMA user_version") == [(version,)]
    assert sql(old, "SELECT count(*) FROM sqlite_schema WHERE name IN ('half', 'carried')") == [(0,)]


DIES = """
import os, signal, sys
from pathlib import Path
from fks.infra.sqlite_schema import MIGRATIONS
from ledger_cases import opened

def die(connection):
    connection.execute("CREATE TABLE half(x); UPDATE alert SET digest = 'changed'")
    connection.cache_flush()  # half of the transaction is in the files
    os.kill(os.getpid(), signal.SIGKILL)

opened(Path(sys.argv[1]), migrations=[*MIGRATIONS, die])
"""


@pytest.mark.real_time
def test_killed_in_the_middle_the_old_journal_is_there_again(tmp_path: Path) -> None:
    old = made(tmp_path / "fks.db", SCHEMAS[0])
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    child = subprocess.run([sys.executable, "-c", DIES, str(old)], env=env, check=False)
    assert child.returncode == -signal.SIGKILL
    assert sql(old, "PRAGMA user_version") == [(1,)]
    assert sql(old, "SELECT count(*) FROM alert WHERE digest = 'changed'") == [(0,)]
    store = opened(old, ballast_bytes=0)
    assert store.read(verify_journal).problems == ()
    store.close()


@pytest.mark.parametrize("command", ["stats", "verify", "export", "backup copy.db", "restore --yes fks.db"])
def test_a_newer_schema_is_refused_by_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FKS_CONFIG", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    opened(tmp_path / "fks.db", migrations=[*MIGRATIONS, "CREATE TABLE later(x)"]).close()
    before = (tmp_path / "fks.db").read_bytes()
    result = CliRunner().invoke(main, ["journal", *command.split()])
    assert result.exit_code == 78, result.output
    assert "newer version" in result.stderr
    assert (tmp_path / "fks.db").read_bytes() == before


@pytest.mark.parametrize("command", ["stats", "verify", "export", "backup copy.db"])
def test_an_older_schema_is_read_as_it_is(old: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.chdir(old.parent)
    monkeypatch.delenv("FKS_CONFIG", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(old.parent))
    before = old.read_bytes()
    result = CliRunner().invoke(main, ["journal", *command.split()])
    assert result.exit_code == 0, result.output
    assert old.read_bytes() == before


def test_a_backup_of_an_older_schema_is_restored_and_brought_forward(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FKS_CONFIG", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    old.rename(tmp_path / "copy.db")
    result = CliRunner().invoke(main, ["journal", "restore", "--yes", "copy.db"])
    assert result.exit_code == 0, result.output
    assert sql(tmp_path / "fks.db", "PRAGMA user_version") == [(len(MIGRATIONS),)]
    left = sorted(one.name for one in tmp_path.iterdir() if "restoring" in one.name)
    assert left == []
