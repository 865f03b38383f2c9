"""ccxt on trio: the same on the wire as upstream, with our time, our limits and no secrets in errors."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from ccxt.base.errors import DDoSProtection, ExchangeNotAvailable, NotSupported

from fks.venues.trio_ccxt import Call, calling, exchange_ids, gather, trio_exchange
from standins.binance import KEY, SECRET, BinanceStandIn, Fault, Request

NOW = 1_700_000_000.123
SPOT = "BTC/USDT"
NAMED = {"clientOrderId": "q0123456789abcdefg", "recvWindow": 5000}

# Everything that the venue asks of ccxt, in an order in which each finds something.
CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("fetch_markets", ()),
    ("load_time_difference", ()),
    ("fetch_balance", ()),
    ("fetch_ticker", (SPOT,)),
    ("create_order", (SPOT, "market", "buy", 0.01, None, NAMED)),
    ("create_order", (SPOT, "limit", "buy", 0.01, 49000.5, NAMED)),
    ("create_order", (SPOT, "limit", "sell", 0.01, 51000.0, {"clientOrderId": "qb", "postOnly": True})),
    ("create_order", (SPOT, "limit", "buy", 0.01, 49000.0, {"clientOrderId": "qc", "timeInForce": "IOC"})),
    ("create_order", (SPOT, "market", "sell", 0.01, None, {"clientOrderId": "qd", "stopLossPrice": 48000.0})),
    (
        "create_order",
        (SPOT, "limit", "sell", 0.01, 47900.0, {"clientOrderId": "qe", "triggerPrice": 48000.0}),
    ),
    (
        "create_order",
        (SPOT, "market", "sell", 0.01, None, {"clientOrderId": "qf", "takeProfitPrice": 60000.0}),
    ),
    ("create_order", (SPOT, "limit", "buy", 0.01, 49000.5, NAMED)),  # a duplicate
    ("create_order", (SPOT, "market", "buy", 50.0, None, {"clientOrderId": "qg"})),  # not enough money
    ("create_order", ("NO/SUCH", "market", "buy", 1.0, None, NAMED)),
    ("fetch_order", (None, SPOT, {"clientOrderId": NAMED["clientOrderId"]})),
    ("fetch_order", ("28457", SPOT)),
    ("fetch_order", (None, SPOT, {"clientOrderId": "qnone"})),
    ("fetch_open_orders", (SPOT, None, None, {})),
    ("fetch_open_orders", (None, None, None, {})),
    ("fetch_orders", (SPOT, 1_600_000_000_000, None, {})),
    ("fetch_my_trades", (SPOT, 1_600_000_000_000)),
    ("fetch_order_trades", ("28457", SPOT)),
    ("cancel_order", (None, SPOT, {"clientOrderId": NAMED["clientOrderId"]})),
    ("cancel_order", ("28457", SPOT, {})),
]


def config(base_url: str = "") -> dict[str, Any]:
    options = {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "recvWindow": 5000,
               "fetchOpenOrders": {"warnWithoutSymbol": False}}  # fmt: skip
    return {
        "apiKey": KEY,
        "secret": SECRET,
        "enableRateLimit": False,
        "options": options,
        "base_url": base_url,
    }


def frozen(exchange: Any) -> Any:
    exchange.milliseconds = lambda: int(NOW * 1000)
    return exchange


async def outcomes(exchange: Any) -> list[object]:
    exchange.set_markets(await exchange.fetch_markets())
    found: list[object] = []
    for method, args in CALLS:
        try:
            found.append(json.dumps(await getattr(exchange, method)(*args), sort_keys=True, default=str))
        except Exception as error:  # noqa: BLE001 - its class is the result
            found.append(type(error).__name__)
    await exchange.close()
    return found


def wire(request: Request) -> tuple[object, ...]:
    """Method, target, headers and body, without what names the library or the port."""
    headers = sorted((name, value) for name, value in request.headers if name not in ("host", "user-agent"))
    return request.method, request.target, headers, request.body


async def ours(url: str) -> list[object]:
    return await outcomes(frozen(trio_exchange("binance")(config(url))))


def upstream(url: str) -> list[object]:
    async def run() -> list[object]:
        from ccxt.async_support.binance import binance

        exchange = frozen(binance(config()))
        exchange.timeout_on_exit = 0
        exchange.urls["api"] = {
            name: address.replace("https://api.binance.com", url)
            for name, address in exchange.urls["api"].items()
            if isinstance(address, str)
        }
        return await outcomes(exchange)

    return asyncio.run(run())


@pytest.mark.real_time
@pytest.mark.filterwarnings("ignore:enable_cleanup_closed:DeprecationWarning")  # aiohttp's word on upstream
async def test_same_requests_and_results_as_upstream() -> None:
    async with BinanceStandIn(clock=lambda: NOW) as mirror:
        expected = await trio.to_thread.run_sync(upstream, mirror.url)
    async with BinanceStandIn(clock=lambda: NOW) as exchange:
        found = await ours(exchange.url)
    for (method, _), one, other in zip(CALLS, found, expected, strict=True):
        assert one == other, method
    assert list(map(wire, exchange.requests)) == list(map(wire, mirror.requests))
    assert len(exchange.requests) == len(CALLS)  # one more for the markets, none for the unknown symbol
    assert {"InsufficientFunds", "InvalidOrder", "BadSymbol", "OrderNotFound"} <= set(map(str, found))


async def started(exchange: BinanceStandIn) -> Any:
    ready = trio_exchange("binance")(config(exchange.url))
    ready.set_markets(await ready.fetch_markets())
    return ready


@pytest.mark.real_time
async def test_pinned_time_is_on_the_wire() -> None:
    async with BinanceStandIn() as exchange:
        client = await started(exchange)
        pinned = int(exchange.clock() * 1000) - 1234
        with calling(Call(at_ms=pinned)):
            await client.create_order(SPOT, "market", "buy", 0.01, None, NAMED)
        await client.create_order(SPOT, "market", "buy", 0.01, None, {"clientOrderId": "qz"})
        await client.close()
    first, second = (int(one.params["timestamp"]) for one in exchange.placements)
    assert first == pinned
    assert second > pinned


@pytest.mark.real_time
@pytest.mark.fault(60)
async def test_error_tells_what_was_sent_and_no_secret() -> None:
    async with BinanceStandIn() as exchange:
        client = await started(exchange)
        errors = []
        for fault in (Fault("status", status=404), Fault("limit", seconds=7), Fault("close"), Fault("html")):
            exchange.faults.append(fault)
            try:
                await client.create_order(SPOT, "market", "buy", 0.01, None, NAMED)
            except Exception as error:  # noqa: BLE001 - looked at below
                errors.append(error)
        await client.close()
    missing, limited, lost = errors[:3]
    assert (missing.http_status, missing.maybe_sent, missing.retry_after) == (404, True, None)
    assert isinstance(limited, DDoSProtection)
    assert limited.retry_after == 7.0
    assert isinstance(lost, ExchangeNotAvailable)
    assert lost.maybe_sent
    for error in errors:
        told = repr(error) + repr(error.__cause__) + repr(vars(error))
        assert KEY not in told
        assert SECRET not in told
        assert "signature" not in told


@pytest.mark.real_time
async def test_signed_address_is_not_in_the_error_of_a_signed_question() -> None:
    async with BinanceStandIn() as exchange:
        client = await started(exchange)
        exchange.faults.append(Fault("status", route="GET /api/v3/account", status=502))
        with pytest.raises(ExchangeNotAvailable) as caught:
            await client.fetch_balance()
        await client.close()
    assert "/api/v3/account 502" in str(caught.value)
    assert "signature" not in str(caught.value)


def test_what_the_exchange_echoes_is_struck_out() -> None:
    client = trio_exchange("binance")(config())
    assert client._redacted(f"error sign! origin_string[1{KEY}5000]") == "error sign! origin_string[1***5000]"
    assert client._redacted("bad: a=1&signature=0aF9&b=2") == "bad: a=1&signature=***&b=2"


@pytest.mark.real_time
async def test_nothing_is_logged_by_ccxt(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with BinanceStandIn() as exchange:
        client = await started(exchange)
        await client.fetch_balance()
        await client.close()
    assert [one for one in caplog.records if one.name.startswith("ccxt")] == []


@pytest.mark.real_time
async def test_placement_without_a_byte_sent_says_so() -> None:
    async with BinanceStandIn() as exchange:
        client = await started(exchange)
    call = Call()
    await client.close()
    client.open()
    with calling(call), pytest.raises(ExchangeNotAvailable) as caught:
        await client.create_order(SPOT, "market", "buy", 0.01, None, NAMED)
    await client.close()
    assert (caught.value.maybe_sent, call.sent, call.written) == (False, False, False)


async def test_gathered_children_start_in_order_and_all_finish() -> None:
    log: list[str] = []

    async def child(name: str, seconds: float, *, fails: bool = False) -> str:
        log.append(name)
        await trio.sleep(seconds)
        if fails:
            raise ValueError(name)
        log.append(f"{name} done")
        return name

    assert await gather(child("a", 3), child("b", 1), child("c", 2)) == ["a", "b", "c"]
    assert log == ["a", "b", "c", "b done", "c done", "a done"]
    log.clear()
    with pytest.raises(ValueError, match="bad"):
        await gather(child("bad", 1, fails=True), child("late", 5))
    assert log == ["bad", "late", "late done"]


async def test_cancelled_gather_leaves_no_coroutine_behind() -> None:
    async def child() -> None:
        await trio.sleep_forever()

    with trio.move_on_after(1) as scope:
        await gather(child(), child())
    assert scope.cancelled_caught


@pytest.mark.parametrize("name", ["watch", "client", "spawn", "delay", "watch_multiple"])
def test_websockets_are_refused_by_name(name: str) -> None:
    exchange = trio_exchange("binance")(config())
    with pytest.raises(NotSupported, match=name):
        getattr(exchange, name)("url")


@pytest.mark.parametrize("name", ["watch_ticker", "create_order_ws"])
async def test_unified_websocket_methods_are_refused(name: str) -> None:
    args = (SPOT,) if name == "watch_ticker" else (SPOT, "market", "buy", 1)
    with pytest.raises(NotSupported):
        await getattr(trio_exchange("binance")(config()), name)(*args)


def limited() -> Any:
    exchange = trio_exchange("binance")({"burst_s": 1.0})
    bucket = exchange.throttler.bucket
    assert (bucket.rate, bucket.burst) == (20.0, 20.0)
    return exchange


async def elapsed(wait: Callable[[], Any]) -> float:
    before = trio.current_time()
    await wait()
    return trio.current_time() - before


async def test_idle_time_is_credited_and_then_the_rate_holds() -> None:
    exchange = limited()
    assert await elapsed(lambda: exchange.throttle(20)) == 0
    assert await elapsed(lambda: exchange.throttle(20)) == pytest.approx(1.0)
    await trio.sleep(60)
    assert await elapsed(lambda: exchange.throttle(20)) == 0


async def test_reserve_is_left_to_others_and_an_urgent_call_does_not_wait() -> None:
    exchange = limited()
    with calling(Call(reserve=0.5)):
        assert await elapsed(lambda: exchange.throttle(10)) == 0
        assert await elapsed(lambda: exchange.throttle(1)) > 0
    assert await elapsed(lambda: exchange.throttle(5)) == 0
    await exchange.throttle(100)
    with calling(Call(reserve=None)):
        assert await elapsed(lambda: exchange.throttle(5)) == 0


async def test_who_is_cancelled_while_waiting_has_taken_nothing() -> None:
    exchange = limited()
    await exchange.throttle(40)
    for _ in range(10):
        with trio.move_on_after(0.01):
            await exchange.throttle(20)
    assert await elapsed(lambda: exchange.throttle(1)) < 1.1


def test_unknown_exchange_is_named() -> None:
    assert "binance" in exchange_ids()
    assert len(exchange_ids()) > 100
    with pytest.raises(ValueError, match="binanse"):
        trio_exchange("binanse")


def test_importing_one_exchange_imports_no_other() -> None:
    script = (
        "import sys; from fks.venues.trio_ccxt import trio_exchange; trio_exchange('binance')\n"
        "print(*sorted(name for name in sys.modules if name.startswith('ccxt.async_support.')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    exchanges = {name.split(".")[2] for name in done.stdout.split()} & set(exchange_ids())
    assert exchanges == {"binance"}
