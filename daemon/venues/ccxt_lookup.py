"""Where is this order? Every route an exchange offers, tried in turn."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ccxt.base.errors import OrderNotFound

from fks.domain.errors import Transient
from fks.domain.messages import Order, Report
from fks.domain.money import ZERO
from fks.venues import ccxt_orders
from fks.venues.ccxt_session import Session

_BEFORE_S = 60.0  # lists are asked from so long before the order was made: clocks differ
_MOST_TRADES = 20  # orders looked into when one is searched through its trades

_ENDED = {
    "fetchOrders": "fetch_orders",
    "fetchCanceledAndClosedOrders": "fetch_canceled_and_closed_orders",
    "fetchClosedOrders": "fetch_closed_orders",
}

_Route = Callable[[Order], Awaitable[dict[str, Any] | None]]


class Lookup:
    """Finds orders by id, by client id, among open ones, among ended ones, and through their trades."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._dialect = session.dialect

    async def find(self, order: Order) -> Report | None:
        """The order's report, or None when every route there is says "not there".

        Raises Transient when a route gave no answer and no other found it, and when the exchange has no
        route that would show an order which is not open any more.
        """
        routes = self._routes(order)
        silent: Transient | None = None
        for route in routes:
            try:
                raw = await route(order)
            except Transient as error:
                silent = silent or error
                continue
            if raw is not None and raw.get("id"):
                market = self._session.market(order.symbol)
                return await self._with_trades(ccxt_orders.report(raw, market, order.client_order_id), order)
        if silent is not None:
            raise silent
        if all(route == self._in_open for route in routes):
            raise Transient(f"{self._session.exchange.id} offers no way to look up an ended order")
        return None

    def _routes(self, order: Order) -> list[_Route]:
        session = self._session
        routes: list[_Route] = []
        if session.has("fetchOrder") and (order.exchange_order_id or self._dialect.find):
            routes.append(self._by_ids)
        if session.has("fetchOpenOrders"):
            routes.append(self._in_open)
        if any(map(session.has, _ENDED)):
            routes.append(self._in_ended)
        if session.has("fetchMyTrades"):
            routes.append(self._in_trades)
        return routes

    async def _by_ids(self, order: Order) -> dict[str, Any] | None:
        params = self._session.kind_params("fetchOrder", order)
        if order.exchange_order_id:
            raw = await self._fetch(order.exchange_order_id, order, params)
            if raw is not None:
                return raw
        if self._dialect.find is None:
            return None
        name = self._dialect.prefix + order.client_order_id
        return await self._fetch(None, order, {**params, self._dialect.find: name})

    async def _fetch(self, any_id: str | None, order: Order, params: dict[str, Any]) -> dict[str, Any] | None:
        try:
            raw: dict[str, Any] = await self._session.ask("fetch_order", any_id, order.symbol, params)
        except OrderNotFound:
            return None
        return raw

    async def _in_open(self, order: Order) -> dict[str, Any] | None:
        params = self._session.kind_params("fetchOpenOrders", order) | self._narrowed(order)
        return self._mine(
            await self._session.ask("fetch_open_orders", order.symbol, None, None, params), order
        )

    async def _in_ended(self, order: Order) -> dict[str, Any] | None:
        name = next(filter(self._session.has, _ENDED))
        params = self._session.kind_params(name, order) | self._narrowed(order)
        rows = await self._session.ask(_ENDED[name], order.symbol, _since_ms(order), None, params)
        return self._mine(rows, order)

    async def _in_trades(self, order: Order) -> dict[str, Any] | None:
        """Trades seldom carry client ids: look into each order that they belong to and that could be ours."""
        trades = await self._session.ask("fetch_my_trades", order.symbol, _since_ms(order))
        ids = {
            str(one["order"]) for one in trades if one.get("order") and one.get("side") == order.side.value
        }
        if order.exchange_order_id:
            ids &= {order.exchange_order_id}
        if ids and (len(ids) > _MOST_TRADES or not self._session.has("fetchOrder")):
            raise Transient(f"{len(ids)} orders have traded {order.symbol} since: cannot look into them")
        for exchange_order_id in sorted(ids):
            raw = await self._fetch(exchange_order_id, order, {})
            if raw is None:
                raise Transient(f"order {exchange_order_id} has trades and cannot be seen: it may be ours")
            if self._mine([raw], order):
                return raw
        return None

    def _narrowed(self, order: Order) -> dict[str, Any]:
        return {self._dialect.listing: order.client_order_id} if self._dialect.listing else {}

    def _mine(self, rows: Sequence[dict[str, Any]], order: Order) -> dict[str, Any] | None:
        names = {order.client_order_id, self._dialect.prefix + order.client_order_id}
        for one in rows:
            by_id = order.exchange_order_id is not None and one.get("id") == order.exchange_order_id
            if by_id or one.get("clientOrderId") in names:
                return one
        return None

    async def _with_trades(self, report: Report, order: Order) -> Report:
        """Look-ups name no executions: ask for them once there are some, for their fees and ids."""
        if report.filled == ZERO or report.trades or not self._session.has("fetchOrderTrades"):
            return report
        try:
            raw = await self._session.ask("fetch_order_trades", report.exchange_order_id, order.symbol)
        except (Transient, OrderNotFound):
            return report  # the amounts are proven without
        return ccxt_orders.with_trades(report, raw, self._session.market(order.symbol))


def _since_ms(order: Order) -> int:
    return int((order.created_at - _BEFORE_S) * 1000)
