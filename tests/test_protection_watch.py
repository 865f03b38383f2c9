"""What an entry still holds, and which of it is without the stop that it asked for."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fks.domain.book import apply, currencies
from fks.domain.messages import Fill, Order, Position
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.protection import Family
from fks.domain.protection_watch import Ground, Lots, Unprotected, closing, unprotected
from makers import NOW, SPOT, SWAP, dec, order

GROUND = Ground(dec("0.001"), dec("0.01"))


def entry(name: str = "e", amount: str = "1", **fields: Any) -> Order:
    return order(name, amount=dec(amount), state=State.FILLED, filled=dec(amount), **fields)


def stop(name: str, of: Order, state: State, amount: str = "1", **fields: Any) -> Order:
    return order(
        name, Leg.STOP_LOSS, of.side.opposite, parent=of.id, state=state, amount=dec(amount), **fields
    )


class Account:
    """Fills, one a second."""

    def __init__(self) -> None:
        self.lots, self.time = Lots(), NOW

    def fill(self, of: Order, amount: str, fee: str = "0") -> None:
        self.time += 1
        name = f"t{self.time}"
        made = Fill(
            order_id=of.id, trade_id=name, time=self.time, price=dec(100), amount=dec(amount), fee=dec(fee),
            fee_currency="BTC",
        )  # fmt: skip
        self.lots.add(of, made)

    def held(self, symbol: str = SPOT) -> dict[str, Decimal]:
        return {name: lot.amount for name, lot in self.lots.held[symbol].items()}

    def missing(self, *families: Family) -> list[tuple[str, Decimal, float]]:
        lots = [lot for by in self.lots.held.values() for lot in by.values()]
        found = unprotected(lots, {one.entry.id: one for one in families}, {SPOT: GROUND, SWAP: GROUND})
        return [(one.entry.id, one.amount, one.since - NOW) for one in found]


def test_a_position_shrinks_from_its_oldest_part() -> None:
    account, first, second = Account(), entry("a"), entry("b")
    account.fill(first, "1")
    account.fill(second, "1")
    account.fill(order("sale", side=Side.SELL), "1.4")
    assert account.held() == {"b": dec("0.6")}


def test_a_leg_and_a_close_that_names_its_entry_end_what_that_one_holds() -> None:
    account, first, second = Account(), entry("a"), entry("b")
    account.fill(first, "1")
    account.fill(second, "1")
    account.fill(stop("s", second, State.FILLED), "0.5")
    account.fill(order("c", Leg.CLOSE, Side.SELL, parent="b"), "0.25")
    assert account.held() == {"a": dec(1), "b": dec("0.25")}


def test_a_strategy_sells_its_own_first() -> None:
    account, first, second = Account(), entry("a", strategy="x"), entry("b", strategy="y")
    account.fill(first, "1")
    account.fill(second, "1")
    account.fill(order("c", Leg.CLOSE, Side.SELL, strategy="y"), "1")
    assert account.held() == {"a": dec(1)}


def test_what_a_fee_took_is_not_held_and_a_flat_position_holds_nothing() -> None:
    account, first = Account(), entry("a")
    account.fill(first, "1", fee="0.001")
    assert account.held() == {"a": dec("0.999")}
    account.fill(order("sale", side=Side.SELL), "0.999")
    assert account.held() == {}


def test_a_turned_position_holds_only_what_lies_beyond() -> None:
    account, long = Account(), entry("a", symbol=SWAP)
    account.fill(long, "1")
    account.fill(entry("b", "3", symbol=SWAP, side=Side.SELL), "3")
    assert account.held(SWAP) == {"b": dec(2)}
    account.fill(order("c", Leg.CLOSE, symbol=SWAP), "5")
    assert account.held(SWAP) == {}  # what a close has turned is no entry's


@pytest.mark.parametrize("state", [State.OPEN, State.PARTIAL])
def test_a_stop_that_is_there_protects(state: State) -> None:
    account, one = Account(), entry()
    account.fill(one, "1")
    assert account.missing(Family(one, (stop("s", one, state),))) == []


@pytest.mark.parametrize(
    "state", [State.PLANNED, State.SENDING, State.UNKNOWN, State.REJECTED, State.REFUSED]
)
def test_a_stop_that_is_not_known_to_be_there_is_missed_since_the_fill(state: State) -> None:
    account, one = Account(), entry()
    account.fill(one, "1")
    assert account.missing(Family(one, (stop("s", one, state),))) == [("e", dec(1), 1)]


def test_after_a_stop_that_has_ended_the_next_has_its_time_again() -> None:
    account, one = Account(), entry()
    account.fill(one, "1")
    ended = stop("s", one, State.EXPIRED, exchange_order_id="x", updated_at=NOW + 50)
    assert account.missing(Family(one, (ended,))) == [("e", dec(1), 50)]


def test_of_a_growing_entry_the_first_part_beyond_its_stops_tells_the_time() -> None:
    account, one = Account(), entry()
    for _ in range(4):
        account.fill(one, "0.25")
    small = stop("s", one, State.OPEN, "0.5")
    assert account.missing(Family(one, (small,))) == [("e", dec("0.5"), 3)]


def test_what_asked_for_no_stop_or_lost_it_to_a_human_is_not_missed() -> None:
    account, one = Account(), entry()
    account.fill(one, "1")
    assert account.missing(Family(one, ())) == []
    assert account.missing(Family(one, (stop("s", one, State.CANCELED, waived=True),))) == []


def test_less_than_the_market_takes_is_as_protected_as_it_can_be() -> None:
    account, one = Account(), entry(amount="0.009")
    account.fill(one, "0.009")
    assert account.missing(Family(one, (stop("s", one, State.PLANNED),))) == []


def test_a_small_part_of_a_growing_entry_waits_for_company() -> None:
    account = Account()
    one = order("e", state=State.PARTIAL, filled=dec("0.55"))
    account.fill(one, "0.55")
    resting = stop("s", one, State.OPEN, "0.5")
    assert account.missing(Family(one, (resting,))) == []
    ended = order("e", state=State.CANCELED, filled=dec("0.55"))
    assert account.missing(Family(ended, (resting,))) == [("e", dec("0.05"), 1)]


def test_of_a_market_that_is_not_known_only_a_small_part_beside_a_stop_may_be_what_it_does_not_take() -> None:
    account, one = Account(), entry()
    account.fill(one, "1", fee="0.001")
    lots = [account.lots.held[SPOT]["e"]]

    def missing(*stops: Order) -> list[Decimal]:
        return [found.amount for found in unprotected(lots, {"e": Family(one, stops)}, {})]

    assert missing(stop("s", one, State.PLANNED)) == [dec("0.999")]
    assert missing(stop("s", one, State.OPEN, "0.95")) == []
    assert missing(stop("s", one, State.OPEN, "0.5")) == [dec("0.499")]


def test_the_close_is_a_function_of_its_entry() -> None:
    one = Unprotected(entry(symbol=SWAP, strategy="x"), dec("0.4"), NOW)
    first, again = closing(one, NOW + 1), closing(one, NOW + 9)
    assert first.id == again.id != closing(Unprotected(entry("f"), dec("0.4"), NOW), NOW).id
    told = (first.side, first.type, first.leg, first.amount, first.parent, first.reduce_only, first.strategy)
    assert told == (Side.SELL, OrderType.MARKET, Leg.CLOSE, dec("0.4"), "e", True, "x")


steps = st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 5), st.sampled_from(["", "x", "y"]))


@given(st.lists(st.tuples(steps, st.sampled_from([Leg.ENTRY, Leg.CLOSE])), max_size=30))
def test_the_entries_never_hold_more_than_the_position(
    shape: list[tuple[tuple[str, int, str], Leg]],
) -> None:
    account, position = Account(), Position(account="paper", symbol=SWAP)
    for n, ((side, amount, strategy), leg) in enumerate(shape):
        made = order(f"o{n}", leg, Side(side), symbol=SWAP, strategy=strategy)
        account.fill(made, str(amount))
        told = Fill(order_id="", trade_id="", time=0, price=dec(100), amount=dec(amount))
        position = apply(position, made.side, told, *currencies(SWAP))
        held = account.held(SWAP)
        assert sum(held.values()) <= abs(position.amount)
        assert all(amount > 0 for amount in held.values())
        if all(one is Leg.ENTRY for _, one in shape):  # every part of it came from an entry
            assert sum(held.values()) == abs(position.amount)
