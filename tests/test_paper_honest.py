"""The paper exchange's costs of reality: depth, fees, steps, leverage, liquidation, funding, candles."""

from decimal import Decimal
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from fakes import FakeVenue
from fks.domain.errors import Misconfigured
from fks.domain.orders import Leg, OrderType, State
from fks.domain.settings import Steps
from fks.venues.paper import PaperVenue
from fks.venues.paper_feed import Live, recorded
from standins.paper import (
    SPOT,
    SWAP,
    TinyJournal,
    limit,
    order,
    placed,
    protection,
    rejection,
    settings,
    state_of,
    venue,
)

D = Decimal


async def test_maker_and_taker_pay_their_own_fee() -> None:
    exchange = venue(maker_fee=D("0.0002"), taker_fee=D("0.0005"), slippage_bps=D(0))
    assert (await placed(exchange, order("q1"))).fee == D("0.05")
    await placed(exchange, limit("q2", "buy", "90"))
    exchange.hint(SPOT, D(90))
    found = await exchange.find(order("q2"))
    assert found is not None
    assert found.fee == D("0.018")


async def test_a_market_order_moves_the_price_in_proportion_to_its_size() -> None:
    # 10 bps for the spread's half, and 10 more for each 500 that is taken: half of that on average
    exchange = venue(depth=D(500))
    assert (await placed(exchange, order("q1", amount="5"))).average == D("100.15")
    assert (await placed(exchange, order("q2", amount="1"))).average == D("100.21")  # what was taken is gone
    exchange.hint(SPOT, D(100))
    assert (await placed(exchange, order("q3", amount="1"))).average == D("100.11")  # 100.11 is 10 + 1 bps


async def test_a_limit_order_takes_what_its_limit_reaches_and_rests_with_the_rest() -> None:
    exchange = venue(depth=D(100), balance={"USDT": D(10_000)})
    report = await placed(exchange, limit("q1", "buy", "100.30", "5"))  # two more steps of 100 below 100.30
    assert (report.state, report.filled) == (State.PARTIAL, D(2))
    assert report.average is not None
    assert report.average <= D("100.30")
    exchange.hint(SPOT, D("100.30"))  # trades at it: one step comes
    found = await exchange.find(order("q1"))
    assert found is not None
    assert found.state is State.PARTIAL
    assert D("2.99") < found.filled < 3
    assert len({trade.id for trade in found.trades}) == len(found.trades) == 2
    exchange.hint(SPOT, D(90))
    assert await state_of(exchange, "q1") is State.FILLED


@pytest.mark.parametrize(("force", "filled"), [("ioc", 2), ("fok", 0)])
async def test_immediate_or_cancel_takes_a_part_and_fill_or_kill_none(force: str, filled: int) -> None:
    exchange = venue(depth=D(100), balance={"USDT": D(10_000)})
    report = await placed(exchange, limit("q1", "buy", "100.30", "5", time_in_force=force))
    assert (report.state, report.filled) == (State.EXPIRED, filled)
    assert await exchange.open_orders() == []


async def test_a_stop_guards_what_a_partly_filled_entry_has_and_lives_on_for_the_rest() -> None:
    exchange = venue(depth=D(100), balance={"USDT": D(10_000)})
    entry = limit("q1", "buy", "100.30", "5")
    reports = await exchange.place(entry, protection(entry, stop="95"), 0.0)
    assert [report.state for report in reports] == [State.PARTIAL, State.OPEN]
    exchange.hint(SPOT, D(94))  # deep enough for the whole entry, and below its stop
    stop = await exchange.find(order("q1-sl"))
    assert stop is not None
    assert stop.filled == 5
    assert (await exchange.balance()).total["BTC"] == 0


async def test_a_restart_knows_a_partly_filled_order() -> None:
    exchange, journal = venue(depth=D(100), balance={"USDT": D(10_000)}), TinyJournal()
    entry = limit("q1", "buy", "100.30", "5")
    journal.intend(entry)
    journal.settle(await placed(exchange, entry))
    again = venue(depth=D(100), balance={"USDT": D(10_000)})
    again.restore(journal.history, journal.live)
    assert await again.balance() == await exchange.balance()
    assert await state_of(again, "q1") is State.PARTIAL


async def test_steps_by_symbol_and_a_highest_leverage() -> None:
    exchange = venue(steps={SPOT: Steps(price_tick=D("0.5"), min_notional=D(50))}, max_leverage=5)
    assert exchange.markets()[SPOT].price_tick == D("0.5")
    assert exchange.markets()[SWAP].price_tick == D("0.01")
    assert (await rejection(exchange, limit("q1", "buy", "99.9"))).code == "price_tick"
    assert (await rejection(exchange, order("q2", amount="0.4"))).code == "min_notional"
    assert (await rejection(exchange, order("q3", symbol=SWAP, leverage=6))).code == "max_leverage"


async def test_a_swap_without_equity_is_liquidated_by_an_order_that_is_told() -> None:
    exchange, journal = venue(fee=D(0), slippage_bps=D(0)), TinyJournal()
    entry = order("q1", amount="90", symbol=SWAP, leverage=10)
    legs = protection(entry, targets=[("120", "90")])
    journal.intend(entry, *legs)
    for report in await exchange.place(entry, legs, 0.0):
        journal.settle(report)
    exchange.hint(SWAP, D("89.5"))  # equity 55, maintenance 40
    assert exchange.imposed() == []
    exchange.hint(SWAP, D("89.3"))  # equity 37, maintenance 40
    ((forced, report),) = exchange.imposed()
    assert (forced.leg, forced.type, forced.side, forced.amount) == (Leg.CLOSE, OrderType.MARKET, "sell", 90)
    assert (forced.state, forced.alert_id) == (State.PLANNED, entry.alert_id)
    assert (report.state, report.average) == (State.FILLED, D("89.3"))
    assert report.reason == "liquidated: equity 37 USDT was below the maintenance margin of 40.185"
    assert await exchange.positions() == []
    assert (await exchange.balance()).total["USDT"] == 37
    assert await state_of(exchange, "q1-tp0") is State.CANCELED
    journal.intend(forced)
    journal.settle(report)
    again = venue(fee=D(0), slippage_bps=D(0))
    again.restore(journal.history, journal.live)
    assert await again.balance() == await exchange.balance()
    assert again.imposed() == []


async def test_funding_is_paid_by_longs_at_the_mark_every_eight_hours() -> None:
    now = 0.0
    costs = settings(fee=D(0), slippage_bps=D(0), funding_rate=D("0.001"))
    exchange = PaperVenue("paper", costs, wall=lambda: now)
    await placed(exchange, order("q1", amount="2", symbol=SWAP))
    now = 8 * 3600.0 - 1
    assert (await exchange.balance()).total["USDT"] == 1000
    now += 2
    assert (await exchange.balance()).total["USDT"] == D("999.8")
    now += 16 * 3600.0
    assert (await exchange.balance()).total["USDT"] == D("999.4")


async def test_candles_are_those_of_its_own_marks() -> None:
    now = 7200.0
    exchange = PaperVenue("paper", settings(), wall=lambda: now)
    assert await exchange.candles(SPOT, "1h", 10) == []
    for price in (100, 130, 90, 110):
        exchange.hint(SPOT, D(price))
        now += 1000
    exchange.hint(SPOT, D(111))
    assert await exchange.candles(SPOT, "1h", 10) == [[7200, 100, 130, 90, 110], [10800, 111, 111, 111, 111]]
    assert await exchange.candles(SPOT, "1h", 1) == [[10800, 111, 111, 111, 111]]
    assert await exchange.candles(SPOT, "30s", 5) == []


async def test_where_the_market_tells_its_price_an_alert_does_not_move_it() -> None:
    exchange = venue()
    exchange.tell(SPOT, D(105))
    exchange.hint(SPOT, D(1))
    exchange.hint(SWAP, D(101))
    assert (await exchange.ticker(SPOT)).last == 105
    assert (await exchange.ticker(SWAP)).last == 101


async def test_a_file_of_ticks_plays_in_its_own_pace(tmp_path: Path, autojump_clock: MockClock) -> None:
    file = tmp_path / "ticks.csv"
    file.write_text("1700000000,101\n1700000030,102\n1700000090,103\n")
    exchange = PaperVenue("paper", settings(), wall=trio.current_time, feed=recorded(file, SPOT))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange.refresh_markets)
        await trio.sleep(29)
        assert (await exchange.ticker(SPOT)).last == 101
        await trio.sleep(2)
        assert (await exchange.ticker(SPOT)).last == 102
        await trio.sleep(600)
        assert (await exchange.ticker(SPOT)).last == 103
        nursery.cancel_scope.cancel()


def test_a_file_without_prices_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    for name, text in (("a.jsonl", ""), ("b.csv", "1,x\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(Misconfigured, match=name):
            recorded(tmp_path / name, SPOT)


async def test_live_marks_are_asked_for_until_they_are_told(autojump_clock: MockClock) -> None:
    real = FakeVenue()
    real.down_until = 8.0
    told: list[tuple[str, Decimal]] = []
    async with trio.open_nursery() as nursery:
        feed = Live(lambda: real, lambda: [SPOT, "XYZ/USDT"])
        nursery.start_soon(feed, lambda symbol, price: told.append((symbol, price)))
        await trio.sleep(9)
        assert told == []
        await trio.sleep(3)
        assert told[0] == (SPOT, real.price)
        nursery.cancel_scope.cancel()


async def test_without_a_gap_a_stop_meets_its_own_price() -> None:
    for gap, exit_at in ((True, D("89.91")), (False, D("94.90"))):
        exchange = venue()
        entry = order("q1")
        await exchange.place(entry, protection(entry, stop="95"), 0.0)
        assert exchange.tell(SPOT, D(90), gap=gap)
        stop = await exchange.find(order("q1-sl"))
        assert stop is not None
        assert stop.average == exit_at
