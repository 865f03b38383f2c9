"""guard: what must hold of an account whatever is sent. One per account.

in   Look: an order of this account has changed
out  journal: alarms; closes of what is without its stop; the account's own trading state
It asks the journal, and the exchange only for prices. What it knows is a fold of the fills, so a restart
begins where the one before ended.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

import trio

from fks.domain import protection_watch, sizing, trading_state
from fks.domain.errors import Overloaded
from fks.domain.messages import Look, Market, Order, TradingRecord
from fks.domain.money import ZERO, plain
from fks.domain.orders import Leg, State
from fks.domain.protection import Family
from fks.domain.protection_watch import Ground, Lot, Lots, Unprotected
from fks.domain.settings import RiskSettings
from fks.domain.trades import Execution, RoundTrips
from fks.domain.trading_state import Breach, Peak, Streak
from fks.kernel import Restart
from fks.ledger import Ledger, Reader
from fks.venues.account import Account, names

PULSE_S = 1.0
CONNECTING_S = 10.0  # so long the guard waits at its start for the markets, which say what counts as nothing
PAGE = 100  # fills read, and folded, at once: the loop waits for some milliseconds
PRICE_AGE_S = 60.0
RULE = "risk.unprotected_s"

OnUnprotected = Callable[[str, float], None]
"""Told the account and for how long its worst entry has been without its stop, 0 for none."""


@dataclass(slots=True)
class Guard:
    """Watches stops and limits; every look is idempotent, so a crash repeats nothing."""

    RESTART: ClassVar = Restart(times=5, window=60.0)

    tasks: trio.Nursery
    account: Account
    limits: RiskSettings
    on_unprotected: OnUnprotected
    _measured: bool = field(init=False, default=False)  # the folds were made with the markets' steps
    _stirred: bool = field(init=False)
    _day: float = field(init=False, default=0.0)
    _seen: int = field(init=False)  # number of the last fill that was folded in
    _last_fill: float = field(init=False)
    _lots: Lots = field(init=False)
    _trips: RoundTrips = field(init=False)
    _streak: Streak = field(init=False)
    _realized_today: Decimal = field(init=False, default=ZERO)
    _missing: list[Unprotected] = field(init=False, default_factory=list)
    _told: set[str] = field(init=False, default_factory=set)  # entries that an alarm is on disk for
    _done: set[str] = field(init=False, default_factory=set)  # and of which nothing more is to be done
    _equity_at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        """Fold the fills from the first one on."""
        self._seen, self._last_fill, self._lots = 0, 0.0, Lots()
        self._trips = RoundTrips(lambda _account, symbol: self._step(symbol))
        self._streak = Streak(self.limits.max_consecutive_losses)
        self._stirred = True

    async def start(self) -> None:
        self.tasks.start_soon(self._pulse)

    async def handle(self, _look: Look) -> None:
        self._stirred = True

    async def _pulse(self) -> None:
        """While the exchange is not reached only stops are watched: what has none is told."""
        with trio.move_on_after(CONNECTING_S):
            while not self.account.status.get().connected:
                await self.account.status.changed()
        while True:
            try:
                await self._look()
            except Overloaded as full:  # nothing was written; the next pulse comes again
                self.account.log.warning("guard_postponed", reason=str(full))
            await trio.sleep(PULSE_S)

    async def _look(self) -> None:
        now = self.account.wall()
        if not self._measured and self.account.status.get().connected:
            self._measured = True
            self._begin()
        stirred, self._stirred = self._stirred, False
        try:
            if stirred:
                await self._take_in()
                self._missing = await self._find_missing()
            anew = stirred or self._day != now // trading_state.DAY_S
            by_time = bool(self.limits.max_unknown_s or self.limits.max_drawdown)
            if self._measured and (anew or by_time):
                await self._judge(now, anew=anew)
        except Overloaded:
            self._stirred = True
            raise
        self._day = now // trading_state.DAY_S
        await self._protect(now)

    async def _take_in(self) -> None:
        """The fills since the last look."""
        account = self.account
        while True:
            carried, fills = await account.journal.read(
                lambda ledger: (
                    ledger.carried(self._seen, account.name),
                    ledger.fills_after(account.name, self._seen, PAGE),
                )
            )
            for one in carried:
                self._lots.begin(one.position)
                self._trips.begin(account.name, one.symbol, {"": one.position})
            for number, order, fill in fills:
                self._lots.add(order, fill)
                # An account's streak asks for no strategy: what one lost, all have lost.
                self._streak.add(self._trips.add(Execution(order, fill)))
                self._seen, self._last_fill = number, max(self._last_fill, fill.time)
            if len(fills) < PAGE:
                return

    def _market(self, symbol: str) -> Market | None:
        return self.account.venue.markets().get(symbol)

    def _step(self, symbol: str) -> Decimal:
        market = self._market(symbol)
        return market.amount_step if market else ZERO

    # --- stops

    async def _find_missing(self) -> list[Unprotected]:
        lots = [lot for by_entry in self._lots.held.values() for lot in by_entry.values()]
        if not lots:
            return []
        alerts = {lot.entry.alert_id for lot in lots}
        known = await self.account.journal.read(
            lambda ledger: [order for alert in alerts for order in ledger.orders_of(alert)]
        )
        return protection_watch.unprotected(lots, _families(lots, known), self._grounds(lots))

    def _grounds(self, lots: list[Lot]) -> dict[str, Ground]:
        grounds = {}
        for lot in lots:
            market = self._market(lot.entry.symbol)
            if market is not None:
                price = lot.entry.average or lot.entry.reference_price
                grounds[market.symbol] = Ground(market.amount_step, sizing.minimum(market, price))
        return grounds

    async def _protect(self, now: float) -> None:
        """Alarm once for each entry that is without its stop for too long, and close it if so configured."""
        ages = [now - one.since for one in self._missing]
        self.on_unprotected(self.account.name, max(ages, default=0.0))
        for one, age in zip(self._missing, ages, strict=True):
            late = self.limits.unprotected_s and age >= self.limits.unprotected_s
            if late and one.entry.id not in self._done:
                with self.account.spared(**names(one.entry)):
                    await self._act(one, now, age)

    async def _act(self, one: Unprotected, now: float, age: float) -> None:
        account, entry = self.account, one.entry
        done, then = True, "look at the exchange"
        if self.limits.on_unprotected == "close":  # first: a full disk has room for it, not for an alarm
            done, then = await self._end(one, now)
        if entry.id not in self._told:
            what = f"{entry.symbol}: {plain(one.amount)} of entry {entry.id} has no stop loss"
            limit = f"for {age:.0f} s, the limit is {self.limits.unprotected_s:g} s"
            told = f"{what} that is known to be on the exchange {limit}: {then}"
            if await account.journal.write(lambda ledger: ledger.note_unprotected(entry, told, now)):
                account.log.error("alarm", code="position.unprotected", detail=told, **names(entry))
            self._told.add(entry.id)
        if done:
            self._done.add(entry.id)

    async def _end(self, one: Unprotected, now: float) -> tuple[bool, str]:
        """Whether its close is planned, and what to say of it. While the exchange is not reached none is: the
        stop may be there after all, and how much can be sold is for its markets to say.
        """
        if not self._measured:
            return False, "it will be closed when the exchange answers, if it still has none then"
        if self._market(one.entry.symbol) is None:
            return False, "its market is not known, so it cannot be closed: look at the exchange"
        if await self.account.journal.write(lambda ledger: self._close(ledger, one, now)):
            return True, "it is being closed"
        return False, "it will be closed once no other order of it is under way or in doubt"

    def _close(self, ledger: Ledger, one: Unprotected, now: float) -> bool:
        """As an alert's close: what is live is canceled first, and the close is sent for what is left.

        Whether it is planned. Otherwise the next look comes here again: within this transaction nothing
        may have changed since `one` was seen.
        """
        entry, name = one.entry, self.account.name
        close = protection_watch.closing(one, now)
        known = ledger.orders_of(entry.alert_id)
        if any(order.id == close.id for order in known):
            return True
        lot = self._lots.held.get(entry.symbol, {}).get(entry.id)
        if lot is None or ledger.fills_after(name, self._seen, 1):
            return False
        family = _families([lot], known)[entry.id]
        if protection_watch.unprotected([lot], {entry.id: family}, self._grounds([lot])) != [one]:
            return False
        if any(order.leg is Leg.CLOSE and order.symbol == entry.symbol for order in ledger.live_orders(name)):
            return False
        if in_the_way := protection_watch.before_closing(family):
            ledger.request_cancel(in_the_way, now, RULE)
            return False
        stops = [leg.id for leg in family.legs if leg.leg is Leg.STOP_LOSS and leg.state is State.PLANNED]
        ledger.request_cancel(stops, now, RULE)
        ledger.extend([close])
        return True

    # --- trading state

    async def _judge(self, now: float, *, anew: bool) -> None:
        account, limits = self.account, self.limits
        wants_loss = anew and bool(limits.max_daily_loss)

        def gather(ledger: Reader) -> tuple[TradingRecord, list[Order], Decimal | None]:
            return (
                ledger.trading_records().get(account.name, TradingRecord()),
                ledger.live_orders(account.name) if limits.max_unknown_s else [],
                ledger.exposure(account.name, now).realized_today if wants_loss else None,
            )

        own, live, realized = await account.journal.read(gather)
        if realized is not None:
            self._realized_today = realized
        breaches = (
            trading_state.daily_loss(self._realized_today, self._last_fill, limits, now),
            self._streak.breach(own.resumed_at),
            trading_state.unknown_too_long(live, limits, now),
            await self._drawdown(own, now) if limits.max_drawdown else None,
        )
        found = [one for one in breaches if one is not None]
        if trading_state.next_state(own, found, now) is not None:
            await account.restrict(found)

    async def _drawdown(self, own: TradingRecord, now: float) -> Breach | None:
        """With each new balance. A holding without a price leaves the equity unknown, never smaller."""
        account, status = self.account, self.account.status.get()
        if status.balance is None or status.balance_at <= self._equity_at:
            return None
        markets = account.venue.markets()
        traded = [markets[symbol] for symbol in self._lots.held if symbol in markets]
        quotes = {market.settle or market.quote for market in traded}
        if len(quotes) != 1:  # nothing traded yet, or in several currencies that have no sum
            return None
        (quote,) = quotes
        total = status.balance.total
        pairs = {base: f"{base}/{quote}" for base, amount in total.items() if amount > 0}
        held = {base: pair for base, pair in pairs.items() if pair in markets}
        if any(market.kind != "spot" for market in traded):
            held = {}
        prices = await account.quotes.all(held.values(), PRICE_AGE_S)
        if len(prices) < len(held):
            return None
        self._equity_at = status.balance_at
        by_base = {base: prices[pair] for base, pair in held.items()}
        return await self._against_peak(sizing.equity(status.balance, quote, by_base), own, now)

    async def _against_peak(self, equity: Decimal, own: TradingRecord, now: float) -> Breach | None:
        """A human's resume makes the present equity the highest one."""
        account = self.account
        peak = await account.journal.read(lambda ledger: ledger.equity_peak(account.name))
        if peak is None or equity > peak.equity or peak.at < own.resumed_at:
            new = Peak(equity, now)
            await account.journal.write(lambda ledger: ledger.set_equity_peak(account.name, new))
            return None
        return trading_state.drawdown(equity, peak, self.limits, now)


def _families(lots: list[Lot], known: list[Order]) -> dict[str, Family]:
    """The entries as they are now, with all their legs."""
    held, entries = {lot.entry.id for lot in lots}, {order.id: order for order in known}
    return {
        entry: Family(entries[entry], tuple(leg for leg in known if leg.parent == entry))
        for entry in held & entries.keys()
    }
