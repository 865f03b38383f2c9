"""The local exchanges answer real ccxt code as the real ones do: signatures, clocks, codes and faults."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ccxt.base.errors import (
    AuthenticationError,
    DDoSProtection,
    ExchangeError,
    InsufficientFunds,
    InvalidNonce,
    InvalidOrder,
    OrderNotFound,
    RateLimitExceeded,
)

from standins.account import ZERO
from standins.clients import BYBIT_SPOT, CASES, NAME, OKX_SPOT, Case, desk, every
from standins.server import Fault

pytestmark = pytest.mark.real_time


# --- questions


@every
async def test_markets_balance_ticker_and_candles_are_read(case: Case) -> None:
    async with desk(case) as it:
        market = it.client.market(case.symbol)
        balance = await it.client.fetch_balance()
        ticker = await it.client.fetch_ticker(case.symbol)
        candles = await it.client.fetch_ohlcv(case.symbol, "1h", None, 3)
        behind = await it.client.load_time_difference()
    assert market["id"] == case.mark
    assert market["type"] == case.kind
    assert Decimal(str(case.amount)) % Decimal(str(market["precision"]["amount"])) == 0
    assert (balance["total"]["USDT"], balance["free"]["BTC"]) == (100_000.0, 1.0)
    assert ticker["last"] == ticker["bid"] == 50_000.0
    assert [one[0] for one in candles] == sorted(one[0] for one in candles)
    assert (len(candles), candles[-1][4]) == (3, 50_000.0)
    assert abs(behind) < 1000


# --- orders


@every
async def test_limit_order_is_placed_found_and_canceled(case: Case) -> None:
    async with desk(case) as it:
        placed = await it.order("limit", "buy", 49_000.0)
        found = await it.look()
        listed = await it.client.fetch_open_orders(case.symbol)
        await it.cancel()
        ended = await it.look()
        free = (await it.client.fetch_balance())["free"]["USDT"]
        with pytest.raises(OrderNotFound):
            await it.cancel()
    assert (found["id"], found["status"], found["amount"]) == (placed["id"], "open", case.amount)
    assert [one["clientOrderId"] for one in listed] == [NAME]
    assert (ended["status"], ended["filled"]) == ("canceled", 0.0)
    assert free == 100_000.0


@every
async def test_market_order_is_filled_with_a_fee_and_moves_the_account(case: Case) -> None:
    async with desk(case) as it:
        placed = await it.order("market", "buy")
        found = await it.look()
        trades = await it.client.fetch_my_trades(case.symbol)
        account = it.exchange.book.account
    assert (found["status"], found["filled"], found["average"]) == ("closed", case.amount, 50_000.0)
    assert [(one["order"], one["amount"]) for one in trades] == [(placed["id"], case.amount)]
    fee = Decimal(str(trades[0]["fee"]["cost"]))
    assert fee > 0
    if case.kind == "spot":
        assert trades[0]["fee"]["currency"] == "BTC"
        assert account.total == {"USDT": Decimal(99_500), "BTC": Decimal("1.01") - fee}
    else:
        assert trades[0]["fee"]["currency"] == "USDT"
        assert account.total["USDT"] == 100_000 - fee
        assert it.position == Decimal(str(case.amount))


@every
async def test_resting_order_fills_in_parts_and_then_at_the_mark(case: Case) -> None:
    async with desk(case) as it:
        await it.order("limit", "buy", 49_000.0)
        part, held = Decimal(str(case.amount)) / 2, it.exchange.book.account.held["USDT"]
        it.exchange.book.fill(it.exchange.book.orders[0], part, Decimal(49_000), it.exchange.now)
        assert it.exchange.book.account.held["USDT"] == held / 2
        half = await it.look()
        it.move(48_000)
        whole = await it.look()
    assert (half["status"], half["filled"], half["average"]) == ("open", float(part), 49_000.0)
    assert (whole["status"], whole["filled"], whole["average"]) == ("closed", case.amount, 48_500.0)


@pytest.mark.parametrize("case", [CASES[0], BYBIT_SPOT, OKX_SPOT], ids=str)
async def test_market_buy_may_count_in_the_quote_currency(case: Case) -> None:
    async with desk(case) as it:
        unit: dict[str, Any] = {"tgtCcy": "quote_ccy"} if case is OKX_SPOT else {}
        await it.order("market", "buy", cost=500.0, **unit)
        [order] = it.exchange.book.orders
    assert order.executed == Decimal("0.01")


@every
async def test_open_client_id_is_not_taken_twice(case: Case) -> None:
    async with desk(case) as it:
        await it.order("limit", "buy", 49_000.0)
        with pytest.raises(InvalidOrder, match=r"(?i)duplicate|already exists"):
            await it.order("limit", "buy", 48_000.0)
        assert it.executions == 1


@every
async def test_what_the_account_cannot_pay_is_refused(case: Case) -> None:
    async with desk(case) as it:
        with pytest.raises(InsufficientFunds):
            await it.client.create_order(case.symbol, "market", "buy", case.amount * 5000, None, {})
        assert it.states() == []


@every
async def test_off_the_grid_or_too_small_is_refused(case: Case) -> None:
    async with desk(case) as it:
        it.client.markets[case.symbol]["precision"] = {"amount": 1e-9, "price": 1e-9}
        instrument = it.exchange.book.instruments[case.key]
        small = float(instrument.step if instrument.min_notional else instrument.min_quantity / 2)
        tries = (case.amount, 49_000.001), (case.amount + 1e-9, 49_000.0), (small, 1000.0)
        for amount, price in tries:
            with pytest.raises(ExchangeError):
                await it.client.create_order(case.symbol, "limit", "buy", amount, price, {})
        assert it.states() == []


@every
async def test_trigger_that_has_been_reached_is_refused(case: Case) -> None:
    async with desk(case) as it:
        await it.client.create_order(case.symbol, "market", "buy", case.amount * 2, None, {})
        before = it.states()
        if case is BYBIT_SPOT:
            return  # it takes the direction from the price
        with pytest.raises(ExchangeError):
            await it.order("market", "sell", stopLossPrice=51_000.0)
        assert it.states() == before


@every
async def test_post_only_never_takes(case: Case) -> None:
    async with desk(case) as it:
        refuses = case.exchange.startswith("binance")  # the others accept and cancel it
        with pytest.raises(ExchangeError) if refuses else nullcontext():
            await it.order("limit", "buy", 51_000.0, postOnly=True)
        assert it.states() == ([] if refuses else ["canceled"])
        assert it.exchange.book.trades == []


@every
async def test_thin_market_fills_ioc_in_part_and_fok_not_at_all(case: Case) -> None:
    async with desk(case) as it:
        it.exchange.book.depth[case.mark] = Decimal(str(case.amount)) / 2
        await it.order("limit", "buy", 50_000.0, timeInForce="FOK", clientOrderId="qfok")
        await it.order("limit", "buy", 50_000.0, timeInForce="IOC")
        found = await it.look()
        await it.order("limit", "buy", 50_000.0, timeInForce="IOC", clientOrderId="qlate")
        executed = [one.executed for one in it.exchange.book.orders]
    assert executed == [ZERO, Decimal(str(case.amount)) / 2, ZERO]
    assert (found["status"] in ("canceled", "closed", "expired"), found["filled"]) == (True, case.amount / 2)


# --- keys and clocks


@every
@pytest.mark.parametrize("wrong", [{"secret": "another"}, {"apiKey": "another"}], ids=["secret", "key"])
async def test_wrong_key_or_signature_is_refused(case: Case, wrong: dict[str, str]) -> None:
    async with desk(case, **wrong) as it:
        with pytest.raises((AuthenticationError, DDoSProtection)):
            await it.order("limit", "buy", 49_000.0)
        assert it.states() == []


async def test_wrong_passphrase_is_refused() -> None:
    async with desk(OKX_SPOT, password="another") as it:
        with pytest.raises(AuthenticationError, match="PASSPHRASE"):
            await it.client.fetch_balance()


@every
@pytest.mark.parametrize("ahead", [-40.0, 40.0])
async def test_timestamp_outside_of_the_window_is_refused(case: Case, ahead: float) -> None:
    async with desk(case) as it:
        it.exchange.skew = ahead
        with pytest.raises(InvalidNonce):
            await it.order("limit", "buy", 49_000.0)
        await it.client.load_time_difference()
        await it.order("limit", "buy", 49_000.0)
        assert it.executions == 1


async def test_okx_s_deadline_is_kept() -> None:
    async with desk(OKX_SPOT) as it:
        past, future = (str(it.exchange.now + shift) for shift in (-1000, 5000))
        it.client.headers = {"expTime": past}
        with pytest.raises(ExchangeError, match="50036"):
            await it.order("limit", "buy", 49_000.0)
        it.client.headers = {"expTime": future}
        await it.order("limit", "buy", 49_000.0)
        assert it.executions == 1


# --- faults


KINDS = ("reset", "close", "hang", "empty", "html", "cut", "garbage", "status", "redirect")


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("kind", KINDS)
async def test_fault_hides_whether_the_order_was_executed(kind: str, executed: bool) -> None:
    async with desk(BYBIT_SPOT) as it:
        it.client.timeout = 150 if kind == "hang" else 5000
        it.exchange.faults.append(Fault(kind, executed=executed))
        try:
            answered = await it.order("market", "buy")
        except Exception as error:  # noqa: BLE001 - which class is the venue's business
            answered = {"id": None, "error": error}
        assert answered["id"] is None
        assert len(it.exchange.placements) == 1
        assert it.executions == int(executed)
        if executed:
            assert (await it.look())["filled"] == it.case.amount
        else:
            with pytest.raises(OrderNotFound):
                await it.look()


@pytest.mark.parametrize("case", [CASES[0], BYBIT_SPOT, OKX_SPOT], ids=str)
async def test_rate_limit_is_told_in_the_exchange_s_code(case: Case) -> None:
    async with desk(case) as it:
        it.exchange.faults.append(Fault("limit", seconds=7))
        with pytest.raises((RateLimitExceeded, DDoSProtection)) as caught:
            await it.order("market", "buy")
        assert getattr(caught.value, "retry_after", None) == 7.0
        it.exchange.faults.append(Fault("ban", seconds=7))
        with pytest.raises(Exception, match=r"418|403"):
            await it.order("market", "buy")
        assert it.executions == 0


async def test_fault_hits_only_its_route_and_as_often_as_told() -> None:
    async with desk(BYBIT_SPOT) as it:
        it.exchange.faults.append(Fault("close", route="GET /v5/order/realtime", count=2))
        await it.order("limit", "buy", 49_000.0)
        for _ in range(2):
            with pytest.raises(Exception, match="bybit"):
                await it.look()
        assert (await it.look())["status"] == "open"


async def test_bybit_cancels_a_spot_trigger_only_under_its_filter() -> None:
    async with desk(BYBIT_SPOT) as it:
        placed = await it.order("market", "sell", stopLossPrice=48_000.0)
        with pytest.raises(OrderNotFound):
            await it.client.cancel_order(placed["id"], it.case.symbol)
        await it.client.cancel_order(placed["id"], it.case.symbol, {"orderFilter": "tpslOrder"})
        assert it.states() == ["canceled"]


# --- as a process


@pytest.mark.parametrize("name", ["binance", "bybit", "okx"])
def test_process_prints_its_address_and_obeys_its_control_routes(name: str) -> None:
    command = [sys.executable, "-m", f"standins.{name}", "--port", "0"]
    with subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()

            def control(route: str, **body: Any) -> Any:
                data = json.dumps(body).encode()
                with urllib.request.urlopen(f"{url}/_control/{route}", data, timeout=10) as reply:
                    return json.load(reply)

            mark = "BTC-USDT" if name == "okx" else "BTCUSDT"
            assert control("mark", symbol=mark, price=42_000) == {}
            assert control("fault", kind="close", count=1) == {}
            assert (control("executions"), control("orders"), control("requests")) == ({}, [], [])
            assert control("positions") == []
            assert control("skew", seconds=1) == {}
            with pytest.raises(urllib.error.HTTPError):
                control("mark", symbol="NO", price=1)
        finally:
            process.kill()
