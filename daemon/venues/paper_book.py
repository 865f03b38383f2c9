"""The paper exchange's matching: what fills when an order arrives or a mark moves.

Pure, synchronous and deterministic: the same calls give the same reports; time is an argument. Nothing is
left to chance: an order fills at the mark or at its own price, as far as the book is deep (`paper_depth`).
"""

from collections.abc import Collection, Sequence
from decimal import Decimal
from itertools import count

from fks.domain.errors import Rejected, Unknown
from fks.domain.messages import Balance, Carried, Fill, Market, Order, Report, Trade
from fks.domain.money import ZERO, plain
from fks.domain.orders import IN_FLIGHT, LIVE, OrderType, Side, State
from fks.domain.settings import AccountSettings
from fks.venues.paper_account import PaperAccount, exact, fee_rate, market_of
from fks.venues.paper_candles import Candles
from fks.venues.paper_depth import Depth
from fks.venues.paper_groups import Orders, group_of
from fks.venues.paper_margin import Margin, order_of_liquidation
from fks.venues.paper_means import Means
from fks.venues.paper_order import Working, check

_STRIDE = Decimal("0.005")
_INSTANT = 1e-6  # at least this lies between two fills, so that their times tell their order


class PaperBook:
    """One account: its markets, marks, orders and money."""

    def __init__(self, settings: AccountSettings, symbols: Collection[str]) -> None:
        """Raises ValueError for a symbol that `market_of` does not understand."""
        self.markets = {symbol: market_of(symbol, settings) for symbol in symbols}
        self.marks = dict(settings.prices)
        self.account = PaperAccount(dict(settings.balance))
        self.candles = Candles()
        self.changes = 0  # grows whenever an order does
        self.imposed: list[Order] = []  # liquidations: orders that nobody placed
        self._settings = settings
        self._orders = Orders()
        self._means = Means(settings, self.account, self._orders, self.marks)
        self._depth = Depth(settings)
        self._margin = Margin(settings, self.account, self.marks)
        self._entries: dict[str, Order] = {}  # the last that traded, by symbol
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
        self.pass_time(at)
        self._check(order, legs)
        mark = self.marks[order.symbol]
        arriving = [self._working(one, at) for one in (order, *legs)]
        self._check_means(arriving[0], mark)
        for working in arriving:
            self._add(working)
        self._match(arriving, mark, at)
        self._liquidate(at)
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
        self.pass_time(at)
        previous = self.marks.get(symbol, price)
        self.marks[symbol] = price
        self.candles.add(symbol, at, price)
        self._depth.refill(symbol)
        self._match([one for one in self._orders.open.values() if one.order.symbol == symbol], previous, at)
        self._liquidate(at)

    @exact
    def glide(self, symbol: str, price: Decimal, at: float) -> None:
        """Move the mark without a gap: what waits on the way meets its own price."""
        while symbol in self.markets and (stop := self._on_the_way(symbol, price)) is not None:
            self.hint(symbol, stop, at)
        self.hint(symbol, price, at)

    def _on_the_way(self, symbol: str, to: Decimal) -> Decimal | None:
        """Where the mark is to be looked at next: at a stop, and for a swap's margin every half percent."""
        mark = self.marks.get(symbol)
        if mark is None:
            return None
        waiting = [
            one for one in self._orders.open.values() if one.order.symbol == symbol and one.waits_for_stop
        ]
        points = [one.trigger for one in waiting if one.trigger is not None]
        holding = self.account.holdings.get(symbol)
        if holding and holding.amount:
            points.append(mark + mark * _STRIDE if to > mark else mark - mark * _STRIDE)
        between = [one for one in points if min(mark, to) < one < max(mark, to)]
        return min(between, key=lambda one: abs(one - mark), default=None)

    @exact
    def pass_time(self, at: float) -> None:
        """Pay what has become due by now."""
        self._margin.pay_funding(at)

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

    @exact
    def equity(self, quote: str) -> Decimal:
        """In `quote`: cash, what is held at its mark, and the profit that is not realised."""
        worth = self.account.unrealized(self.marks).get(quote, ZERO)
        for currency, amount in self.account.cash.items():
            worth += amount if currency == quote else amount * self.marks.get(f"{currency}/{quote}", ZERO)
        return worth

    def low_hurts(self, symbol: str) -> bool | None:
        """Whether a fall is to come before a rise, for the worse: for what is held, or would be opened.

        Flat with a buy that waits, the rise comes first: then it is filled at the low with no time to
        recover. None: it makes no difference.
        """
        market = self.markets[symbol]
        holding = self.account.holdings.get(symbol)
        swap = holding.amount if holding else ZERO
        if held := swap if market.settle else self.account.cash.get(market.base, ZERO):
            return held > 0
        waiting = (one.order for one in self._orders.open.values() if one.order.symbol == symbol)
        sides = {order.side for order in waiting if not order.leg.protective}
        return Side.BUY not in sides if len(sides) == 1 else None

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
            if (one.leverage or 1) > self._settings.max_leverage > 0:
                most = self._settings.max_leverage
                raise Rejected("max_leverage", f"leverage {one.leverage} is above {most} (max_leverage)")
        if any(leg.parent != order.id or leg.symbol != order.symbol for leg in legs):
            raise Rejected("bad_order", f"a leg sent with {order.id} does not belong to it")

    def _check_means(self, arriving: Working, mark: Decimal) -> None:
        order, market = arriving.order, arriving.market
        bound = None if order.type is OrderType.STOP and arriving.due(mark) else arriving.bound
        price = bound or self._depth.price(arriving, order.amount, mark)
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
            due = [one for one in active if one.due(self.marks[one.order.symbol]) and self._can_act(one)]
            if not due:
                break
            self._execute(min(due, key=lambda one: _nearness(one, previous)), at)
        for one in active:
            if one.order.time_in_force in ("ioc", "fok") and not one.waits_for_stop:
                self._end(one, State.EXPIRED, at, "it could not fill at once")
            one.resting = not one.waits_for_stop

    def _can_act(self, working: Working) -> bool:
        """Whether the book has something for an order that is due; for fill-or-kill, all of it."""
        wanted = self._orders.fillable(working)
        there = self._depth.available(working, wanted, self.marks[working.order.symbol])
        whole = working.order.time_in_force == "fok" and not working.resting
        return working.waits_for_stop or there >= wanted or (there > 0 and not whole)

    def _execute(self, working: Working, at: float) -> None:
        """Trigger a stop limit, or fill, or fail for lack of means."""
        mark = self.marks[working.order.symbol]
        if working.waits_for_stop:
            working.triggered = True
            if working.limit is not None:
                if working.order.post_only and working.due(mark):
                    self._end(working, State.REJECTED, at, "post_only: it would cross the mark")
                return
        wanted = self._means.executable(working)
        amount = self._depth.available(working, wanted, mark)
        price = self._depth.price(working, amount, mark)
        if wanted <= 0:
            self._end(working, State.CANCELED, at, "reduce_only: no position is left to reduce")
        elif lack := self._means.lack(working, amount, price):
            self._end(working, State.REJECTED, at, f"insufficient_funds: {lack}")
        else:
            self._depth.take(working, amount, mark)
            self._fill(working, amount, price, at)
            entry = self._orders.entry_of(working.order)
            if amount < wanted or (entry and entry.live and working.filled < working.order.amount):
                working.state = State.PARTIAL
                self.changes += 1
            else:
                short = working.filled < working.order.amount
                reason = "there was no more left for it to close" if short else None
                self._end(working, State.FILLED, working.time, reason)

    def _fill(self, working: Working, amount: Decimal, price: Decimal, at: float) -> None:
        maker = working.limit is not None and working.resting
        trade = Trade(
            # The count is the order's own, so that a restart neither reuses nor changes an id.
            id=f"{working.order.client_order_id}-{len(working.trades) + 1}",
            time=max(at, self._last_fill + _INSTANT),
            price=price,
            amount=amount,
            fee=price * amount * fee_rate(self._settings, maker=maker),
            fee_currency=working.market.quote,
        )
        for entry in self._book(working, trade):
            self._end_purposeless(entry, at)

    def _book(self, working: Working, trade: Trade) -> list[Working]:
        """The entries that the fill leaves nothing of."""
        order = working.order
        self.account.apply(working.market, order.side, trade, order.leverage)
        working.trades.append(trade)
        if not order.leg.protective:
            self._entries[order.symbol] = order
        working.time = self._last_fill = max(self._last_fill, trade.time)
        return self._orders.count(working, trade.amount)

    def _end(self, working: Working, state: State, at: float, reason: str | None = None) -> None:
        working.state, working.reason, working.time = state, reason, at
        self._orders.rest(working)
        self._orders.forget()
        self.changes += 1
        self._end_purposeless(working, at)

    def _end_purposeless(self, working: Working, at: float) -> None:
        for leg in list(self._orders.purposeless(working)):
            if leg.live:  # ending one of them ends the others
                self._end(leg, State.CANCELED, at, "nothing is left for it to protect")

    def _liquidate(self, at: float) -> None:
        """End what is open on a bankrupt position's symbol, and close the position at the market."""
        for symbol, why in list(self._margin.bankrupt()):
            for working in [one for one in self._orders.open.values() if one.order.symbol == symbol]:
                if working.live:  # ending one may end others
                    self._end(working, State.CANCELED, at, why)
            held = self.account.holdings[symbol].amount
            order = order_of_liquidation(self._entries[symbol], held, self.marks[symbol], at)
            working = self._working(order, at)
            self._add(working)
            price = self._depth.price(working, order.amount, self.marks[symbol])
            self._fill(working, order.amount, price, at)
            self._end(working, State.FILLED, working.time, why)
            self.imposed.append(order)

    def _working(self, order: Order, at: float) -> Working:
        return Working(order=order, market=self._market(order.symbol), number=next(self._numbers), time=at)

    def _market(self, symbol: str) -> Market:
        market = self.markets.get(symbol)
        if market is None:  # traded once, no longer configured
            market = self.markets[symbol] = market_of(symbol, self._settings)
        return market

    def _add(self, working: Working) -> None:
        self._orders.add(working)
        self.changes += 1

    # Rebuilding

    @exact
    def restore(
        self,
        history: Sequence[tuple[Order, Fill]],
        live: Sequence[Order],
        at: float,
        carried: Sequence[Carried] = (),
    ) -> None:
        """Rebuild a new book from what is carried, all other fills and the orders that are not at rest.

        What the journal does not know never happened: an order in flight without a fill is not here,
        unless what arrived with it is (an entry and its attached legs arrive together). Nothing fills
        for the restored marks, they are old. A trailing stop trails afresh from them, and a stop limit
        waits for its stop again: the journal knows neither. Funding is reckoned anew, at the prices of the
        fills between which it was due.
        """
        for one in carried:
            self.account.carry(self._market(one.symbol), one.position)
            self.marks[one.symbol] = one.price
        for order, fill in sorted(history, key=lambda pair: pair[1].time):
            self.pass_time(fill.time)
            self._replay(order, fill)
        self.pass_time(at)
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
        working.state = State.PARTIAL
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
            self._end(working, State.FILLED, working.time)
        elif working in list(self._orders.purposeless(working)):
            self._end(working, State.CANCELED, at, "nothing is left for it to protect")
        working.resting = self._orders.fillable(working) > 0 and not working.waits_for_stop


def _travels_with_entry(order: Order) -> bool:
    return order.attached or not order.leg.protective


def _nearness(working: Working, previous: Decimal) -> tuple[Decimal, bool, int]:
    """Sorts what a move of the mark meets: along the way, stops before limits, then by arrival."""
    way = abs((working.trigger or previous) - previous)
    return way, not working.waits_for_stop, working.number
