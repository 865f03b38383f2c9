"""Round trips and profit as the desk and `fks trades` tell them."""

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from click.testing import Result
from msgspec.structs import replace

from cli_cases import fixture_daemon, fixture_invoke  # noqa: F401 - fixtures
from cli_daemon import Daemon
from desk_cases import Desk, problem_of
from fks.actors import trades as actor
from fks.actors.trades import Trades
from fks.domain.messages import Fill, Order, Position
from fks.domain.orders import Side
from fks.domain.trades import Execution, RoundTrip, RoundTrips, TripQuery
from fks.ledger import JournalBusy
from makers import market
from memory_journal import MemoryJournal, MemoryLedger, an_order


def traded(*sides: str, account: str = "paper", amount: str = "1") -> tuple[list[Order], list[Fill]]:
    """One execution after the other, each ten units of price and an hour on."""
    orders, fills = [], []
    for n, side in enumerate(sides):
        orders.append(an_order(f"{account}{n}", side=Side(side), account=account))
        fills.append(
            Fill(
                order_id=f"{account}{n}",
                trade_id=f"t{n}",
                time=3600.0 * n,
                price=Decimal(100 + 10 * n),
                amount=Decimal(amount),
                fee=Decimal("0.1"),
                fee_currency="USDT",
            )
        )
    return orders, fills


def ledger(*sides: str) -> MemoryLedger:
    orders, fills = traded(*sides)
    return MemoryLedger(order_rows=orders, fills=fills)


async def test_a_closed_trade_and_an_open_one() -> None:
    told = await Desk(ledger("buy", "sell", "buy")).json("/v1/trades")
    (done,), (running,) = told["trades"], told["open"]
    assert done == {
        "id": "1", "account": "paper", "strategy": "", "symbol": "BTC/USDT", "side": "buy",
        "opened_at": "1970-01-01T00:00:00.000Z", "closed_at": "1970-01-01T01:00:00.000Z", "holding_s": 3600.0,
        "amount": "1", "entry": "100", "exit": "110", "profit": "9.8", "fees": "0.2", "slippage": None,
    }  # fmt: skip
    assert (running["id"], running["closed_at"], running["exit"]) == (None, None, None)
    assert told["next"] is None


async def test_pages_join_and_what_comes_later_is_added() -> None:
    book = ledger(*["buy", "sell"] * 5)
    desk = Desk(book)
    seen, path = [], "/v1/trades?limit=2"
    while path:
        page = await desk.json(path)
        seen += [one["id"] for one in page["trades"]]
        path = page["next"] and f"/v1/trades?limit=2&before={page['next']}"
    assert seen == ["5", "4", "3", "2", "1"]
    orders, fills = traded("buy", "sell", account="binance")
    book.order_rows += orders
    book.fills += fills
    assert [one["id"] for one in (await desk.json("/v1/trades?limit=2"))["trades"]] == ["6", "5"]
    assert [one["id"] for one in (await desk.json("/v1/trades?account=paper&limit=1"))["trades"]] == ["5"]
    assert (await desk.json("/v1/trades?strategy=trend"))["trades"] == []


@pytest.mark.parametrize(("query", "field"), [("before=x", "before"), ("limit=1001", "limit")])
async def test_a_wrong_question_names_its_field(query: str, field: str) -> None:
    reply = await Desk().get(f"/v1/trades?{query}")
    assert (reply.status_code, (await problem_of(reply))["field"]) == (400, field)


async def test_a_long_journal_is_read_in_chunks_and_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actor, "CHUNK", 2)
    monkeypatch.setattr(actor, "KEPT", 3)
    journal = MemoryJournal(ledger(*["buy", "sell"] * 5))
    trades = Trades(journal, dict)
    found = await trades(TripQuery(limit=9))
    assert [number for number, _ in found.closed] == [5, 4, 3]
    assert journal.reads == 6
    assert await trades(TripQuery(limit=9)) == found
    assert journal.reads == 7


async def test_an_error_begins_anew_and_so_do_markets_that_came_later() -> None:
    orders, fills = traded("buy", "sell")
    fills[0] = replace(fills[0], fee_currency="BTC", fee=Decimal("-0.0001"))  # more than can be sold again
    journal = MemoryJournal(MemoryLedger(order_rows=orders, fills=fills))
    markets: dict[str, Any] = {}
    trades = Trades(journal, lambda: markets)
    journal.error = JournalBusy("locked")
    with pytest.raises(JournalBusy):
        await trades(TripQuery(limit=9))
    journal.error = None
    assert (await trades(TripQuery(limit=9))).closed == ()
    markets = {"paper": {"BTC/USDT": market()}}
    found = await trades(TripQuery(limit=9))
    assert ([number for number, _ in found.closed], found.still_open) == ([1], ())


class Stumbling(RoundTrips):
    """Fails at the first sell that it sees."""

    stumbled = False

    def add(self, one: Execution) -> list[RoundTrip]:
        if one.order.side is Side.SELL and not Stumbling.stumbled:
            Stumbling.stumbled = True
            raise ArithmeticError
        return super().add(one)


async def test_nothing_counts_twice_after_a_failure_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actor, "RoundTrips", Stumbling)
    trades = Trades(MemoryJournal(ledger("buy", "sell")), dict)
    with pytest.raises(ArithmeticError):
        await trades(TripQuery(limit=9))
    ((_, trip),) = (await trades(TripQuery(limit=9))).closed
    assert trip.amount == 1


async def test_a_journal_that_hangs_is_told_in_time() -> None:
    desk = Desk(ledger("buy"))
    desk.journal.hangs = True
    assert (await problem_of(await desk.get("/v1/trades")))["status"] == 503


async def test_a_position_is_valued_at_the_last_price_and_with_its_shares() -> None:
    held = {"symbol": "BTC/USDT", "average": Decimal(100)}
    rows = [
        Position(account=name, amount=Decimal(amount), **held)
        for name, amount in (("paper", "3"), ("binance", "-1"), ("gone", "0"))
    ]
    share = Position(account="paper", amount=Decimal(1), symbol="BTC/USDT", average=Decimal(105))
    desk = Desk(MemoryLedger(position_rows=rows, share_rows=[("trend", share)]))
    desk.prices = {"paper": {"BTC/USDT": Decimal("110.50")}}
    paper, binance, gone = (await desk.json("/v1/positions"))["positions"]
    assert (paper["last"], paper["unrealized"]) == ("110.5", "31.5")
    assert [(one["strategy"], one["unrealized"]) for one in paper["strategies"]] == [("trend", "5.5")]
    assert (binance["last"], binance["unrealized"]) == (None, None)
    assert (gone["last"], gone["unrealized"], gone["strategies"]) == (None, "0", [])


# The command


TRADE = {
    "id": "7", "account": "paper", "strategy": "=1+1", "symbol": "BTC/USDT", "side": "buy",
    "opened_at": "2025-11-07T10:30:00.000Z", "closed_at": "2025-11-09T10:30:05.000Z", "holding_s": 172805.0,
    "amount": "1", "entry": "100", "exit": "99", "profit": "-1.2", "fees": "0.2", "slippage": None,
}  # fmt: skip
OPEN = {**TRADE, "id": None, "closed_at": None, "holding_s": None, "exit": None}


def test_trades_show_what_is_open_first(invoke: Callable[..., Result], daemon: Daemon) -> None:
    daemon.replies["GET", "/v1/trades"] = 200, {"trades": [TRADE], "open": [OPEN], "next": None}
    head, running, done = invoke("trades", "--account", "paper", "--strategy", "").stdout.splitlines()
    assert head.split()[:3] == ["OPENED", "CLOSED", "ACCOUNT"]
    assert "2025-11-09" not in running
    assert done.endswith("2 days, 0:00:05")
    assert daemon.requests[0][1] == "/v1/trades?account=paper&strategy=&limit=50"


def test_more_than_a_page_is_asked_for_page_by_page(invoke: Callable[..., Result], daemon: Daemon) -> None:
    daemon.replies["GET", "/v1/trades"] = [
        (200, {"trades": [TRADE] * 1000, "open": [], "next": "7"}),
        (200, {"trades": [TRADE], "open": [OPEN], "next": "6"}),
    ]
    told = json.loads(invoke("trades", "--json", "--limit", "1001").stdout)
    assert (len(told["trades"]), told["open"], told["next"]) == (1001, [], "6")
    assert [path for _, path, *_ in daemon.requests] == [
        "/v1/trades?limit=1000",
        "/v1/trades?limit=1&before=7",
    ]


def test_csv_is_for_spreadsheets(invoke: Callable[..., Result], daemon: Daemon) -> None:
    daemon.replies["GET", "/v1/trades"] = 200, {"trades": [TRADE], "open": [], "next": None}
    (row,) = csv.DictReader(io.StringIO(invoke("trades", "--csv").stdout))
    assert row == {name: "" if value is None else str(value) for name, value in TRADE.items()} | {
        "strategy": "'=1+1"
    }
    assert invoke("trades", "--csv", "--json").exit_code == 64
