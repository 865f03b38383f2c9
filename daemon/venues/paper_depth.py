"""The paper exchange's book of the others: how much it takes, and at which price. Pure.

Price moves in proportion to what is taken: every `slippage_bps` of price holds `depth` of notional, beginning
half a spread, also `slippage_bps`, away from the mark. (Impact linear in size: A. S. Kyle, "Continuous
Auctions and Insider Trading", Econometrica 53, 1985.) Each new mark finds it full again. A `depth` of 0
is endless: any amount trades at the first step, or at a limit between that and the mark.
"""

from decimal import Decimal

from fks.domain.money import ZERO, floor_to
from fks.domain.settings import AccountSettings
from fks.venues.paper_order import Working, slipped


class Depth:
    """Remembers what was taken of each side since the mark last moved, in notional."""

    def __init__(self, settings: AccountSettings) -> None:
        self._depth = settings.depth
        self._bps = settings.slippage_bps
        self._taken: dict[tuple[str, bool], Decimal] = {}

    def refill(self, symbol: str) -> None:
        for buying in (True, False):
            self._taken.pop((symbol, buying), None)

    def take(self, working: Working, amount: Decimal, mark: Decimal) -> None:
        if self._depth:
            key = (working.order.symbol, working.buying)
            self._taken[key] = self._taken.get(key, ZERO) + amount * mark

    def available(self, working: Working, amount: Decimal, mark: Decimal) -> Decimal:
        """How much of `amount` there is for an order that is due; without a limit it takes any price."""
        if not self._depth or working.limit is None:
            return amount
        return floor_to(min(amount, self._room(working, working.limit, mark)), working.market.amount_step)

    def _room(self, working: Working, limit: Decimal, mark: Decimal) -> Decimal:
        """In base units: up to the limit of an order that arrives; what has come to one that rests."""
        steps = Decimal(1)
        if self._bps:
            way = (limit - mark if working.buying else mark - limit) / mark * 10_000 / self._bps
            steps = way + 1 if working.resting else way - 1
        taken = self._taken.get((working.order.symbol, working.buying), ZERO)
        return max(ZERO, steps * self._depth - taken) / mark

    def price(self, working: Working, amount: Decimal, mark: Decimal) -> Decimal:
        """The mean price of `amount`: a resting limit's own; of what arrives, slipped, up to its limit."""
        limit = working.limit
        if limit is not None and working.resting:
            return limit
        price = self.reckoned(working, amount, mark)
        worst = min if working.buying else max
        return price if limit is None else worst(price, limit)

    def reckoned(self, working: Working, amount: Decimal, mark: Decimal) -> Decimal:
        """What a market order of `amount` would pay."""
        bps = self._bps
        if self._depth:
            taken = self._taken.get((working.order.symbol, working.buying), ZERO)
            bps *= 1 + (taken + amount * mark / 2) / self._depth
        return slipped(mark, bps, working.market.price_tick, buying=working.buying)
