"""When messages go out and what a burst becomes; time is an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fks.domain.notices import Notice
from fks.domain.outbox import SHOWN, Message, Outbox


def filled(n: int = 0) -> Notice:
    return Notice(names=("filled",), title=f"bought {n}", text=f"order q{n}")


ALARM = Notice(names=("unprotected", "alarm"), title="without its stop")


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(digest_s=10.0, per_minute=6.0)


def test_the_first_goes_at_once_and_as_it_is(outbox: Outbox) -> None:
    assert outbox.due(0.0) is None
    outbox.add(filled(1))
    assert outbox.due(0.0) == 0.0
    assert outbox.take(0.0) == Message("bought 1", "order q1")
    assert outbox.due(0.0) is None


def test_what_comes_soon_after_is_one_message_with_counts_the_urgent_first(outbox: Outbox) -> None:
    outbox.add(filled())
    outbox.take(100.0)
    for n in range(40):
        outbox.add(filled(n))
    outbox.add(ALARM)
    assert outbox.due(103.0) == pytest.approx(7.0)
    message = outbox.take(110.0)
    assert message.title == "fks: 40 filled, 1 unprotected"
    lines = message.body.splitlines()
    assert lines[:2] == ["- without its stop", "- bought 0 (order q0)"]
    assert lines[-1].startswith("- and 30 more")
    assert len(lines) == SHOWN + 2


def test_over_the_rate_it_waits_and_becomes_one(outbox: Outbox) -> None:
    outbox.pace(digest_s=0.0, per_minute=6.0)
    for n in range(6):
        outbox.add(filled(n))
        assert outbox.due(0.0) == 0.0
        outbox.take(0.0)
    outbox.add(filled(7))
    outbox.add(filled(8))
    assert outbox.due(0.0) == pytest.approx(10.0)
    assert outbox.take(10.0).title == "fks: 2 filled"


def test_a_new_pace_keeps_what_waits(outbox: Outbox) -> None:
    outbox.add(filled())
    outbox.take(0.0)
    outbox.add(ALARM)
    outbox.pace(digest_s=60.0, per_minute=1.0)
    assert outbox.take(10.0).title == "without its stop"
    outbox.add(ALARM)
    assert outbox.due(10.0) == pytest.approx(60.0)


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 50))))
def test_no_notice_is_uncounted_and_no_minute_has_more_messages_than_it_may(
    bursts: list[tuple[float, int]],
) -> None:
    outbox, now, sent, total = Outbox(digest_s=2.0, per_minute=5.0), 0.0, list[float](), 0
    counted = 0
    for pause, size in bursts:
        now += pause
        for n in range(size):
            outbox.add(filled(n))
        total += size
        assert len(outbox._urgent) + len(outbox._others) <= 2 * SHOWN
        while outbox.due(now) == 0.0:
            counted += counted_in(outbox.take(now))
            sent.append(now)
    while (due := outbox.due(now)) is not None:
        now += due + 1e-6
        counted += counted_in(outbox.take(now))
        sent.append(now)
    assert counted == total
    for at in sent:
        assert sum(at <= one < at + 60.0 for one in sent) <= 5 + 5 + 1  # a burst after a rest, and its refill


def counted_in(message: Message) -> int:
    if not message.title.startswith("fks: "):
        return 1
    return int(message.title.removeprefix("fks: ").split()[0])
