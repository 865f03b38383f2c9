"""What a strategy's own words make of an alert: entry, add, reduce, close or reversal; and whether the
position that it thinks it had is the one in the book. Pure.

TradingView's `strategy.market_position`, `.prev_market_position` and `.position_size` tell the state after
and before an order of the strategy. A missed or refused alert shows as a difference at the next one.
"""

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from fks.domain.alerts import Action, Alert
from fks.domain.errors import Refusal
from fks.domain.messages import Exposure
from fks.domain.money import ZERO, plain
from fks.domain.orders import LIVE, Leg, OrderType, Side
from fks.domain.settings import OnDrift

# The strategy counts without fees and rounding to the market's steps: so much of its size may be missing.
TOLERANCE = Decimal("0.01")


class Change(StrEnum):
    """What an order does to its strategy's position."""

    ENTRY = "entry"
    ADD = "add"
    REDUCE = "reduce"
    CLOSE = "close"
    REVERSAL = "reversal"


_SIGNS = {"long": 1, "flat": 0, "short": -1}
_WORDS = {sign: word for word, sign in _SIGNS.items()}

# By the position before and after, seen from a buy (a sell is its mirror image); None: not told. What ends
# flat is a close, whatever was before. Pairs that are not here no buy can make.
_CHANGES: dict[tuple[int | None, int], Change] = {
    (None, 0): Change.CLOSE,
    (-1, 0): Change.CLOSE,
    (0, 0): Change.CLOSE,
    (1, 0): Change.CLOSE,
    (None, 1): Change.ENTRY,
    (0, 1): Change.ENTRY,
    (1, 1): Change.ADD,
    (-1, 1): Change.REVERSAL,
    (None, -1): Change.REDUCE,
    (-1, -1): Change.REDUCE,
}


class Assumed(Struct, frozen=True):
    """The position that the strategy had before its order: 1 long, 0 flat, -1 short; signed `size` where
    the alert tells it in base units.
    """

    side: int
    size: Decimal | None

    def fits(self, held: Decimal) -> bool:
        """Whether `held`, signed, is that position."""
        if self.size is None:
            return _sign(held) == self.side
        return abs(held - self.size) <= abs(self.size) * TOLERANCE


class Step(Struct, frozen=True):
    """What is to be done. `amount` in base units, of a reversal that of the new position; None: as the alert
    or the configuration sizes it. `most`: of a reduction, so that it never opens the other side.
    """

    change: Change
    side: Side
    amount: Decimal | None = None
    most: Decimal | None = None


def change(alert: Alert) -> Change | None:
    """What the alert's order does; None without a strategy's state. Raises Refusal for a contradiction."""
    now, before = _state(alert, "market_position"), _state(alert, "prev_market_position")
    if now is None or alert.action not in (Action.BUY, Action.SELL):
        return None
    way = _way(alert)
    found = _CHANGES.get((None if before is None else before * way, now * way))
    if found is None:
        detail = f"a {alert.action} cannot turn {_WORDS[before or 0]} into {_WORDS[now]}"
        raise Refusal("strategy.contradiction", detail, "market_position")
    return found


def closes(alert: Alert) -> bool:
    """Whether the alert ends a position or orders and opens nothing."""
    return alert.action in (Action.CLOSE, Action.CANCEL) or change(alert) is Change.CLOSE


def ends_all(alert: Alert) -> bool:
    """Whether an alert that closes means the whole position, not a part. Who says that he is flat after it
    does, also with an amount: that is what his order had, not what is held here.
    """
    return alert.ends_flat or (alert.amount is None and (alert.share or 1) == 1)


def assumed(alert: Alert) -> Assumed | None:
    """What the strategy had before this alert; None when it does not tell.

    Sizes are comparable only where the alert gives its order's own `amount`: else we size it.
    """
    if alert.action is Action.CANCEL:
        return None
    before, now = _state(alert, "prev_market_position"), _state(alert, "market_position")
    sizes = alert.action is not Action.CLOSE and alert.position_size is not None
    if now is not None and sizes and alert.amount is not None and alert.position_size is not None:
        size = now * abs(alert.position_size) - _way(alert) * alert.amount
        if before in (None, _sign(size)):
            return Assumed(_sign(size), size)
    if before is None:
        return None
    return Assumed(before, None)


def position(known: Exposure, symbol: str, towards: Side | None = None) -> Decimal:
    """The signed position in the book; orders planned, under way or unknown count as filled. `towards`: but
    for those that rest on the other side, which may never fill, or will be canceled.
    """
    booked = known.positions.get(symbol)
    amount = booked.amount if booked else ZERO
    for order in known.live:
        if order.symbol != symbol or order.leg.protective:
            continue
        rests = order.state in LIVE and order.type is not OrderType.MARKET
        if rests and towards not in (None, order.side):
            continue
        if order.leg is Leg.CLOSE:
            amount = ZERO
            continue
        after = amount + (order.remaining if order.side is Side.BUY else -order.remaining)
        turned = order.reduce_only and after * amount <= 0
        amount = ZERO if turned else after
    return amount


def drift(alert: Alert, held: Decimal) -> str | None:
    """How the book differs from what the strategy had before this alert; None when it does not."""
    thought = assumed(alert)
    if thought is None or thought.fits(held):
        return None
    had = _WORDS[thought.side] if thought.size is None else _described(thought.size)
    name = f"the strategy {alert.strategy!r}" if alert.strategy else "the strategy"
    return f"{name} had {had} before this alert, the book has {_described(held)}: was an alert missed?"


def step(alert: Alert, held: Decimal, policy: OnDrift) -> Step | None:
    """What is to be done for an alert whose strategy holds `held` in the book; None: just what it says.

    Raises Refusal where that is nothing, and, where the policy is to refuse, when the two differ.
    """
    meant = change(alert)
    differs = drift(alert, held)
    if differs and policy == "refuse" and not closes(alert):  # a way out is never refused
        raise Refusal("strategy.drift", f"{differs} (on_drift is refuse)", "prev_market_position")
    if meant is None:
        return None
    if differs and policy == "follow":
        return _follow(alert, held, meant)
    side = Side(alert.action.value)
    match meant:
        case Change.REDUCE:
            return _reduce(side, held)
        case Change.REVERSAL:
            return Step(meant, side, _new_size(alert, held))
    return Step(meant, side)


def _reduce(side: Side, held: Decimal, amount: Decimal | None = None) -> Step:
    against = held > 0 if side is Side.SELL else held < 0
    if not against:
        detail = f"there is nothing that a {side} would reduce: the book has {_described(held)}"
        raise Refusal("strategy.nothing", detail, "market_position")
    return Step(Change.REDUCE, side, amount, abs(held))


def _new_size(alert: Alert, held: Decimal) -> Decimal | None:
    """Of a reversal's new position. The order's own amount covers both halves."""
    if alert.amount is None:
        return None
    if alert.position_size:
        return abs(alert.position_size)
    against = held < 0 if alert.action is Action.BUY else held > 0
    return max(ZERO, alert.amount - abs(held)) if against else alert.amount


def _follow(alert: Alert, held: Decimal, meant: Change) -> Step:
    """From what is held to what the strategy has now."""
    now = _state(alert, "market_position") or 0
    opening = Side.BUY if now > 0 else Side.SELL
    size = abs(alert.position_size) if alert.amount is not None and alert.position_size else None
    if now == 0:
        return Step(Change.CLOSE, Side(alert.action.value))
    if _sign(held) == -now:
        return Step(Change.REVERSAL, opening, size)
    if size is not None and size != abs(held):  # (the same size: there is nothing to do, below)
        more = size - abs(held)
        if more < 0:
            return _reduce(opening.opposite, held, -more)
        return Step(Change.ADD if held else Change.ENTRY, opening, more)
    if held == 0 and meant is not Change.REDUCE:
        return Step(Change.ENTRY, opening)
    if held and meant is Change.REDUCE and size is None:
        return _reduce(opening.opposite, held)
    detail = f"the strategy is {_WORDS[now]}, the book has {_described(held)}: there is nothing to follow"
    raise Refusal("strategy.nothing", detail, "market_position")


def _state(alert: Alert, name: str) -> int | None:
    """The sign of a position's word; None when the alert has none."""
    word = getattr(alert, name)
    if word is None or not word.strip():
        return None
    sign = _SIGNS.get(word.strip().lower())
    if sign is None:
        raise Refusal("alert.schema", f"{name} is long, flat or short, not {word[:40]!r}", name)
    return sign


def _way(alert: Alert) -> int:
    return 1 if alert.action is Action.BUY else -1


def _sign(number: Decimal) -> int:
    return (number > 0) - (number < 0)


def _described(held: Decimal) -> str:
    return f"{_WORDS[_sign(held)]} {plain(abs(held))}" if held else "flat"
