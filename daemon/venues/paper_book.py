"""The paper exchange's matching: what fills when an order arrives or a mark moves.

Pure, synchronous and deterministic: the same calls give the same reports; time is an argument. There is
no depth and no chance: an order fills whole, at the mark or at its own price.
"""

from collections.abc import Collection, Sequence
from decimal import Decimal
from itertools import count

from fks.domain.errors import Rejected, Unknown
from fks.domain.messages import Balance, Fill, Order, Report, Trade
from fks.domain.money import plain
from fks.domain.orders import IN_FLIGHT, LIVE, State
from fks.domain.settings import AccountSettings
from fks.venues.paper_account import PaperAccount, exact, market_of
from fks.venues.paper_groups import Orders, group_of
from fks.venues.paper_means import Means
from fks.venues.paper_order import Working, check

_INSTANT = 1e-6  # at least this lies between two fills, so that their times tell their order


class PaperBook:
    """One account: its markets, marks, orders and money."""

    def __init__(self, settings: AccountSettings, symbols: Collection[str]) -> None:
        """Raises ValueError for a symbol that `market_of` does not understand."""
        self.markets = {symbol: market_of(symbol, settings) for symbol in symbols}
        self.marks = dict(settings.prices)
        self.account = PaperAccount(dict(settings.balance))
        self.changes = 0  # grows whenever an order does
        self._settings = settings
        self._orders = Orders()
        self._means = Means(settings, self.account, self._orders)
        self._numbers = count()
        self._last_fill = 0.0

    @exact
    def place(self, order: Order, legs: Sequence[Order], at: float) -> list[Report]:
        """Take the order with its attached legs, all or none; one report each, the order's first.

        Raises Rejected, or Unknown for a client order id that is here already.
        """
        for one in (order, *legs):
            if one in self._orders:
                raise Unknown(f"duplicate client order id {one.client_order_id}")
        self._check(order, legs)
        mark = self.marks[order.symbol]
        arriving = [self._working(one, at) for one in (order, *legs)]
        self._check_means(arriving[0], mark)
        for working in arriving:
            self._add(working)
        self._match(arriving, mark, at)
        return [one.report() for one in arriving]

    @exact
    def cancel(self, client_order_id: str, at: float) -> Report:
        """End an order; one at rest stays as it is. An unfilled entry takes its legs along.

        Raises Rejected when there is no such order.
        """
        working = self._orders.get(client_order_id)
        if working is None:
            raise Rejected("not_found", f"the paper exchange has no order {client_order_id}")
        if working.live:
            self._end(working, State.CANCELED, at)
        return working.report()

    @exact
    def hint(self, symbol: str, price: Decimal, at: float) -> None:
        """Move the mark; what it meets fills, the nearest to the old mark first."""
        if symbol not in self.markets or price <= 0:
            return
        previous = self.marks.get(symbol, price)
        self.marks[symbol] = price
        self._match([one for one in self._orders.open.values() if one.order.symbol == symbol], previous, at)

    @exact
    def find(self, client_order_id: str) -> Report | None:
        working = self._orders.get(client_order_id)
        return working.report() if working else None

    @exact
    def open_orders(self) -> list[Report]:
        """Pending legs included."""
        return [one.report() for one in self._orders.open.values()]

    @exact
    def balance(self) -> Balance:
        return self._means.balance()

    # Acceptance

    def _check(self, order: Order, legs: Sequence[Order]) -> None:
        market, mark = self.markets.get(order.symbol), self.marks.get(order.symbol)
        if market is None:
            raise Rejected("bad_symbol", f"the paper exchange has no market {order.symbol}")
        if mark is None:
            what = f"the paper exchange has no price for {order.symbol}"
            raise Rejected("no_price", f"{what}: configure prices or send a price in the alert")
        if mark < market.price_tick:
            what = f"{order.symbol} at {plain(mark)} is below the tick {plain(market.price_tick)}"
            raise Rejected("price_tick", f"{what}: set a smaller price_tick for the paper exchange")
        for one in (order, *legs):
            check(one, market)
        if any(leg.parent != order.id or leg.symbol != order.symbol for leg in legs):
            raise Rejected("bad_order", f"a leg sent with {order.id} does not belong to it")

    def _check_means(self, arriving: Working, mark: Decimal) -> None:
        order, market = arriving.order, arriving.market
        price = arriving.bound or arriving.price_at(mark, self._settings.slippage_bps)
        least = market.min_notional
        if least and order.amount * price < least and not self._means.only_reduces(arriving):
            what = f"{plain(order.amount * price)} {market.quote} is below the least of {plain(least)}"
            raise Rejected("min_notional", what)
        if order.post_only and not arriving.waits_for_stop and arriving.due(mark):
            raise Rejected(
                "post_only", f"a {order.side} at {plain(price)} would cross the mark {plain(mark)}"
            )
        entry = self._orders.entry_of(order)
        if entry and not entry.live and self._orders.left(entry) <= 0:
            raise Rejected("reduce_only", f"nothing of {entry.order.id} is left to protect")
        if order.reduce_only and entry is None and self._means.executable(arriving) <= 0:
            raise Rejected("reduce_only", f"there is no {order.symbol} position for a {order.side} to reduce")
        if lack := self._means.lack(arriving, self._orders.fillable(arriving), price):
            raise Rejected("insufficient_funds", lack)

    # Matching

    def _match(self, among: Sequence[Working], previous: Decimal, at: float) -> None:
        """Execute what is due at the mark until nothing is; then what arrived rests or expires."""
        while True:
            active = [one for one in among if one.live and self._orders.fillable(one) > 0]
            for one in active:
                one.follow(self.marks[one.order.symbol])
            due = [one for one in active if one.due(self.marks[one.order.symbol])]
            if not due:
                break
            self._execute(min(due, key=lambda one: _nearness(one, previous)), at)
        for one in active:
            if one.order.time_in_force in ("ioc", "fok") and not one.waits_for_stop:
                self._end(one, State.EXPIRED, at, "it could not fill at once")
            one.resting = not one.waits_for_stop

    def _execute(self, working: Working, at: float) -> None:
        """Trigger a stop limit, or fill, or fail for lack of means."""
        mark = self.marks[working.order.symbol]
        if working.waits_for_stop:
            working.triggered = True
            if working.limit is not None:
                if working.order.post_only and working.due(mark):
                    self._end(working, State.REJECTED, at, "post_only: it would cross the mark")
                return
        amount = self._means.executable(working)
        price = working.price_at(mark, self._settings.slippage_bps)
        if amount <= 0:
            self._end(working, State.CANCELED, at, "reduce_only: no position is left to reduce")
        elif lack := self._means.lack(working, amount, price):
            self._end(working, State.REJECTED, at, f"insufficient_funds: {lack}")
        else:
            self._fill(working, amount, price, at)

    def _fill(self, working: Working, amount: Decimal, price: Decimal, at: float) -> None:
        trade = Trade(
            # The count is the order's own, so that a restart neither reuses nor changes an id.
            id=f"{working.order.client_order_id}-{len(working.trades) + 1}",
            time=max(at, self._last_fill + _INSTANT),
            price=price,
            amount=amount,
            fee=price * amount * self._settings.fee,
            fee_currency=working.market.quote,
        )
        self._book(working, trade)
        self._end(working, State.FILLED, trade.time)

    def _book(self, working: Working, trade: Trade) -> None:
        order = working.order
        self.account.apply(working.market, order.side, trade, order.leverage)
        working.trades.append(trade)
        working.time = self._last_fill = max(self._last_fill, trade.time)

    def _end(self, working: Working, state: State, at: float, reason: str | None = None) -> None:
        working.state, working.reason, working.time = state, reason, at
        self._orders.rest(working)
        self.changes += 1
        for leg in list(self._orders.purposeless(working)):
            if leg.live:  # ending one of them ends the others
                self._end(leg, State.CANCELED, at, "nothing is left for it to protect")

    def _working(self, order: Order, at: float) -> Working:
        market = self.markets.get(order.symbol)
        if market is None:  # traded once, no longer configured
            market = self.markets[order.symbol] = market_of(order.symbol, self._settings)
        return Working(order=order, market=market, number=next(self._numbers), time=at)

    def _add(self, working: Working) -> None:
        self._orders.add(working)
        self.changes += 1

    # Rebuilding

    @exact
    def restore(self, history: Sequence[tuple[Order, Fill]], live: Sequence[Order], at: float) -> None:
        """Rebuild a new book from all fills of the account and its orders that are not at rest.

        What the journal does not know never happened: an order in flight without a fill is not here,
        unless what arrived with it is (an entry and its attached legs arrive together). Nothing fills
        for the restored marks, they are old. A trailing stop trails afresh from them, and a stop limit
        waits for its stop again: the journal knows neither.
        """
        for order, fill in sorted(history, key=lambda pair: pair[1].time):
            self._replay(order, fill)
        evident = [order for order, _ in history] + [order for order in live if order.state in LIVE]
        arrived = {group_of(order) for order in evident if _travels_with_entry(order)}
        for order in live:
            proven = _travels_with_entry(order) and group_of(order) in arrived
            here = order.state in LIVE or (order.state in IN_FLIGHT and proven)
            if here and order not in self._orders:
                self._add(self._working(order, order.updated_at))
        for working in list(self._orders.open.values()):
            self._catch_up(working, at)

    def _replay(self, order: Order, fill: Fill) -> None:
        working = self._orders.get(order.client_order_id)
        if working is None:
            working = self._working(order, fill.time)
            self._add(working)
        trade = Trade(
            id=fill.trade_id,
            time=fill.time,
            price=fill.price,
            amount=fill.amount,
            fee=fill.fee,
            fee_currency=fill.fee_currency,
        )
        self._book(working, trade)
        self.marks[order.symbol] = fill.price
        if order.at_rest or working.filled >= order.amount:
            working.state = order.state if order.at_rest else State.FILLED
            self._orders.rest(working)

    def _catch_up(self, working: Working, at: float) -> None:
        """Do to a restored order what the part of its group that the journal knows has done to it."""
        order = working.order
        if not working.live:
            return
        if order.attached and self._orders.entry_of(order) is None:
            self._end(working, State.CANCELED, at, "its entry ended unfilled")
        elif self._orders.left(working) < 0:
            # A leg's fill reached the journal before its entry's: the entry fills again, at its own price.
            price = working.bound or self.marks[order.symbol]
            self._fill(working, self._orders.fillable(working), price, at)
        elif working in list(self._orders.purposeless(working)):
            self._end(working, State.CANCELED, at, "nothing is left for it to protect")
        working.resting = self._orders.fillable(working) > 0 and not working.waits_for_stop


def _travels_with_entry(order: Order) -> bool:
    return order.attached or not order.leg.protective


def _nearness(working: Working, previous: Decimal) -> tuple[Decimal, bool, int]:
    """Sorts what a move of the mark meets: along the way, stops before limits, then by arrival."""
    way = abs((working.trigger or previous) - previous)
    return way, not working.waits_for_stop, working.number
