"""How the exchanges differ in what ccxt does not unify: client order ids, stops, and the fence in time.

Exchanges not listed get the careful defaults: a client id is sent, orders are found in lists only, and
there is no fence, so an order that cannot be found stays unknown.

A stop loss is attached to its entry only where it can be followed as an order of its own afterwards, and
where nothing protects twice:
- okx takes a client id for it, by which it is found, canceled and told apart once the entry has filled
  completely. So a market entry on its contracts carries its stop, which is an order like any other from
  then on. An entry that may fill in parts does not: its first part would be unprotected until the last. Nor
  does one on spot, where nothing makes a stop reduce-only, and fees make it larger than what was bought;
- bybit keeps it at the position (on spot: at a limit order only): one for all entries of a symbol, without
  a client id, replaced by the next entry's and by anyone on their site. Beside stops of our own it would
  protect twice, and which entry it belongs to cannot be told;
- bitget, kucoin, hyperliquid and others take no client id for it: a lost reply would leave a stop that
  cannot be told from somebody else's.
All other legs are placed alone as soon as there is something to protect, each with an id of its own. Take
profits always are: several have shares, and as limit orders in the book they beat triggers.
"""

from typing import Any, Literal

from msgspec import Struct

from fks.domain import ids

Shape = Literal["plain", "uuid", "hex", "digits"]

_SHAPES = {"uuid": ids.as_uuid, "hex": ids.as_hex, "digits": ids.as_digits}


class Attachment(Struct, frozen=True):
    """How an entry carries its stop loss: a list of one, with these names in it and `also`."""

    list: str
    name: str
    trigger: str
    also: dict[str, str]


class Dialect(Struct, frozen=True, kw_only=True):
    """What is special about one exchange.

    `place`, `find`, `cancel`: the parameter that carries the client id; None: cannot be done by it.
    `cancel_as_id`: the client id, prefix included, goes where the exchange's own id would.
    `lists`: unified method -> parameter that narrows that list to one client id.
    `ended`: the lists that together show ended orders, where the first that ccxt has is not enough.
    `trade_name`: where an execution shows the client id of its order.
    `place_stop`: the client id's parameter of conditional orders, besides `place`.
    `shown`: where a conditional order shows its client id when ccxt's unified field does not.
    `prefix`: what the exchange puts before the id that it was given. `shape`: what it must look like.
    `window_s`: the request is refused by the exchange when its timestamp is older, seconds.
    `deadline`: instead of a timestamp's age, this parameter of an order says until when it is taken.
    `server_time`: ccxt's raw method whose answer tells "serverTime", where it has no unified one.
    `lag_s`: how long an executed order may be missing from look-ups (a guess where nothing is known).
    `burst_s`: seconds' worth of the rate limit that may go at once.
    `prime`: ccxt methods, with arguments, whose answer it keeps and would else ask for while placing.
    `muted`: ccxt methods that send something signed of their own accord: replaced by nothing.
    `one_book`: conditional orders are found like any other, although ccxt offers a list of their own.
    `protective_list`: parameters of that list for stops placed as stop losses.
    `attachment`: on contracts a market entry may carry its stop loss, which keeps its client id.
    `spot_filters`: bybit's names for (stop losses, other conditional orders), needed to cancel them.
    `mode_key`: the position's raw field that says "1" or "2" in hedge mode; there is no other way to ask.
    `trailing`: a trailing stop by percent can be placed and followed where ccxt offers trailing at all.
    `leverage_side`: in hedge mode isolated leverage is set for one side, named by this parameter.
    `leverage_set`: leverage is set beforehand, although ccxt says that an order carries it.
    `gain`: of its balance's rows, the profit of open positions, which ccxt's total leaves out there.
    `market_price`: market orders need a last price, from which ccxt makes the worst acceptable one.
    `market_buys`: what a spot market buy is counted in; None: quote, if ccxt says that it needs a price.
    `options`: of ccxt, needed for the above; they win over the account's own, or the fence would be gone.
    """

    place: str = "clientOrderId"
    find: str | None = None
    cancel: str | None = None
    cancel_as_id: bool = False
    lists: dict[str, str] = {}
    ended: tuple[str, ...] = ()
    trade_name: str | None = None
    place_stop: str | None = None
    shown: str | None = None
    prefix: str = ""
    shape: Shape = "plain"
    window_s: float | None = None
    deadline: str | None = None
    server_time: str | None = None
    lag_s: float = 5.0
    burst_s: float = 1.0
    prime: tuple[tuple[Any, ...], ...] = ()
    muted: tuple[str, ...] = ()
    one_book: bool = False
    protective_list: dict[str, Any] = {}
    attachment: Attachment | None = None
    spot_filters: tuple[str, str] | None = None
    mode_key: str | None = None
    trailing: bool = True
    leverage_side: str | None = None
    leverage_set: bool = False
    gain: str | None = None
    market_price: bool = False
    market_buys: Literal["base", "quote"] | None = None
    options: dict[str, Any] = {}

    @property
    def proves_absence(self) -> bool:
        """Whether an order that is not found by its client id is not there, however many others are."""
        narrowed = "fetchOpenOrders" in self.lists and len(self.lists) > 1
        return bool(self.find or self.trade_name or narrowed)

    def sent(self, client_order_id: str) -> str:
        """The client id in the shape in which this exchange takes it."""
        return _SHAPES[self.shape](client_order_id) if self.shape in _SHAPES else client_order_id

    def told(self, client_order_id: str) -> str:
        """The client id as this exchange shows it."""
        return self.prefix + self.sent(client_order_id)

    def narrowed(self, method: str, client_order_id: str) -> dict[str, Any]:
        """Parameters that narrow a list of orders to one client id, where the exchange can do that."""
        return {self.lists[method]: self.told(client_order_id)} if method in self.lists else {}


_WINDOW_S = 5.0
_QUOTE_BUYS = ("btse", "coinsph", "digifinex", "indodax", "lbank", "toobit", "upbit", "xt")
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
        cancel="orderLinkId",
        lists={"fetchOpenOrders": "orderLinkId", "fetchCanceledAndClosedOrders": "orderLinkId"},
        window_s=_WINDOW_S,
        prime=(("is_unified_enabled",),),
        one_book=True,  # one id, one list, before and after it triggers
        spot_filters=("tpslOrder", "StopOrder"),
        mode_key="positionIdx",
        trailing=False,  # a property of the position, not an order
        gain="unrealisedPnl",
        market_buys="base",  # by marketUnit
        options={
            "recvWindow": int(_WINDOW_S * 1000),
            "fetchOrder": {"acknowledged": True},  # only the last 500 orders: the lists are asked besides
        },
    ),
    "okx": Dialect(
        find="clientOrderId",
        cancel="clientOrderId",
        place_stop="algoClOrdId",
        shown="algoClOrdId",
        window_s=30.0,  # "50102 Timestamp request expired": its rule for every signed request
        protective_list={"ordType": "conditional"},
        leverage_side="posSide",
        attachment=Attachment(
            "attachAlgoOrds",
            name="attachAlgoClOrdId",
            trigger="slTriggerPx",
            also={"slOrdPx": "-1", "slTriggerPxType": "last"},  # at the market, by the last price
        ),
    ),
    "kraken": Dialect(
        cancel="clientOrderId",
        lists={"fetchOpenOrders": "clientOrderId", "fetchClosedOrders": "clientOrderId"},
        window_s=15.0,  # its documents, old and new: 2 or 5 s at least, 60 s at most
        deadline="deadline",
    ),
    "krakenfutures": Dialect(
        cancel="cliOrdId",
        lists={"fetchOrders": "cliOrdIds"},
        ended=("fetchOrders", "fetchClosedOrders", "fetchCanceledOrders"),  # the first: for 5 s after the end
        trade_name="cliOrdId",
        window_s=15.0,
        deadline="processBefore",
        server_time="publicGetFeeschedules",
    ),
    "coinbase": Dialect(place="client_order_id"),
    "kucoin": Dialect(find="clientOrderId", cancel="clientOrderId", prime=(("is_uta_enabled",),)),
    # A filled order is "not found" by its name: its trades show it.
    "gate": Dialect(
        find="clientOrderId",
        cancel_as_id=True,
        prefix="t-",
        prime=(("load_unified_status",),),
        gain="unrealised_pnl",
    ),
    # Trailing: only from an activation price.
    "bitget": Dialect(
        find="clientOrderId",
        cancel="clientOrderId",
        prime=(("handle_uta_and_params", {}, "createOrder"),),
        trailing=False,
    ),
    "htx": Dialect(
        find="clientOrderId",
        cancel="clientOrderId",
        shape="digits",  # its contracts take nothing else
        prime=(("load_accounts",),),
        trailing=False,
        leverage_set=True,
    ),
    # Unmuted it names ccxt as referrer, approves a fee for ccxt and adds that to each order.
    "hyperliquid": Dialect(
        find="clientOrderId",
        cancel="clientOrderId",
        shape="hex",
        prime=(("initialize_client",),),
        market_price=True,
        muted=("handle_builder_fee_approval", "set_ref"),
    ),
    "lighter": Dialect(muted=("handle_builder_fee_approval",)),
    "bitvavo": Dialect(shape="uuid"),
    "coinbaseexchange": Dialect(shape="uuid"),
    "woo": Dialect(shape="digits", trailing=False),
    "grvt": Dialect(shape="digits"),
    "cryptocom": Dialect(place="client_oid", market_buys="base"),
    "derive": Dialect(market_price=True),
    "apex": Dialect(market_price=True, trailing=False),
    # Spot market buys in quote currency, which ccxt's table does not say.
    **{one: Dialect(market_buys="quote") for one in _QUOTE_BUYS},
    # ccxt's trailing there is an amount, or a parameter passed on unread: not our percent.
    **{one: Dialect(trailing=False) for one in ("alpaca", "bitfinex", "coinmate", "deribit")},
}


def family_of(exchange: type[Any]) -> str:
    """The listed exchange that this class is or derives from (binanceusdm is binance); else its own id."""
    return next((one.__name__ for one in exchange.__mro__ if one.__name__ in _DIALECTS), exchange.__name__)


def dialect_of(exchange: type[Any]) -> Dialect:
    return _DIALECTS.get(family_of(exchange), Dialect())
