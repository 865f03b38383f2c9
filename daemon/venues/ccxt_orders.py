"""Our orders in ccxt's unified words and back. Pure."""

from decimal import Decimal
from typing import Any, NamedTuple

from msgspec import structs

from fks.domain.errors import Rejected, Unknown
from fks.domain.messages import Order, Report, Trade
from fks.domain.money import ZERO
from fks.domain.orders import Leg, OrderType, Side, State
from fks.venues.ccxt_markets import contract_size, number


class Placement(NamedTuple):
    """The arguments of ccxt's `create_order`."""

    symbol: str
    type: str
    side: str
    amount: float
    price: float | None
    params: dict[str, Any]


def exact_float(value: Decimal, what: str) -> float:
    """`value` as the float that ccxt wants. Raises Rejected when it would not be the same number."""
    converted = float(value)
    if Decimal(repr(converted)) != value:
        raise Rejected("local.precision", f"the {what} {value} has more digits than can be sent exactly")
    return converted


def placement(
    order: Order, raw_market: dict[str, Any], demands: dict[str, Any], extra: dict[str, Any]
) -> Placement:
    """What to ask of ccxt for `order`. Raises Rejected when it cannot be said exactly.

    `demands`: ccxt's feature table of `createOrder` for this market; `extra`: parameters to add.
    """
    contract = bool(raw_market.get("contract"))
    params: dict[str, Any] = dict(extra)
    if order.time_in_force:
        params["timeInForce"] = order.time_in_force.upper()
    if order.post_only:
        params["postOnly"] = True
    if order.reduce_only and contract:  # spot knows no such thing: a sell there can only reduce
        params["reduceOnly"] = True
    if order.type in (OrderType.STOP, OrderType.STOP_LIMIT):
        if order.stop_price is None:
            raise Rejected("local.invalid_order", f"a {order.type} order needs a stop price")
        params.update(_trigger(order, exact_float(order.stop_price, "stop price")))
        if "triggerPrice" in params and demands.get("triggerDirection"):
            # A stop entry follows the market: a buy waits for a rise, a sell for a fall.
            params["triggerDirection"] = "ascending" if order.side is Side.BUY else "descending"
    elif order.type is OrderType.TRAILING_STOP:
        raise Rejected("local.not_supported", "trailing stops are not sent through ccxt")
    limited = order.type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    if limited and order.price is None:
        raise Rejected("local.invalid_order", f"a {order.type} order needs a price")
    price = order.price if limited else None
    if order.type is OrderType.MARKET and order.side is Side.BUY and demands.get("marketBuyRequiresPrice"):
        price = order.reference_price  # buys for amount * price of the quote currency: there is no other way
        if price is None:
            raise Rejected("local.invalid_order", "a market buy here needs a reference price")
    sent_price = None if price is None else exact_float(price, "price")
    amount = exact_float(order.amount / contract_size(raw_market), "amount")
    return Placement(
        order.symbol, "limit" if limited else "market", order.side.value, amount, sent_price, params
    )


def _trigger(order: Order, price: float) -> dict[str, Any]:
    """A trigger is named after its purpose, from which the direction follows."""
    match order.leg:
        case Leg.STOP_LOSS:
            return {"stopLossPrice": price}
        case Leg.TAKE_PROFIT:
            return {"takeProfitPrice": price}
        case _:
            return {"triggerPrice": price}


def check_grid(placement: Placement, exchange: Any) -> None:
    """Raises Rejected if ccxt would round the numbers: sent is what was decided, or nothing."""
    amount = exchange.amount_to_precision(placement.symbol, placement.amount)
    if Decimal(amount) != number(placement.amount):
        raise Rejected("local.precision", f"the amount {placement.amount!r} is off the exchange's step")
    triggers = ("stopLossPrice", "takeProfitPrice", "triggerPrice")
    for price in (placement.price, *(placement.params.get(name) for name in triggers)):
        if price is not None and Decimal(exchange.price_to_precision(placement.symbol, price)) != number(
            price
        ):
            raise Rejected("local.precision", f"the price {price!r} is off the exchange's tick")


def report(raw: dict[str, Any], raw_market: dict[str, Any], client_order_id: str) -> Report:
    """What ccxt's unified order proves. Raises Unknown for one without an id: it proves nothing."""
    exchange_order_id = str(raw.get("id") or "")
    if not exchange_order_id:
        raise Unknown("the exchange answered without an order id")
    size = contract_size(raw_market)
    filled = (number(raw.get("filled")) or ZERO) * size
    time = (raw.get("lastUpdateTimestamp") or raw.get("timestamp") or 0) / 1000
    trades = trades_of(raw.get("trades") or (), size, time)
    fee, currency = _fee(raw, trades)
    amount = number(raw.get("amount"))
    return Report(
        client_order_id=client_order_id,
        exchange_order_id=exchange_order_id,
        state=state_of(raw.get("status"), filled, None if amount is None else amount * size),
        filled=filled,
        average=number(raw.get("average")) if filled else None,
        fee=fee,
        fee_currency=currency,
        trades=trades if sum((one.amount for one in trades), ZERO) == filled else (),
        time=time,
        reason=None,
    )


def state_of(status: str | None, filled: Decimal, amount: Decimal | None) -> State:
    """The unified status with what it leaves open: "closed" is any end, None a bare acknowledgement."""
    whole = amount is not None and filled >= amount > ZERO
    match status:
        case "closed":
            return State.FILLED if whole or (amount is None and filled > ZERO) else State.CANCELED
        case "canceled":
            return State.FILLED if whole else State.CANCELED
        case "expired":
            return State.FILLED if whole else State.EXPIRED
        case "rejected":
            return State.REJECTED if filled == ZERO else State.CANCELED
        case _:
            return State.FILLED if whole else State.PARTIAL if filled > ZERO else State.OPEN


def trades_of(raw: Any, size: Decimal, time: float) -> tuple[Trade, ...]:
    """Executions with an id of the exchange's; one without could not be told from another."""
    found = []
    for one in raw:
        price, amount = number(one.get("price")), number(one.get("amount"))
        if not one.get("id") or price is None or not amount:
            return ()
        fee = one.get("fee") or {}
        found.append(
            Trade(
                id=str(one["id"]),
                time=(one["timestamp"] / 1000) if one.get("timestamp") else time,
                price=price,
                amount=amount * size,
                fee=number(fee.get("cost")) or ZERO,
                fee_currency=fee.get("currency"),
            )
        )
    return tuple(found)


def with_trades(report: Report, raw: Any, raw_market: dict[str, Any]) -> Report:
    """The report with its executions, if they are all there: a part would make the rest look new later."""
    trades = trades_of(raw, contract_size(raw_market), report.time)
    if sum((one.amount for one in trades), ZERO) != report.filled:
        return report
    fee, currency = _fee({}, trades)
    return structs.replace(report, trades=trades, fee=fee, fee_currency=currency)


def _fee(raw: dict[str, Any], trades: tuple[Trade, ...]) -> tuple[Decimal, str | None]:
    """The order's whole fee. In several currencies: that of the first, the trades tell the others."""
    fees = [(one.fee, one.fee_currency) for one in trades]
    if not fees:
        listed = raw.get("fees") or [raw.get("fee") or {}]
        fees = [(number(one.get("cost")) or ZERO, one.get("currency")) for one in listed]
    currency = next((name for fee, name in fees if fee), None)
    return sum((fee for fee, name in fees if name == currency), ZERO), currency
