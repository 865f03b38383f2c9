"""The market list: from the network or from disk, shared, kept fresh, and never in the event loop's way."""

import gc
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import pytest
import trio

from fks.domain.errors import Misconfigured, Rejected, Transient
from fks.venues import ccxt_markets, market_table
from fks.venues.ccxt_session import make_exchange
from fks.venues.long_lived import LONG_LIVED
from fks.venues.market_table import Loaded, MarketTable, Shared
from makers import dec, order
from market_lists import INFO, Exchange, instrument, opened, settings, venue
from standins.binance import BinanceStandIn

# --- sharing and disk


@pytest.mark.real_time
async def test_accounts_of_one_exchange_share_one_list() -> None:
    shared = Shared()
    async with Exchange("BTC", "ETH").running() as exchange:
        first, second = venue(exchange, shared), venue(exchange, shared)
        other = venue(exchange, shared, testnet=True)
        async with trio.open_nursery() as nursery:
            for one in (first, second, other):
                nursery.start_soon(one.open)
        for one in (first, second, other):
            await one.close()
    assert exchange.lists_told == 2
    assert list(first.markets()) == ["BTC/USDT", "ETH/USDT"]
    assert first.markets() is second.markets()
    assert first.markets() is not other.markets()
    assert first._session.exchange.markets is second._session.exchange.markets


@pytest.mark.real_time
async def test_each_account_sees_its_own_symbols_of_the_shared_list() -> None:
    shared = Shared()
    async with Exchange("BTC", "ETH", "XRP").running() as exchange:
        one = venue(exchange, shared, symbols=("BTC/USDT",))
        both = venue(exchange, shared, symbols=("BTC/USDT", "ETH/USDT"))
        await one.open()
        await both.open()
        assert exchange.lists_told == 1
        assert (list(one.markets()), list(both.markets())) == (["BTC/USDT"], ["BTC/USDT", "ETH/USDT"])
        assert set(one._session.exchange.markets) == {"BTC/USDT", "ETH/USDT"}
        with pytest.raises(Rejected, match="ETH/USDT"):
            await one.place(order(amount=dec("0.01"), symbol="ETH/USDT"), (), time.time())
        async with opened(exchange, shared) as every:
            assert len(every.markets()) == 3
        assert exchange.lists_told == 2
        await one.close()
        await both.close()


@pytest.mark.real_time
async def test_second_start_reads_the_list_from_disk_and_refreshes_it_behind(tmp_path: Path) -> None:
    async with Exchange("BTC", "ETH").running() as exchange:
        async with opened(exchange, Shared(tmp_path)) as first:
            pass
        exchange.list(instrument("BTC"), instrument("SOL"))
        async with opened(exchange, Shared(tmp_path)) as second:
            assert exchange.lists_told == 1
            assert second.markets() == first.markets()
            assert second._session.exchange.markets == first._session.exchange.markets
            assert second._session.exchange.markets_by_id == first._session.exchange.markets_by_id
            await second.refresh_markets()
            assert exchange.lists_told == 2
            assert set(second.markets()) == {"BTC/USDT", "ETH/USDT", "SOL/USDT"}
    assert only_file(tmp_path).name.startswith("binance-spot-")


def test_file_is_named_after_the_exchange_and_the_kind_of_market(tmp_path: Path) -> None:
    assert Shared(tmp_path).table(settings("")).file == tmp_path / "binance-spot.jsonl"
    testnet = settings("", testnet=True, market="swap")
    assert Shared(tmp_path).table(testnet).file == tmp_path / "binance-swap-testnet.jsonl"


@pytest.mark.real_time
async def test_list_on_disk_without_a_configured_symbol_is_not_used(tmp_path: Path) -> None:
    async with Exchange("BTC").running() as exchange:
        async with opened(exchange, Shared(tmp_path)):
            pass
        exchange.list(instrument("BTC"), instrument("SOL"))
        async with opened(exchange, Shared(tmp_path), symbols=("SOL/USDT",)) as second:
            assert list(second.markets()) == ["SOL/USDT"]


@pytest.mark.real_time
async def test_a_symbol_that_was_delisted_takes_no_other_down(tmp_path: Path) -> None:
    both = ("BTC/USDT", "SOL/USDT")
    async with Exchange("BTC", "SOL").running() as exchange:
        async with opened(exchange, Shared(tmp_path)):
            pass
        exchange.list(instrument("BTC"))
        async with opened(exchange, Shared(tmp_path), symbols=both) as running:
            await running.refresh_markets()
            assert list(running.markets()) == [*both], "it may hold an order"
        async with opened(exchange, Shared(tmp_path / "other"), symbols=both) as started:
            assert list(started.markets()) == ["BTC/USDT"]
        with pytest.raises(Misconfigured, match="binance has no spot market 'SOL/USDT'"):
            await venue(exchange, Shared(tmp_path / "third"), symbols=("SOL/USDT",)).open()


@pytest.mark.real_time
async def test_corrupt_list_on_disk_is_passed_over(tmp_path: Path) -> None:
    async with Exchange("BTC").running() as exchange:
        for start in range(2):
            async with opened(exchange, Shared(tmp_path)) as one:
                assert (list(one.markets()), exchange.lists_told) == (["BTC/USDT"], start + 1)
            file = only_file(tmp_path)
            file.write_bytes(file.read_bytes()[:-9])


def only_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


# --- refreshing


def loaded(*symbols: str) -> Loaded:
    markets = {one: ccxt_markets.as_market(raw(one), 4) for one in symbols}
    exchange = type("Exchange", (), {"markets": {one: raw(one) for one in symbols}})
    return Loaded(exchange, markets, time.time(), whole=True)


def raw(symbol: str) -> dict[str, Any]:
    base, _, quote = symbol.partition("/")
    return {"symbol": symbol, "id": base + quote, "base": base, "quote": quote, "type": "spot"}


class Asked:
    """Stands for an account's way to the exchange: a script of lists and failures, and when it was asked."""

    def __init__(self, *script: Loaded | None) -> None:
        self.script = list(script)
        self.times: list[float] = []

    async def __call__(self, _load: Callable[[], Awaitable[Loaded]]) -> Loaded:
        self.times.append(trio.current_time() - self.began)
        found = self.script.pop(0)
        if found is None:
            raise Transient("no answer")
        return found

    async def table(self) -> tuple[MarketTable, Loaded]:
        self.began = trio.current_time()
        table = MarketTable("binance-spot", "spot", None)
        table.want(())
        return table, await table.get((), dict, self)


@pytest.fixture
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests end after a virtual hour."""
    assert market_table.REFRESH_S == 3600
    monkeypatch.setattr(market_table, "REFRESH_S", 600.0)


@pytest.mark.usefixtures("_often")
async def test_list_is_refreshed_on_schedule() -> None:
    lists = [loaded("A/B"), loaded("A/B"), loaded("A/B", "C/B")]
    ask = Asked(*lists)
    table, first = await ask.table()
    second = await table.newer(first, dict, ask)
    third = await table.newer(second, dict, ask)
    assert [first, second, third] == lists
    assert ask.times == [0, 600, 1200]


@pytest.mark.usefixtures("_often")
async def test_refresh_that_fails_keeps_the_list_and_is_tried_again() -> None:
    ask = Asked(loaded("A/B"), None, None, loaded("A/B"))
    table, first = await ask.table()
    with trio.move_on_after(690):
        await table.newer(first, dict, ask)
    assert await table.get((), dict, ask) is first
    assert await table.newer(first, dict, ask) is not first
    assert ask.times == [0, 600, 660, 720]


async def test_doubt_asks_soon_but_not_more_often_than_once_a_minute() -> None:
    ask = Asked(*[loaded("A/B") for _ in range(4)])
    table, known = await ask.table()
    await trio.sleep(100)
    for _ in range(3):
        table.doubt()
        table.doubt()
        known = await table.newer(known, dict, ask)
    assert ask.times == [0, 100, 160, 220]


async def test_doubt_wakes_those_who_wait_and_one_asks_for_all() -> None:
    ask = Asked(loaded("A/B"), loaded("A/B"))
    table, first = await ask.table()
    found: list[Loaded] = []

    async def follow() -> None:
        found.append(await table.newer(first, dict, ask))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(follow)
        await trio.sleep(200)
        table.doubt()
    assert len(ask.times) == 2
    assert len(found) == 3
    assert {id(one) for one in found} == {id(table._loaded)}


async def test_list_older_than_a_day_is_not_used_at_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Asked(loaded("A/B"), loaded("A/B"))
    table, first = await ask.table()
    assert await table.get((), dict, ask) is first
    tomorrow = time.time() + 86_400
    monkeypatch.setattr(market_table.time, "time", lambda: tomorrow)
    assert await table.get((), dict, ask) is not first


@pytest.mark.real_time
async def test_delisted_market_stays_inactive_and_unchanged_ones_keep_their_objects() -> None:
    async with Exchange("BTC", "ETH", "XRP").running() as exchange, opened(exchange, Shared()) as one:
        before = dict(one._session.exchange.markets)
        exchange.list(instrument("BTC"), instrument("ETH", tick="0.1"))
        one._table._due_at = 0.0
        await one.refresh_markets()
        after = one._session.exchange.markets
        assert {name: market.active for name, market in one.markets().items()} == {
            "BTC/USDT": True, "ETH/USDT": True, "XRP/USDT": False,
        }  # fmt: skip
        assert str(one.markets()["ETH/USDT"].price_tick) == "0.1"
        assert after["BTC/USDT"] is before["BTC/USDT"]
        assert one._session.exchange.safe_market("ETHUSDT") is after["ETH/USDT"] is not before["ETH/USDT"]


@pytest.mark.real_time
async def test_empty_list_is_no_list() -> None:
    async with Exchange("BTC").running() as exchange, opened(exchange, Shared()) as one:
        exchange.list()
        one._table._due_at = 0.0
        with trio.move_on_after(0.2):
            await one.refresh_markets()
        assert exchange.lists_told == 2
        assert one.markets()["BTC/USDT"].active
        with pytest.raises(Transient, match="lists no markets"):
            await venue(exchange, Shared()).open()


@pytest.mark.real_time
async def test_order_refused_for_a_filter_has_the_list_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(market_table, "RETRY_S", 0.0)
    async with BinanceStandIn() as exchange, opened(exchange, Shared()) as one:
        told = f"GET {INFO}"
        with pytest.raises(Rejected, match="insufficient"):
            await one.place(order(amount=dec(100)), (), time.time())
        with trio.move_on_after(0.1):
            await one.refresh_markets()
        assert exchange.counts[told] == 1
        with pytest.raises(Rejected) as no:
            await one.place(order(amount=dec("0.00001")), (), time.time())
        assert no.value.code == "invalid_order"
        await one.refresh_markets()
        assert exchange.counts[told] == 2


# --- the event loop's time


@pytest.mark.real_time
async def test_loading_2000_markets_does_not_stop_the_event_loop(tmp_path: Path) -> None:
    """The largest gap between two turns. A busy machine makes gaps of its own, so the best of some counts,
    or what a thread that merely counts does to the loop. On the loop itself it takes 300 ms; a single full
    garbage collection or one decoding of such a list in one piece are 75 and 15 ms.
    """
    async with Exchange(*(f"A{number}" for number in range(2000))).running() as exchange:

        def make() -> Any:
            assert not gc.isenabled()
            return make_exchange("mine", settings(exchange.url), 10.0)

        table = MarketTable("big", "spot", tmp_path / "big.jsonl")
        table.want(())

        async def ask(load: Callable[[], Awaitable[Loaded]]) -> Loaded:
            return await load()

        known, usual, fresh, cached = None, 0.0, inf, inf
        for _ in range(8):
            usual = max(usual, await largest_gap(lambda: trio.to_thread.run_sync(count_for, 0.3)))
            table._due_at = 0.0
            fresh = min(fresh, await largest_gap(partial(table.newer, known, make, ask)))
            known = table._loaded
            cached = min(cached, await largest_gap(lambda: table._cached(make)))
            if max(fresh, cached) < max(0.020, 1.5 * usual):
                break
        else:
            pytest.fail(f"the loop stood still for {fresh * 1000:.0f} and {cached * 1000:.0f} ms")
    assert known is not None
    assert len(known.markets) == 2000


async def largest_gap(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds between two turns of the loop while `work` is done."""
    gaps = [0.0]

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await trio.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last - 0.001)
            last = now

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        await work()
        await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    return max(gaps)


def count_for(seconds: float) -> None:
    until, number = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        number += 1


class Node:
    """Part of a cycle: only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


def test_garbage_is_not_kept_for_ever_beside_what_was_built() -> None:
    garbage = weakref.ref(Node())
    with LONG_LIVED:
        LONG_LIVED.keep()
    gc.collect()
    assert garbage() is None


@pytest.mark.real_time
async def test_an_exchange_that_does_not_answer_leaves_nothing(tmp_path: Path) -> None:
    async def never(_load: Callable[[], Awaitable[Loaded]]) -> Loaded:
        raise Transient("down")

    frozen = gc.get_freeze_count()
    table = MarketTable("x", "spot", tmp_path / "x.jsonl")
    with pytest.raises(Transient):
        await table.get((), lambda: None, never)
    assert gc.get_freeze_count() == frozen


def test_collector_rests_while_anything_long_lived_is_built() -> None:
    inside, leave = threading.Event(), threading.Event()

    def build() -> None:
        with LONG_LIVED:
            inside.set()
            leave.wait(5)

    thread = threading.Thread(target=build)
    with suppress(ValueError), LONG_LIVED:
        thread.start()
        assert inside.wait(5)
        raise ValueError
    assert not gc.isenabled()
    leave.set()
    thread.join(5)
    assert gc.isenabled()
