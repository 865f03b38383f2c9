"""Bybit's order requests as orders of the book."""

from decimal import Decimal
from typing import Any

from standins.account import ZERO, Instrument
from standins.book import Book
from standins.orders import BookOrder, Protection, Reason, Refused, Trail
from standins.wire import number

POSITION_SIDES = {0: "net", 1: "long", 2: "short"}


def instrument_of(params: dict[str, Any], book: Book) -> Instrument:
    if params.get("category") not in ("spot", "linear"):
        raise Refused(Reason.REQUEST, f"category={params.get('category')}")
    return book.instrument(params.get("symbol"), swap=params["category"] == "linear")


def as_order(params: dict[str, Any], book: Book) -> BookOrder:
    """An order of `POST /v5/order/create`. Raises Refused."""
    instrument = instrument_of(params, book)
    mark = book.mark(instrument)
    side, limited = str(params.get("side", "")).lower(), params.get("orderType") == "Limit"
    if side not in ("buy", "sell") or params.get("orderType") not in ("Limit", "Market"):
        raise Refused(Reason.REQUEST, "side or orderType")
    if limited and number(params, "price") <= 0:
        raise Refused(Reason.PRICE, "a limit order needs a price")
    stop = number(params, "triggerPrice")
    if stop and instrument.swap and params.get("triggerDirection") not in (1, 2):
        raise Refused(Reason.REQUEST, "triggerDirection")
    rises = params.get("triggerDirection") == 1 if instrument.swap else stop > mark
    order = BookOrder(
        instrument,
        side,
        _quantity(params, instrument, mark, limited=limited),
        str(params.get("orderLinkId", "")),
        price=number(params, "price") if limited else ZERO,
        stop=stop,
        rises=rises,
        time_in_force=_time_in_force(params, limited=limited),
        post_only=params.get("timeInForce") == "PostOnly",
        reduce_only=instrument.swap and bool(params.get("reduceOnly")),
        position_side=POSITION_SIDES[int(params.get("positionIdx", 0))],
        # A conditional order freezes nothing until it is triggered; a spot TP/SL order does.
        holds=not stop or params.get("orderFilter") == "tpslOrder",
        attached=protections(params),
        attached_whole=instrument.swap and params.get("tpslMode") != "Partial",
        wire=params,
    )
    if order.attached and not instrument.swap and not limited:
        raise Refused(Reason.REQUEST, "spot market orders carry no take profit or stop loss")
    return order


def _quantity(params: dict[str, Any], instrument: Instrument, mark: Decimal, *, limited: bool) -> Decimal:
    """Market buys on spot count in the quote currency unless told otherwise."""
    quantity = number(params, "qty")
    unit = params.get("marketUnit") or ("quoteCoin" if params["side"] == "Buy" else "baseCoin")
    if instrument.swap or limited or unit == "baseCoin":
        return quantity
    return (quantity / mark // instrument.step) * instrument.step


def _time_in_force(params: dict[str, Any], *, limited: bool) -> str:
    given = params.get("timeInForce") or "GTC"
    return "IOC" if not limited else "GTC" if given == "PostOnly" else str(given)


def protections(params: dict[str, Any]) -> tuple[Protection, ...]:
    """`takeProfit` and `stopLoss` where they are given; "0" removes."""
    found = []
    for name, short, kind in (("takeProfit", "tp", "TakeProfit"), ("stopLoss", "sl", "StopLoss")):
        if params.get(name):
            limited = params.get(f"{short}OrderType") == "Limit"
            price = number(params, f"{short}LimitPrice") if limited else ZERO
            found.append(
                Protection(name == "takeProfit", number(params, name), price, wire={"stopOrderType": kind})
            )
    return tuple(found)


def set_trading_stop(params: dict[str, Any], book: Book, now: int) -> None:
    """`POST /v5/position/trading-stop`. Raises Refused."""
    instrument = instrument_of(params, book)
    side = POSITION_SIDES[int(params.get("positionIdx", 0))]
    position = book.account.position(instrument, side)
    if not position.amount:
        raise Refused(Reason.REQUEST, "can not set tp/sl/ts for zero position")
    book.protect(instrument, side, protections(params), now)
    if distance := number(params, "trailingStop"):
        trail = Trail(distance, activation=number(params, "activePrice"))
        closing = "sell" if position.amount > 0 else "buy"
        order = BookOrder(
            instrument, closing, abs(position.amount), trail=trail, reduce_only=True, position_side=side,
            whole=True, holds=False, wire=params,
        )  # fmt: skip
        book.place(order, now)
