"""What the journal tells of executions, and that `verify` sees when the books disagree."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from fks.domain.orders import Leg, Side, State
from fks.domain.trades import Execution, RoundTrip, RoundTrips
from fks.infra import journal_check
from fks.infra.ledger_sqlite import SqliteStore
from ledger_cases import NOON, accept, alert, do, opened, order, report, sql
from makers import dec


def problems(path: Path) -> tuple[str, ...]:
    with journal_check.open_journal(path) as reader:
        return journal_check.verify_journal(reader).problems


def execute(store: SqliteStore, n: int, leg: Leg, amount: str, price: str, **fields: str) -> None:
    """The alert `n` as one order, filled."""
    new = alert(n, **({"price": dec(fields["saw"])} if "saw" in fields else {}))
    intent, strategy = accept(store, new), fields.get("strategy", "")
    side = Side.BUY if leg is Leg.ENTRY else Side.SELL
    one = order(new, leg, side=side, amount=dec(amount), strategy=strategy)
    do(store, lambda ledger: ledger.plan(intent, [one]))
    do(store, lambda ledger: ledger.claim("paper", now=NOON, window=5.0, limit=10))
    do(store, lambda ledger: ledger.settle(one.id, report(one, State.FILLED, amount, price), NOON))


@pytest.fixture(name="path")
def fixture_path(tmp_path: Path) -> Path:
    """Two strategies and an order without one; then a close of nearly everything, and one of the rest."""
    path = tmp_path / "fks.db"
    store = opened(path)
    execute(store, 1, Leg.ENTRY, "1", "100.1", strategy="a", saw="99.9")
    execute(store, 2, Leg.ENTRY, "2", "103", strategy="b")
    execute(store, 3, Leg.ENTRY, "0.7", "107")
    execute(store, 4, Leg.CLOSE, "3.2", "110")
    execute(store, 5, Leg.CLOSE, "0.5", "111")
    store.close()
    return path


def test_executions_come_in_pages_with_what_their_alerts_saw(path: Path) -> None:
    with journal_check.open_journal(path) as reader:
        first, after = reader.executions(0, 2)
        rest, end = reader.executions(after, 10)
        assert reader.executions(end) == ([], end)
        assert [strategy for strategy, _ in reader.strategy_positions("paper")] == ["a", "b"]
        assert reader.strategy_positions("other") == []
    assert [one.strategy for one in (*first, *rest)] == ["a", "b", "", "", ""]
    assert [one.alert_price for one in first] == [dec("99.9"), 100]  # of the second, its order's reference
    assert [one.fill.amount for one in rest] == [dec("0.7"), dec("3.2"), dec("0.5")]


def test_books_that_agree_hold(path: Path) -> None:
    assert problems(path) == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "UPDATE strategy_position SET realized = '9' WHERE strategy = 'a'",
            "the share of a in the position",
        ),
        ("DELETE FROM strategy_position WHERE strategy = 'b'", "the share of b in the position"),
        ("UPDATE position SET fees = '1'", "the position of paper in BTC/USDT"),
    ],
)
def test_a_changed_book_is_found(path: Path, change: str, told: str) -> None:
    sql(path, change)
    (problem,) = problems(path)
    assert problem.startswith(told)


class Dearer(RoundTrips):
    """Sells at a better price than it was."""

    def add(self, one: Execution) -> list[RoundTrip]:
        if one.order.side is Side.SELL:
            one = replace(one, fill=replace(one.fill, price=one.fill.price + 1))
        return super().add(one)


def test_round_trips_that_made_another_profit_are_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_check, "RoundTrips", Dearer)
    (problem,) = problems(path)
    assert problem.startswith("the round trips of paper in BTC/USDT: they do not add up")
