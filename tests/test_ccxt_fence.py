"""When "not placed" may be concluded: until when the exchange takes an order, and what proves its absence."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import pytest

from fks.domain.errors import Transient
from fks.domain.orders import State
from fks.venues import ccxt_dialects
from fks.venues.ccxt_dialects import Dialect, dialect_of
from fks.venues.trio_ccxt import exchange_ids, trio_exchange
from standins.orders import BookOrder
from standins.server import Fault
from venue_desk import LIMIT, MARKETS, NAME, STOP_LOSS, Desk, desk, make_order
from venue_recorded import placed, recorded

pytestmark = pytest.mark.real_time

DEADLINES = [("kraken", "spot", "deadline"), ("krakenfutures", "swap", "processBefore")]


# --- until when an order is taken


@pytest.mark.parametrize(("where", "kind", "name"), DEADLINES)
@pytest.mark.parametrize("changes", [{}, LIMIT, STOP_LOSS], ids=["market", "limit", "stop"])
async def test_order_says_until_when_it_may_be_taken(
    where: str, kind: str, name: str, changes: dict[str, Any]
) -> None:
    ahead = 7.0  # our clock: theirs counts
    async with recorded(where, kind) as (venue, exchange):
        venue._session.exchange.options["timeDifference"] = ahead * 1000
        at = time.time() - 2.0
        with suppress(Exception):
            await venue.place(make_order(kind, **changes), (), at)
        [line] = exchange.changes()
        [until] = parse_qs(line.strip().replace("?", " ").rsplit(" ", 1)[1])[name]
        window = venue.features.window_s
    assert window is not None
    assert until.endswith("Z")
    wanted = datetime.fromtimestamp(at + window - ahead, UTC)
    assert abs((datetime.fromisoformat(until) - wanted).total_seconds()) < 0.002


@pytest.mark.parametrize(("where", "kind"), [("okx", "swap"), ("bybit", "swap"), ("gate", "spot")])
async def test_deadline_is_only_sent_where_it_is_known(where: str, kind: str) -> None:
    async with recorded(where, kind) as (venue, exchange):
        await placed(venue, make_order(kind, **LIMIT))
        [line] = exchange.changes()
    assert "deadline" not in line
    assert "processBefore" not in line


async def test_clock_of_krakenfutures_is_read_from_its_answers() -> None:
    theirs = datetime.fromtimestamp(time.time() - 30, UTC).isoformat(timespec="milliseconds")
    answers: dict[str, object] = {"/feeschedules": {"result": "success", "serverTime": theirs[:-6] + "Z"}}
    async with recorded("krakenfutures", "swap", answers) as (venue, _):
        await venue._session.sync_clock()
        assert venue._session.clock_offset_s == pytest.approx(30, abs=0.5)


async def test_answer_without_a_time_leaves_the_clock_unknown() -> None:
    async with recorded("krakenfutures", "swap") as (venue, _):
        venue._session._clock_at = float("-inf")
        with pytest.raises(Transient, match="time"):
            await venue.balance()


async def test_clock_that_was_set_is_measured_anew_before_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk("binance", "spot") as it:
        real = it.exchange.clock = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 40)
        monkeypatch.setattr(time, "time_ns", lambda: int((real() + 40) * 1e9))
        await it.venue.place(it.order(), (), time.time())
        assert it.venue._session.clock_offset_s == pytest.approx(40, abs=0.5)
        assert it.executions() == 1


# --- what proves an absence


def test_every_fence_comes_with_a_look_up_that_proves_absence() -> None:
    fenced = {one for one in exchange_ids() if dialect_of(trio_exchange(one)).window_s is not None}
    assert {"binance", "binanceusdm", "bybit", "okx", "kraken", "krakenfutures"} <= fenced
    assert all(dialect_of(trio_exchange(one)).proves_absence for one in fenced)


async def test_without_such_a_look_up_there_is_no_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ccxt_dialects._DIALECTS, "kraken", Dialect(window_s=5.0))
    async with recorded("kraken", "spot") as (venue, _):
        assert venue.features.window_s is None


def crowd(it: Desk, count: int) -> None:
    """So many later orders of the same account and market."""
    book = it.exchange.book
    wire = {"type": "LIMIT", "timeInForce": "GTC", **book.orders[-1].wire}
    instrument = book.instrument(MARKETS[it.where][it.kind], swap=it.kind == "swap")
    for number in range(count):
        later = BookOrder(
            instrument, "buy", instrument.step, f"foreign{number}", price=Decimal(40_000), wire=wire
        )
        book._enter(later, it.exchange.now)
        book.cancel(later, it.exchange.now)


VENUES = [(where, kind) for where in ("binance", "bybit", "okx") for kind in ("spot", "swap")]


@pytest.mark.parametrize(("where", "kind"), VENUES)
@pytest.mark.parametrize("changes", [{}, LIMIT, STOP_LOSS], ids=["filled", "resting", "stop"])
async def test_order_is_found_behind_thousands_of_later_ones(
    where: str, kind: str, changes: dict[str, Any]
) -> None:
    async with desk(where, kind) as it:
        if changes is STOP_LOSS:
            await it.buy()
        await it.place(it.order(**changes))
        crowd(it, 1_100)
        found = await it.venue.find(it.order(**changes))
        never = await it.venue.find(it.order(client_order_id="qneverplaced00000"))
    assert found is not None
    assert found.state is (State.OPEN if changes else State.FILLED)
    assert never is None


EXACT = {
    "binance": ("GET /api/v3/order", "GET /fapi/v1/order"),
    "bybit": ("GET /v5/order",),
    "okx": ("GET /api/v5/trade/order",),
}


@pytest.mark.parametrize(("where", "kind"), VENUES)
async def test_long_lists_alone_never_prove_an_absence(where: str, kind: str) -> None:
    """The one exact answer is missing, and what the lists show ends before our order."""
    async with desk(where, kind) as it:
        it.exchange.book.depth[MARKETS[where][kind]] = Decimal(0)
        await it.place(it.order())  # no execution would show it
        crowd(it, 1_100)
        it.exchange.faults.extend(Fault("close", route=one, count=99) for one in EXACT[where])
        with suppress(Transient):  # binance lists the oldest first
            assert await it.venue.find(it.order()) is not None


async def test_filter_that_is_not_kept_proves_nothing() -> None:
    row = {"status": "closed", "opentm": time.time(), "cl_ord_id": "qother", "vol": "1", "vol_exec": "1",
           "descr": {"pair": "BTC-USDT", "type": "buy", "ordertype": "limit", "price": "1"}}  # fmt: skip
    silent: dict[str, object] = {
        "/OpenOrders": {"error": [], "result": {"open": {}}},
        "/TradesHistory": {"error": [], "result": {"trades": {}}},
    }
    for closed, proven in ({}, True), ({"OTHER-1": row}, False):
        answers = {**silent, "/ClosedOrders": {"error": [], "result": {"closed": closed}}}
        async with recorded("kraken", "spot", answers) as (venue, exchange):
            if proven:
                assert await venue.find(make_order("spot")) is None
            else:
                with pytest.raises(Transient, match="left ours out"):
                    await venue.find(make_order("spot"))
            narrowed = [line for line in exchange.wire() if f"cl_ord_id={NAME}" in line]
        assert [line.split()[1].rsplit("/", 1)[1] for line in narrowed] == ["OpenOrders", "ClosedOrders"]


def fill(age: float, name: str | None) -> dict[str, Any]:
    then = datetime.fromtimestamp(time.time() - age, UTC).isoformat(timespec="milliseconds")
    ids = {"order_id": f"o-{age}", "fill_id": f"f-{age}", "cliOrdId": name}
    return {
        **ids,
        "fillTime": then[:-6] + "Z",
        "symbol": "BTC-USDT-SWAP",
        "side": "buy",
        "size": 1,
        "price": 1,
    }


@pytest.mark.parametrize(
    ("fills", "proven"),
    [
        ([], True),
        ([(1, None), (2, "qother"), (3_600, None)], True),
        ([(1, None), (2, "qother")], False),  # and before them?
        ([(1, NAME), (3_600, None)], False),
    ],
)
async def test_absence_on_krakenfutures_rests_on_executions_that_reach_back(
    fills: list[tuple[float, str | None]], proven: bool
) -> None:
    answers: dict[str, object] = {
        "/orders/status": {"result": "success", "orders": []},
        "/openorders": {"result": "success", "openOrders": []},
        "/history/v2/orders": {"elements": []},
        "/history/v3/orders": {"elements": []},
        "/fills": {"result": "success", "fills": [fill(*one) for one in fills]},
    }
    async with recorded("krakenfutures", "swap", answers) as (venue, exchange):
        if proven:
            assert await venue.find(make_order("swap")) is None
        else:
            with pytest.raises(Transient):
                await venue.find(make_order("swap"))
        asked = " ".join(exchange.wire())
    assert all(part in asked for part in (f"orders/status?cliOrdIds={NAME}", "openorders", "fills"))
    assert asked.count("/orders?") == 2  # closed, canceled: not only those ended within 5 s
