"""A CcxtVenue in front of a `Recorder`, with a market to trade in, for tests of what is put on the wire."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio

from fks.domain.errors import Unknown
from fks.domain.messages import Order
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings
from fks.venues import ccxt_markets
from fks.venues.ccxt_venue import CcxtVenue
from standins.recorder import Recorder
from venue_desk import SYMBOL


def raw_market(kind: str) -> dict[str, Any]:
    contract = kind == "swap"
    name = "BTC-USDT" if not contract else "BTC-USDT-SWAP"
    types = ["LIMIT", "MARKET", "LIMIT_MAKER", "STOP", "STOP_MARKET", "TAKE_PROFIT_MARKET", "STOP_LOSS",
             "TRAILING_STOP_MARKET"]  # fmt: skip
    return {
        "id": name, "lowercaseId": name.lower(), "uppercaseId": name, "symbol": SYMBOL[kind],
        "base": "BTC", "quote": "USDT", "settle": "USDT" if contract else None,
        "baseId": "BTC", "quoteId": "USDT", "settleId": "USDT" if contract else None, "baseName": "10",
        "type": kind, "spot": not contract, "margin": False, "swap": contract, "future": False,
        "option": False, "active": True, "contract": contract, "linear": contract or None,
        "inverse": False if contract else None, "subType": "linear" if contract else None,
        "taker": 0.001, "maker": 0.001, "contractSize": 0.01 if contract else None,
        "expiry": None, "strike": None, "optionType": None,
        "precision": {"amount": 1.0 if contract else 1e-05, "price": 0.1, "base": 1e-08, "quote": 1e-08},
        "limits": {"amount": {}, "price": {}, "cost": {}, "leverage": {}},
        "info": {"orderTypes": types},
    }  # fmt: skip


CREDENTIALS = {
    "api_key": "k" * 32,
    "api_secret": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "password": "passphrase",
    "uid": "uid-1",
    "account_id": "account-1",
    "wallet_address": "0x" + "1" * 40,
    "private_key": "0x" + "1" * 64,
    "token": "token-1",
    "login": "login-1",
    "twofa": "MFRGGZDFMZTWQ2LK",
}


# What an exchange has to say before ccxt goes on.
ANSWERS: dict[str, object] = {
    "/v1/account/accounts": {"status": "ok", "data": [{"id": 1, "type": "spot", "state": "working"}]},
    "/api/ua/v1/account/mode": {"code": "200000", "data": {"selfAccountMode": "CLASSIC"}},
    "/v5/user/query-api": {"retCode": 0, "result": {"unified": 0, "uta": 1}},
    "/v5/account/info": {"retCode": 0, "result": {"unifiedMarginStatus": 6}},
    "/v5/position/list": {"retCode": 0, "result": {"list": []}},
    "/positionSide/dual": {"dualSidePosition": False},
    "/api/v5/account/config": {"code": "0", "data": [{"uid": "1", "posMode": "net_mode"}]},
    "/api/v5/account/positions": {"code": "0", "data": []},
    "/getPositionMode": {"code": "200000", "data": {"positionMode": 0}},
    "/info": "disabled",
}


@asynccontextmanager
async def recorded(
    where: str, kind: str = "spot", answers: dict[str, object] | None = None
) -> AsyncIterator[tuple[CcxtVenue, Recorder]]:
    async with Recorder() as exchange:
        exchange.answers = {**ANSWERS, **(answers or {})}
        keys = {name: Secret(value) for name, value in CREDENTIALS.items()}
        settings = AccountSettings(type=where, market=kind, base_url=exchange.url, **keys)  # type: ignore[arg-type]
        venue = CcxtVenue("main", settings, timeout=2.0, retry_attempts=0, retry_delay=0.001)
        ccxt_exchange, market = venue._session.exchange, raw_market(kind)
        if where == "hyperliquid":
            market["baseId"] = "10"
        ccxt_exchange.set_markets([market])
        ccxt_exchange.markets_loading = True
        ccxt_exchange.enableRateLimit = False
        venue._session._clock_at = trio.current_time()  # in time: only what is asked for is on the wire
        venue._markets = {SYMBOL[kind]: ccxt_markets.as_market(market, ccxt_exchange.precisionMode)}
        try:
            yield venue, exchange
        finally:
            await venue.close()


async def placed(venue: CcxtVenue, order: Order) -> None:
    with suppress(Unknown):  # the answer proves nothing, of course
        await venue.place(order, (), time.time())
