"""The daily summary: whose day, and what the ledger says of it."""

from datetime import UTC, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fks.domain.daily import AccountDay, Day, at_time, span, summary
from fks.domain.errors import Refusal
from fks.domain.events import Kind
from fks.domain.messages import Position
from fks.domain.orders import Side, State
from fks.infra.ledger_sqlite import SqliteStore
from ledger_cases import NOON, SYMBOL, accept, alert, claimed, do, order, report
from ledger_fixtures import fixture_path, fixture_store  # noqa: F401 - fixtures
from makers import order as an_order

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "since", "until", "then"),
    [
        ("2026-01-15T19:59:59", "2026-01-13T20:00", "2026-01-14T20:00", "2026-01-15T20:00"),
        ("2026-01-15T20:00:00", "2026-01-14T20:00", "2026-01-15T20:00", "2026-01-16T20:00"),
    ],
)
def test_a_day_ends_at_the_configured_time(now: str, since: str, until: str, then: str) -> None:
    found = span(utc(now), at_time("20:00"), UTC)
    assert (found.since, found.until, found.then) == (utc(since), utc(until), utc(then))


def test_a_day_with_a_change_of_the_clock_is_longer_or_shorter() -> None:
    spring = span(utc("2026-03-29T20:00"), at_time("20:00"), BERLIN)  # 20:00 is 19:00 UTC, then 18:00
    assert spring.until == utc("2026-03-29T18:00")
    assert spring.until - spring.since == 23 * 3600
    autumn = span(utc("2026-10-25T20:00"), at_time("20:00"), BERLIN)
    assert autumn.until - autumn.since == 25 * 3600


@given(st.floats(1.7e9, 2.0e9), st.times(), st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]))
def test_days_follow_each_other_without_gap_or_overlap(now: float, at: time, zone: str) -> None:
    at = at.replace(second=0, microsecond=0)
    found = span(now, at, ZoneInfo(zone))
    assert found.since < found.until <= now
    following = span(found.then, at, ZoneInfo(zone))
    assert (following.since, following.until) == (found.until, found.then)


@pytest.mark.parametrize("text", ["8:00", "24:00", "08:60", "0800", "08:00:00", "", "aa:bb"])
def test_what_is_no_time_of_day(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        at_time(text)


def test_it_says_all_that_was_asked_for() -> None:
    day = Day(
        alerts={"done": 9, "refused": 3},
        orders={"filled": 8, "rejected": 1},
        accounts={"main": AccountDay(8, Decimal("12.5"), Decimal("0.5"))},
        alarms={"order.rejected": 1},
    )
    positions = [
        Position(account="main", symbol=SYMBOL, amount=Decimal("0.5"), average=Decimal(50000)),
        Position(account="main", symbol="ETH/USDT"),
    ]
    message = summary("2026-01-15 20:00 UTC", day, positions, [an_order("q1", state=State.UNKNOWN)])
    assert message.title == "fks: the day to 2026-01-15 20:00 UTC"
    assert message.body.splitlines() == [
        "Alerts: 12 (9 done, 3 refused)",
        "Orders: 9 (8 filled, 1 rejected); 8 fills",
        "main: profit 12 after fees of 0.5, 8 fills",
        "Open positions:",
        "- main 0.5 BTC/USDT from 50000",
        "Unknown orders:",
        "- paper buy 1 BTC/USDT, order q1",
        "Alarms: 1 order.rejected",
    ]


def test_a_quiet_day_says_so_and_a_long_list_is_cut() -> None:
    quiet = summary("x", Day(), [], [])
    assert [line.rpartition(": ")[2] for line in quiet.body.splitlines()] == [
        "none", "none; 0 fills", "none", "none", "none",
    ]  # fmt: skip
    held = [Position(account="main", symbol=f"C{n}/USDT", amount=Decimal(1)) for n in range(25)]
    assert "- and 15 more" in summary("x", Day(), held, []).body.splitlines()


def test_the_ledger_tells_what_a_day_came_to(store: SqliteStore) -> None:
    refused = accept(store, alert(9))
    do(store, lambda ledger: ledger.refuse(refused, Refusal("alert.symbol", "unknown symbol")))
    for n, side, price in ((1, Side.BUY, "100"), (2, Side.SELL, "110")):
        (one,) = claimed(store, order(alert(n), side=side), n=n)
        told = report(one, State.FILLED, "1", price, fee=Decimal("0.1"), fee_currency="USDT")
        do(store, lambda ledger, one=one, told=told: ledger.settle(one.id, told, NOON))
    day = store.read(lambda reader: reader.day(NOON - 60, NOON + 60))
    assert day.alerts == {"done": 2, "refused": 1}
    assert day.orders == {"filled": 2}
    assert day.accounts == {"paper": AccountDay(2, Decimal(10), Decimal("0.2"))}
    assert day.alarms == {"alert.symbol": 1}
    for since, until in ((NOON + 1, NOON + 60), (NOON - 60, NOON)):
        assert store.read(lambda reader, span=(since, until): reader.day(*span)) == Day()


def test_the_newest_event_of_a_kind(store: SqliteStore) -> None:
    assert store.read(lambda reader: reader.last_event(Kind.SUMMARY_SENT)) is None
    for number in (1.0, 2.0):
        do(store, lambda ledger, until=number: ledger.note(Kind.SUMMARY_SENT, until=until))
        do(store, lambda ledger: ledger.note(Kind.ALARM, code="x"))
    last = store.read(lambda reader: reader.last_event(Kind.SUMMARY_SENT))
    assert last is not None
    assert last.data["until"] == 2.0
