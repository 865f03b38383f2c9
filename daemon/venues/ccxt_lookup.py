"""Where is this order? Every route an exchange offers, tried in turn."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from ccxt.base.errors import OrderNotFound
from msgspec import structs

from fks.domain.errors import Transient
from fks.domain.messages import Order, Report
from fks.domain.money import ZERO
from fks.venues import ccxt_books, ccxt_orders
from fks.venues.ccxt_session import Session

_BEFORE_S = 60.0  # lists are asked from so long before the order was made: clocks differ
_MOST_TRADES = 20  # orders looked into when one is searched through its trades
_MOST_SEARCHES = 64  # orders of which it is remembered what was looked into: an absent one is never found

_ENDED = {
    "fetchOrders": "fetch_orders",
    "fetchCanceledAndClosedOrders": "fetch_canceled_and_closed_orders",
    "fetchClosedOrders": "fetch_closed_orders",
    "fetchCanceledOrders": "fetch_canceled_orders",
}
_USUAL = tuple(_ENDED)[
    :3
]  # the first of these that there is shows enough, where a dialect does not know better

_Raw = dict[str, Any]
_Route = Callable[[], Awaitable[_Raw | None]]


class Lookup:
    """Finds orders by id, by client id, among open ones, among ended ones, and through their trades.

    Lists end somewhere, and in a busy account before our order. So where absence leads to another attempt
    (where there is a fence) it rests on what does not depend on their length: a question by client id, lists
    that the exchange itself narrows to it, or executions that carry it and reach back far enough.

    A conditional order that the exchange keeps apart is asked for there first; once it has triggered, the
    order that it became is asked for, and its end is that one's.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._others: dict[str, set[str]] = {}  # by our name: orders that were looked into and are not it

    async def find(self, order: Order) -> Report | None:
        """The order's report, or None when every route there is says "not there".

        Raises Transient when a route gave no answer and no other found it, when a triggered order cannot
        be followed, and when the exchange has no route that would show an order which is not open any more.
        """
        report = await self._find(order)
        if report is not None:
            self._others.pop(order.client_order_id, None)
        return report

    async def _find(self, order: Order) -> Report | None:
        search = _Search()
        if ccxt_books.apart(self._session, order):
            raw = await search.first(self._routes_apart(order))
            if raw is not None:
                after = await self._after_trigger(raw, order)
                return await self._told(after, order, exchange_order_id=str(raw["id"]))
        routes = self._routes(order)
        raw = await search.first(routes)
        if raw is not None:
            return await self._told(raw, order, exchange_order_id=str(raw["id"]))
        search.raise_if_silent()
        if not self._shows_ended(order):
            raise Transient(f"{self._session.exchange.id} offers no way to look up an ended order")
        return None

    async def became(self, order: Order) -> str | None:
        """The id of the order that a triggered one has turned into; None: not triggered, or not told."""
        if not ccxt_books.apart(self._session, order):
            return None
        raw = await _Search().first(self._routes_apart(order))
        return ccxt_books.became(raw) if raw is not None and raw.get("status") == "closed" else None

    # --- routes

    def _routes(self, order: Order) -> list[_Route]:
        session, routes = self._session, list[_Route]()
        # An id from the book of conditional orders could be another order's here.
        own_id = None if ccxt_books.apart(session, order) else order.exchange_order_id
        if session.has("fetchOrder"):
            if own_id:
                routes.append(lambda: self._fetch(own_id, order, {}))
            if session.dialect.find:
                routes.append(lambda: self._by_name(order, {}))
        if session.has("fetchOpenOrders"):
            routes.append(lambda: self._listed("fetchOpenOrders", "fetch_open_orders", None, order, {}))
        routes.extend(partial(self._among_ended, name, order, {}) for name in self._ended())
        if session.has("fetchMyTrades"):
            routes.append(lambda: self._in_trades(order, own_id))
        return routes

    def _routes_apart(self, order: Order) -> list[_Route]:
        session, routes = self._session, list[_Route]()
        single = ccxt_books.asking(session, "fetchOrder", order)
        if session.has("fetchOrder") and single is not None:
            if known := order.exchange_order_id:
                routes.append(lambda: self._fetch(known, order, single))
            if session.dialect.find:
                routes.append(lambda: self._by_name(order, single))
        pending = ccxt_books.asking(session, "fetchOpenOrders", order)
        if pending is not None:
            routes.append(lambda: self._listed("fetchOpenOrders", "fetch_open_orders", None, order, pending))
        for name in self._ended():
            if (ended := ccxt_books.asking(session, name, order)) is not None:
                routes.append(partial(self._among_ended, name, order, ended))
        return routes

    def _ended(self) -> Sequence[str]:
        """The lists that show ended orders."""
        return self._session.dialect.ended or tuple(filter(self._session.has, _USUAL))[:1]

    def _shows_ended(self, order: Order) -> bool:
        session = self._session
        by_name = session.has("fetchOrder") and (order.exchange_order_id or session.dialect.find)
        return bool(by_name or self._ended() or session.has("fetchMyTrades"))

    async def _by_name(self, order: Order, params: _Raw) -> _Raw | None:
        dialect = self._session.dialect
        name = dialect.told(order.client_order_id)
        raw = await self._asked(None, order, {**params, str(dialect.find): name})
        shown = ccxt_books.names_of(self._session, raw) if raw is not None else set()
        return None if shown and not shown & self._names(order) else raw

    async def _fetch(self, any_id: str, order: Order, params: _Raw) -> _Raw | None:
        raw = await self._asked(any_id, order, params)
        # Where ccxt takes the first of a list for the answer, a filter that failed gives another order.
        return raw if raw is not None and any_id in ccxt_books.ids_of(raw) else None

    async def _asked(self, any_id: str | None, order: Order, params: _Raw) -> _Raw | None:
        try:
            raw: _Raw = await self._session.ask("fetch_order", any_id, order.symbol, params)
        except OrderNotFound:
            return None
        return raw

    def _names(self, order: Order) -> set[str]:
        dialect = self._session.dialect
        return {dialect.sent(order.client_order_id), dialect.told(order.client_order_id)}

    async def _among_ended(self, name: str, order: Order, params: _Raw) -> _Raw | None:
        return await self._listed(name, _ENDED[name], _since_ms(order), order, params)

    async def _listed(
        self, name: str, method: str, since: int | None, order: Order, params: _Raw
    ) -> _Raw | None:
        narrowed = self._session.dialect.narrowed(name, order.client_order_id)
        try:
            rows = await self._session.ask(method, order.symbol, since, None, {**params, **narrowed})
        except OrderNotFound:
            return None
        # Ids are told apart by their book: see `_routes`.
        trusted = bool(params) or not ccxt_books.apart(self._session, order)
        mine = self._mine(rows, order, order.exchange_order_id if trusted else None)
        if mine is None and rows and narrowed:
            raise Transient(f"{name} shows other orders than it was asked for: it may have left ours out")
        return mine

    async def _in_trades(self, order: Order, own_id: str | None) -> _Raw | None:
        """Trades seldom carry client ids: look into each order that they belong to and that could be ours."""
        if self._session.dialect.trade_name:
            await self._in_named_trades(order, self._session.dialect.trade_name)
            return None
        trades = await self._session.ask("fetch_my_trades", order.symbol, _since_ms(order))
        ids = {
            str(one["order"]) for one in trades if one.get("order") and one.get("side") == order.side.value
        }
        if own_id:
            ids &= {own_id}
        others = self._others.setdefault(order.client_order_id, set())
        if len(self._others) > _MOST_SEARCHES:
            del self._others[next(iter(self._others))]
        ids -= others
        if ids and not self._session.has("fetchOrder"):
            raise Transient(f"{len(ids)} orders have traded {order.symbol} since: cannot look into them")
        for exchange_order_id in sorted(ids)[:_MOST_TRADES]:
            raw = await self._fetch(exchange_order_id, order, {})
            if raw is None:
                raise Transient(f"order {exchange_order_id} has trades and cannot be seen: it may be ours")
            if self._mine([raw], order, own_id):
                return raw
            others.add(exchange_order_id)
        if ids - others:
            count = len(ids - others)
            raise Transient(f"{count} more orders have traded {order.symbol} since: not looked into yet")
        return None

    async def _in_named_trades(self, order: Order, name: str) -> None:
        """The newest executions of all markets. Raises Transient unless it is clear that none is ours."""
        trades = await self._session.ask("fetch_my_trades")
        if any(str((one.get("info") or {}).get(name)) in self._names(order) for one in trades):
            raise Transient("the order has executions, and is not shown itself yet")
        if trades and min(one["timestamp"] for one in trades) >= _since_ms(order):
            raise Transient(
                f"{len(trades)} executions since, and the list ends there: ours may be before them"
            )

    def _mine(self, rows: Sequence[_Raw], order: Order, own_id: str | None) -> _Raw | None:
        names = self._names(order)
        for one in rows:
            by_id = own_id is not None and one.get("id") == own_id
            if by_id or ccxt_books.names_of(self._session, one) & names:
                return one
        return None

    # --- what was found

    async def _after_trigger(self, raw: _Raw, order: Order) -> _Raw:
        """A conditional order as it stands, or the order that it became. Raises Transient: not yet shown.

        "closed" in the book of conditional orders means triggered, which says nothing of a fill.
        """
        if raw.get("status") != "closed":
            return raw
        successor = ccxt_books.became(raw)
        found = (
            await self._fetch(successor, order, {})
            if successor
            else await _Search().first(self._routes(order))
        )
        if found is None:
            raise Transient(f"order {raw['id']} has triggered, and what it became is not shown yet")
        return {**found, "id": successor or found["id"]}  # okx's shows its trigger's id as its own

    async def _told(self, raw: _Raw, order: Order, *, exchange_order_id: str) -> Report:
        """The report, under the id that the order was placed by, with its executions.

        Look-ups name no executions: they are asked for once there are some, for their fees and ids.
        """
        market = self._session.market(order.symbol)
        report = ccxt_orders.report(raw, market, order.client_order_id)
        if report.filled != ZERO and not report.trades:
            report = ccxt_orders.with_trades(report, await self._executions(raw["id"], order), market)
        loose = order.attached and ccxt_books.may_open(raw)
        return structs.replace(ccxt_orders.under(report, exchange_order_id), loose=loose)

    async def _executions(self, exchange_order_id: str, order: Order) -> Sequence[_Raw]:
        """Of one order; empty when there is no answer: the amounts are proven without."""
        ask, symbol = self._session.ask, order.symbol
        if self._session.has("fetchOrderTrades"):
            try:
                rows: Sequence[_Raw] = await ask("fetch_order_trades", exchange_order_id, symbol)
                return rows
            except (Transient, OrderNotFound):
                pass  # binance has it for spot alone
        if not self._session.has("fetchMyTrades"):
            return ()
        try:
            rows = await ask("fetch_my_trades", symbol, _since_ms(order))
        except Transient:
            return ()
        return [one for one in rows if str(one.get("order")) == exchange_order_id]


class _Search:
    """Asks one route after the other; remembers that one of them was silent."""

    def __init__(self) -> None:
        self._silent: Transient | None = None

    async def first(self, routes: Sequence[_Route]) -> _Raw | None:
        for route in routes:
            try:
                raw = await route()
            except Transient as error:
                self._silent = self._silent or error
                continue
            if raw is not None and raw.get("id"):
                return raw
        return None

    def raise_if_silent(self) -> None:
        if self._silent is not None:
            raise self._silent


def _since_ms(order: Order) -> int:
    return int((order.created_at - _BEFORE_S) * 1000)
