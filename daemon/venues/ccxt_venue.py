"""One account on a real exchange, through ccxt.

A placement is one request, sent once. Questions and cancellations may be repeated and are.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import trio
from ccxt.base.errors import OrderNotFound

from fks.domain.dispatch import is_exit
from fks.domain.errors import Fatal, NotSent, PlacementError, Rejected, Transient, Unknown
from fks.domain.messages import Balance, Market, Order, Position, Report, Ticker
from fks.domain.money import ZERO
from fks.domain.orders import AT_REST, State
from fks.domain.settings import AccountSettings
from fks.domain.venue import Features
from fks.venues import ccxt_markets, ccxt_orders
from fks.venues.ccxt_errors import describe, no_answer
from fks.venues.ccxt_lookup import Lookup
from fks.venues.ccxt_markets import number
from fks.venues.ccxt_session import Session, make_exchange
from fks.venues.trio_ccxt import Call, in_thread


class CcxtVenue:
    """`fks.domain.venue.Venue` for one account of an exchange that ccxt knows.

    Raises Fatal for what only a human can mend in the configuration: an unknown exchange, missing keys, a
    testnet that does not exist. A key that the exchange refuses is Transient: it must be seen, and not
    stop the other accounts.

    `dry_run`: everything happens but the order request. An entry or a close then counts as filled at its
    own price, or the last one; a protective leg rests until it is canceled. Nothing of it is remembered.
    """

    def __init__(
        self, name: str, settings: AccountSettings, *, timeout: float, retry_attempts: int, retry_delay: float
    ) -> None:
        self.name = name
        self._settings = settings
        self._make = partial(make_exchange, name, settings, timeout)
        self._session = Session(self._make, settings.market, retry_attempts, retry_delay)
        self._lookup = Lookup(self._session)
        self._markets: dict[str, Market] = {}
        self._leverage: dict[str, tuple[int | None, str | None]] = {}
        create = self._session.feature("createOrder")
        stops = (
            {"stop", "stop_limit"} if create.get("triggerPrice") and create.get("stopLossPrice") else set()
        )
        self.features = Features(
            order_types=frozenset({"market", "limit"} | stops),
            window_s=self._session.dialect.window_s,
            lag_s=self._session.dialect.lag_s,
        )

    async def open(self) -> None:
        """Load the markets, in a thread of their own, and the clock's offset. Raises Transient or Fatal."""
        load = partial(ccxt_markets.load, self._make, self._settings.market, self._settings.symbols)
        try:
            loaded = await in_thread(load)
        except Exception as error:
            raise no_answer(error) from error
        missing = set(self._settings.symbols) - loaded.markets.keys()
        if missing:
            where = f"{self._settings.type} has no {self._settings.market} market {min(missing)!r}"
            raise Fatal(f"[exchanges.{self.name}] symbols: {where}")
        exchange = self._session.exchange
        exchange.set_markets_from_exchange(loaded)
        self._markets = {
            symbol: ccxt_markets.as_market(raw, exchange.precisionMode)
            for symbol, raw in loaded.markets.items()
        }
        try:
            await self._session.sync_clock()
        except PlacementError as error:
            raise Transient(str(error)) from error
        except Exception as error:
            raise no_answer(error) from error

    async def close(self) -> None:
        await self._session.exchange.close()

    def markets(self) -> Mapping[str, Market]:
        return self._markets

    @property
    def clock_offset_s(self) -> float:
        """How far our clock is ahead of the exchange's, as last measured; 0 where it cannot be asked."""
        return float(self._session.exchange.options.get("timeDifference") or 0) / 1000

    # --- placing and cancelling

    async def place(self, order: Order, legs: Sequence[Order], at: float) -> Sequence[Report]:
        if legs:
            raise Rejected("local.not_supported", "protective orders are not attached here: send them alone")
        request = self._request(order)
        if self._settings.mode == "dry_run":
            return [await self._pretended(order)]
        await self._set_leverage(order)
        call = Call(
            at_ms=int(at * 1000) if self.features.window_s is not None else None,
            reserve=None if is_exit(order) else self._settings.rate.reserve,
        )
        raw = await self._session.place(request, call)
        report = self._placed(raw, order)
        echoed = raw.get("clientOrderId")
        if self._session.dialect.find and echoed and not str(echoed).endswith(order.client_order_id):
            raise Unknown(f"the exchange answered for another order, {echoed!r}")
        return [report]

    def _request(self, order: Order) -> ccxt_orders.Placement:
        market = self._session.market(order.symbol)
        if not market:
            raise Rejected("local.bad_symbol", f"account {self.name} has no market {order.symbol!r}")
        name = {self._session.dialect.place: order.client_order_id}
        request = ccxt_orders.placement(order, market, self._session.feature("createOrder"), name)
        ccxt_orders.check_grid(request, self._session.exchange)
        return request

    def _placed(self, raw: Any, order: Order) -> Report:
        """What the answer proves of this very order. Raises Unknown."""
        try:
            return ccxt_orders.report(raw, self._session.market(order.symbol), order.client_order_id)
        except Unknown:
            raise
        except Exception as error:
            raise Unknown(f"the exchange's answer cannot be read: {describe(error)}") from error

    async def _set_leverage(self, order: Order) -> None:
        """Leverage and margin mode are kept by the exchange per symbol; setting them again is harmless."""
        wanted = (order.leverage, order.margin_mode)
        unchanged = wanted == (None, None) or self._leverage.get(order.symbol) == wanted
        if unchanged or not self._session.market(order.symbol).get("contract"):
            return
        try:
            if order.margin_mode:
                await self._session.ask("set_margin_mode", order.margin_mode, order.symbol)
            if order.leverage:
                await self._session.ask("set_leverage", order.leverage, order.symbol)
        except Transient as error:
            raise NotSent(f"leverage or margin mode could not be set: {error}") from error
        self._leverage[order.symbol] = wanted

    async def cancel(self, order: Order) -> Report | None:
        if self._settings.mode == "dry_run":
            return None  # `find` then says how it ended
        exchange_order_id = order.exchange_order_id
        params = self._session.kind_params("cancelOrder", order)
        if exchange_order_id is None and self._session.dialect.cancel is None:
            try:
                seen = await self.find(order)
            except Transient as error:
                raise NotSent(f"cannot cancel an order that cannot be seen: {error}") from error
            if seen is None or seen.state in AT_REST:
                return seen
            exchange_order_id = seen.exchange_order_id
        if exchange_order_id is None:
            params[str(self._session.dialect.cancel)] = order.client_order_id
        try:
            raw = await self._session.cancel(exchange_order_id, order.symbol, params)
        except OrderNotFound:
            return None  # not open any more: how it ended is to be asked for
        try:
            report = self._placed(raw, order)
        except Unknown:
            return None  # accepted, by an exchange that says no more than that
        return report if report.state in AT_REST else None

    async def _pretended(self, order: Order) -> Report:
        """The dry run's answer, always the same for the same order."""
        report = partial(
            Report,
            client_order_id=order.client_order_id,
            exchange_order_id=f"dry-{order.client_order_id}",
        )
        if order.leg.protective:
            return report(state=State.CANCELED if order.cancel_requested else State.OPEN)
        price = order.average or order.price or order.stop_price
        try:
            average = price or (await self.ticker(order.symbol)).last
        except Transient as error:
            raise NotSent(f"dry run: {error}") from error
        return report(state=State.FILLED, filled=order.amount, average=average)

    # --- looking up

    async def find(self, order: Order) -> Report | None:
        if self._settings.mode == "dry_run":
            try:
                return await self._pretended(order)
            except NotSent as error:
                raise Transient(str(error)) from error
        return await self._lookup.find(order)

    async def open_orders(self) -> Sequence[Report]:
        session = self._session
        if self._settings.mode == "dry_run" or not session.has("fetchOpenOrders"):
            return ()
        demands = session.feature("fetchOpenOrders")
        each = self._settings.symbols or tuple(self._markets)
        symbols: Sequence[str | None] = each if demands.get("symbolRequired") else (None,)
        reports: dict[str, Report] = {}
        for symbol in symbols:
            for params in ({}, {"trigger": True}) if demands.get("trigger") else ({},):
                for raw in await session.ask("fetch_open_orders", symbol, None, None, params):
                    name = str(raw.get("clientOrderId") or "").removeprefix(session.dialect.prefix)
                    report = ccxt_orders.report(raw, session.market(raw.get("symbol")), name)
                    reports[report.exchange_order_id] = report
        return tuple(reports.values())

    # --- the account and its markets

    async def balance(self) -> Balance:
        raw = await self._session.ask("fetch_balance")
        return Balance(free=_amounts(raw.get("free")), total=_amounts(raw.get("total")))

    async def positions(self) -> Sequence[Position]:
        if self._settings.market == "spot" or not self._session.has("fetchPositions"):
            return ()
        found = []
        for raw in await self._session.ask("fetch_positions", list(self._settings.symbols) or None):
            market, contracts = self._session.market(raw.get("symbol")), number(raw.get("contracts"))
            if not market or not contracts:
                continue
            sign = -1 if raw.get("side") == "short" else 1
            found.append(
                Position(
                    account=self.name,
                    symbol=raw["symbol"],
                    amount=abs(contracts) * sign * ccxt_markets.contract_size(market),
                    average=number(raw.get("entryPrice")) or ZERO,
                )
            )
        return tuple(found)

    async def ticker(self, symbol: str) -> Ticker:
        if symbol not in self._markets:
            raise Transient(f"account {self.name} has no market {symbol!r}")
        raw = await self._session.ask("fetch_ticker", symbol)
        last = number(raw.get("last")) or number(raw.get("close"))
        if not last:
            raise Transient(f"{self._settings.type} tells no last price of {symbol}")
        time = (raw.get("timestamp") or 0) / 1000
        return Ticker(symbol, last, bid=number(raw.get("bid")), ask=number(raw.get("ask")), time=time)

    def hint(self, symbol: str, price: Decimal) -> None:
        """A real exchange knows its own prices."""

    async def wait(self, seconds: float) -> None:
        await trio.sleep(seconds)


def _amounts(raw: Any) -> dict[str, Decimal]:
    amounts = {str(currency): number(amount) for currency, amount in (raw or {}).items()}
    return {currency: amount for currency, amount in amounts.items() if amount}
