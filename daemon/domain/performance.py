"""What trading came to: profit, fees, drawdown, win rate. Pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from msgspec import Struct

from fks.domain.book import total
from fks.domain.money import ZERO
from fks.domain.trades import RoundTrip


class Curve:
    """Equity as it goes: its first and last value, its peak, and the deepest fall below an earlier peak."""

    def __init__(self, start: Decimal) -> None:
        self.start = self.last = self._peak = start
        self.drawdown = ZERO  # quote units
        self.drawdown_share = ZERO  # of the peak before it

    def add(self, equity: Decimal) -> None:
        self.last = equity
        if equity >= self._peak:
            self._peak = equity
            return
        fall = self._peak - equity
        self.drawdown = max(self.drawdown, fall)
        if self._peak > ZERO:
            self.drawdown_share = max(self.drawdown_share, fall / self._peak)


class Performance(Struct, frozen=True, kw_only=True):
    """Money in quote units. `profit` of the closed round trips is after fees; win rate is None without a
    closed round trip, profit factor without a loss.

    Profit factor: the winners' profit over the losers' loss. Drawdown: the deepest fall of equity below an
    earlier peak, open positions at their last price.
    """

    trades: int
    still_open: int
    winners: int
    win_rate: Decimal | None
    profit: Decimal
    fees: Decimal
    profit_factor: Decimal | None
    average_holding_s: float | None
    equity_start: Decimal
    equity_end: Decimal
    drawdown: Decimal
    drawdown_share: Decimal


def performance(closed: Sequence[RoundTrip], still_open: Sequence[RoundTrip], curve: Curve) -> Performance:
    """Of round trips in one quote currency. Fees are also those of the open ones; a trip that made nothing
    is neither won nor lost, and counts in the win rate.
    """
    profits = [trip.profit for trip in closed]
    won, lost = total(_above(profits)), -total(one for one in profits if one < ZERO)
    holding = [trip.holding_s for trip in closed if trip.holding_s is not None]
    winners = len(list(_above(profits)))
    return Performance(
        trades=len(closed),
        still_open=len(still_open),
        winners=winners,
        win_rate=Decimal(winners) / len(closed) if closed else None,
        profit=total(profits),
        fees=total(trip.fees for trip in (*closed, *still_open)),
        profit_factor=won / lost if lost else None,
        average_holding_s=sum(holding) / len(holding) if holding else None,
        equity_start=curve.start,
        equity_end=curve.last,
        drawdown=curve.drawdown,
        drawdown_share=curve.drawdown_share,
    )


def _above(profits: Iterable[Decimal]) -> Iterable[Decimal]:
    return (one for one in profits if one > ZERO)
