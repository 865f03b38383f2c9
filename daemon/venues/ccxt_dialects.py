"""How the exchanges differ in what ccxt does not unify: client order ids and the fence in time.

Exchanges not listed get the careful defaults: a client id is sent, orders are found in lists only, and
there is no fence, so an order that cannot be found stays unknown.
"""

from typing import Any

from msgspec import Struct


class Dialect(Struct, frozen=True, kw_only=True):
    """`place`, `find`, `cancel`: the parameter that carries the client id; None: cannot be done by it.

    `listing`: parameter by which lists of orders can be narrowed to one client id.
    `prefix`: what the exchange puts before the id that it was given.
    `window_s`: the request is refused by the exchange when its timestamp is older, seconds.
    `lag_s`: how long an executed order may be missing from look-ups (a guess where nothing is known).
    `burst_s`: seconds' worth of the rate limit that may go at once.
    `options`: of ccxt, needed for the above; they win over the account's own, or the fence would be gone.
    """

    place: str = "clientOrderId"
    find: str | None = None
    cancel: str | None = None
    listing: str | None = None
    prefix: str = ""
    window_s: float | None = None
    lag_s: float = 5.0
    burst_s: float = 1.0
    options: dict[str, Any] = {}


_WINDOW_S = 5.0

_DIALECTS = {
    "binance": Dialect(
        find="clientOrderId",
        cancel="clientOrderId",
        window_s=_WINDOW_S,
        lag_s=2.0,
        burst_s=5.0,  # the limit is counted by the minute, and listing all open orders costs 4 s of it
        options={
            "recvWindow": int(_WINDOW_S * 1000),
            "fetchMargins": False,  # two endpoints that mirrors do not have
            "fetchOpenOrders": {"warnWithoutSymbol": False},
        },
    ),
    "bybit": Dialect(
        listing="orderLinkId", window_s=_WINDOW_S, options={"recvWindow": int(_WINDOW_S * 1000)}
    ),
    "okx": Dialect(find="clientOrderId", cancel="clientOrderId"),
    "kraken": Dialect(cancel="clientOrderId"),
    "krakenfutures": Dialect(cancel="cliOrdId"),
    "coinbase": Dialect(place="client_order_id"),
    "kucoin": Dialect(find="clientOrderId", cancel="clientOrderId"),
    "gate": Dialect(find="clientOrderId", prefix="t-"),
    "bitget": Dialect(find="clientOrderId", cancel="clientOrderId"),
    # It sends a signed setReferrer and a builder-fee approval of its own otherwise.
    "hyperliquid": Dialect(options={"approvedBuilderFee": True, "refSet": True}),
}


def family_of(exchange: type[Any]) -> str:
    """The listed exchange that this class is or derives from (binanceusdm is binance); else its own id."""
    return next((one.__name__ for one in exchange.__mro__ if one.__name__ in _DIALECTS), exchange.__name__)


def dialect_of(exchange: type[Any]) -> Dialect:
    return _DIALECTS.get(family_of(exchange), Dialect())
