"""What each exchange of the installed ccxt can do here, asked of the very objects that would trade on it.

Only `VERIFIED_BY` is written by hand; the rest follows from ccxt's description of the exchange, from our
dialect of it and from what the venue makes of both.
"""

from typing import Any, Literal

from msgspec import Struct, structs

from fks.domain.errors import Fatal
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings
from fks.domain.venue import Features
from fks.venues.ccxt_dialects import dialect_of, family_of
from fks.venues.ccxt_venue import CcxtVenue
from fks.venues.trio_ccxt import trio_exchange

Kind = Literal["spot", "swap"]
Lookup = Literal["direct", "in lists", "in trades", "open orders only", "none"]

_IDS, _SAME = "test_ccxt_ids", "test_conformance"
_WIRE = (_IDS, _SAME)

# First those that trade on a local stand-in, which checks signatures and time; then that our order id is
# on the wire; then that every request is what ccxt makes of it without us.
VERIFIED_BY: dict[str, tuple[str, ...]] = {
    "binance": ("test_ccxt_orders", *_WIRE),
    "bybit": ("test_ccxt_orders", *_WIRE),
    "okx": ("test_ccxt_orders", *_WIRE),
    "kraken": _WIRE,
    "krakenfutures": _WIRE,
    "coinbase": _WIRE,
    "kucoin": _WIRE,
    "gate": _WIRE,
    "bitget": _WIRE,
    "mexc": _WIRE,
    "htx": _WIRE,
    "hyperliquid": _WIRE,
    "bitvavo": (_IDS,),
    "coinbaseexchange": (_IDS,),
    "cryptocom": (_IDS,),
    "binanceusdm": (_SAME,),
    "deribit": (_SAME,),
}

_ENDED = ("fetchOrders", "fetchCanceledAndClosedOrders", "fetchClosedOrders")


class MarketCapability(Struct, frozen=True, kw_only=True):
    """What an account for one kind of market can do. Order types are `fks.domain.orders.OrderType`'s."""

    testnet: bool
    order_types: tuple[str, ...]
    attached_stop: bool


class Capability(Struct, frozen=True, kw_only=True):
    """One exchange. `spot`, `swap`: None when it has no such markets, or none that can be traded here.

    `client_id`: the parameter that carries our order id; `client_id_known`: a test has seen it on the wire,
    of this exchange or of the one that its class derives from. `window_s`: as in `Features`.
    `problem`: why no account of it can be configured; everything else is then empty.
    """

    exchange: str
    name: str
    spot: MarketCapability | None = None
    swap: MarketCapability | None = None
    client_id: str = ""
    client_id_known: bool = False
    lookup: Lookup = "none"
    window_s: float | None = None
    verified_by: tuple[str, ...] = ()
    problem: str | None = None


def capability(exchange_id: str) -> Capability:
    """Imports the exchange; talks to nobody. Raises ValueError for an id that ccxt does not know."""
    kind = trio_exchange(exchange_id)
    described = kind()
    try:
        features = _features(exchange_id, "spot")
    except Fatal as error:
        problem = str(error).removeprefix(f"[exchanges.{exchange_id}] ")
        return Capability(exchange=exchange_id, name=described.name, problem=problem)
    has, dialect = described.has, dialect_of(kind)
    # Inverse contracts are left out of the markets, so an exchange of nothing else has none.
    swaps = has.get("swap") and described.options.get("defaultSubType") != "inverse"
    return Capability(
        exchange=exchange_id,
        name=described.name,
        spot=_market(exchange_id, "spot") if has.get("spot") else None,
        swap=_market(exchange_id, "swap") if swaps else None,
        client_id=dialect.place,
        client_id_known=_IDS in VERIFIED_BY.get(family_of(kind), ()),
        lookup=_lookup(has, asked=bool(dialect.find)),
        window_s=features.window_s,
        verified_by=VERIFIED_BY.get(exchange_id, ()),
    )


def _market(exchange_id: str, kind: Kind) -> MarketCapability:
    features = _features(exchange_id, kind)
    try:
        _features(exchange_id, kind, testnet=True)
    except Fatal:
        testnet = False
    else:
        testnet = True
    return MarketCapability(
        testnet=testnet,
        order_types=tuple(sorted(features.order_types)),
        attached_stop=features.attached_stop,
    )


def _features(exchange_id: str, kind: Kind, *, testnet: bool = False) -> Features:
    """Of an account with made-up keys, which is never opened. Raises Fatal as for a real one."""
    made_up: dict[str, Any] = {
        one.name: Secret("0")
        for one in structs.fields(AccountSettings)
        if isinstance(one.default, Secret) and one.name != "proxy"
    }
    settings = AccountSettings(type=exchange_id, market=kind, testnet=testnet, **made_up)
    return CcxtVenue(exchange_id, settings, timeout=1.0, retry_attempts=0, retry_delay=0.0).features


def _lookup(has: dict[str, object], *, asked: bool) -> Lookup:
    """How an order whose reply was lost is found, as the venue goes about it: the best route there is."""
    if asked and has.get("fetchOrder"):
        return "direct"
    if any(has.get(name) for name in _ENDED):
        return "in lists"
    if has.get("fetchMyTrades"):
        return "in trades"
    return "open orders only" if has.get("fetchOpenOrders") else "none"
