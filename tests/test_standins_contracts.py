"""Contracts on the local exchanges: positions, both modes, triggers, and what protects a position."""

from contextlib import nullcontext
from decimal import Decimal

import pytest
from ccxt.base.errors import ExchangeError, InvalidOrder

from standins.clients import (
    BINANCE_SWAP,
    BYBIT_SPOT,
    BYBIT_SWAP,
    NAME,
    OKX_SPOT,
    OKX_SWAP,
    Case,
    desk,
    swaps,
)

pytestmark = pytest.mark.real_time


@swaps
async def test_position_is_opened_and_reduced_but_not_beyond_zero(case: Case) -> None:
    async with desk(case) as it:
        await it.client.set_leverage(5, case.symbol)
        await it.order("market", "buy")
        [held] = await it.client.fetch_positions([case.symbol])
        it.move(51_000)
        await it.client.create_order(
            case.symbol, "market", "sell", case.amount * 3, None, {"reduceOnly": True, "clientOrderId": "qr"}
        )
        assert it.position == 0
        with pytest.raises((InvalidOrder, ExchangeError)):
            await it.order("market", "sell", reduceOnly=True)
        account, contract = it.exchange.book.account, it.exchange.book.orders[0].instrument.contract
    assert (held["side"], held["contracts"], held["entryPrice"]) == ("long", case.amount, 50_000.0)
    gain = Decimal(str(case.amount)) * contract * 1000
    fees = sum(one.fee for one in it.exchange.book.trades)
    assert account.total["USDT"] == 100_000 + gain - fees
    assert account.free("USDT") == account.total["USDT"]


@swaps
async def test_hedge_mode_holds_both_sides(case: Case) -> None:
    async with desk(case) as it:
        await it.client.set_position_mode(True, case.symbol if case.exchange == "bybit" else None)
        await it.order("market", "buy", hedged=True)
        await it.order("market", "sell", hedged=True, clientOrderId="qshort")
        sides = {one["side"]: one["contracts"] for one in await it.client.fetch_positions()}
        await it.order("market", "sell", hedged=True, reduceOnly=True, clientOrderId="qclose")
        left = {one["side"]: one["contracts"] for one in await it.client.fetch_positions()}
        with pytest.raises(ExchangeError):  # one-way words in hedge mode
            await it.order("market", "buy", clientOrderId="qnet")
    assert sides == {"long": case.amount, "short": case.amount}
    assert left == {"short": case.amount}


STOPS = ({"stopLossPrice": 48_000.0}, 47_000), ({"takeProfitPrice": 52_000.0}, 53_000)


@swaps
@pytest.mark.parametrize(("params", "price"), STOPS, ids=["stop_loss", "take_profit"])
async def test_trigger_waits_and_then_closes(case: Case, params: dict[str, float], price: int) -> None:
    async with desk(case) as it:
        await it.order("market", "buy", clientOrderId="qentry")
        await it.order("market", "sell", reduceOnly=True, **params)
        it.move(49_900)
        assert it.position == Decimal(str(case.amount))
        listed = await it.client.fetch_open_orders(
            case.symbol,
            None,
            None,
            {"trigger": True, **({"ordType": "conditional"} if case is OKX_SWAP else {})},
        )
        it.move(price)
        assert it.position == 0
    assert [one["clientOrderId"] for one in listed] == [NAME]
    assert it.exchange.book.trades[-1].price == price


@swaps
@pytest.mark.parametrize("path", [(49_600, 49_480), (50_400, 52_000, 51_600, 51_480)], ids=["falls", "rises"])
async def test_trailing_stop_follows_and_then_closes(case: Case, path: tuple[int, ...]) -> None:
    trail = {"trailingAmount": 500.0} if case is BYBIT_SWAP else {"trailingPercent": 1.0}
    async with desk(case) as it:
        await it.order("market", "buy", clientOrderId="qentry")
        await it.order("market", "sell", reduceOnly=True, **trail)
        for price in path[:-1]:
            it.move(price)
            assert it.position == Decimal(str(case.amount))
        it.move(path[-1])
        assert it.position == 0


@pytest.mark.parametrize("case", [BYBIT_SWAP, OKX_SWAP, BYBIT_SPOT, OKX_SPOT], ids=str)
@pytest.mark.parametrize("price", [47_000, 53_000])
async def test_attached_protection_lives_from_the_fill_and_one_of_it_closes(case: Case, price: int) -> None:
    async with desk(case) as it:
        legs = {"stopLoss": {"triggerPrice": 48_000.0}, "takeProfit": {"triggerPrice": 52_000.0}}
        await it.order("limit", "buy", 49_500.0, **legs)
        assert it.states() == ["new"]
        it.move(49_400)
        assert it.states()[0] == "filled"
        it.move(price)
        sold = [one.order for one in it.exchange.book.trades if not one.order.buys]
        assert [one.executed for one in sold] == [Decimal(str(case.amount))]
        assert not it.exchange.book.live
        assert it.position == 0


async def test_binance_sends_triggers_of_futures_to_their_own_endpoint() -> None:
    async with desk(BINANCE_SWAP) as it:
        request = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "stopPrice": "48000",
                   "quantity": "0.01"}  # fmt: skip
        with pytest.raises(ExchangeError, match="-4120"):
            await it.client.fapiPrivatePostOrder(request)


@swaps
async def test_setting_that_holds_already_is_an_error_where_it_is_one_there(case: Case) -> None:
    async with desk(case) as it:
        leverage, mode = {"bybit": ("110043", "110025"), "binanceusdm": ("", "-4059"), "okx": ("", "")}[
            case.exchange
        ]
        with pytest.raises(ExchangeError, match=leverage) if leverage else nullcontext():
            await it.client.set_leverage(10, case.symbol)
        with pytest.raises(ExchangeError, match=mode) if mode else nullcontext():
            await it.client.set_position_mode(False, case.symbol if case is BYBIT_SWAP else None)


@swaps
async def test_position_mode_does_not_change_under_an_open_order(case: Case) -> None:
    async with desk(case) as it:
        await it.order("limit", "buy", 49_000.0)
        with pytest.raises(ExchangeError, match=r"110024|-4067|59000"):
            await it.client.set_position_mode(True, case.symbol if case.exchange == "bybit" else None)


async def test_bybit_s_position_tells_what_protects_it() -> None:
    async with desk(BYBIT_SWAP) as it:
        await it.order("market", "buy", stopLoss={"triggerPrice": 48_000.0})
        await it.client.create_order(
            it.case.symbol, "market", "sell", 0, None,
            {"tradingStopEndpoint": True, "stopLossPrice": 47_000.0, "takeProfitPrice": 52_000.0},
        )  # fmt: skip
        [told] = await it.client.fetch_positions([it.case.symbol])
        await it.order("market", "sell", reduceOnly=True, clientOrderId="qclose")
    assert (told["stopLossPrice"], told["takeProfitPrice"]) == (47_000.0, 52_000.0)
    assert not it.exchange.book.live, "what protected the position went with it"


@pytest.mark.parametrize(("price", "limit"), [(53_000, 51_900), (47_000, 0)], ids=["target", "stop"])
async def test_okx_s_oco_takes_the_price_of_the_trigger_that_fires(price: int, limit: int) -> None:
    async with desk(OKX_SPOT) as it:
        target = {"triggerPrice": 52_000.0, "price": 51_900.0}
        await it.order("limit", "buy", 50_000.0, stopLoss={"triggerPrice": 48_000.0}, takeProfit=target)
        it.move(price)
        entry, protection, made = it.exchange.book.orders
    assert protection.became is made
    assert (made.price, made.executed) == (Decimal(limit), entry.executed)


async def test_okx_s_protection_of_one_order_outlives_the_position_and_then_fails() -> None:
    async with desk(OKX_SWAP) as it:
        await it.order("limit", "buy", 50_000.0, stopLoss={"triggerPrice": 48_000.0})
        await it.order("market", "sell", reduceOnly=True, clientOrderId="qclose")
        assert it.states() == ["filled", "new", "filled"]
        it.move(47_000)
        assert it.states() == ["filled", "failed", "filled"]
