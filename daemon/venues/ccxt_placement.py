"""Our orders in the words of ccxt's `create_order`. Pure."""

from decimal import Decimal
from typing import Any, NamedTuple

from fks.domain.errors import Rejected
from fks.domain.messages import Order
from fks.domain.money import price_to
from fks.domain.orders import Leg, OrderType, Side
from fks.venues.ccxt_dialects import Attachment, Dialect
from fks.venues.ccxt_markets import contract_size, number

CONDITIONAL = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})
_LIMITED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_WORST = Decimal("1.01")  # of the last price: what a market buy may cost where it must be sent as a limit


class Placement(NamedTuple):
    """The arguments of ccxt's `create_order`."""

    symbol: str
    type: str
    side: str
    amount: float
    price: float | None
    params: dict[str, Any]


class Setting(NamedTuple):
    """Where an order is placed. `demands`: ccxt's table of `createOrder`; `tick`: 0 where unknown.

    `hedged`: the account holds long and short side by side. `margin_mode`: of the symbol, where known.
    """

    market: dict[str, Any]
    demands: dict[str, Any]
    dialect: Dialect
    tick: Decimal
    hedged: bool = False
    margin_mode: str | None = None


def order_types(demands: dict[str, Any], dialect: Dialect) -> frozenset[OrderType]:
    """What can be placed, and followed afterwards, where ccxt's table of `createOrder` is this."""
    stops = {OrderType.STOP, OrderType.STOP_LIMIT}
    able = stops if demands.get("triggerPrice") or demands.get("stopLossPrice") else set()
    trailing = {OrderType.TRAILING_STOP} if demands.get("trailing") and dialect.trailing else set()
    return frozenset({OrderType.MARKET, OrderType.LIMIT} | able | trailing)


def exact_float(value: Decimal, what: str) -> float:
    """`value` as the float that ccxt wants. Raises Rejected when it would not be the same number."""
    converted = float(value)
    if Decimal(repr(converted)) != value:
        raise Rejected("local.precision", f"the {what} {value} has more digits than can be sent exactly")
    return converted


def placement(order: Order, setting: Setting) -> Placement:
    """What to ask of ccxt for `order`. Raises Rejected when it cannot be said exactly."""
    if order.type not in order_types(setting.demands, setting.dialect):
        raise Rejected("local.not_supported", f"{order.type} orders cannot be placed on this market")
    params = _names(order, setting) | _terms(order, setting) | _condition(order, setting)
    kind = "limit" if order.type in _LIMITED else "market"
    price = _required(order.price, order, "price") if order.type in _LIMITED else None
    if _buys_for_quote(order, setting):
        # Told an amount of quote currency it would buy more or less than the amount that was decided.
        kind, price = "limit", _worst_price(order, setting)
        params["timeInForce"] = "IOC"
    elif order.type is OrderType.MARKET and setting.dialect.market_price:
        price = _reference(order)
    return Placement(
        order.symbol,
        kind,
        order.side.value,
        exact_float(order.amount / contract_size(setting.market), "amount"),
        None if price is None else exact_float(price, "price"),
        params,
    )


def _names(order: Order, setting: Setting) -> dict[str, Any]:
    dialect = setting.dialect
    name = dialect.sent(order.client_order_id)
    own = dialect.place_stop if order.type in CONDITIONAL else None
    return {dialect.place: name, **({own: name} if own else {})}


def _terms(order: Order, setting: Setting) -> dict[str, Any]:
    params: dict[str, Any] = {}
    if order.time_in_force:
        params["timeInForce"] = order.time_in_force.upper()
    if order.post_only:
        params["postOnly"] = True
    if not setting.market.get("contract"):
        return params  # spot knows no such things: a sell there can only reduce
    if order.reduce_only:
        params["reduceOnly"] = True
    if setting.hedged:
        params["hedged"] = True  # with reduceOnly ccxt names the side that is closed, else the one opened
    if setting.margin_mode and setting.demands.get("marginMode"):
        params["marginMode"] = setting.margin_mode
    if order.leverage and setting.demands.get("leverage"):
        params["leverage"] = order.leverage
    return params


def _condition(order: Order, setting: Setting) -> dict[str, Any]:
    """A trigger is named after its purpose, from which most exchanges take the direction."""
    if order.type is OrderType.TRAILING_STOP:
        percent = _required(order.trail_percent, order, "trail percent")
        return {"trailingPercent": exact_float(percent, "trail percent")}
    if order.type not in CONDITIONAL:
        return {}
    purpose = {Leg.STOP_LOSS: "stopLossPrice", Leg.TAKE_PROFIT: "takeProfitPrice"}.get(order.leg)
    name = purpose if purpose and setting.demands.get(purpose) else "triggerPrice"
    if name == "triggerPrice" and not setting.demands.get(name):
        name = "stopLossPrice"  # kraken: its plain stop
    params: dict[str, Any] = {
        name: exact_float(_required(order.stop_price, order, "stop price"), "stop price")
    }
    if name == "triggerPrice" and setting.demands.get("triggerDirection"):
        # A stop follows the market: a buy waits for a rise, a sell for a fall. A take profit does not.
        rising = (order.side is Side.BUY) != (order.leg is Leg.TAKE_PROFIT)
        params["triggerDirection"] = "ascending" if rising else "descending"
    return params


def _required(value: Decimal | None, order: Order, what: str) -> Decimal:
    if value is None:
        raise Rejected("local.invalid_order", f"a {order.type} order needs a {what}")
    return value


def _reference(order: Order) -> Decimal:
    if order.reference_price is None:
        raise Rejected("local.invalid_order", "a market order here needs a last price, and none was known")
    return order.reference_price


def _buys_for_quote(order: Order, setting: Setting) -> bool:
    if order.type is not OrderType.MARKET or order.side is not Side.BUY or setting.market.get("contract"):
        return False
    if setting.dialect.market_buys is not None:
        return setting.dialect.market_buys == "quote"
    return bool(setting.demands.get("marketBuyRequiresPrice"))


def _worst_price(order: Order, setting: Setting) -> Decimal:
    if not (setting.demands.get("timeInForce") or {}).get("IOC"):
        raise Rejected("local.not_supported", "market buys are counted in quote currency here: use a limit")
    return price_to(_reference(order) * _WORST, setting.tick, buying=False)


def attached(leg: Order, attachment: Attachment, exchange: Any) -> dict[str, Any]:
    """The parameters with which an entry carries `leg`, its stop loss. Raises Rejected off the tick."""
    stop = _required(leg.stop_price, leg, "stop price")
    price = exchange.price_to_precision(leg.symbol, exact_float(stop, "stop price"))
    if Decimal(price) != stop:
        raise Rejected("local.precision", f"the stop price {stop} is off the exchange's tick")
    carried = {attachment.name: leg.client_order_id, attachment.trigger: price, **attachment.also}
    return {attachment.list: [carried]}


def check_grid(placement: Placement, exchange: Any) -> None:
    """Raises Rejected if ccxt would round the numbers: sent is what was decided, or nothing."""
    amount = exchange.amount_to_precision(placement.symbol, placement.amount)
    if Decimal(amount) != number(placement.amount):
        raise Rejected("local.precision", f"the amount {placement.amount!r} is off the exchange's step")
    triggers = ("stopLossPrice", "takeProfitPrice", "triggerPrice")
    for price in (placement.price, *(placement.params.get(name) for name in triggers)):
        if price is None:
            continue
        if Decimal(exchange.price_to_precision(placement.symbol, price)) != number(price):
            raise Rejected("local.precision", f"the price {price!r} is off the exchange's tick")
