"""What is OKX's own: contracts, algo orders that become other orders, trailing stops, its window of 30 s."""

import time
from decimal import Decimal
from typing import Any

import pytest

from fks.domain.errors import NotSent, Rejected
from fks.domain.orders import OrderType, Side, State
from standins.server import Fault
from venue_desk import LIMIT, NAME, STOP_LOSS, desk

pytestmark = pytest.mark.real_time

TRAILING: dict[str, Any] = {"type": OrderType.TRAILING_STOP, "trail_percent": Decimal(1), "side": Side.SELL,
                            "reduce_only": True}  # fmt: skip


async def test_amounts_are_sent_in_contracts_and_told_in_base_units() -> None:
    async with desk("okx", "swap") as it:
        market = it.venue.markets()["BTC/USDT:USDT"]
        await it.place(it.order(amount=Decimal("0.0123")))
        found = await it.found(it.order(amount=Decimal("0.0123")))
        assert it.sent()["sz"] == "1.23"
    assert (market.amount_step, market.min_amount) == (Decimal("0.0001"), Decimal("0.0001"))
    assert found.filled == sum(trade.amount for trade in found.trades) == Decimal("0.0123")


@pytest.mark.parametrize("kind", ["spot", "swap"])
async def test_trailing_stop_follows_the_market_and_sells(kind: str) -> None:
    async with desk("okx", kind) as it:
        await it.buy()
        order = it.order(**TRAILING, amount=Decimal("0.005"))
        placed = await it.place(order)
        it.mark(52_000)
        waiting = await it.found(order)
        it.mark(51_400)
        filled = await it.found(order)
    assert (placed.state, waiting.state) == (State.OPEN, State.OPEN)
    assert (filled.state, filled.filled, filled.average) == (State.FILLED, Decimal("0.005"), Decimal(51_400))


async def test_trailing_stop_is_listed_and_canceled() -> None:
    async with desk("okx", "swap") as it:
        await it.buy()
        await it.place(it.order(**TRAILING))
        assert [one.client_order_id for one in await it.venue.open_orders()] == [NAME]
        await it.venue.cancel(it.order(**TRAILING))
        assert (await it.found(it.order(**TRAILING))).state is State.CANCELED


async def test_stop_keeps_its_id_and_tells_the_executions_of_what_it_became() -> None:
    async with desk("okx", "swap") as it:
        await it.buy()
        placed = await it.place(it.order(**STOP_LOSS))
        it.mark(47_000)
        stop = it.order(**STOP_LOSS, exchange_order_id=placed.exchange_order_id)
        found = await it.found(stop)
    assert found.exchange_order_id == placed.exchange_order_id
    assert [(one.amount, one.price) for one in found.trades] == [(Decimal("0.01"), Decimal(47_000))]


@pytest.mark.parametrize(("age", "taken"), [(25, True), (35, False)])
async def test_request_is_refused_by_the_exchange_after_its_window(age: float, taken: bool) -> None:
    async with desk("okx", "swap") as it:
        assert it.venue.features.window_s == 30
        if taken:
            await it.venue.place(it.order(), (), time.time() - age)
        else:
            with pytest.raises(NotSent):
                await it.venue.place(it.order(), (), time.time() - age)
        assert it.executions() == int(taken)


async def test_rate_limit_is_not_sent_and_says_how_long() -> None:
    async with desk("okx", "spot") as it:
        it.exchange.faults.append(Fault("limit", seconds=60))
        with pytest.raises(NotSent) as caught:
            await it.place(it.order())
        assert caught.value.retry_after == 60
        assert it.executions() == 0


async def test_refused_algo_order_is_rejected() -> None:
    async with desk("okx", "swap") as it:
        with pytest.raises(Rejected):
            await it.place(it.order(**{**STOP_LOSS, "stop_price": Decimal("48000.05")}))
        assert not it.exchange.placements


async def test_cancel_without_an_answer_is_repeated_and_found() -> None:
    async with desk("okx", "spot") as it:
        await it.place(it.order(**LIMIT))
        it.exchange.faults.append(Fault("reset", route="POST /api/v5/trade/cancel-order", executed=True))
        await it.venue.cancel(it.order(**LIMIT))
        assert (await it.found(it.order(**LIMIT))).state is State.CANCELED
