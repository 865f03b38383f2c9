"""The stand-ins' book keeps its accounts: whatever happens, the balances are what the trades made them."""

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standins.account import ZERO, Instrument
from standins.book import Book
from standins.orders import BookOrder, Refused

MOVES = st.one_of(
    st.tuples(st.just("mark"), st.integers(100, 1000)),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 50), st.integers(0, 100), st.booleans()),
)


@pytest.mark.parametrize("swap", [False, True])
@given(moves=st.lists(MOVES, max_size=25))
def test_money_is_neither_made_nor_lost_but_by_trades(swap: bool, moves: list[tuple[Any, ...]]) -> None:
    instrument = Instrument("AB", "A", "B", Decimal(1), Decimal(1), swap=swap)
    book = Book([instrument], {"AB": Decimal(500)}, {"A": Decimal(100), "B": Decimal(10_000)})
    for move in moves:
        with suppress(Refused):
            match move:
                case ("mark", tenths):
                    book.set_mark("AB", Decimal(tenths // 10 or 1), 0)
                case ("cancel", index) if book.orders:
                    book.cancel(book.orders[index % len(book.orders)], 0)
                case (side, quantity, price, reduces):
                    order = BookOrder(instrument, side, Decimal(quantity), price=Decimal(price))
                    book.place(replace(order, reduce_only=swap and reduces), 0)
        assert sum((one.executed for one in book.orders), ZERO) == sum(
            (one.quantity for one in book.trades), ZERO
        )
        if not swap:
            assert all(book.account.free(asset) >= 0 for asset in "AB")
    for one in list(book.live.values()):
        book.cancel(one, 0)
    assert all(amount == 0 for amount in book.account.held.values())
    signed = [one.quantity if one.order.buys else -one.quantity for one in book.trades]
    paid = sum((-change * one.price for change, one in zip(signed, book.trades, strict=True)), ZERO)
    fees = {asset: sum((one.fee for one in book.trades if one.fee_asset == asset), ZERO) for asset in "AB"}
    if swap:
        held = book.account.position(instrument, "net")
        assert held.amount == sum(signed, ZERO)
        assert round(held.realized - held.amount * held.average - paid, 9) == 0  # averages are rounded
        assert round(book.account.total["B"] - 10_000 - held.realized + fees["B"], 9) == 0
    else:
        assert book.account.total == {
            "A": 100 + sum(signed, ZERO) - fees["A"],
            "B": 10_000 + paid - fees["B"],
        }
