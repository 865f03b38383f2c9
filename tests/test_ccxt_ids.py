"""Client order ids as ccxt really puts them on the wire, exchange by exchange."""

import re
import time
import uuid
from contextlib import suppress
from typing import Any

import pytest

from fks.domain import ids
from fks.domain.errors import PlacementError, Transient
from fks.domain.orders import State
from venue_desk import LIMIT, NAME, make_order
from venue_recorded import placed, recorded

pytestmark = pytest.mark.real_time

UUID, HEX, DIGITS = ids.as_uuid(NAME), ids.as_hex(NAME), ids.as_digits(NAME)
ORDER_ID = "8877665544"


CREATE = [
    ("binance", "spot", f"newClientOrderId={NAME}"),
    ("binance", "swap", f"newClientOrderId={NAME}"),
    ("bybit", "spot", f'"orderLinkId":"{NAME}"'),
    ("bybit", "swap", f'"orderLinkId":"{NAME}"'),
    ("okx", "spot", f'"clOrdId":"{NAME}"'),
    ("okx", "swap", f'"clOrdId":"{NAME}"'),
    ("kraken", "spot", f"cl_ord_id={NAME}"),
    ("krakenfutures", "swap", f"cliOrdId={NAME}"),
    ("coinbase", "spot", f'"client_order_id":"{NAME}"'),
    ("kucoin", "spot", f'"clientOid":"{NAME}"'),
    ("gate", "spot", f'"text":"t-{NAME}"'),
    ("gate", "swap", f'"text":"t-{NAME}"'),
    ("bitget", "spot", f'"clientOid":"{NAME}"'),
    ("bitget", "swap", f'"clientOid":"{NAME}"'),
    ("mexc", "spot", f"newClientOrderId={NAME}"),
    ("htx", "swap", f'"client_order_id":{DIGITS}'),
    ("bitvavo", "spot", f'"clientOrderId":"{UUID}"'),
    ("coinbaseexchange", "spot", f'"client_oid":"{UUID}"'),
    ("cryptocom", "spot", f'"client_oid":"{NAME}"'),
    ("hyperliquid", "swap", f'"c":"{HEX}"'),
]
NEEDED_OPTIONS = {"bitvavo": {"operatorId": 1}}


@pytest.mark.parametrize(("where", "kind", "wanted"), CREATE, ids=lambda one: one if len(one) < 18 else "")
async def test_order_carries_our_id(where: str, kind: str, wanted: str) -> None:
    async with recorded(where, kind) as (venue, exchange):
        venue._session.exchange.options.update(NEEDED_OPTIONS.get(where, {}))
        await placed(venue, make_order(kind, **LIMIT))
        [line] = exchange.changes()
    assert wanted in line


FIND = [
    ("binance", "spot", f"&origClientOrderId={NAME}"),
    ("bybit", "spot", f"/v5/order/realtime?symbol=BTC-USDT&category=spot&orderLinkId={NAME}"),
    ("bybit", "swap", f"orderLinkId={NAME}"),
    ("okx", "spot", f"&clOrdId={NAME}"),
    ("kraken", "spot", f"cl_ord_id={NAME}"),
    ("krakenfutures", "swap", f"orders/status?cliOrdIds={NAME}"),
    ("kucoin", "spot", f"/client-order/{NAME}"),
    ("gate", "spot", f"/orders/t-{NAME}"),
    ("bitget", "spot", f"clientOid={NAME}"),
    ("htx", "spot", f"clientOrderId={DIGITS}"),
    ("hyperliquid", "swap", f'"oid":"{HEX}"'),
]


@pytest.mark.parametrize(("where", "kind", "wanted"), FIND, ids=lambda one: one if len(one) < 18 else "")
async def test_order_is_looked_up_by_our_id(where: str, kind: str, wanted: str) -> None:
    async with recorded(where, kind) as (venue, exchange):
        with suppress(Transient):
            await venue.find(make_order(kind, **LIMIT))
        lines = exchange.wire()
    assert any(wanted in line for line in lines), lines


CANCEL = [
    ("binance", "spot", f"&origClientOrderId={NAME}"),
    ("bybit", "spot", f'"orderLinkId":"{NAME}"'),
    ("bybit", "swap", f'"orderLinkId":"{NAME}"'),
    ("okx", "spot", f'"clOrdId":"{NAME}"'),
    ("kraken", "spot", f"cl_ord_id={NAME}"),
    ("krakenfutures", "swap", f"cliOrdId={NAME}"),
    ("kucoin", "spot", f"/client-order/{NAME}"),
    ("gate", "spot", f"DELETE /api/v4/spot/orders/t-{NAME}"),
    ("bitget", "spot", f'"clientOid":"{NAME}"'),
    ("htx", "spot", f'"client-order-id":"{DIGITS}"'),
    ("hyperliquid", "swap", f'"cloid":"{HEX}"'),
]


@pytest.mark.parametrize(("where", "kind", "wanted"), CANCEL, ids=lambda one: one if len(one) < 18 else "")
async def test_order_is_canceled_by_our_id(where: str, kind: str, wanted: str) -> None:
    async with recorded(where, kind) as (venue, exchange):
        with suppress(PlacementError):
            await venue.cancel(make_order(kind, **LIMIT))
        lines = exchange.wire()
    assert any(wanted in line for line in lines), lines


@pytest.mark.parametrize(("where", "kind"), sorted({(where, kind) for where, kind, _ in CREATE}))
async def test_known_order_is_looked_up_by_the_exchange_s_id(where: str, kind: str) -> None:
    async with recorded(where, kind) as (venue, exchange):
        with suppress(Transient):
            await venue.find(make_order(kind, **LIMIT, exchange_order_id=ORDER_ID))
        lines = exchange.wire()
    assert any(ORDER_ID in line for line in lines), lines


def test_shapes_are_what_the_exchanges_that_want_them_take() -> None:
    assert re.fullmatch(r"0x[0-9a-f]{32}", HEX)
    assert re.fullmatch(r"[1-9][0-9]{14}", DIGITS)
    assert int(float(DIGITS)) == int(DIGITS)  # as ccxt does it for htx
    assert uuid.UUID(UUID).version == 4
    assert ids.as_digits(NAME) != ids.as_digits("q0123456789abcdefh")


async def test_bybit_narrows_open_and_ended_orders_alike() -> None:
    async with recorded("bybit", "swap") as (venue, exchange):
        with suppress(Transient):
            await venue.find(make_order("swap", **LIMIT))
        asked = [line.split("?")[0] for line in exchange.wire() if f"orderLinkId={NAME}" in line]
    assert {"GET /v5/order/realtime", "GET /v5/order/history"} <= set(asked)


def coinbase_row(name: str, order_id: str) -> dict[str, Any]:
    return {"order_id": order_id, "client_order_id": name, "product_id": "BTC-USDT", "side": "BUY",
            "status": "OPEN", "created_time": "2026-01-01T00:00:00Z", "filled_size": "0",
            "order_configuration": {"limit_limit_gtc": {"base_size": "1", "limit_price": "9"}}}  # fmt: skip


async def test_coinbase_has_no_question_by_our_id_so_its_lists_are_searched() -> None:
    rows = [coinbase_row("qother", "not-ours"), coinbase_row(NAME, ORDER_ID)]
    answers: dict[str, object] = {
        "/orders/historical/batch": {"orders": rows, "has_next": False},
        "/orders/batch_cancel": {"results": [{"success": True, "order_id": ORDER_ID}]},
    }
    async with recorded("coinbase", "spot", answers) as (venue, exchange):
        found = await venue.find(make_order("spot", **LIMIT))
        await venue.cancel(make_order("spot", **LIMIT))
        [canceled] = exchange.changes()
    assert found is not None
    assert (found.exchange_order_id, found.client_order_id) == (ORDER_ID, NAME)
    assert ORDER_ID in canceled
    assert "not-ours" not in canceled


@pytest.mark.parametrize(("text", "ours"), [(f"t-{NAME}", True), ("t-qother", False)])
async def test_filled_order_on_gate_is_found_through_its_trades(text: str, ours: bool) -> None:
    now = time.time()
    shared = {"side": "buy", "amount": "0.01", "price": "49000", "currency_pair": "BTC-USDT"}
    trade = {**shared, "id": "1", "order_id": ORDER_ID, "create_time_ms": str(now * 1000), "role": "taker"}
    order = {**shared, "id": ORDER_ID, "text": text, "status": "closed", "type": "limit", "left": "0"}
    answers: dict[str, object] = {
        f"/orders/t-{NAME}": {"label": "ORDER_NOT_FOUND", "message": "Order not found"},
        f"/orders/{ORDER_ID}": order,
        "/spot/orders": [],
        "/spot/open_orders": [],
        "/my_trades": [trade],
    }
    async with recorded("gate", "spot", answers) as (venue, _):
        found = await venue.find(make_order("spot", **LIMIT))
    assert (found is not None) == ours
    assert found is None or (found.state, found.exchange_order_id) == (State.FILLED, ORDER_ID)
