"""The daily summary: which day it is about, and what it says. Pure; times are UTC seconds."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta, tzinfo
from decimal import Decimal
from itertools import islice

from msgspec import Struct, field

from fks.domain.messages import Order, Position
from fks.domain.money import plain, rough
from fks.domain.outbox import Message, tally

LISTED = 10  # positions, and orders, that are named


class AccountDay(Struct, frozen=True):
    """Of one account, in its quote currency: `realized` is before `fees`."""

    fills: int
    realized: Decimal
    fees: Decimal


class Day(Struct, frozen=True):
    """What came in, and what has become of it by now."""

    alerts: Mapping[str, int] = field(default_factory=dict)  # by state
    orders: Mapping[str, int] = field(default_factory=dict)  # by state
    accounts: Mapping[str, AccountDay] = field(default_factory=dict)
    alarms: Mapping[str, int] = field(default_factory=dict)  # by code


class Span(Struct, frozen=True):
    """The day that ended last, and the end of the one after it."""

    since: float
    until: float
    then: float


def at_time(text: str) -> time:
    """`HH:MM`. Raises ValueError."""
    if len(text) != 5 or text[2] != ":":
        raise ValueError(f"{text!r} is not HH:MM")
    return time(int(text[:2]), int(text[3:]))


def span(now: float, at: time, zone: tzinfo) -> Span:
    """Days from `at` to `at` by the zone's clock: those with a change of its offset are shorter or longer."""
    today = datetime.fromtimestamp(now, zone).replace(
        hour=at.hour, minute=at.minute, second=0, microsecond=0, fold=0
    )
    day = timedelta(days=1)
    until = today if today.timestamp() <= now else today - day
    return Span(*(moment.timestamp() for moment in (until - day, until, until + day)))


def summary(until: str, day: Day, positions: Sequence[Position], unknown: Sequence[Order]) -> Message:
    """`until` is the day's end in words; positions and unknown orders are those of now."""
    fills = sum(one.fills for one in day.accounts.values())
    lines = [
        f"Alerts: {_total(day.alerts)}",
        f"Orders: {_total(day.orders)}; {fills} fill{'' if fills == 1 else 's'}",
        *(_account(name, one) for name, one in sorted(day.accounts.items())),
        *_named("Open positions", [_position(one) for one in positions if one.amount]),
        *_named("Unknown orders", [_order(one) for one in unknown]),
        f"Alarms: {tally(day.alarms.items()) or 'none'}",
    ]
    return Message(f"fks: the day to {until}", "\n".join(lines))


def _total(counts: Mapping[str, int]) -> str:
    return f"{sum(counts.values())} ({tally(counts.items())})" if counts else "none"


def _account(name: str, one: AccountDay) -> str:
    return (
        f"{name}: profit {rough(one.realized - one.fees)} after fees of {rough(one.fees)}, {one.fills} fills"
    )


def _position(one: Position) -> str:
    return f"{one.account} {plain(one.amount)} {one.symbol} from {rough(one.average)}"


def _order(one: Order) -> str:
    return f"{one.account} {one.side} {plain(one.amount)} {one.symbol}, order {one.id}"


def _named(what: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return [f"{what}: none"]
    more = [f"- and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    return [f"{what}:", *(f"- {one}" for one in islice(lines, LISTED)), *more]
