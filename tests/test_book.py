from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fks.domain import book
from fks.domain.messages import Fill, Order, Position, Report, Trade
from fks.domain.orders import IllegalTransition, OrderType, Side, State
from makers import fold

D = Decimal
numbers = st.decimals("0.001", "100000", places=3)


def order(**fields: Any) -> Order:
    return Order(
        **{
            "id": "q1",
            "client_order_id": "q1",
            "alert_id": "a1",
            "account": "paper",
            "leg": "entry",
            "symbol": "BTC/USDT",
            "side": Side.BUY,
            "type": OrderType.MARKET,
            "amount": D(3),
            "good_until": 0.0,
            "created_at": 0.0,
            "updated_at": 0.0,
            **fields,
        }
    )


def fill(
    amount: str | Decimal, price: str | Decimal, fee: str | Decimal = "0", of: str | None = None
) -> Fill:
    return Fill(
        order_id="q1",
        trade_id="t",
        time=1.0,
        price=D(price),
        amount=D(amount),
        fee=D(fee),
        fee_currency=of,
    )


def after(*executions: tuple[Side, Fill], symbol: str = "BTC/USDT") -> Position:
    position = Position(account="paper", symbol=symbol)
    for side, one in executions:
        position = book.apply(position, side, one, "BTC", "USDT")
    return position


def report(state: State, filled: str = "0", average: str | None = None, **more: Any) -> Report:
    mean = None if average is None else D(average)
    return Report(
        client_order_id="q1", exchange_order_id="X", state=state, filled=D(filled), average=mean, **more
    )


def trade(id_: str, amount: str, price: str) -> Trade:
    return Trade(id=id_, time=1.0, price=D(price), amount=D(amount))


def test_adding_weights_the_mean_and_reducing_keeps_it() -> None:
    position = after(
        (Side.BUY, fill("1", "100")), (Side.BUY, fill("3", "200")), (Side.SELL, fill("2", "185"))
    )
    assert (position.amount, position.average, position.realized) == (D(2), D(175), D(20))


def test_turning_starts_a_new_mean_and_realizes_only_what_was_closed() -> None:
    position = after((Side.BUY, fill("1", "100")), (Side.SELL, fill("3", "90")))
    assert (position.amount, position.average, position.realized) == (D(-2), D(90), D(-10))
    position = book.apply(position, Side.BUY, fill("2", "80"), "BTC", "USDT")
    assert (position.amount, position.average, position.realized) == (D(0), D(0), D(10))


def test_spot_fee_in_base_leaves_less_than_was_bought() -> None:
    position = after((Side.BUY, fill("1", "100", "0.01", "BTC")))
    assert (position.amount, position.fees) == (D("0.99"), D(1))
    swap = after((Side.BUY, fill("1", "100", "0.01", "BTC")), symbol="BTC/USDT:USDT")
    assert (swap.amount, swap.fees) == (D(1), D(1))


def test_fee_in_a_third_currency_is_not_valued() -> None:
    assert after((Side.BUY, fill("1", "100", "0.01", "BNB"))).fees == 0


executions = st.tuples(
    st.sampled_from(Side),
    st.builds(fill, numbers, numbers, st.decimals("0", "0.001", places=4), st.sampled_from(["BTC", "USDT"])),
)


@given(st.lists(executions, max_size=12))
def test_cash_is_what_the_book_says(done: list[tuple[Side, Fill]]) -> None:
    cash = amount = D(0)
    for side, one in done:
        sign = 1 if side is Side.BUY else -1
        cash -= sign * one.amount * one.price
        amount += sign * one.amount
        if one.fee_currency == "USDT":
            cash -= one.fee
        else:
            amount -= one.fee
    position = after(*done)
    assert position.amount == amount
    assert abs(cash - (position.realized - position.fees - position.amount * position.average)) < D("1e-9")


@given(st.lists(executions, max_size=8))
def test_fold_is_apply_repeated(done: list[tuple[Side, Fill]]) -> None:
    folded = fold((order(side=side), one) for side, one in done)
    assert folded.get(("paper", "BTC/USDT"), Position(account="paper", symbol="BTC/USDT")) == after(*done)


def test_new_trades_that_make_the_difference_are_the_fills() -> None:
    known = replace(order(), filled=D(1))
    told = report(State.PARTIAL, "3", "110", trades=(trade("t1", "1", "100"), trade("t2", "2", "115")))
    fills = book.new_fills(known, told, [replace(fill("1", "100"), trade_id="t1")], {"t1"}, 5.0)
    assert [(one.trade_id, one.amount, one.price) for one in fills] == [("t2", D(2), D(115))]


def test_difference_without_trades_is_one_fill_priced_by_the_change_of_cost() -> None:
    known = replace(order(), filled=D(1), average=D(100))
    told = report(State.PARTIAL, "3", "110", fee=D("0.3"), fee_currency="USDT")
    recorded = [replace(fill("1", "100", "0.1", "USDT"), trade_id="t1")]
    (one,) = book.new_fills(known, told, recorded, set(), 5.0)
    assert (one.trade_id, one.amount, one.price, one.fee) == ("q1:3", D(2), D(115), D("0.2"))


def test_trades_that_do_not_add_up_are_not_believed() -> None:
    told = report(State.PARTIAL, "3", "110", trades=(trade("t1", "1", "100"),))
    assert [one.trade_id for one in book.new_fills(order(), told, [], set(), 5.0)] == ["q1:3"]


def test_after_a_made_up_fill_lagging_trades_are_not_taken_for_new_ones() -> None:
    known = replace(order(), filled=D(1), average=D(100))
    made_up = [replace(fill("1", "100"), trade_id="q1:1")]
    told = report(State.PARTIAL, "2", "150", trades=(trade("t1", "1", "100"),))
    (one,) = book.new_fills(known, told, made_up, set(), 5.0)
    assert (one.trade_id, one.price) == ("q1:2", D(200))


def test_price_of_a_small_rest_is_never_below_zero() -> None:
    known = replace(order(), filled=D(100), average=D("50000.4"))
    told = report(State.PARTIAL, "100.001", "49999.6")
    (one,) = book.new_fills(known, told, [fill("100", "50000.4")], set(), 5.0)
    assert one.price == D("49999.6")


def test_untold_price_is_the_one_that_was_asked_for() -> None:
    (one,) = book.new_fills(order(reference_price=D(7)), report(State.FILLED, "3"), [], set(), 5.0)
    assert one.price == 7


@pytest.mark.parametrize(
    ("now", "filled", "told", "then"),
    [
        (State.SENDING, "0", report(State.OPEN), State.OPEN),
        (State.SENDING, "0", report(State.OPEN, "1"), State.PARTIAL),
        (State.UNKNOWN, "0", report(State.FILLED, "3"), State.FILLED),
        (State.UNKNOWN, "0", report(State.FILLED), State.OPEN),  # how much?
        (State.UNKNOWN, "0", report(State.REJECTED, "1"), State.CANCELED),
        (State.PARTIAL, "1", report(State.OPEN), State.PARTIAL),
        (State.PARTIAL, "1", report(State.CANCELED), State.CANCELED),
        (State.PARTIAL, "1", report(State.REJECTED), State.CANCELED),
        (State.FILLED, "3", report(State.CANCELED, "3"), State.FILLED),
        (State.CANCELED, "0", report(State.PARTIAL, "1"), State.CANCELED),
        (State.CANCELED, "0", report(State.FILLED, "3"), State.FILLED),
        (State.EXPIRED, "0", report(State.CANCELED), State.EXPIRED),
    ],
)
def test_late_reports_never_undo_what_is_known(now: State, filled: str, told: Report, then: State) -> None:
    assert book.standing(replace(order(), state=now, filled=D(filled)), told) is then


@pytest.mark.parametrize("now", [State.PLANNED, State.REFUSED, State.REJECTED])
def test_an_order_that_was_proven_absent_and_is_there_is_an_error(now: State) -> None:
    with pytest.raises(IllegalTransition):
        book.standing(replace(order(), state=now), report(State.OPEN))
