"""ccxt on trio against ccxt on asyncio, request by request, and what our class rests on in ccxt."""

import ast
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from ccxt.base.errors import NotSupported

from conformance import __main__ as command
from conformance.calls import CALLS, FAULTS, REPLIES, VITAL, account, markets
from conformance.compare import compare, different
from conformance.recorder import Wire
from conformance.sides import Outcome
from fks.venues import ccxt_helpers, trio_ccxt
from fks.venues.trio_ccxt import exchange_ids, trio_exchange

BIG = ["binance", "binanceusdm", "bybit", "okx", "kraken", "krakenfutures", "coinbase", "kucoin", "gate",
       "bitget", "mexc", "htx", "hyperliquid", "deribit"]  # fmt: skip
ASYNC_SUPPORT = Path(inspect.getfile(trio_exchange("binance").__mro__[1])).parent
REPLACED = {
    name
    for one in trio_exchange("binance").__mro__
    if one.__module__ in (trio_ccxt.__name__, ccxt_helpers.__name__)
    for name in vars(one)
    if not name.startswith("__")
}

# --- the same on the wire, the same result


@pytest.mark.parametrize("exchange_id", BIG)
def test_every_call_is_the_same_as_upstream(exchange_id: str) -> None:
    verdict = compare(exchange_id, CALLS, REPLIES)
    assert verdict.differences == []
    assert verdict.placements > 12 * len(REPLIES)  # of the 24 orders, so many came as far as the wire
    assert verdict.requests > 50 * len(REPLIES)


@pytest.mark.parametrize("exchange_id", BIG)
def test_bad_replies_end_as_with_upstream(exchange_id: str) -> None:
    verdict = compare(exchange_id, VITAL, FAULTS)
    assert verdict.differences == []
    assert verdict.requests > 4 * len(FAULTS)


async def test_an_exchange_that_loads_markets_in_its_own_way_still_does() -> None:
    for exchange_id in ("delta", "extended", "poloniex"):
        exchange = trio_exchange(exchange_id)(account(exchange_id))
        exchange.set_markets(markets(exchange))
        assert await exchange.load_markets() is exchange.markets
        assert "currenciesByNumericId" in exchange.options


async def test_an_empty_market_list_is_loaded_once() -> None:
    exchange = trio_exchange("kraken")()
    asked = []

    async def fetch_markets(params: object) -> list[object]:
        asked.append(params)
        return []

    exchange.fetch_markets, exchange.has["fetchCurrencies"] = fetch_markets, False
    assert await exchange.load_markets() == {}
    await exchange.load_markets()
    assert len(asked) == 1
    await exchange.load_markets(True)
    assert len(asked) == 2


# --- that the comparison sees what is different


@pytest.fixture
def without_content_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our class with a flaw: requests without a header that upstream sends."""
    sound = trio_ccxt._TrioExchange._headers

    def flawed(*args: Any) -> dict[str, str]:
        return {name: value for name, value in sound(*args).items() if name != "Content-Type"}

    monkeypatch.setattr(trio_ccxt._TrioExchange, "_headers", flawed)


@pytest.mark.usefixtures("without_content_type")
def test_a_missing_header_is_found() -> None:
    verdict = compare("binance", VITAL, REPLIES)
    assert {one.method for one in verdict.differences} == {"create_order"}
    assert "Content-Type".lower() in verdict.differences[0].what[0]


def test_what_differs_is_told_by_name() -> None:
    wire = Wire("POST", "/order", (("accept", "*/*"),), b"a=1")
    same = Outcome([wire], "returned 1")
    assert different(same, same) == []
    assert different(same, Outcome([wire], "raised E")) == ["result: upstream returned 1 | ours raised E"]
    found = different(same, Outcome([wire._replace(body=b"a=2", headers=())], "returned 1"))
    assert found == [
        "request 1: body: upstream b'a=1' | ours b'a=2'",
        "request 1: headers: upstream [('accept', '*/*')] | ours []",
    ]
    assert different(same, Outcome([wire, wire], "returned 1")) == [
        "request 2: sent: upstream nothing | ours POST /order"
    ]
    long = different(Outcome([], "x" * 999 + "1"), Outcome([], "x" * 999 + "2"))
    assert long == [f"result: upstream ...{'x' * 40}1 | ours ...{'x' * 40}2"]


def test_command_counts_the_equal_calls(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "CALLS", VITAL)
    file = tmp_path / "conformance.json"
    assert command.main(["okx", "--json", str(file)]) == 0
    assert capsys.readouterr().out.startswith(f"{3 * len(VITAL)} of {3 * len(VITAL)} calls equal over 1 exch")
    written = json.loads(file.read_bytes())
    assert written["ccxt"] == version("ccxt")
    assert [one["exchange"] for one in written["exchanges"]] == ["okx"]


@pytest.mark.usefixtures("without_content_type")
def test_command_lists_differences_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "CALLS", VITAL)
    assert command.main(["binance"]) == 1
    out = capsys.readouterr().out
    assert "binance, reply object: create_order('BTC/USDT', 'limit', 'buy'" in out
    assert "15 of 18 calls equal over 1 exchanges" in out


def test_command_names_an_unknown_exchange(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["binance", "binanse"])
    assert "binanse" in capsys.readouterr().err


# --- what our class rests on


_SUSPECT = re.compile(r"\b(asyncio|aiohttp|concurrent\.futures|threading|socket|asyncio_loop)\b")


def suspects(source: str) -> Iterator[ast.stmt]:
    """The methods and top-level statements with one of the words: parsing all of ccxt takes seconds."""
    for piece in re.split(r"^(?=    (?:async )?def |    @|\S)", source, flags=re.MULTILINE):
        if _SUSPECT.search(piece):
            yield from ast.parse(f"if 1:\n{piece}" if piece.startswith(" ") else piece).body


def concurrency_used(statement: ast.stmt) -> set[str]:
    """What is used of asyncio, and of anything else that would bring a loop or threads of its own."""
    nodes = list(ast.walk(statement))
    attributes = [one for one in nodes if isinstance(one, ast.Attribute)]
    of_asyncio = {one.value: one.attr for one in attributes if ast.unparse(one.value) == "asyncio"}
    names = [one.id for one in nodes if isinstance(one, ast.Name) and one not in of_asyncio]
    imports = [ast.unparse(one) for one in nodes if isinstance(one, ast.Import | ast.ImportFrom)]
    used = {f"asyncio.{name}" for name in of_asyncio.values()}
    used |= {one.attr for one in attributes if one.attr == "asyncio_loop"}
    used |= {one for one in names if _SUSPECT.fullmatch(one)}
    used |= {one for one in imports if _SUSPECT.search(one)}
    return used - {"import asyncio", "asyncio.gather"}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import asyncio\nawait asyncio.gather(a, b)", set()),
        ("import asyncio\nasyncio.sleep(1)", {"asyncio.sleep"}),
        ("import asyncio as a", {"import asyncio as a"}),
        ("from asyncio import sleep", {"from asyncio import sleep"}),
        ("from aiohttp.web import x", {"from aiohttp.web import x"}),
        ("import concurrent.futures", {"import concurrent.futures"}),
        ("class A:\n  async def f():\n    hand_over(asyncio)", {"asyncio"}),
        ("class A:\n  async def f():\n    return (await\n  asyncio.wait(x))", {"asyncio.wait"}),
        ("self.asyncio_loop.create_task(x)", {"asyncio_loop"}),
        ("import json\n# asyncio\njson.loads('asyncio')", set()),
    ],
)
def test_uses_of_asyncio_are_recognised(source: str, found: set[str]) -> None:
    assert set().union(*map(concurrency_used, suspects(source))) == found


def test_exchange_modules_use_nothing_of_asyncio_but_gather() -> None:
    modules = {path.stem: path.read_text(encoding="utf8") for path in ASYNC_SUPPORT.glob("*.py")}
    assert modules.keys() >= set(exchange_ids())
    used = {
        f"ccxt.async_support.{name}: {use}"
        for name, source in modules.items()
        for statement in suspects(source)
        for use in concurrency_used(statement)
    }
    assert used == set()  # else: teach trio_ccxt's stand-in for asyncio what it is


def test_what_ccxts_base_does_with_asyncio_is_replaced() -> None:
    """The rest is reached from nothing but what is replaced; `__init__` only keeps the loop."""
    source = (ASYNC_SUPPORT / "base" / "exchange.py").read_text(encoding="utf8")
    methods = {
        one.name
        for kind in ast.parse(source).body
        if isinstance(kind, ast.ClassDef)
        for one in kind.body
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and concurrency_used(one)
    }
    assert methods >= {"fetch", "sleep", "load_markets", "spawn"}
    assert methods - REPLACED == {
        "__init__",
        "close_ws_clients",
        "get_socks_proxy_session",
        "load_order_book",
    }


def test_no_exchange_goes_around_what_ours_replaces() -> None:
    """An exchange's class comes before ours: what it defined itself would win. Of these, it calls ours."""
    assert {"fetch", "throttle", "milliseconds", "open", "load_markets"} <= REPLACED
    defined = re.compile(rf"^    (?:async )?def ({'|'.join(REPLACED)})\(", re.MULTILINE)
    sources = [(path.stem, path.read_text(encoding="utf8")) for path in ASYNC_SUPPORT.glob("*.py")]
    found = {(name, method) for name, source in sources for method in defined.findall(source)}
    calling_ours = {(name, "load_markets") for name in ("delta", "extended", "poloniex")}
    assert found == calling_ours | {("aster", "load_markets_and_sign_in")}  # as upstream's, with gather


def test_only_the_configured_exchange_is_imported() -> None:
    script = (
        "import sys; from fks.domain.secret import Secret; from fks.domain.settings import AccountSettings\n"
        "from fks.venues.ccxt_venue import CcxtVenue\n"
        "print(*sys.modules)\n"
        "account = AccountSettings(type='kraken', api_key=Secret('k'), api_secret=Secret('c2VjcmV0'))\n"
        "CcxtVenue('mine', account, timeout=1.0, retry_attempts=0, retry_delay=0.0)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    before, after = (
        {one.rpartition(".")[2] for one in line.split() if one.startswith("ccxt.")} & set(exchange_ids())
        for line in done.stdout.splitlines()
    )
    assert before == set()
    assert after == {"kraken"}


def test_every_websocket_method_is_refused_by_name() -> None:
    exchange = trio_exchange("binance")()
    names = re.findall(r"^(?:(?:un_)?watch(?:_\w+)?|\w+_ws)$", "\n".join(dir(exchange)), re.MULTILINE)
    assert {"watch", "watch_ticker", "un_watch_orders", "create_order_ws"} <= set(names)
    for name in [*names, "spawn", "delay", "client", "get_event_loop"]:
        with pytest.raises(NotSupported, match=f"binance.{name}: websockets"):
            getattr(exchange, name)()
