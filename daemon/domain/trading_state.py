"""When an account goes to reduce-only by itself, and when it comes back by itself. Pure.

A rule's breach is recorded once, with its numbers. What a human has resumed after is not held against the
account again: each rule counts from there.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal

from msgspec import Struct

from fks.domain.messages import Order, TradingRecord, TradingState
from fks.domain.money import ZERO, percent, plain, rough
from fks.domain.orders import State
from fks.domain.settings import RiskSettings
from fks.domain.trades import RoundTrip

DAY_S = 86400.0
DAILY_LOSS = "risk.max_daily_loss"
DRIFT = "risk.on_position_drift"


class Breach(Struct, frozen=True):
    """A limit that is reached: the setting's name, the numbers, and when it came to that (UTC)."""

    rule: str
    detail: str
    since: float


class Streak:
    """The last closed round trips of an account, as many as `max_consecutive_losses`."""

    def __init__(self, most: int) -> None:
        self._last: deque[tuple[float, Decimal]] = deque(maxlen=most)

    def add(self, trips: Iterable[RoundTrip]) -> None:
        self._last.extend((trip.closed_at or 0.0, trip.profit) for trip in trips)

    def breach(self, resumed_at: float) -> Breach | None:
        """All of them, since then, were losses."""
        counted = [profit for at, profit in self._last if at > resumed_at and profit < ZERO]
        if not counted or len(counted) < (self._last.maxlen or 0):
            return None
        lost = rough(-sum(counted, start=ZERO))
        detail = f"the last {len(counted)} round trips lost {lost}, the limit is {len(counted)} in a row"
        return Breach("risk.max_consecutive_losses", detail, self._last[-1][0])


class Peak(Struct, frozen=True):
    """The highest equity seen since `at`, in the account's quote currency."""

    equity: Decimal
    at: float


def daily_loss(realized_today: Decimal, last_fill: float, limits: RiskSettings, now: float) -> Breach | None:
    """`realized_today` is since 00:00 UTC, after fees; `last_fill` when it last changed."""
    if not limits.max_daily_loss or -realized_today < limits.max_daily_loss:
        return None
    lost, most = plain(-realized_today), plain(limits.max_daily_loss)
    detail = f"today's loss is {lost}, the limit {most}: only reducing until 00:00 UTC"
    return Breach(DAILY_LOSS, detail, max(last_fill, now - now % DAY_S))


def unknown_too_long(live: Iterable[Order], limits: RiskSettings, now: float) -> Breach | None:
    """Counted from when the exchange would have refused the request itself."""
    if not limits.max_unknown_s:
        return None
    for order in live:
        overdue = (order.send_by or order.updated_at) + limits.max_unknown_s
        if order.state is State.UNKNOWN and now > overdue:
            told = f"{order.leg} {order.id} on {order.symbol} has been unknown for"
            detail = f"{told} {now - overdue + limits.max_unknown_s:.0f} s, the limit is"
            return Breach("risk.max_unknown_s", f"{detail} {limits.max_unknown_s:g} s", overdue)
    return None


def drawdown(equity: Decimal, peak: Peak, limits: RiskSettings, now: float) -> Breach | None:
    """`max_drawdown` is a share of the highest equity seen. Deposits and withdrawals move it as well."""
    if not limits.max_drawdown or peak.equity <= ZERO:
        return None
    fallen = (peak.equity - equity) / peak.equity
    if fallen < limits.max_drawdown:
        return None
    numbers = f"equity {rough(equity)} is {percent(fallen)} below its highest of {rough(peak.equity)}"
    return Breach("risk.max_drawdown", f"{numbers}, the limit is {percent(limits.max_drawdown)}", now)


def next_state(
    own: TradingRecord, breaches: Sequence[Breach], now: float
) -> tuple[TradingState, Breach | None] | None:
    """What the account's own state becomes, and by which breach; None: it stays.

    Only what is active is restricted, and only a daily loss's end of the day is an end: all else waits for
    `fks resume ACCOUNT`. What a human set is never touched.
    """
    fresh = next((one for one in breaches if one.since > own.resumed_at), None)
    over = own.by == DAILY_LOSS and own.state is TradingState.REDUCE and own.at < now - now % DAY_S
    if own.state is TradingState.ACTIVE or over:
        if fresh is not None:
            return TradingState.REDUCE, fresh
        return (TradingState.ACTIVE, None) if over else None
    return None
