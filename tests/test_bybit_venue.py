"""What is Bybit's own: conditional orders in filters of their own on spot, its words for limits and skew."""

import time
from decimal import Decimal

import pytest

from fks.domain.errors import NotSent, Rejected, Transient
from fks.domain.orders import OrderType, State
from standins.server import Fault
from venue_desk import LIMIT, NAME, STOP_LOSS, desk

pytestmark = pytest.mark.real_time

ENTRY_STOP = {"type": OrderType.STOP, "stop_price": Decimal(51_000)}


async def test_placement_is_one_request_even_the_first() -> None:
    async with desk("bybit", "spot") as it:
        before = len(it.exchange.requests)
        await it.place(it.order())
        assert [one.route for one in it.exchange.requests[before:]] == ["POST /v5/order/create"]


@pytest.mark.parametrize(("wanted", "listed"), [(STOP_LOSS, "tpslOrder"), (ENTRY_STOP, "StopOrder")])
async def test_spot_stop_is_canceled_in_its_own_filter(wanted: dict[str, object], listed: str) -> None:
    async with desk("bybit", "spot") as it:
        await it.buy()
        await it.place(it.order(**wanted))
        assert it.sent()["orderFilter"] == listed
        await it.venue.cancel(it.order(**wanted))
        assert (await it.found(it.order(**wanted))).state is State.CANCELED


async def test_look_up_is_narrowed_to_our_name() -> None:
    async with desk("bybit", "swap") as it:
        await it.place(it.order(**LIMIT))
        await it.found(it.order(**LIMIT))
        assert it.exchange.requests[-1].params["orderLinkId"] == NAME


async def test_rate_limit_silences_and_nothing_was_executed() -> None:
    async with desk("bybit", "swap") as it:
        it.exchange.faults.append(Fault("limit", seconds=60))
        with pytest.raises(NotSent):
            await it.place(it.order())
        before = len(it.exchange.requests)
        with pytest.raises((NotSent, Transient)):
            await it.place(it.order())
        assert (it.executions(), len(it.exchange.requests)) == (0, before)


async def test_order_claimed_too_long_ago_is_refused_by_the_exchange() -> None:
    async with desk("bybit", "swap") as it:
        with pytest.raises(NotSent):
            await it.venue.place(it.order(), (), time.time() - 6)
        assert it.executions() == 0


async def test_trailing_stop_is_not_offered_because_it_is_no_order_there() -> None:
    async with desk("bybit", "swap") as it:
        assert OrderType.TRAILING_STOP not in it.venue.features.order_types
        with pytest.raises(Rejected):
            await it.place(it.order(type=OrderType.TRAILING_STOP, trail_percent=Decimal(1)))
        assert not it.exchange.placements


async def test_position_mode_is_asked_once_per_symbol() -> None:
    async with desk("bybit", "swap") as it:
        await it.buy("qone")
        await it.buy("qtwo")
        assert it.exchange.counts["GET /v5/position/list"] == 1
