"""Client order ids as ccxt really puts them on the wire, exchange by exchange."""

import re
import uuid
from contextlib import suppress

import pytest

from fks.domain import ids
from fks.domain.errors import PlacementError, Transient
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
