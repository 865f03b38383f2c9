"""OKX's order requests as orders of the book."""

from decimal import Decimal
from typing import Any

from standins.account import ZERO, Instrument
from standins.book import Book
from standins.orders import BookOrder, Protection, Reason, Refused, Trail, Trigger
from standins.wire import number

_LIMITS = {"limit": "GTC", "post_only": "GTC", "ioc": "IOC", "fok": "FOK"}
_MARKETS = ("market", "optimal_limit_ioc")


def instrument_of(params: dict[str, Any], book: Book) -> Instrument:
    name = str(params.get("instId", ""))
    return book.instrument(name, swap=name.endswith("-SWAP"))


def as_order(params: dict[str, Any], book: Book) -> BookOrder:
    """A row of `POST /trade/order` or `/trade/batch-orders`. Raises Refused."""
    instrument, kind = instrument_of(params, book), params.get("ordType")
    if kind not in (*_LIMITS, *_MARKETS):
        raise Refused(Reason.REQUEST, "ordType")
    price = number(params, "px") if kind in _LIMITS else ZERO
    if kind in _LIMITS and price <= 0:
        raise Refused(Reason.PRICE, "px")
    quantity = number(params, "sz")
    by_quote = kind == "market" and params["side"] == "buy" and params.get("tgtCcy") != "base_ccy"
    if by_quote and not instrument.swap:
        quantity = (quantity / book.mark(instrument) // instrument.step) * instrument.step
    return BookOrder(
        instrument,
        _side(params),
        quantity,
        _client_id(params, "clOrdId"),
        price=price,
        time_in_force=_LIMITS.get(str(kind), "IOC"),
        post_only=kind == "post_only",
        reduce_only=_reduces(params, instrument),
        position_side=_position_side(params, instrument),
        attached=tuple(_attached(one) for one in params.get("attachAlgoOrds") or ()),
        attached_when_full=True,
        wire=params,
    )


def as_algo_order(params: dict[str, Any], book: Book) -> BookOrder:
    """A row of `POST /trade/order-algo`; it freezes nothing before its trigger. Raises Refused."""
    instrument, side, kind = instrument_of(params, book), _side(params), params.get("ordType")
    name = "algoClOrdId" if params.get("algoClOrdId") else "clOrdId"  # both are taken, and told as the first
    order = BookOrder(
        instrument,
        side,
        number(params, "sz"),
        _client_id(params, name),
        reduce_only=_reduces(params, instrument),
        position_side=_position_side(params, instrument),
        whole=bool(params.get("closeFraction")),
        holds=False,
        becomes=True,
        wire=params,
    )
    match kind:
        case "trigger":
            order.stop, order.price = number(params, "triggerPx"), _limit(params, "orderPx")
            order.rises = order.stop > book.mark(instrument)
        case "conditional" | "oco":
            triggers = _triggers(params, side)
            if len(triggers) != (2 if kind == "oco" else 1):
                raise Refused(Reason.REQUEST, "slTriggerPx or tpTriggerPx")
            order.stop, order.rises, order.price = triggers[0].stop, triggers[0].rises, triggers[0].price
            order.other = triggers[1] if kind == "oco" else None
        case "move_order_stop":
            distance, share = number(params, "callbackSpread"), number(params, "callbackRatio")
            order.trail = Trail(distance, share, number(params, "activePx"))
        case _:
            raise Refused(Reason.REQUEST, "ordType")
    if not order.stop and not order.trail:
        raise Refused(Reason.REQUEST, "triggerPx")
    return order


def _triggers(params: dict[str, Any], side: str) -> list[Trigger]:
    """Stop loss, then take profit: an order that sells loses when the price falls."""
    sells = side == "sell"
    return [
        Trigger(number(params, f"{name}TriggerPx"), rises, _limit(params, f"{name}OrdPx"))
        for name, rises in (("sl", not sells), ("tp", sells))
        if number(params, f"{name}TriggerPx")
    ]


def _attached(given: dict[str, Any]) -> Protection:
    """Stop loss and take profit of one attachment are one order, OCO."""
    loss, profit = number(given, "slTriggerPx"), number(given, "tpTriggerPx")
    _client_id(given, "attachAlgoClOrdId")
    if not loss and not profit:
        raise Refused(Reason.REQUEST, "attachAlgoOrds")
    kind = "oco" if loss and profit else "conditional"
    target = (profit, _limit(given, "tpOrdPx"))
    return Protection(
        not loss,
        loss or profit,
        _limit(given, "slOrdPx" if loss else "tpOrdPx"),
        str(given.get("attachAlgoClOrdId", "")),
        becomes=True,
        other=target if loss and profit else None,
        wire=given | {"ordType": kind},
    )


def _limit(params: dict[str, Any], name: str) -> Decimal:
    """A limit price; -1 is the market."""
    return max(ZERO, number(params, name))


def _side(params: dict[str, Any]) -> str:
    if params.get("side") not in ("buy", "sell"):
        raise Refused(Reason.REQUEST, "side")
    return str(params["side"])


def _client_id(params: dict[str, Any], name: str) -> str:
    text = str(params.get(name, ""))
    if len(text) > 32 or (text and not (text.isascii() and text.isalnum())):
        raise Refused(Reason.REQUEST, name)
    return text


def _reduces(params: dict[str, Any], instrument: Instrument) -> bool:
    asked = str(params.get("reduceOnly", "false")).lower() == "true" or bool(params.get("closeFraction"))
    return instrument.swap and asked


def _position_side(params: dict[str, Any], instrument: Instrument) -> str:
    allowed = {"cash"} | {"cross", "isolated"} if not instrument.swap else {"cross", "isolated"}
    if params.get("tdMode") not in allowed:
        raise Refused(Reason.REQUEST, "tdMode")
    return str(params.get("posSide") or "net")
