"""Whose position an execution changes, and that the journal keeps it."""

from decimal import Decimal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fks.domain.messages import Fill
from fks.domain.orders import Leg, Side, State
from fks.domain.shares import attribute, own
from ledger_cases import NOON, SYMBOL, alert, claimed, do, opened, order, report
from makers import dec, exposure
from makers import order as an_order

PRICE = Decimal(100)


def fill(amount: str, fee: str = "0") -> Fill:
    return Fill(order_id="q1", trade_id="t", time=NOON, price=PRICE, amount=dec(amount), fee=dec(fee))


def parts(leg: Leg, strategy: str, amount: str, before: str, **shares: str) -> dict[str, Decimal]:
    one = an_order("q1", leg, Side.BUY if leg is Leg.ENTRY else Side.SELL, strategy=strategy)
    held = {name: dec(share) for name, share in shares.items()}
    return {name: part.amount for name, part in attribute(one, fill(amount), dec(before), held)}


def test_an_execution_is_its_strategys() -> None:
    assert parts(Leg.ENTRY, "a", "2", "5", a="1", b="4") == {"a": 2}
    assert parts(Leg.STOP_LOSS, "b", "2", "5", a="1", b="4") == {"b": 2}
    assert parts(Leg.ENTRY, "", "2", "5", a="1") == {}


def test_a_close_without_a_strategy_ends_what_is_nobodys_and_then_everybodys() -> None:
    assert parts(Leg.CLOSE, "", "2", "5", a="1", b="2") == {}
    assert parts(Leg.CLOSE, "", "5", "5", a="1", b="2") == {"a": 1, "b": 2}
    assert parts(Leg.CLOSE, "", "3.5", "5", a="1", b="2") == {"a": dec("0.5"), "b": 1}
    assert parts(Leg.CLOSE, "", "2", "2", a="3", b="-1") == {"a": 2}


def test_a_strategys_close_ends_its_own() -> None:
    assert parts(Leg.CLOSE, "a", "1", "3", a="1", b="2") == {"a": 1}
    assert parts(Leg.CLOSE, "a", "3", "3", a="1", b="2") == {"b": 2, "a": 1}


def test_what_may_show_late_is_its_strategys() -> None:
    ended = tuple(an_order(name, strategy=name) for name in ("a", "b", ""))
    known = replace(exposure(), doubtful=ended)
    for name in ("a", "b", ""):
        assert [one.id for one in own(known, name).doubtful] == [name]


sizes = st.integers(0, 50).map(Decimal)


@given(sizes, sizes, sizes)
def test_a_close_of_everything_leaves_nobody_anything(nobodys: Decimal, a: Decimal, b: Decimal) -> None:
    whole = nobodys + a + b
    if whole == 0:
        return
    ended = parts(Leg.CLOSE, "", str(whole), str(whole), a=str(a), b=str(b))
    assert ended == {name: share for name, share in (("a", a), ("b", b)) if share}


def test_the_journal_keeps_each_strategys_position_and_todays_result(tmp_path: Path) -> None:
    store = opened(tmp_path / "fks.db")
    try:
        for n, (name, amount) in enumerate((("a", "1"), ("b", "2"), ("", "1")), 1):
            entry = claimed(store, order(alert(n), amount=dec(amount), strategy=name), n=n)[0]
            done = report(entry, State.FILLED, amount, "100")
            do(store, lambda ledger, entry=entry, done=done: ledger.settle(entry.id, done, NOON))
        out = claimed(store, order(alert(4), Leg.CLOSE, side=Side.SELL, strategy="a"), n=4)[0]
        do(store, lambda ledger: ledger.settle(out.id, report(out, State.FILLED, "1", "90"), NOON))
        now = store.read(lambda reader: reader.exposure("paper", NOON))
        assert now.positions[SYMBOL].amount == 3
        assert store.read(lambda reader: reader.shares("paper", SYMBOL)) == {"a": 0, "b": 2}
        assert (now.shares["a"].realized_today, now.shares["b"].realized_today) == (-10, 0)
        assert (now.shares["a"].placed_last_minute, now.shares["b"].placed_last_minute) == (2, 1)
        tomorrow = store.read(lambda reader: reader.exposure("paper", NOON + 86_400))
        assert "a" not in tomorrow.shares
        assert tomorrow.shares["b"].realized_today == 0
    finally:
        store.close()
