"""Decisions under races: limits hold, closes wait for cancels, nothing overtakes."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from fakes import BTC, FakeVenue, wall
from fks.domain.errors import Transient
from fks.domain.messages import Position, Ticker, TradingState
from fks.domain.orders import Leg, Side, State
from fks.domain.settings import KellySettings, Limits, RiskSettings, SizingSettings
from rig import Rig, until

BY_RANGE = SizingSettings(method="volatility_adjusted", risk_pct=Decimal("0.02"), atr_period=14)


async def test_five_hundred_simultaneous_alerts_never_pass_the_position_limit(tmp_path: Path) -> None:
    limits = RiskSettings(max_position_notional=Decimal(10_000))
    async with Rig(tmp_path, FakeVenue(), limits=limits).running() as rig:
        async with trio.open_nursery() as nursery:
            for number in range(500):  # 0.01 BTC at 50,000 each
                nursery.start_soon(lambda number=number: rig.send(id=f"n{number}"))
        await trio.sleep(60)
        orders = await rig.orders()
        assert len(orders) == 20
        assert sum(order.filled for order in orders) == Decimal("0.2")
        refused = [one for one in rig.journal.events if one.kind == "intent_refused"]
        assert len(refused) == 480
        assert {one.data["code"] for one in refused} == {"risk.max_position_notional"}


async def test_unknown_orders_count_as_filled(tmp_path: Path) -> None:
    limits = RiskSettings(max_position_notional=Decimal(800))
    venue = FakeVenue("never")
    venue.down_until = 0.0
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        await trio.sleep(1)
        venue.down_until = 1000.0
        await rig.send(id="a")
        await trio.sleep(1)
        assert (await rig.only()).state is State.UNKNOWN
        second = await rig.send(id="b")
        await trio.sleep(3)
        assert (await rig.intent(second)).code == "risk.max_position_notional"


async def test_a_share_of_equity_is_sized_by_balance_and_price(tmp_path: Path) -> None:
    async with Rig(tmp_path, FakeVenue(), sizing=SizingSettings(pct=Decimal("0.05"))).running() as rig:
        await rig.send(id="a", amount=None)
        await trio.sleep(3)
        # equity: 100,000 USDT and 10 BTC at 50,000
        assert (await rig.only()).amount == Decimal("0.600")


async def test_an_intent_waits_for_the_price_that_it_needs(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        await trio.sleep(1)

        async def silent(_symbol: str) -> None:
            await trio.sleep_forever()

        tell, venue.ticker = venue.ticker, silent  # type: ignore[assignment, method-assign]
        await rig.send(id="a", amount=None, notional=Decimal(500))
        await trio.sleep(20)
        assert await rig.orders() == []
        venue.ticker = tell  # type: ignore[method-assign]
        await until(lambda: some_order(rig))
        assert (await rig.only()).amount == Decimal("0.010")


@pytest.mark.parametrize(
    ("kind", "waits"),
    [
        ({"action": "sell", "reduce_only": True}, False),
        ({"action": "sell", "reduce_only": True, "order_type": "stop", "stop_price": Decimal(40_000)}, False),
        ({"action": "buy", "order_type": "stop", "stop_price": Decimal(60_000)}, True),
    ],
)
async def test_limits_ask_no_price_for_what_only_reduces(
    tmp_path: Path, kind: dict[str, Any], waits: bool
) -> None:
    venue, limits = FakeVenue(), RiskSettings(max_position_notional=Decimal(10_000))
    async with Rig(tmp_path, venue, limits=limits).running() as rig:
        await rig.send(id="held")
        await trio.sleep(5)

        async def silent(_symbol: str) -> None:
            raise Transient("no price")

        venue.ticker = silent  # type: ignore[assignment, method-assign]
        sent = await rig.send(id="a", amount=Decimal("0.004"), **kind)
        await trio.sleep(5)
        assert (await rig.intent(sent)).state == ("accepted" if waits else "planned")


async def test_a_size_by_volatility_waits_for_candles_and_asks_once_a_candle(tmp_path: Path) -> None:
    venue, asked = FakeVenue(), 0
    newest = wall() // 3600 * 3600
    venue.rows = [
        [newest - 3600 * (20 - at), 50_000.0, 50_500.0, 49_500.0, 50_000.0 + 10 * (at == 20)]
        for at in range(21)
    ]
    told = venue.candles

    async def candles(symbol: str, timeframe: str, limit: int) -> Any:
        nonlocal asked
        asked += 1
        if asked <= 2:
            raise Transient("the exchange is busy")
        return await told(symbol, timeframe, limit)

    venue.candles = candles  # type: ignore[method-assign]
    async with Rig(tmp_path, venue, sizing=BY_RANGE).running() as rig:
        await rig.send(id="a", amount=None)
        await until(lambda: some_order(rig))
        # equity 600,000; 2 % of it over twice a range of 1000; the candle that is not over counts nothing
        assert (await rig.only()).amount == Decimal(6)
        await rig.send(id="b", amount=None)
        await rig.send(id="c", amount=Decimal(1))
        await trio.sleep(5)
        assert len(await rig.orders()) == 3
        assert asked == 3


async def test_too_few_candles_are_refused_by_name(tmp_path: Path) -> None:
    async with Rig(tmp_path, FakeVenue(), sizing=BY_RANGE).running() as rig:
        alert = await rig.send(id="a", amount=None)
        await trio.sleep(5)
        assert (await rig.intent(alert)).code == "sizing.no_candles"


async def test_a_pause_between_entries_outlasts_their_fills_and_lets_exits_pass(tmp_path: Path) -> None:
    limits = RiskSettings(cooldown_s=60)
    async with Rig(tmp_path, FakeVenue(), limits=limits).running() as rig:
        at_once = [await rig.send(id="a"), await rig.send(id="b")]
        await trio.sleep(30)
        assert [(await rig.intent(one)).code for one in at_once] == [None, "risk.cooldown"]
        assert (await rig.only()).state is State.FILLED
        early = await rig.send(id="c")
        sale = await rig.send(id="d", action="sell", amount=Decimal("0.004"))
        await trio.sleep(5)
        assert (await rig.intent(early)).code == "risk.cooldown"
        assert (await rig.orders(sale))[0].state is State.FILLED
        other = await rig.send(id="e", symbol="ETH/USDT")
        await trio.sleep(27)  # neither the sale nor another market begins a pause
        late = await rig.send(id="f")
        await trio.sleep(5)
        for one in (other, late):
            assert (await rig.orders(one))[0].state is State.FILLED


async def test_an_entry_waits_for_the_price_that_a_limit_asks_for_and_an_exit_does_not(
    tmp_path: Path,
) -> None:
    own = {"BTC/USDT": Limits(max_order_notional=Decimal(1000))}
    for number, limits in enumerate((RiskSettings(max_price_age_s=10), RiskSettings(symbols=own))):
        venue = FakeVenue()
        (tmp_path / str(number)).mkdir()
        async with Rig(tmp_path / str(number), venue, limits=limits).running() as rig:
            await rig.send(id="a")
            await trio.sleep(3)

            async def silent(_symbol: str) -> Ticker:
                raise Transient("the exchange is busy")

            tell, venue.ticker = venue.ticker, silent  # type: ignore[method-assign]
            entry, sale = await rig.send(id="b"), await rig.send(id="c", symbol="ETH/USDT", action="sell")
            await trio.sleep(5)
            assert not await rig.orders(entry)
            assert await rig.orders(sale)
            venue.ticker = tell  # type: ignore[method-assign]
            await trio.sleep(5)
            assert await rig.orders(entry)


async def test_the_last_trade_is_as_old_as_the_exchange_says(tmp_path: Path) -> None:
    venue, age = FakeVenue(), 5.0

    async def ticker(symbol: str) -> Ticker:
        return Ticker(symbol, venue.price, time=wall() - age)

    venue.ticker = ticker  # type: ignore[method-assign]
    async with Rig(tmp_path, venue, limits=RiskSettings(max_price_age_s=10)).running() as rig:
        fresh = await rig.send(id="a")
        await trio.sleep(3)
        age = 12.0
        stale, sale = await rig.send(id="b"), await rig.send(id="c", action="sell", amount=Decimal("0.004"))
        await trio.sleep(3)
        assert [(await rig.intent(one)).code for one in (fresh, stale, sale)] == [
            None,
            "risk.stale_price",
            None,
        ]


async def test_kelly_counts_the_strategys_own_closed_trades(tmp_path: Path) -> None:
    by_kelly = SizingSettings(method="kelly", kelly=KellySettings(estimate=True, min_trades=2))
    venue = FakeVenue()
    async with Rig(tmp_path, venue, sizing=by_kelly).running() as rig:

        async def trade(number: int, strategy: str, exit_price: int) -> None:
            await rig.send(id=f"b{number}", strategy=strategy)
            await trio.sleep(3)
            venue.price = Decimal(exit_price)
            await rig.send(id=f"s{number}", strategy=strategy, action="sell")
            await trio.sleep(3)

        await trade(1, "mine", 100_000)  # doubled
        await trade(2, "other", 50_000)
        early = await rig.send(id="early", strategy="mine", amount=None)
        await trio.sleep(3)
        assert (await rig.intent(early)).code == "sizing.no_estimate"
        venue.price = Decimal(100_000)
        await trio.sleep(2)
        await trade(3, "mine", 99_900)  # lost a thousandth
        wish = await rig.send(id="sized", strategy="mine", amount=None)
        await trio.sleep(3)
        # equity 1,099,000; half of the edge 0.09453 - 0.90547 / 1000, half again for two trades of two
        assert (await rig.orders(wish))[0].amount == Decimal("0.257")


async def test_a_reversal_whose_entry_is_withheld_closes_and_says_why(tmp_path: Path) -> None:
    venue = FakeVenue()
    swap = replace(BTC, symbol="BTC/USDT:USDT", kind="swap", settle="USDT")
    held = Position(account="main", symbol=swap.symbol, amount=Decimal("0.02"))
    venue.markets = lambda: {swap.symbol: swap}  # type: ignore[method-assign]

    async def positions() -> list[Position]:
        return [held]

    venue.positions = positions  # type: ignore[method-assign]
    async with Rig(tmp_path, venue, limits=RiskSettings(cooldown_s=60)).running() as rig:
        await rig.send(id="a", symbol=swap.symbol, amount=Decimal("0.02"))
        await trio.sleep(3)
        turn = {"market_position": "short", "prev_market_position": "long", "position_size": "-0.01"}
        wish = await rig.send(id="b", symbol=swap.symbol, action="sell", amount=Decimal("0.03"), **turn)
        await trio.sleep(5)
        assert [(one.leg, one.filled) for one in await rig.orders(wish)] == [(Leg.CLOSE, Decimal("0.02"))]
        (alarm,) = [one for one in rig.journal.events if one.kind == "alarm"]
        assert alarm.data["code"] == "risk.cooldown"
        assert alarm.data["detail"].startswith("only closed: the last entry in BTC/USDT:USDT was 3.")
        assert alarm.alert_id == wish


async def test_a_target_is_reached_once_however_often_it_is_sent(tmp_path: Path) -> None:
    wish = {"amount": None, "sizing": {"method": "target_position", "target": "0.05"}}
    async with Rig(tmp_path, FakeVenue("open")).running() as rig:
        await rig.send(id="a", amount=Decimal("0.02"), order_type="limit", price=Decimal(49_000))
        sent = [await rig.send(id=f"t{number}", **wish) for number in range(10)]
        await trio.sleep(10)
        codes = [(await rig.intent(one)).code for one in sent]
        assert codes == [None] + ["sizing.at_target"] * 9
        assert (await rig.orders(sent[0]))[0].amount == Decimal("0.030")


async def some_order(rig: Rig) -> bool:
    return bool(await rig.orders())


async def test_a_close_cancels_what_is_open_and_then_sells_what_is_held(tmp_path: Path) -> None:
    venue = FakeVenue("fill", "open")
    async with Rig(tmp_path, venue).running() as rig:
        await rig.send(id="a", amount=Decimal("0.02"))
        await trio.sleep(2)
        resting = await rig.send(id="b", order_type="limit", price=Decimal(49_000))
        await trio.sleep(2)
        closing = await rig.send(id="c", action="close", amount=None)
        await trio.sleep(10)
        assert (await rig.orders(resting))[0].state is State.CANCELED
        (close,) = await rig.orders(closing)
        assert (close.leg, close.side, close.filled) == (Leg.CLOSE, Side.SELL, Decimal("0.02"))
        (position,) = await rig.journal.read(lambda ledger: ledger.positions("main"))
        assert position.amount == 0


async def test_a_close_without_a_position_is_refused_by_name(tmp_path: Path) -> None:
    async with Rig(tmp_path, FakeVenue()).running() as rig:
        alert = await rig.send(id="a", action="close", amount=None)
        await trio.sleep(5)
        assert (await rig.intent(alert)).code == "close.nothing"


async def test_a_cancel_ends_entries_and_leaves_protection(tmp_path: Path) -> None:
    venue = FakeVenue("fill")
    async with Rig(tmp_path, venue).running() as rig:
        held = await rig.send(id="a", stop_loss=Decimal(48_000))
        await trio.sleep(3)
        venue.script = ["open"]
        resting = await rig.send(id="b", order_type="limit", price=Decimal(49_000))
        await trio.sleep(3)
        await rig.send(id="c", action="cancel", amount=None)
        await trio.sleep(5)
        assert (await rig.orders(resting))[0].state is State.CANCELED
        stop = next(order for order in await rig.orders(held) if order.leg is Leg.STOP_LOSS)
        assert stop.state is State.OPEN


async def test_a_halted_account_refuses_entries_until_it_is_resumed(tmp_path: Path) -> None:
    async with Rig(tmp_path, FakeVenue()).running() as rig:
        await rig.journal.write(lambda ledger: ledger.set_trading(None, TradingState.HALTED, "test", 0.0))
        first = await rig.send(id="a")
        await trio.sleep(3)
        assert (await rig.intent(first)).code == "risk.halted"
        await rig.journal.write(lambda ledger: ledger.set_trading(None, TradingState.ACTIVE, "test", 0.0))
        await rig.send(id="b")
        await trio.sleep(3)
        assert (await rig.only()).state is State.FILLED


async def test_an_alert_that_grew_old_while_the_exchange_was_down_is_refused(tmp_path: Path) -> None:
    venue = FakeVenue()
    venue.down_until = 1000.0
    async with Rig(tmp_path, venue).running() as rig:
        alert = await rig.send(id="a")
        await trio.sleep(1200)
        assert (await rig.intent(alert)).code == "gate.stale"
        assert venue.placed == []


async def test_an_account_that_failed_refuses_at_once(tmp_path: Path) -> None:
    async with Rig(tmp_path, FakeVenue()).running() as rig:
        await trio.sleep(1)
        rig.account.tell(failed=True, ready=False, reason="the keys are wrong")
        alert = await rig.send(id="a")
        await trio.sleep(2)
        assert (await rig.intent(alert)).code == "account.failed"
