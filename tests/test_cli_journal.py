"""`fks journal` and `fks audit` on files as the daemon leaves them."""

import json
import os
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner, Result

from fks.cli import main
from fks.infra.audit import AuditExporter
from fks.infra.ledger_sqlite import SqliteStore

RECORDS = 5


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal with a few records and its audit trail, rotated once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FKS_CONFIG", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    store = SqliteStore.open(tmp_path / "fks.db", wall=lambda: 1762511400.0, ballast_bytes=0)
    exporter = AuditExporter(tmp_path / "audit.jsonl", store)
    for number in range(RECORDS):
        store.commit([lambda ledger, number=number: ledger.note("alarm", code="test", number=number)])
        exporter.pump()
        if number == 1:
            exporter.close()
            (tmp_path / "audit.jsonl").rename(tmp_path / "audit.jsonl.1")
            os.utime(tmp_path / "audit.jsonl.1", (1, 1))
    exporter.close()
    store.close()


def fks(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def tamper(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"number":3', b'"number":7'))


def test_a_whole_journal_and_its_audit_trail_hold_and_have_the_same_head() -> None:
    journal, audit = (json.loads(fks(name, "verify", "--json").stdout) for name in ("journal", "audit"))
    assert journal == audit
    assert journal["records"] == RECORDS
    assert f"holds: {RECORDS} records, head {journal['head']}" in fks("journal", "verify").stdout


def test_a_changed_record_is_named(tmp_path: Path) -> None:
    tamper(tmp_path / "audit.jsonl")
    result = fks("audit", "verify")
    assert result.exit_code == 1
    assert "record 5" in result.stdout
    assert "Traceback" not in result.output


def test_a_trail_that_is_not_the_journals_is_found(tmp_path: Path) -> None:
    """Each holds alone."""
    store = SqliteStore.open(tmp_path / "other.db", wall=lambda: 1762511400.0, ballast_bytes=0)
    for number in range(RECORDS):
        store.commit([lambda ledger, number=number: ledger.note("alarm", code="other", number=number)])
    (tmp_path / "audit.jsonl.1").unlink()
    (tmp_path / "audit.jsonl").unlink()
    exporter = AuditExporter(tmp_path / "audit.jsonl", store)
    exporter.pump()
    exporter.close()
    store.close()
    assert fks("audit", "verify", str(tmp_path / "audit.jsonl")).exit_code == 0
    result = fks("audit", "verify")
    assert result.exit_code == 1
    assert f"record {RECORDS} is not the one that the journal has" in result.stdout


def test_one_rotated_file_is_verified_alone(tmp_path: Path) -> None:
    result = fks("audit", "verify", "--json", str(tmp_path / "audit.jsonl"))
    assert result.exit_code == 0
    assert json.loads(result.stdout)["records"] == RECORDS - 2


def test_a_missing_rotated_record_shows(tmp_path: Path) -> None:
    old = tmp_path / "audit.jsonl.1"
    old.write_bytes(old.read_bytes().splitlines(keepends=True)[0])
    result = fks("audit", "verify")
    assert result.exit_code == 1
    assert "record 3" in result.stdout


def test_a_changed_journal_is_found(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "fks.db"))
    for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute("""UPDATE event SET data = '{"code":"edited"}' WHERE seq = 3""")
    connection.close()
    result = fks("journal", "verify")
    assert result.exit_code == 1
    assert "record 3" in result.stdout


def test_stats_count_what_is_there() -> None:
    assert json.loads(fks("journal", "stats", "--json").stdout)["rows"]["event"] == RECORDS
    assert f"  event: {RECORDS}\n" in fks("journal", "stats").stdout


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no journal"),
        (b"", "is empty"),
        (b"not a database, but long enough to be looked at" * 100, "restore a backup"),
    ],
)
@pytest.mark.parametrize("command", ["verify", "stats", "export"])
def test_what_is_no_journal_is_told_as_such(
    tmp_path: Path, command: str, content: bytes | None, told: str
) -> None:
    path = tmp_path / "fks.db"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    result = fks("journal", command)
    assert result.exit_code == 1, result.output
    assert str(path) in result.stderr
    assert told in result.stderr


def test_a_journal_that_is_locked_needs_no_backup(tmp_path: Path) -> None:
    other = apsw.Connection(str(tmp_path / "fks.db"))
    other.pragma("locking_mode", "exclusive")
    other.execute("BEGIN EXCLUSIVE")
    result = fks("journal", "stats")
    other.close()
    assert result.exit_code == 1
    assert "another program has it locked" in result.stderr


def test_a_missing_audit_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").unlink()
    result = fks("audit", "verify")
    assert result.exit_code == 1
    assert "No such file" in result.stderr
