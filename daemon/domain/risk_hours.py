"""Trading hours: windows of the week in UTC, such as `mon-fri 08:00-17:00`. Pure.

A window is days and times, or either alone: `sat,sun`, `22:00-06:00`. A time range that ends before it
begins runs into the next day, and belongs to the day on which it began. The end is not within.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from msgspec import Struct

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DAY_S = 86_400
_WEEK_S = 7 * _DAY_S
_EPOCH_S = 3 * _DAY_S  # the epoch began on a Thursday, three days after a Monday
_FORM = "(write days and UTC times, such as mon-fri 08:00-17:00)"
_WINDOW = re.compile(
    r"(?P<days>[a-z]{3}(?:[-,][a-z]{3})*)?(?(days)(?: +|$))(?:(?P<times>\d\d:\d\d-\d\d:\d\d))?", re.ASCII
)


class Window(Struct, frozen=True):
    """Seconds since Monday 00:00 UTC; `end` may lie in the week after."""

    start: int
    end: int


@lru_cache(maxsize=256)
def parse(text: str) -> tuple[Window, ...]:
    """One window for each of its days. Raises ValueError."""
    found = _WINDOW.fullmatch(text.strip(" ").lower())
    if found is None or not (found["days"] or found["times"]):
        raise ValueError(f"is no time window {_FORM}")
    start, end = _times(found["times"] or "00:00-24:00")
    return tuple(
        Window(day * _DAY_S + start, day * _DAY_S + end) for day in sorted(set(_days(found["days"])))
    )


def _days(text: str | None) -> Iterator[int]:
    for part in (text or "mon-sun").split(","):
        first, _, last = part.partition("-")
        for name in (first, last or first):
            if name not in DAYS:
                raise ValueError(f"has a day that is none of {', '.join(DAYS)} {_FORM}")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        yield from (day % 7 for day in range(begin, end + 1 + (7 if end < begin else 0)))


def _times(text: str) -> tuple[int, int]:
    start, end = (_seconds(one) for one in text.split("-"))
    if start in (_DAY_S, end):
        raise ValueError(f"has a time range of no length {_FORM}")
    return start, end if end > start else end + _DAY_S


def _seconds(text: str) -> int:
    hours, minutes = (int(part) for part in text.split(":"))
    if minutes > 59 or hours * 60 + minutes > 24 * 60:
        raise ValueError(f"has a time that is not between 00:00 and 24:00 {_FORM}")
    return (hours * 60 + minutes) * 60


def within(windows: Iterable[str], now: float) -> bool:
    """Whether `now`, UTC epoch seconds, lies in one of the windows. Raises ValueError."""
    at = (now + _EPOCH_S) % _WEEK_S
    return any(
        one.start <= moment < one.end
        for text in windows
        for one in parse(text)
        for moment in (at, at + _WEEK_S)
    )
