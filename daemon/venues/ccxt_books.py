"""In which list an exchange keeps an order: many keep untriggered stops apart from all others."""

from typing import Any

from fks.domain.messages import Order
from fks.domain.orders import OrderType
from fks.venues.ccxt_placement import CONDITIONAL
from fks.venues.ccxt_session import Session

# What a triggered order calls the one that it became: binance, okx (twice), bitget, gate, htx, mexc.
_BECAME = ("actualOrderId", "ordId", "ordIdList", "executeOrderId", "fired_order_id", "trade_id",
           "relation_order_id", "placeOrderId")  # fmt: skip


def apart(session: Session, order: Order) -> bool:
    """Whether the exchange keeps this order, until it triggers, in a book that has to be asked for."""
    if order.type not in CONDITIONAL or session.dialect.one_book:
        return False
    return any(session.feature(method).get("trigger") for method in ("fetchOrder", "fetchOpenOrders"))


def asking(session: Session, method: str, order: Order) -> dict[str, Any] | None:
    """Parameters that turn a look-up `method` to the book of `order`'s kind; None: it cannot show that."""
    if not session.feature(method).get("trigger"):
        return None
    if order.type is OrderType.TRAILING_STOP and session.feature(method).get("trailing"):
        return {"trailing": True}
    lists = session.dialect.protective_list if order.leg.protective and method != "fetchOrder" else {}
    return {"trigger": True, **lists}


def all_books(session: Session, market: str, symbol: str | None) -> list[dict[str, Any]]:
    """Parameters of `fetch_open_orders` that together show everything that is open.

    Without a symbol binance takes spot for granted, whatever the account is for.
    """
    kind = {} if symbol or market == "spot" else {"type": market}
    books: list[dict[str, Any]] = [kind]
    if session.feature("fetchOpenOrders").get("trigger") and not session.dialect.one_book:
        books.append({**kind, "trigger": True})
        if session.dialect.protective_list:
            books.append({**kind, "trigger": True, **session.dialect.protective_list})
    if session.feature("fetchOpenOrders").get("trailing"):
        books.append({**kind, "trailing": True})
    return books


def cancelling(session: Session, order: Order) -> dict[str, Any]:
    """Parameters with which `cancel_order` finds the order where it waits for its trigger."""
    filters = session.dialect.spot_filters
    if filters and order.type in CONDITIONAL and not session.market(order.symbol).get("contract"):
        return {"orderFilter": filters[0] if order.leg.protective else filters[1]}
    return {"trigger": True} if apart(session, order) else {}


def names_of(session: Session, raw: dict[str, Any]) -> set[str]:
    """Every client id that a unified order shows."""
    shown = session.dialect.shown
    told = (raw.get("clientOrderId"), (raw.get("info") or {}).get(shown) if shown else None)
    return {str(one) for one in told if one}


def ids_of(raw: dict[str, Any]) -> set[str]:
    """The exchange's own ids of an order: ccxt's pick, and whatever else it shows."""
    info = raw.get("info")
    shown = info.values() if isinstance(info, dict) else ()
    return {str(one) for one in (raw.get("id"), *shown) if isinstance(one, str | int)}


def may_open(raw: dict[str, Any]) -> bool:
    """Whether an order that was to reduce a position could open one. In hedge mode its side tells."""
    one_way = (raw.get("info") or {}).get("posSide") in (None, "", "net")
    return one_way and raw.get("reduceOnly") is False


def became(raw: dict[str, Any]) -> str | None:
    """The exchange's id of the order that a triggered one has turned into, if it is told."""
    info = raw.get("info") or {}
    for key in _BECAME:
        value = info.get(key)
        first = value[0] if isinstance(value, list) and value else value
        if first and str(first) not in ("0", "[]"):
            return str(first)
    return None
