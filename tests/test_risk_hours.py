"""Trading hours: windows of the week, in UTC."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fks.domain.risk_hours import DAYS, parse, within

MONDAY = datetime(2025, 11, 3, tzinfo=UTC)


def at(day: str, time: str) -> float:
    hours, minutes = map(int, time.split(":"))
    return (MONDAY + timedelta(days=DAYS.index(day), hours=hours, minutes=minutes)).timestamp()


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        ("mon-fri 08:00-17:00", ["mon 08:00", "fri 16:59"], ["mon 07:59", "fri 17:00", "sat 12:00"]),
        ("22:00-06:00", ["mon 22:00", "tue 05:59", "mon 00:00"], ["mon 21:59", "mon 06:00"]),
        ("sun 22:00-06:00", ["sun 23:00", "mon 05:59"], ["sun 05:00", "mon 22:00"]),
        ("fri-mon", ["fri 00:00", "sat 12:00", "sun 23:59", "mon 23:59"], ["tue 00:00", "thu 23:59"]),
        ("mon,wed 00:00-24:00", ["mon 00:00", "wed 23:59"], ["tue 12:00", "thu 00:00"]),
        (" SAT,Sun-mon ", ["sat 00:00", "sun 00:00", "mon 23:59"], ["tue 00:00", "fri 23:59"]),
    ],
)
def test_a_window_begins_with_its_first_minute_and_ends_before_its_last(
    window: str, inside: list[str], outside: list[str]
) -> None:
    assert [one for one in inside if not within([window], at(*one.split()))] == []
    assert [one for one in outside if within([window], at(*one.split()))] == []


def test_windows_add_up_and_none_is_never() -> None:
    two = ["mon 08:00-09:00", "tue 08:00-09:00"]
    assert within(two, at("mon", "08:30"))
    assert within(two, at("tue", "08:30"))
    assert not within(two, at("wed", "08:30"))
    assert not within([], at("mon", "08:30"))


@given(
    st.integers(0, 6),
    st.integers(0, 6),
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.integers(0, 4_000_000_000),
)
def test_every_moment_of_any_week_agrees_with_the_calendar(
    first: int, last: int, start: int, end: int, epoch: int
) -> None:
    if start == end:
        return
    begin, finish = (f"{one // 60:02}:{one % 60:02}" for one in (start, end))
    found = within([f"{DAYS[first]}-{DAYS[last]} {begin}-{finish}"], epoch)
    moment = datetime.fromtimestamp(epoch, UTC)
    minute = moment.hour * 60 + moment.minute
    days = {(first + more) % 7 for more in range((last - first) % 7 + 1)}
    today, yesterday = moment.weekday(), (moment.weekday() - 1) % 7
    if start < end:
        assert found == (today in days and start <= minute < end)
    else:
        assert found == ((today in days and minute >= start) or (yesterday in days and minute < end))


@pytest.mark.parametrize(
    "text",
    ["", "monday", "mon-fri 8-17", "mon-tue-wed", "mon 25:00-26:00", "mon 08:60-09:00", "08:00-08:00",
     "24:00-06:00", "mon08:00-09:00", "mon 00:00-24:01", "mon, 08:00-09:00", "m\u00f6n", "always"],
)  # fmt: skip
def test_what_is_no_window_is_not_guessed(text: str) -> None:
    with pytest.raises(ValueError, match=r"\(write days and UTC times"):
        parse(text)
