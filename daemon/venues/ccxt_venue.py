"""One account on a real exchange, through ccxt.

A placement is one request, sent once. Questions and cancellations may be repeated and are.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import structlog
import trio
from ccxt.base.errors import OrderNotFound

from fks.domain.dispatch import is_exit
from fks.domain.errors import Misconfigured, NotSent, PlacementError, Rejected, Transient, Unknown
from fks.domain.messages import Balance, Market, Order, Position, Report, Ticker
from fks.domain.orders import AT_REST, Leg, State
from fks.domain.settings import AccountSettings
from fks.domain.venue import Features
from fks.venues import ccxt_books, ccxt_orders, ccxt_placement
from fks.venues.ccxt_derivatives import Derivatives, position_gains
from fks.venues.ccxt_errors import describe, no_answer
from fks.venues.ccxt_lookup import Lookup
from fks.venues.ccxt_markets import number
from fks.venues.ccxt_session import Session, make_exchange
from fks.venues.market_table import Loaded, Shared
from fks.venues.trio_ccxt import Call

log = structlog.get_logger()

# Refusals that the market list should have prevented: it may be out of date.
_LIST_AT_FAULT = frozenset({"invalid_order", "bad_symbol", "market_closed", "contract_unavailable"})


class CcxtVenue:
    """`fks.domain.venue.Venue` for one account of an exchange that ccxt knows.

    Raises Fatal for what only a human can mend in the configuration: an unknown exchange, missing keys, a
    testnet that does not exist. A key that the exchange refuses is Transient: it must be seen, and not
    stop the other accounts.

    `dry_run`: everything happens but the order request. An entry or a close then counts as filled at its
    own price, or the last one; a protective leg rests until it is canceled. Nothing of it is remembered.
    """

    def __init__(
        self,
        name: str,
        settings: AccountSettings,
        *,
        timeout: float,
        retry_attempts: int,
        retry_delay: float,
        shared: Shared | None = None,
        on_wait: Callable[[float], None] | None = None,
        on_skew: Callable[[float], None] | None = None,
    ) -> None:
        """`on_wait`, `on_skew`: told the seconds that a request has waited for the rate limit, and by
        which the exchange's clock is ahead of ours, whenever that was measured.
        """
        self.name = name
        self._settings = settings
        self._make = partial(make_exchange, name, settings, timeout)
        shared = shared or Shared()
        self._table = shared.table(settings)
        self._session = Session(
            self._make,
            settings.market,
            retry_attempts,
            retry_delay,
            ban=shared.ban(settings),
            on_wait=on_wait,
            on_skew=on_skew,
        )
        self._lookup = Lookup(self._session)
        self._loaded: Loaded | None = None
        self._markets: Mapping[str, Market] = {}
        self._derivatives = Derivatives(name, self._session, settings)
        dialect = self._session.dialect
        self.features = Features(
            order_types=ccxt_placement.order_types(self._session.feature("createOrder"), dialect),
            # Reduce-only orders together never sell more than there is, so a derivative's stop loss and
            # take profit may rest side by side. On spot both would hold the same coins.
            oco=settings.market != "spot",
            attached_stop=settings.market != "spot" and dialect.attachment is not None,
            window_s=dialect.window_s if dialect.proves_absence else None,
            lag_s=dialect.lag_s,
        )

    async def open(self) -> None:
        """Load the markets, in a thread of their own, and the clock's offset. Raises Transient or Fatal."""
        loaded = await self._table.get(self._settings.symbols, self._make, self._session.aside)
        self._adopt(loaded)
        if not self._markets:
            raise Misconfigured(self._missing(loaded))
        try:
            await self._session.sync_clock()
        except PlacementError as error:
            raise Transient(str(error)) from error
        except Exception as error:
            raise no_answer(error) from error
        await self._get_ready()

    async def _get_ready(self) -> None:
        """What orders need to know of the account. A key that is refused does not hide the markets."""
        try:
            await self._session.prime()
            await self._derivatives.learn_mode()
        except Transient as error:
            log.warning("account_not_ready", account=self.name, reason=str(error))

    def _adopt(self, loaded: Loaded) -> None:
        self._session.exchange.set_markets_from_exchange(loaded.exchange)
        own = self._settings.symbols
        there = {one: loaded.markets[one] for one in own if one in loaded.markets}
        if len(there) < len(own):  # one that was delisted must not take the others down
            log.error("market_missing", account=self.name, reason=self._missing(loaded))
        self._markets = there if own else loaded.markets
        self._loaded = loaded

    def _missing(self, loaded: Loaded) -> str:
        own = self._settings
        names = ", ".join(repr(one) for one in own.symbols if one not in loaded.markets)
        return f"[exchanges.{self.name}] symbols: {own.type} has no {own.market} market {names}"

    async def close(self) -> None:
        await self._session.exchange.close()

    def markets(self) -> Mapping[str, Market]:
        return self._markets

    async def refresh_markets(self) -> None:
        self._adopt(await self._table.newer(self._loaded, self._make, self._session.aside))

    def busy_for(self) -> float:
        return self._session.busy_for(self._settings.rate.reserve)

    # --- placing and cancelling

    async def place(self, order: Order, legs: Sequence[Order], at: float) -> Sequence[Report]:
        attached = self._attached(legs)
        if self._settings.mode == "dry_run":
            self._request(order)
            return [await self._pretended(one) for one in (order, *legs)]
        await self._session.keep_time()
        if self._derivatives.concerns(order):
            await self._derivatives.prepare(order)
        request, deadline = self._request(order), self._session.deadline(at)
        request.params.update(deadline | attached)
        by_timestamp = self.features.window_s is not None and not deadline
        call = Call(
            at_ms=int(at * 1000) if by_timestamp else None,
            reserve=None if is_exit(order) else self._settings.rate.reserve,
        )
        try:
            raw = await self._session.place(request, call)
        except Rejected as no:
            self._derivatives.forget(order.symbol)
            if no.code in _LIST_AT_FAULT:
                self._table.doubt()
            raise
        report = self._placed(raw, order)
        told, dialect = ccxt_books.names_of(self._session, raw), self._session.dialect
        if (dialect.find or dialect.lists) and told and dialect.told(order.client_order_id) not in told:
            raise Unknown(f"the exchange answered for another order, {sorted(told)}")
        return [report]

    def _attached(self, legs: Sequence[Order]) -> dict[str, Any]:
        """What says that `legs` come along; their own reports are for `find` to bring."""
        attachment = self._session.dialect.attachment if self.features.attached_stop else None
        if not legs:
            return {}
        if attachment is None or [leg.leg for leg in legs] != [Leg.STOP_LOSS]:
            raise Rejected("local.not_supported", f"{len(legs)} protective orders cannot be attached here")
        return ccxt_placement.attached(legs[0], attachment, self._session.exchange)

    def _request(self, order: Order) -> ccxt_placement.Placement:
        session = self._session
        market = session.market(order.symbol)
        if order.symbol not in self._markets:
            raise Rejected("local.bad_symbol", f"account {self.name} has no market {order.symbol!r}")
        setting = ccxt_placement.Setting(
            market,
            session.feature("createOrder"),
            session.dialect,
            tick=self._markets[order.symbol].price_tick,
            hedged=self._derivatives.hedged(order.symbol),
            margin_mode=self._derivatives.margin_mode(order.symbol),
        )
        request = ccxt_placement.placement(order, setting)
        ccxt_placement.check_grid(request, session.exchange)
        return request

    def _placed(self, raw: Any, order: Order) -> Report:
        """What the answer proves of this very order. Raises Unknown."""
        try:
            return ccxt_orders.report(raw, self._session.market(order.symbol), order.client_order_id)
        except Unknown:
            raise
        except Exception as error:
            raise Unknown(f"the exchange's answer cannot be read: {describe(error)}") from error

    async def cancel(self, order: Order) -> Report | None:
        if self._settings.mode == "dry_run":
            return None  # `find` then says how it ended
        try:
            raw = await self._cancel(order)
        except OrderNotFound:
            await self._cancel_successor(order)
            return None  # not open any more, or not by that name: how it ended is to be asked for
        except (Rejected, Unknown):
            if await self._cancel_successor(order):
                return None
            raise
        if isinstance(raw, Report):
            return raw
        try:
            report = self._placed(raw, order)
        except Unknown:
            return None  # accepted, by an exchange that says no more than that
        # "Canceled", by some, without a word of what was filled before.
        told = raw.get("filled") is not None and report.state in AT_REST
        return report if told else None

    async def _cancel(self, order: Order) -> Any:
        """What ccxt answered, or the order's end where looking for it shows nothing to cancel."""
        dialect = self._session.dialect
        params = ccxt_books.cancelling(self._session, order)
        exchange_order_id = order.exchange_order_id
        if exchange_order_id is None and dialect.cancel_as_id:
            exchange_order_id = dialect.told(order.client_order_id)
        if exchange_order_id is None and dialect.cancel is None:
            try:
                seen = await self.find(order)
            except Transient as error:
                raise NotSent(f"cannot cancel an order that cannot be seen: {error}") from error
            if seen is None:
                raise OrderNotFound(order.client_order_id)
            if seen.state in AT_REST:
                return seen
            exchange_order_id = seen.exchange_order_id
        if exchange_order_id is None:
            params[str(dialect.cancel)] = dialect.told(order.client_order_id)
        return await self._cancel_by(exchange_order_id, order, params)

    async def _cancel_by(self, exchange_order_id: str | None, order: Order, params: dict[str, Any]) -> Any:
        return await self._session.cancel(exchange_order_id, order.symbol, params)

    async def _cancel_successor(self, order: Order) -> bool:
        """A stop that has triggered is another order, canceled by its own id. Whether there was one."""
        try:
            successor = await self._lookup.became(order)
        except Transient as error:
            raise Unknown(str(error)) from error
        if successor is None:
            return False
        try:
            await self._cancel_by(successor, order, {})
        except OrderNotFound:
            pass  # it has ended by itself
        return True

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
            for params in ccxt_books.all_books(session, self._settings.market, symbol):
                for raw in await session.ask("fetch_open_orders", symbol, None, None, params):
                    name = next(iter(ccxt_books.names_of(session, raw)), "").removeprefix(
                        session.dialect.prefix
                    )
                    report = ccxt_orders.report(raw, session.market(raw.get("symbol")), name)
                    reports[report.exchange_order_id] = report
        return tuple(reports.values())

    # --- the account and its markets

    async def balance(self) -> Balance:
        raw = await self._session.ask("fetch_balance")
        gain = self._session.dialect.gain
        return Balance(
            free=_amounts(raw.get("free")),
            total=_amounts(raw.get("total")),
            gains=_amounts(dict(position_gains(raw.get("info"), gain))) if gain else {},
        )

    async def positions(self) -> Sequence[Position]:
        if self._settings.market == "spot" or not self._session.has("fetchPositions"):
            return ()
        return await self._derivatives.positions()

    async def ticker(self, symbol: str) -> Ticker:
        if symbol not in self._markets:
            raise Transient(f"account {self.name} has no market {symbol!r}")
        raw = await self._session.ask("fetch_ticker", symbol)
        last = number(raw.get("last")) or number(raw.get("close"))
        if not last:
            raise Transient(f"{self._settings.type} tells no last price of {symbol}")
        time = (raw.get("timestamp") or 0) / 1000
        return Ticker(symbol, last, bid=number(raw.get("bid")), ask=number(raw.get("ask")), time=time)

    async def candles(self, symbol: str, timeframe: str, limit: int) -> Sequence[Sequence[float | None]]:
        session = self._session
        if not session.has("fetchOHLCV") or timeframe not in (session.exchange.timeframes or ()):
            return ()
        if symbol not in self._markets:
            raise Transient(f"account {self.name} has no market {symbol!r}")
        rows = await session.ask("fetch_ohlcv", symbol, timeframe, None, limit)
        return [(row[0] / 1000, *row[1:5]) for row in rows[-limit:]]

    def imposed(self) -> Sequence[tuple[Order, Report]]:
        return ()

    def hint(self, symbol: str, price: Decimal) -> None:
        """A real exchange knows its own prices."""

    async def wait(self, seconds: float) -> None:
        await trio.sleep(seconds)


def _amounts(raw: Any) -> dict[str, Decimal]:
    amounts = {str(currency): number(amount) for currency, amount in (raw or {}).items()}
    return {currency: amount for currency, amount in amounts.items() if amount}
