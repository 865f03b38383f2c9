"""Backups that hold, a journal put back, and what other programs get of it."""

import csv
import io
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fks.cli import main
from fks.domain.messages import TradingState
from fks.infra.audit import AuditExporter
from fks.infra.journal_check import open_journal, verify_journal
from fks.infra.ledger_sqlite import SqliteStore
from fks.infra.sqlite_schema import MIGRATIONS, USER_VIEWS
from ledger_cases import alert


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteStore:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FKS_CONFIG", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    store = SqliteStore.open(tmp_path / "fks.db", wall=lambda: 1762511400.0, ballast_bytes=0)
    noted(store, "=1+1")
    return store


def noted(store: SqliteStore, code: str) -> None:
    store.commit([lambda ledger: ledger.note("alarm", code=code)])


def fks(*args: str) -> Result:
    return CliRunner().invoke(main, ["journal", *args])


def heads(path: Path) -> int:
    with open_journal(path) as reader:
        found = verify_journal(reader)
    assert not found.problems
    return found.records


def test_a_backup_is_made_beside_the_daemon_and_holds(store: SqliteStore, tmp_path: Path) -> None:
    result = fks("backup", "copy.db")
    assert result.exit_code == 0, result.output
    assert "copy.db: 1 records, head" in result.stdout
    assert heads(tmp_path / "copy.db") == 1
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    noted(store, "later")
    assert heads(tmp_path / "copy.db") == 1
    store.close()


def test_a_folder_keeps_the_newest_copies_and_leaves_other_files(store: SqliteStore, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    for name in ("fks-20250101T000000Z.db", "fks-20250102T000000Z.db", "mine.db"):
        (folder / name).write_text("old")
    result = fks("backup", "--keep", "2", str(folder))
    assert result.exit_code == 0, result.output
    kept = sorted(one.name for one in folder.iterdir())
    assert kept[0] == "fks-20250102T000000Z.db"
    assert kept[2:] == ["mine.db"]
    assert "deleted" in result.stdout
    store.close()


def test_keep_wants_a_folder(store: SqliteStore) -> None:
    assert fks("backup", "--keep", "2", "copy.db").exit_code == 64
    store.close()


def test_a_restored_journal_is_the_backup_and_is_halted(store: SqliteStore, tmp_path: Path) -> None:
    fks("backup", "copy.db")
    noted(store, "after the backup")
    store.close()
    result = fks("restore", "--yes", "copy.db")
    assert result.exit_code == 0, result.output
    (aside,) = tmp_path.glob("fks.db.before-*Z")
    assert heads(aside) == 2
    restored = SqliteStore.open(tmp_path / "fks.db", wall=lambda: 1762511500.0, ballast_bytes=0)
    assert restored.read(lambda reader: reader.trading())[None] is TradingState.HALTED
    restored.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_beside_the_journal_is_the_daemons(store: SqliteStore, tmp_path: Path) -> None:
    """Who owns the folder must be able to start with it: the package's daemon has a user of its own."""
    store.close()
    for path in (tmp_path, *tmp_path.iterdir()):
        os.chown(path, 12345, 12345)
    (tmp_path / "fks.db.lock").unlink()
    for command in (("backup", "copy.db"), ("verify",), ("restore", "--yes", "copy.db")):
        assert fks(*command).exit_code == 0
    assert {one.name for one in tmp_path.iterdir() if one.stat().st_uid == 0} == {"copy.db"}


def test_a_backup_with_a_log_of_its_own_is_restored_whole(store: SqliteStore, tmp_path: Path) -> None:
    noted(store, "only in the log")
    for name in ("fks.db", "fks.db-wal"):
        (tmp_path / name.replace("fks", "copy")).write_bytes((tmp_path / name).read_bytes())
    store.close()
    result = fks("restore", "--yes", "copy.db")
    assert result.exit_code == 0, result.output
    assert heads(tmp_path / "fks.db") == 3  # and the halt


def test_an_audit_trail_that_knows_more_than_the_backup_is_moved_away(
    store: SqliteStore, tmp_path: Path
) -> None:
    exporter = AuditExporter(tmp_path / "audit.jsonl", store)
    fks("backup", "copy.db")
    noted(store, "after the backup")
    exporter.pump()
    exporter.close()
    store.close()
    result = fks("restore", "--yes", "copy.db")
    assert result.exit_code == 0, result.output
    (aside,) = tmp_path.glob("before-*Z-audit.jsonl")
    assert len(aside.read_bytes().splitlines()) == 2
    restored = SqliteStore.open(tmp_path / "fks.db", wall=lambda: 1762511500.0, ballast_bytes=0)
    anew = AuditExporter(tmp_path / "audit.jsonl", restored)
    assert anew.pump() == 2
    anew.close()
    restored.close()


def test_an_audit_trail_that_the_backup_knows_is_continued(store: SqliteStore, tmp_path: Path) -> None:
    exporter = AuditExporter(tmp_path / "audit.jsonl", store)
    exporter.pump()
    exporter.close()
    fks("backup", "copy.db")
    store.close()
    fks("restore", "--yes", "copy.db")
    assert (tmp_path / "audit.jsonl").exists()


def test_stats_tell_growth_sizes_and_the_last_backup(store: SqliteStore) -> None:
    store.commit([lambda ledger: ledger.accept(alert())])
    fks("backup", "copy.db")
    told = json.loads(fks("stats", "--json").stdout)
    assert told["last_backup"]["file"].endswith("copy.db")
    assert told["last_backup"]["records"] == 2
    assert told["schema"] == len(MIGRATIONS)
    assert told["bytes_per_day"] > 10_000
    assert told["log_bytes"] > 0
    assert told["alerts"] == {"accepted": 1}
    assert "last_backup:" in fks("stats").stdout
    store.close()


def test_nothing_is_restored_under_a_running_daemon(store: SqliteStore, tmp_path: Path) -> None:
    fks("backup", "copy.db")
    result = fks("restore", "--yes", "copy.db")
    assert result.exit_code == 77
    assert not list(tmp_path.glob("fks.db.before-*"))
    store.close()


def test_a_damaged_backup_changes_nothing(store: SqliteStore, tmp_path: Path) -> None:
    store.close()
    before = (tmp_path / "fks.db").read_bytes()
    (tmp_path / "copy.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    assert fks("restore", "--yes", "copy.db").exit_code != 0
    assert (tmp_path / "fks.db").read_bytes() == before


def test_without_a_yes_nothing_is_restored(store: SqliteStore) -> None:
    fks("backup", "copy.db")
    store.close()
    assert CliRunner().invoke(main, ["journal", "restore", "copy.db"], input="n\n").exit_code != 0


def test_json_lines_name_their_table(store: SqliteStore) -> None:
    lines = [json.loads(line) for line in fks("export").stdout.splitlines()]
    assert {line["table"] for line in lines} <= set(USER_VIEWS)
    (event,) = [line for line in lines if line["table"] == "events"]
    assert (event["event"], event["data"]) == ("alarm", {"code": "=1+1"})
    store.close()


def test_csv_has_a_header_and_no_formulas(store: SqliteStore) -> None:
    (row,) = csv.DictReader(io.StringIO(fks("export", "--format", "csv", "--table", "events").stdout))
    assert (row["seq"], row["event"]) == ("1", "alarm")
    store.commit([lambda ledger: ledger.accept(alert(strategy="=HYPERLINK(1)", percent=-1))])
    (row,) = csv.DictReader(io.StringIO(fks("export", "--format", "csv", "--table", "alerts").stdout))
    assert row["strategy"] == "'=HYPERLINK(1)"
    assert fks("export", "--format", "csv").stdout.startswith("order_id,alert_id,account,symbol,side,")
    store.close()


@pytest.mark.parametrize("command", [["backup", "copy.db"], ["export"]])
def test_without_a_journal_it_says_where_it_looked(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    result = fks(*command)
    assert result.exit_code == 1
    assert str(tmp_path / "fks.db") in result.stderr
