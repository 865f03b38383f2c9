"""What both sides do: an account, two markets that need no loading, the calls, and the replies to them."""

import base64
import gzip
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from conformance.recorder import Reply

SPOT, SWAP = "BTC/USDT", "BTC/USDT:USDT"
NOW_MS = 1_700_000_000_123  # epoch milliseconds, for both sides
HOUR_MS = 3_600_000

Call = tuple[str, tuple[Any, ...]]
"""The name of a unified method and its arguments."""

REPLIES = {
    "object": Reply(b"{}"),
    "list": Reply(b"[]"),
    "envelope": Reply(b'{"code":"0","retCode":0,"status":"ok","data":[],"result":{}}'),
}
FAULTS = {
    "empty": Reply(b""),
    "html": Reply(b"<html>maintenance</html>", content_type="text/html"),
    "limited": Reply(b'{"msg":"slow down"}', 429, "Too Many Requests", headers="Retry-After: 7\r\n"),
    "refused": Reply(b'{"code":"1","msg":"no"}', 400, "Bad Request"),
    "forbidden": Reply(b"<html>Cloudflare</html>", 403, "Forbidden", "text/html"),
    "gateway": Reply(b"<html>Bad Gateway</html>", 502, "Bad Gateway", "text/html"),
    "packed": Reply(gzip.compress(b'{"data":[]}', mtime=0), headers="Content-Encoding: gzip\r\n"),
}

# Several exchanges decode the secret, so it is Base64; the keys of chains are numbers of the right length.
_ACCOUNT = {
    "apiKey": "key",
    "secret": base64.b64encode(b"secret" * 6).decode(),
    "password": "password",
    "uid": "uid",
    "login": "login",
    "token": "token",
    "accountId": "1",
    "walletAddress": "0x" + "11" * 20,
    "privateKey": "0x" + "22" * 32,
}


def account(exchange_id: str) -> dict[str, str]:
    """Credentials, the same at every run. Coinbase's keys of today sign a JWT instead of an HMAC."""
    if exchange_id != "coinbase":
        return _ACCOUNT
    key = ec.derive_private_key(1, ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    return {**_ACCOUNT, "apiKey": "organizations/1/apiKeys/1", "secret": pem}


# Binance's classes refuse an order of a type that its market does not list.
_BINANCE_TYPES = [
    "LIMIT", "LIMIT_MAKER", "MARKET", "STOP", "STOP_MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT",
    "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TAKE_PROFIT_LIMIT", "TRAILING_STOP_MARKET",
]  # fmt: skip


def markets(exchange: Any) -> list[dict[str, Any]]:
    """One spot market and one linear perpetual, in ccxt's unified form."""
    return [_market(exchange, SPOT, "BTCUSDT", None), _market(exchange, SWAP, "BTCUSDTP", "USDT")]


def _market(exchange: Any, symbol: str, market_id: str, settle: str | None) -> dict[str, Any]:
    swap = settle is not None
    market: dict[str, Any] = exchange.safe_market_structure(
        {
            "id": market_id,
            "symbol": symbol,
            "base": "BTC",
            "quote": "USDT",
            "settle": settle,
            "baseId": "BTC",
            "quoteId": "USDT",
            "settleId": settle,
            "type": "swap" if swap else "spot",
            "spot": not swap,
            "margin": not swap,
            "swap": swap,
            "future": False,
            "option": False,
            "contract": swap,
            "linear": swap or None,
            "inverse": False if swap else None,
            "contractSize": 0.01 if swap else None,
            "active": True,
            "taker": 0.001,
            "maker": 0.001,
            "precision": {"amount": 1.0 if swap else 1e-5, "price": 1e-2},
            "limits": {
                "amount": {"min": 1.0 if swap else 1e-5, "max": 9000.0},
                "price": {"min": 0.01, "max": 1e6},
                "cost": {"min": 5.0},
                "leverage": {"min": 1.0, "max": 100.0},
            },
            "info": {"symbol": market_id, "orderTypes": _BINANCE_TYPES},
            "numericId": 7,
            "baseNumericId": 7,
            "quoteNumericId": 8,
        }
    )
    return market


# Type, side and parameters of the orders that are placed on both markets.
_ORDERS: list[tuple[str, str, dict[str, Any]]] = [
    ("limit", "buy", {}),
    ("market", "sell", {}),
    ("limit", "sell", {"postOnly": True}),
    ("limit", "buy", {"timeInForce": "IOC"}),
    ("limit", "buy", {"clientOrderId": "q0123456789abcdefg"}),
    ("limit", "buy", {"client_order_id": "q0123456789abcdefg"}),
    ("market", "buy", {"cost": 10}),
    ("limit", "sell", {"triggerPrice": 29000}),
    ("market", "sell", {"stopLossPrice": 29000}),
    ("limit", "sell", {"takeProfitPrice": 31000}),
    ("market", "sell", {"trailingPercent": 1, "trailingTriggerPrice": 31000}),
]


def _calls_on(symbol: str, amount: float) -> list[Call]:
    placed: list[Call] = [
        ("create_order", (symbol, kind, side, amount, 30000, params)) for kind, side, params in _ORDERS
    ]
    pair = [
        {"symbol": symbol, "type": "limit", "side": side, "amount": amount, "price": 30000}
        for side in ("buy", "sell")
    ]
    return [
        *placed,
        ("create_orders", (pair,)),
        ("edit_order", ("12345", symbol, "limit", "buy", amount, 30001)),
        ("cancel_order", ("12345", symbol)),
        ("cancel_order", (None, symbol, {"clientOrderId": "q0123456789abcdefg"})),
        ("cancel_orders", (["1", "2"], symbol)),
        ("cancel_all_orders", (symbol,)),
        ("fetch_order", ("12345", symbol)),
        ("fetch_order", (None, symbol, {"clientOrderId": "q0123456789abcdefg"})),
        ("fetch_orders", (symbol,)),
        ("fetch_open_orders", (symbol,)),
        ("fetch_open_orders", (symbol, None, None, {"trigger": True})),
        ("fetch_closed_orders", (symbol,)),
        ("fetch_canceled_and_closed_orders", (symbol,)),
        ("fetch_my_trades", (symbol, NOW_MS - HOUR_MS)),
        ("fetch_order_trades", ("12345", symbol)),
        ("fetch_ticker", (symbol,)),
        ("fetch_order_book", (symbol, 20)),
        ("fetch_trades", (symbol,)),
        ("fetch_ohlcv", (symbol, "1h", NOW_MS - 20 * HOUR_MS, 10)),
        ("fetch_ohlcv", (symbol, "1h", NOW_MS - 3000 * HOUR_MS, 2500, {"paginate": True})),
        ("set_leverage", (5, symbol)),
        ("set_margin_mode", ("isolated", symbol)),
    ]


CALLS: list[Call] = [
    ("load_markets", ()),  # nothing to load, but three exchanges build tables of their own here
    *_calls_on(SPOT, 0.5),
    *_calls_on(SWAP, 2),
    ("create_order", (SWAP, "market", "sell", 2, None, {"reduceOnly": True})),
    (
        "create_order",
        (
            SWAP,
            "limit",
            "buy",
            2,
            30000,
            {"stopLoss": {"triggerPrice": 29000}, "takeProfit": {"triggerPrice": 31000}},
        ),
    ),
    ("fetch_open_orders", ()),
    ("fetch_balance", ()),
    ("fetch_accounts", ()),
    ("fetch_positions", ([SWAP],)),
    ("fetch_positions", ()),
    ("set_position_mode", (False, SWAP)),
    ("transfer", ("USDT", 1, "spot", "future")),
    ("fetch_deposit_address", ("USDT",)),
    ("fetch_tickers", ([SPOT],)),
    ("fetch_trading_fees", ()),
    ("fetch_time", ()),
    ("load_time_difference", ()),
    ("sign_in", ()),
    ("fetch_currencies", ()),
    ("fetch_markets", ()),
    ("load_markets", (True,)),  # last: it forgets the markets above
    ("load_markets_and_sign_in", ()),
]

# What an account does most, for the replies that are not well.
VITAL: list[Call] = [
    ("create_order", (SPOT, "limit", "buy", 0.5, 30000, {"clientOrderId": "q0123456789abcdefg"})),
    ("cancel_order", ("12345", SPOT)),
    ("fetch_order", ("12345", SPOT)),
    ("fetch_open_orders", (SPOT,)),
    ("fetch_balance", ()),
    ("fetch_positions", ([SWAP],)),
]
