"""`fks journal verify` finds each kind of damage: a sound journal, spoilt by SQL, and what is told of it."""

import json
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner

from fks.cli import main
from fks.domain.errors import Refusal
from fks.domain.orders import Leg, OrderType, State
from fks.domain.protection import HELD
from fks.infra.journal_check import open_journal, verify_journal
from fks.infra.sqlite_file import backup
from fks.ledger import JournalBroken
from ledger_cases import NOON, accept, alert, claimed, do, opened, order, report, sent, trade
from makers import dec


@pytest.fixture(name="path")
def fixture_path(tmp_path: Path) -> Path:
    """An entry with its stop, filled in two parts; an order unknown; an alert refused."""
    path = tmp_path / "fks.db"
    store = opened(path, ballast_bytes=0)
    entry = order(alert(1), strategy="trend")
    stop = order(
        alert(1), Leg.STOP_LOSS, parent=entry.id, type=OrderType.STOP, stop_price=dec("90"), not_before=HELD
    )
    claimed(store, entry, stop, n=1)
    parts = (trade("t1", "0.4", "100", "0.01", "USDT"), trade("t2", "0.6", "101"))
    filled = report(entry, State.FILLED, "1", "100.6", trades=parts)
    do(store, lambda ledger: ledger.settle(entry.id, filled, NOON))
    lost = sent(store, 2)
    do(store, lambda ledger: ledger.mark(lost.id, State.UNKNOWN, "timeout", NOON))
    intent = accept(store, alert(3))
    do(store, lambda ledger: ledger.refuse(intent, Refusal("risk.max_open_orders", "too many")))
    store.close()
    return path


def spoil(path: Path, statement: str) -> None:
    """As somebody who knows how to get round what the database forbids."""
    connection = apsw.Connection(str(path))
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.pragma("foreign_keys", 0)
    connection.execute(statement)
    connection.close()


def problems(path: Path) -> tuple[str, ...]:
    with open_journal(path) as reader:
        return verify_journal(reader).problems


def test_a_sound_journal_has_no_problems(path: Path) -> None:
    assert problems(path) == ()


ENTRY = "(SELECT id FROM order_ WHERE leg = 'entry' ORDER BY n LIMIT 1)"
LATE = "(SELECT id FROM order_ WHERE leg = 'entry' ORDER BY n DESC LIMIT 1)"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("DELETE FROM alert WHERE id = (SELECT alert_id FROM intent LIMIT 1)", "a row of alert that is gone"),
        (f"DELETE FROM order_ WHERE id = {ENTRY}", "a row of order that is gone"),
        ("UPDATE event SET data = '{}' WHERE seq = 3", "the chain breaks at record 3"),
        ("DELETE FROM event WHERE seq = 3", "record 4 follows record 2"),
        ("DELETE FROM event WHERE seq = 1", "record 2 follows record 0"),
        ("UPDATE position SET amount = '2'", "it is not what its fills add up to: amount 2, by the fills 1"),
        ("DELETE FROM position", "it is not what its fills add up to: there is no row"),
        ("UPDATE strategy_position SET realized = '7'", "the share of trend in the position of paper"),
        ("UPDATE fill SET amount = '0.5' WHERE trade_id = 't1'", "1 filled, but its fills add up to 1.1"),
        ("DELETE FROM fill WHERE trade_id = 't2'", "1 filled, but its fills add up to 0.4"),
        ("DELETE FROM fill", "1 filled, and no fill tells of it"),
        (
            "UPDATE fill SET amount = '0' WHERE trade_id = 't2'",
            "a fill of it has no amount",
        ),
        ("UPDATE fill SET price = '150' WHERE trade_id = 't2'", "its average price is 100.6"),
        (f"UPDATE order_ SET average = NULL WHERE id = {ENTRY}", "it is filled without a price"),
        (f"UPDATE order_ SET filled = '0' WHERE id = {ENTRY}", "it is filled, and nothing of it is"),
        (f"UPDATE order_ SET filled = '0.5' WHERE id = {LATE}", "it is unknown, and has 0.5 filled"),
        (f"UPDATE order_ SET state = 'open' WHERE id = {LATE}", "it is open, its last event says unknown"),
        ("UPDATE alert SET state = 'done' WHERE state = 'refused'", "its intents and orders say refused"),
        ("UPDATE alert SET state = 'done' WHERE state = 'refused'", "its last event says refused"),
        ("DELETE FROM intent WHERE state = 'refused'", "no account has an intent of it"),
        (f"UPDATE order_ SET account = 'other' WHERE id = {LATE}", "for other"),
        (f"UPDATE order_ SET send_by = NULL WHERE id = {ENTRY}", "was never claimed for sending"),
        (f"DELETE FROM attempt WHERE order_id = {ENTRY}", "its attempt 1 is not recorded"),
        (
            f"UPDATE order_ SET send_by = 1, exchange_order_id ="
            f" (SELECT exchange_order_id FROM order_ WHERE id = {ENTRY}) WHERE id = {LATE}",
            "is also that of",
        ),
        (f"UPDATE order_ SET leg = 'entry' WHERE parent = {ENTRY}", "it is a second entry of alert"),
        ("UPDATE position SET average = 'much'", "a value in it cannot be read"),
    ],
)
def test_damage_is_found_and_said_where(path: Path, damage: str, told: str) -> None:
    spoil(path, damage)
    found = problems(path)
    assert any(told in problem for problem in found), found
    assert all(";" in problem and ": " in problem for problem in found), "where: what; what to do"


def test_events_that_no_order_can_have_lived_are_found(path: Path) -> None:
    """Even where the chain was made anew over them."""
    spoil(path, "UPDATE event SET kind = 'order_filled' WHERE kind = 'order_unknown'")
    assert any("its last event says filled" in problem for problem in problems(path))
    spoil(path, "UPDATE event SET kind = 'order_open' WHERE kind = 'order_planned'")
    assert any("nothing was followed by open" in problem for problem in problems(path))


def test_damaged_pages_are_found(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = delete")
    root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'order_by_state'").get
    connection.close()
    data = bytearray(path.read_bytes())
    data[(root - 1) * 4096 + 100 : root * 4096] = b"\x00" * 3996  # type: ignore[operator]
    path.write_bytes(data)
    assert any("the file: " in problem for problem in problems(path))


def test_many_findings_of_one_kind_are_told_shortly(path: Path) -> None:
    store = opened(path, ballast_bytes=0)
    for n in range(10, 50):
        accept(store, alert(n))
    store.close()
    spoil(path, "UPDATE alert SET state = 'done'")
    assert any(problem.startswith("and ") and "more" in problem for problem in problems(path))


def test_the_command_says_it_and_exits_1(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    monkeypatch.delenv("FKS_CONFIG", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(path.parent))
    spoil(path, "UPDATE position SET amount = '2'")
    result = CliRunner().invoke(main, ["journal", "verify"])
    assert result.exit_code == 1
    assert "compare with the exchange" in result.stdout


def test_pages_that_cannot_be_read_are_findings(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where they are those of the chain: a script gets its document."""
    monkeypatch.setenv("STATE_DIRECTORY", str(path.parent))
    connection = apsw.Connection(str(path))
    root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'event'").get
    size = connection.pragma("page_size")
    connection.pragma("journal_mode", "delete")
    connection.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    result = CliRunner().invoke(main, ["journal", "verify", "--json"])
    assert result.exit_code == 1
    assert "its pages are damaged" in json.loads(result.stdout)["problems"][0]


def test_a_damaged_journal_has_no_backup_under_a_good_name(path: Path, tmp_path: Path) -> None:
    spoil(path, "UPDATE event SET data = '{}' WHERE seq = 3")
    copy = tmp_path / "copy.db"
    copy.write_text("the good one of yesterday")
    with open_journal(path) as reader, pytest.raises(JournalBroken, match="does not hold"):
        backup(reader.connection, copy)
    assert copy.read_text() == "the good one of yesterday"
    assert (tmp_path / "copy.db.bad").exists()
