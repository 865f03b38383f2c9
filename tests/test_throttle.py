"""When a request may go: limits, what is kept for cancels, and silence when an exchange asks for it."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from fks.domain.errors import NotSent, Throttled, Transient, Unknown
from fks.domain.limits import Bucket
from fks.domain.orders import Leg, Side
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings
from fks.venues.ccxt_session import make_exchange
from fks.venues.ccxt_venue import CcxtVenue
from fks.venues.market_table import Shared
from fks.venues.throttle import Silence, Throttle
from fks.venues.trio_ccxt import Call, calling
from makers import dec
from makers import order as any_order
from standins.binance import KEY, SECRET, BinanceStandIn, Fault

RATE, BURST, RESERVE = 10.0, 10.0, 0.3
FOREVER = float("inf")


def throttle(ban: Silence | None = None) -> Throttle:
    return Throttle("exchange", Bucket(RATE, BURST), ban=ban or Silence())


async def elapsed(work: Callable[[], Awaitable[Any]]) -> float:
    before = trio.current_time()
    await work()
    return trio.current_time() - before


# --- the rate


@pytest.mark.parametrize("cost", [0.2, 1.0, 8.0, 25.0])
async def test_lone_order_after_a_pause_does_not_wait(cost: float) -> None:
    gate = throttle()
    await gate.admit(BURST, 0.0, FOREVER)
    await trio.sleep(60)
    assert await elapsed(lambda: gate.admit(cost, RESERVE, 0.0)) == 0


@pytest.mark.fault(54)
async def test_cancel_passes_while_entries_wait() -> None:
    gate, sent = throttle(), []

    async def entry() -> None:
        await gate.admit(1.0, RESERVE, FOREVER)
        sent.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(entry)
        await trio.testing.wait_all_tasks_blocked()
        assert len(sent) == BURST * (1 - RESERVE)
        for _ in range(20):
            assert await elapsed(lambda: gate.admit(1.0, None, 0.0)) == 0
        assert len(sent) == BURST * (1 - RESERVE)
    assert len(sent) == 30
    assert sent[-1] - sent[0] == pytest.approx((30 + 20 - BURST * (1 - RESERVE)) / RATE)


async def test_question_passes_while_entries_wait() -> None:
    gate = throttle()
    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(gate.admit, 1.0, RESERVE, FOREVER)
        await trio.testing.wait_all_tasks_blocked()
        assert await elapsed(lambda: gate.admit(BURST * RESERVE, 0.0, 0.0)) == 0
        nursery.cancel_scope.cancel()


PAUSES = st.lists(st.tuples(st.floats(0, 2), st.floats(0.01, BURST * (1 - RESERVE))), max_size=40)


@given(PAUSES)
def test_entries_never_touch_what_is_reserved_nor_exceed_the_rate(steps: list[tuple[float, float]]) -> None:
    async def run() -> None:
        gate, began, spent = throttle(), trio.current_time(), 0.0
        for pause, cost in steps:
            await trio.sleep(pause)
            with suppress(Throttled):
                await gate.admit(cost, RESERVE, 0.0)
                spent += cost
            assert gate.wait(BURST * RESERVE, 0.0) == pytest.approx(0, abs=1e-9)
            assert spent <= BURST + RATE * (trio.current_time() - began) + 1e-6

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_rather_than_wait_long_it_says_so_at_once_and_takes_nothing() -> None:
    gate = throttle()
    await gate.admit(BURST, 0.0, 0.0)
    for _ in range(100):
        with pytest.raises(Throttled) as busy:
            await gate.admit(5.0, 0.0, 0.4)
    assert (busy.value.retry_after, busy.value.frozen) == (pytest.approx(0.5), False)
    assert await elapsed(lambda: gate.admit(5.0, 0.0, 0.6)) == pytest.approx(0.5)


# --- silence


async def test_those_who_wait_when_a_ban_comes_are_refused() -> None:
    gate, refused = throttle(), []

    async def entry() -> None:
        try:
            await gate.admit(1.0, RESERVE, FOREVER)
        except NotSent as no:
            refused.append((no.frozen, isinstance(no, Throttled)))

    gate.bucket.take(trio.current_time(), 20)
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(entry)
        await trio.testing.wait_all_tasks_blocked()
        gate.heed(60, banned=True)
    assert refused == [(True, False)] * 20


@pytest.mark.parametrize("banned", [True, False])
@pytest.mark.fault(52, 53)
async def test_silence_is_kept_by_cancels_and_questions_for_as_long_as_asked(banned: bool) -> None:
    gate = throttle()
    gate.heed(7, banned=banned)
    gate.heed(3, banned=banned)  # the longer one counts
    for reserve in (None, 0.0, RESERVE):
        with pytest.raises(NotSent) as no:
            await gate.admit(1.0, reserve, FOREVER)
        assert (no.value.retry_after, no.value.frozen) == (7, banned)
        assert gate.wait(1.0, reserve) == 7
    await trio.sleep(7)
    assert await elapsed(lambda: gate.admit(1.0, RESERVE, 0.0)) == 0


async def test_ban_is_for_all_accounts_of_an_address_and_a_429_for_one() -> None:
    ban = Silence()
    one, other = throttle(ban), throttle(ban)
    one.heed(5, banned=False)
    assert (one.wait(1.0, None), other.wait(1.0, None)) == (5, 0)
    one.heed(9, banned=True)
    assert other.wait(1.0, None) == 9


def test_accounts_share_a_ban_only_from_the_same_address() -> None:
    shared = Shared()

    def ban(**changes: Any) -> Silence:
        return shared.ban(AccountSettings(**{"type": "binance", **changes}))

    assert ban() is ban(market="swap", symbols=("BTC/USDT",))
    others = [ban(proxy=Secret("http://h")), ban(testnet=True), ban(base_url="http://h"), ban(type="okx")]
    assert all(one is not ban() for one in others)


# --- on the wire


order = partial(any_order, "q0123456789abcdefg", amount=dec("0.01"))


def account(exchange: BinanceStandIn, **changes: Any) -> AccountSettings:
    keys: dict[str, Any] = {"api_key": Secret(KEY), "api_secret": Secret(SECRET)}
    return AccountSettings(**{"type": "binance", "base_url": exchange.url, **keys, **changes})


@asynccontextmanager
async def opened(exchange: BinanceStandIn, shared: Shared | None = None) -> AsyncIterator[CcxtVenue]:
    venue = CcxtVenue(
        "mine", account(exchange), timeout=5.0, retry_attempts=0, retry_delay=0.0, shared=shared
    )
    await venue.open()
    try:
        yield venue
    finally:
        await venue.close()


def in_debt(venue: CcxtVenue, seconds: float) -> None:
    """So long must an entry wait from now on."""
    gate = venue._session._throttle
    lacking = seconds - gate.wait(1.0, 0.3)
    room = gate.bucket.burst * 0.7 / gate.bucket.rate
    gate.bucket.take(trio.current_time(), (lacking + room) * gate.bucket.rate - 1.0)


@pytest.mark.real_time
async def test_throttled_placements_that_are_cancelled_are_never_sent() -> None:
    async with BinanceStandIn() as exchange, opened(exchange) as venue:
        in_debt(venue, 0.5)
        with trio.move_on_after(0.05) as scope:
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(
                        venue.place, any_order(f"q{number}", amount=dec("0.01")), (), time.time()
                    )
        assert scope.cancelled_caught
        assert venue.busy_for() < 0.5  # nor have they used up anything
        await trio.sleep(0.5)
        assert exchange.placements == []
        await venue.place(order(), (), time.time())
        assert len(exchange.placements) == 1


@pytest.mark.real_time
async def test_placement_is_refused_rather_than_sent_late_and_the_venue_says_so_beforehand() -> None:
    async with BinanceStandIn() as exchange, opened(exchange) as venue:
        assert venue.busy_for() == 0
        in_debt(venue, 3.0)
        assert 2.0 < venue.busy_for() < 3.2
        began = trio.current_time()
        with pytest.raises(Throttled) as busy:
            await venue.place(order(), (), time.time())
        assert 2.0 < busy.value.retry_after < 3.1
        assert exchange.placements == []
        close = order(leg=Leg.CLOSE, side=Side.SELL)
        await venue.place(close, (), time.time())
        await venue.cancel(close)
        assert trio.current_time() - began < 2.5
        assert [one.params["side"] for one in exchange.placements] == ["SELL"]


@pytest.mark.real_time
@pytest.mark.parametrize(("kind", "both"), [("ban", True), ("limit", False)])
@pytest.mark.fault(53)
async def test_ban_silences_the_accounts_of_the_address_and_the_refresh_of_markets(
    kind: str, both: bool
) -> None:
    shared = Shared()
    async with (
        BinanceStandIn() as exchange,
        opened(exchange, shared) as one,
        opened(exchange, shared) as other,
    ):
        exchange.faults.append(Fault(kind, seconds=60))
        with pytest.raises(NotSent):
            await one.place(order(), (), time.time())
        sent = len(exchange.requests)
        assert one.busy_for() == pytest.approx(60, abs=1)
        with pytest.raises(Transient):
            await one._session.aside(trio.sleep_forever)  # as the market table asks
        assert (other.busy_for() > 0) == both
        if both:
            with pytest.raises(NotSent):
                await other.cancel(order())
            with pytest.raises(Transient):
                await other.ticker("BTC/USDT")
        assert len(exchange.requests) == sent


@pytest.mark.real_time
async def test_not_sent_is_only_said_when_no_request_of_the_call_went_out() -> None:
    async with BinanceStandIn() as exchange, opened(exchange) as venue:
        session = venue._session

        async def two_requests(*_args: Any) -> None:
            await session.exchange.fetch_time()
            session._throttle.heed(60, banned=True)
            await session.exchange.fetch_time()

        session.exchange.create_order = two_requests
        with pytest.raises(Unknown):
            await session.place((), Call())
        with pytest.raises(NotSent) as no:
            await session.place((), Call())
    assert no.value.frozen


async def test_once_something_was_sent_the_rest_of_the_call_waits() -> None:
    exchange = make_exchange(
        "mine", AccountSettings(type="binance", api_key=Secret("k" * 9), api_secret=Secret("s" * 9)), 1.0
    )
    exchange.throttler.bucket.take(trio.current_time(), 1000)
    with calling(Call(patience_s=1.0)), pytest.raises(Throttled):
        await exchange.throttle(1.0)
    with calling(Call(patience_s=1.0, sent=True)) as call:
        assert await elapsed(lambda: exchange.throttle(1.0)) > 1.0
    assert call.cost == 1.0
