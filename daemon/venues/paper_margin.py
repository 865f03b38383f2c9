"""What a swap position owes while it is held: funding at fixed hours, and its life when equity is gone. Pure.

Margin is cross: all swaps settled in a currency live on its cash and their unrealised profit together.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from fks.domain import ids
from fks.domain.messages import Order
from fks.domain.money import ZERO, rough
from fks.domain.orders import Leg, OrderType, Side
from fks.domain.settings import AccountSettings
from fks.venues.paper_account import PaperAccount


class Margin:
    """Watches one account. Positions without a mark are not judged."""

    def __init__(
        self, settings: AccountSettings, account: PaperAccount, marks: Mapping[str, Decimal]
    ) -> None:
        self._settings = settings
        self._account = account
        self._marks = marks
        self._paid_until: float | None = None

    def pay_funding(self, now: float) -> None:
        """For every funding hour that has passed: `amount * mark * funding_rate`, from longs to shorts.

        At the marks as they are, so it is to be called before they move.
        """
        period = self._settings.funding_h * 3600
        number = now // period
        due = 0 if self._paid_until is None else max(0, int(number - self._paid_until))
        self._paid_until = max(number, self._paid_until or number)
        if not due or not self._settings.funding_rate:
            return
        for symbol, holding in self._account.holdings.items():
            if symbol in self._marks:
                payment = holding.amount * self._marks[symbol] * self._settings.funding_rate * due
                self._account.pay(holding.currency, payment)

    def bankrupt(self) -> Iterator[tuple[str, str]]:
        """The swap positions of every currency whose equity is below its maintenance, and why."""
        for currency, gain in self._account.unrealized(self._marks).items():
            values = {
                symbol: abs(one.amount * self._marks[symbol])
                for symbol, one in self._account.holdings.items()
                if one.currency == currency and one.amount and symbol in self._marks
            }
            equity = self._account.cash.get(currency, ZERO) + gain
            need = sum(values.values(), ZERO) * self._settings.maintenance
            if equity < need:
                why = f"equity {rough(equity)} {currency} was below the maintenance margin of {rough(need)}"
                yield from ((symbol, f"liquidated: {why}") for symbol in values)


def order_of_liquidation(entry: Order, held: Decimal, mark: Decimal, at: float) -> Order:
    """The exchange's own order. It belongs to the alert that traded the symbol last."""
    name = ids.client_order_id(entry.alert_id, entry.account, f"liquidation {entry.symbol} {at!r}", 1)
    return Order(
        id=name,
        client_order_id=name,
        alert_id=entry.alert_id,
        account=entry.account,
        leg=Leg.CLOSE,
        symbol=entry.symbol,
        side=Side.SELL if held > 0 else Side.BUY,
        type=OrderType.MARKET,
        amount=abs(held),
        reduce_only=True,
        reference_price=mark,
        good_until=at,
        created_at=at,
        updated_at=at,
    )
