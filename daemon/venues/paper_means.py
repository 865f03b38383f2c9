"""What an order of the paper exchange takes to fill, what open ones hold back, and what is free."""

from collections.abc import Mapping
from decimal import Decimal

from fks.domain.dispatch import is_exit
from fks.domain.messages import Balance
from fks.domain.money import ZERO, plain
from fks.domain.orders import Leg
from fks.domain.settings import AccountSettings
from fks.venues.paper_account import PaperAccount, fee_rate, initial_margin
from fks.venues.paper_groups import Orders, group_of
from fks.venues.paper_order import Working, slipped


class Means:
    """Answers for one account and its orders; changes neither."""

    def __init__(
        self, settings: AccountSettings, account: PaperAccount, orders: Orders, marks: Mapping[str, Decimal]
    ) -> None:
        self._marks = marks
        self._settings = settings
        self._account = account
        self._orders = orders
        self._fee = max(fee_rate(settings, maker=True), fee_rate(settings, maker=False))

    def balance(self) -> Balance:
        total = dict(self._account.cash)
        held = self._held(None)
        return Balance(
            free={one: max(ZERO, cash - held.get(one, ZERO)) for one, cash in total.items()},
            total=total,
            gains=self._account.unrealized(self._marks),
        )

    def only_reduces(self, working: Working) -> bool:
        """Spot has no positions: there the balance is the limit and `reduce_only` means nothing."""
        return working.market.settle is not None and is_exit(working.order)

    def executable(self, working: Working) -> Decimal:
        """What may fill now, and of a reducing order no more than there is to reduce."""
        amount = self._orders.fillable(working)
        if self.only_reduces(working):
            amount = min(amount, self._account.opposing(working.market, working.order.side))
        return amount

    def lack(self, working: Working, amount: Decimal, price: Decimal) -> str | None:
        """Why `amount` cannot be paid for at `price`; None when it can."""
        currency, need = self._need(working, amount, price)
        held = self._held(working).get(currency, ZERO)
        free = max(ZERO, self._account.cash.get(currency, ZERO) - held)
        if need <= free:
            return None
        order = working.order
        wish = f"{order.side} {plain(amount)} {order.symbol} at {plain(price)}"
        return f"to {wish} takes {plain(need)} {currency}, and {plain(free)} is free"

    def _need(self, working: Working, amount: Decimal, price: Decimal) -> tuple[str, Decimal]:
        """The currency, and how much of it the order takes to fill at `price`, its fee included."""
        market = working.market
        if market.settle is None:
            if not working.buying:
                return market.base, amount
            return market.quote, price * amount * (1 + self._fee)
        opening = amount - self._account.opposing(market, working.order.side)
        if opening <= 0 or self.only_reduces(working):
            return market.settle, ZERO  # an exit is never refused for want of its fee
        fee = price * amount * self._fee
        return market.settle, initial_margin(price * opening, working.order.leverage) + fee

    def _reserve(self, working: Working) -> tuple[str, Decimal]:
        """What an open order holds back. A trailing buy holds nothing: its price is not known yet."""
        bound = working.bound or ZERO
        if working.limit is None and bound:
            tick = working.market.price_tick
            bound = slipped(bound, self._settings.slippage_bps, tick, buying=working.buying)
        return self._need(working, self._orders.fillable(working), bound)

    def _gives_way(self, working: Working, to: Working) -> bool:
        """On spot a leg does not keep its owner from selling what it guards (it guards less then), and no
        other sale of his keeps a leg from it: whichever comes first sells the coins, once.
        """
        one, other = working.order, to.order
        if to.market.settle is not None or one.symbol != other.symbol or working.buying or to.buying:
            return False
        return (self._orders.entry_of(one) is None) is not (self._orders.entry_of(other) is None)

    def _held(self, but: Working | None) -> dict[str, Decimal]:
        """Per currency, what positions and open orders hold back, the group of `but` left out.

        The legs of one group hold once: the stop, or the take profits together, whichever is more. What open
        positions have lost is gone, although it is not paid yet.
        """
        groups: dict[tuple[str, str], dict[bool, Decimal]] = {}
        skipped = group_of(but.order) if but else None
        for working in self._orders.open.values():
            group = group_of(working.order)
            if group == skipped or (but and self._gives_way(working, but)):
                continue
            currency, need = self._reserve(working)
            sides = groups.setdefault((group, currency), {})
            is_stop = working.order.leg is Leg.STOP_LOSS
            sides[is_stop] = sides.get(is_stop, ZERO) + need
        held = self._account.margins()
        for (_, currency), sides in groups.items():
            held[currency] = held.get(currency, ZERO) + max(sides.values())
        for currency, gain in self._account.unrealized(self._marks).items():
            held[currency] = held.get(currency, ZERO) + max(ZERO, -gain)
        return held
