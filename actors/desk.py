"""The desk: what an operator asks and orders, over HTTP on an address that need not be public.

Every route but health, metrics and the webhook, which is the door's, wants the admin token. Handlers are
thin: a question to the journal or one change through it, and a view.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import Conflict, NotFound

from fks.domain import views
from fks.domain.documents import AlertChainView, CancelRequest, TradingRequest
from fks.domain.errors import Refusal
from fks.domain.masking import Masker
from fks.domain.messages import AccountStatus, Event, Fill, Order, Position, Ticker
from fks.domain.orders import State
from fks.domain.outcome import AlertState
from fks.domain.secret import Secret
from fks.domain.trades import TripQuery, Trips
from fks.infra import health
from fks.infra.console import Console
from fks.infra.desk_http import (
    admin_app,
    json_reply,
    page_reply,
    query_after,
    query_before,
    query_limit,
    query_state,
    read_body,
    read_raw,
)
from fks.infra.event_stream import event_stream
from fks.infra.openapi import document
from fks.kernel import Broadcast, Latest
from fks.ledger import Journal, Reader

R = TypeVar("R")

READ_S = 5.0
FOLD_S = 9.0  # the first look at a long journal's trades; what was done by then is kept
BY = "admin"  # who, in the journal's record of a change


@dataclass(frozen=True)
class DeskDeps:
    """What the desk is given. `ticker` raises Transient or Refusal, `lint` raises Refusal.

    `prices` are an account's last ones by symbol, told within two seconds.
    """

    journal: Journal
    accounts: Mapping[str, Latest[AccountStatus]]
    ticker: Callable[[str, str], Awaitable[Ticker]]  # account, symbol
    prices: Callable[[str, Collection[str]], Awaitable[Mapping[str, Decimal]]]  # those that are told in time
    trades: Callable[[TripQuery], Awaitable[Trips]]  # raises what the journal's read raises
    lint: Callable[[bytes], Awaitable[dict[str, Any]]]
    metrics: Callable[[], bytes]
    unready: Callable[[], Sequence[str]]  # why alerts are not accepted; empty: they are
    token: Secret
    events: Broadcast[Sequence[Event]]
    wall: Callable[[], float]
    default_account: Callable[[], str]
    webhooks: Mapping[str, ASGIFramework]  # by path: the door's own, which asks nobody for the admin token
    known: Callable[[], Masker]  # masks the secrets of this daemon


def make_desk(deps: DeskDeps) -> QuartTrio:
    """The ASGI app. Raises ValueError when the token is empty."""
    console = Console(deps.token, deps.wall)
    app = admin_app(deps.token, console, deps.known)
    for method, path, handle in (*_Desk(deps).routes(), *console.routes()):
        app.add_url_rule(path, f"{method} {path}", handle, methods=[method])
    app.asgi_app = _beside(deps.webhooks, app.asgi_app)  # type: ignore[assignment,method-assign] # quart's way to wrap
    return app


def _beside(webhooks: Mapping[str, ASGIFramework], desk: ASGIFramework) -> ASGIFramework:
    """Not routes of the desk: quart would cancel a webhook whose sender hangs up."""

    async def dispatch(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        webhook = webhooks.get(scope["path"]) if scope["type"] == "http" else None
        await (webhook or desk)(scope, receive, send)

    return dispatch


class _Desk:
    """The handlers. They keep nothing between requests."""

    def __init__(self, deps: DeskDeps) -> None:
        self._deps = deps
        self._journal = deps.journal

    def routes(self) -> list[tuple[str, str, Callable[..., Awaitable[Response]]]]:
        return [
            ("GET", "/healthz", self.healthz),
            ("GET", "/readyz", self.readyz),
            ("GET", "/metrics", self.metrics),
            ("GET", "/openapi.json", self.openapi),
            ("GET", "/v1/alerts", self.alerts),
            ("GET", "/v1/alerts/<alert_id>", self.alert),
            ("GET", "/v1/orders", self.orders),
            ("GET", "/v1/orders/<order_id>", self.order),
            ("DELETE", "/v1/orders/<order_id>", self.cancel_order),
            ("POST", "/v1/cancel", self.cancel_all),
            ("GET", "/v1/positions", self.positions),
            ("GET", "/v1/trades", self.trades),
            ("GET", "/v1/balance", self.balance),
            ("GET", "/v1/accounts", self.accounts),
            ("GET", "/v1/ticker", self.ticker),
            ("GET", "/v1/trading", self.trading),
            ("POST", "/v1/trading", self.set_trading),
            ("POST", "/v1/lint", self.lint),
            ("GET", "/v1/events", self.events),
        ]

    async def healthz(self) -> Response:
        status, body, headers = await health.healthz(self._journal)
        return Response(body, status, headers)

    async def readyz(self) -> Response:
        status, body, headers = health.readyz(self._deps.unready())
        return Response(body, status, headers)

    async def metrics(self) -> Response:
        return Response(self._deps.metrics(), 200, {"content-type": CONTENT_TYPE_PLAIN_0_0_4})

    async def openapi(self) -> Response:
        return Response(document(), 200, {"content-type": "application/json"})

    async def alerts(self) -> Response:
        limit, before, state = query_limit(), request.args.get("before"), query_state(AlertState)
        rows = await self._read(lambda reader: reader.alerts(limit=limit + 1, before=before, state=state))
        return page_reply("alerts", [views.alert_view(row) for row in rows], limit)

    async def alert(self, alert_id: str) -> Response:
        def chain(reader: Reader) -> AlertChainView | None:
            row = reader.alert(alert_id)
            if row is None:
                return None
            orders = [(order, reader.fills_of(order.id)) for order in reader.orders_of(alert_id)]
            return views.alert_chain_view(row, reader.intents_of(alert_id), orders)

        view = await self._read(chain)
        if view is None:
            raise NotFound(f"there is no alert {alert_id[:100]}; GET /v1/alerts lists them")
        return json_reply(view)

    async def orders(self) -> Response:
        limit, before, state = query_limit(), request.args.get("before"), query_state(State)
        account = request.args.get("account")
        rows = await self._read(
            lambda reader: reader.orders(limit=limit + 1, before=before, state=state, account=account)
        )
        return page_reply("orders", [views.order_view(order) for order in rows], limit)

    async def order(self, order_id: str) -> Response:
        order, fills = await self._order(order_id)
        return json_reply(views.order_view(order, fills))

    async def cancel_order(self, order_id: str) -> Response:
        """Marks the order; its account's actor asks the exchange. Marking twice is marking once."""
        order, _ = await self._order(order_id)
        if not order.at_rest:
            wanted, now = order.id, self._deps.wall()
            await self._journal.write(lambda ledger: ledger.request_cancel([wanted], now, BY, waive=True))
            order, fills = await self._order(wanted)
            # Canceled by now: it had not been sent yet, or the exchange was quick.
            if not order.at_rest or order.state is State.CANCELED:
                return json_reply(views.order_view(order, fills), 202)
        raise Conflict(f"order {order.id} is {order.state} already: there is nothing to cancel")

    async def cancel_all(self) -> Response:
        """Every live order, protective ones too; found and marked in one change."""
        account, now = self._known((await read_body(CancelRequest)).account), self._deps.wall()
        live = await self._journal.write(
            lambda ledger: ledger.request_cancel(
                [one.id for one in ledger.live_orders(account)], now, BY, waive=True
            )
        )
        return json_reply({"orders": [views.order_view(order) for order in live]}, 202)

    async def positions(self) -> Response:
        account = request.args.get("account")
        rows, shares = await self._read(
            lambda reader: (reader.positions(account), reader.strategy_positions(account))
        )
        prices = await self._last_prices(rows)
        return json_reply({"positions": views.position_views(rows, shares, prices)})

    async def _last_prices(self, positions: Sequence[Position]) -> dict[tuple[str, str], Decimal]:
        """The last prices of what is held, by account and symbol; all accounts are asked together."""
        held: dict[str, set[str]] = {}
        for one in positions:
            if one.amount:
                held.setdefault(one.account, set()).add(one.symbol)
        found: dict[tuple[str, str], Decimal] = {}

        async def ask(account: str, symbols: set[str]) -> None:
            prices = await self._deps.prices(account, symbols)
            found.update({(account, symbol): price for symbol, price in prices.items()})

        async with trio.open_nursery() as nursery:
            for account, symbols in held.items():
                nursery.start_soon(ask, account, symbols)
        return found

    async def trades(self) -> Response:
        """Open ones come with every page: they are few, and have no number yet."""
        limit, asked = query_limit(), request.args
        with trio.fail_after(FOLD_S):
            found = await self._deps.trades(
                TripQuery(
                    account=asked.get("account"),
                    strategy=asked.get("strategy"),
                    before=query_before(),
                    limit=limit + 1,
                )
            )
        page, more = found.closed[:limit], len(found.closed) > limit
        return json_reply(
            {
                "trades": [views.trade_view(trip, number) for number, trip in page],
                "open": [views.trade_view(trip) for trip in found.still_open],
                "next": str(page[-1][0]) if more else None,
            }
        )

    async def balance(self) -> Response:
        """An account whose balance was never read has no currencies yet."""
        balances = {name: cell.get().balance for name, cell in self._deps.accounts.items()}
        known = {name: views.balance_view(one) if one else {} for name, one in balances.items()}
        return json_reply({"balances": known})

    async def accounts(self) -> Response:
        cells = self._deps.accounts.values()
        return json_reply({"accounts": [views.account_view(cell.get()) for cell in cells]})

    async def ticker(self) -> Response:
        symbol = request.args.get("symbol")
        if not symbol:
            raise Refusal("desk.missing", "give ?symbol=, for example BTC/USDT", "symbol")
        account = self._known(request.args.get("exchange"), "exchange") or self._deps.default_account()
        return json_reply(views.ticker_view(account, await self._deps.ticker(account, symbol)))

    async def trading(self) -> Response:
        """`state` holds for all; an account's own can only make it stricter."""
        records = await self._read(lambda reader: reader.trading_records())
        return json_reply(views.trading_view(records, list(self._deps.accounts)))

    async def set_trading(self) -> Response:
        wish = await read_body(TradingRequest)
        account, now = self._known(wish.account), self._deps.wall()
        await self._journal.write(lambda ledger: ledger.set_trading(account, wish.state, BY, now))
        return await self.trading()

    async def lint(self) -> Response:
        return json_reply(await self._deps.lint(await read_raw()))

    async def events(self) -> Response:
        stream = event_stream(self._journal, self._deps.events, query_after())
        reply = Response(stream, 200, {"content-type": "text/event-stream"})
        reply.timeout = None  # it lives as long as its connection
        return reply

    async def _read(self, query: Callable[[Reader], R]) -> R:
        return await self._journal.read(query, within=READ_S)

    async def _order(self, any_id: str) -> tuple[Order, list[Fill]]:
        def find(reader: Reader) -> tuple[Order, list[Fill]] | None:
            order = reader.order(any_id)
            return None if order is None else (order, reader.fills_of(order.id))

        found = await self._read(find)
        if found is None:
            raise NotFound(f"there is no order {any_id[:100]}; GET /v1/orders lists them")
        return found

    def _known(self, account: str | None, field: str = "account") -> str | None:
        if account is not None and account not in self._deps.accounts:
            names = ", ".join(sorted(self._deps.accounts))
            raise Refusal("desk.account", f"{account[:100]!r} is no account; configured: {names}", field)
        return account
