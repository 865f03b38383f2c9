"""Token bucket and circuit breaker; time is an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fks.domain.limits import Breaker, BreakerRules, BreakerState, Bucket, BucketPerKey

CLOSED, HALF_OPEN, OPEN = BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN


def test_a_burst_then_the_rate() -> None:
    bucket = Bucket(rate=2, burst=3)
    assert [bucket.allow(0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait(0) == pytest.approx(0.5)
    assert bucket.allow(0.5)
    assert not bucket.allow(0.5)


def test_idle_time_is_credited_up_to_the_burst() -> None:
    bucket = Bucket(rate=1, burst=2)
    bucket.take(0)
    assert [bucket.allow(1e6) for _ in range(3)] == [True, True, False]


@given(
    st.sampled_from([0.5, 1, 4]),
    st.integers(1, 6),
    st.lists(st.integers(0, 16).map(lambda eighths: eighths / 8), max_size=60),
)
def test_no_window_of_time_sees_more_than_the_burst_and_its_rate(
    rate: float, burst: int, gaps: list[float]
) -> None:
    bucket, now = Bucket(rate, burst), 0.0
    taken: list[float] = []
    for gap in gaps:
        now += gap
        if bucket.allow(now):
            taken.append(now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - taken[first]) + 1e-9


@given(st.sampled_from([0.5, 1, 4]), st.integers(1, 6), st.integers(0, 20), st.integers(0, 30))
def test_after_the_wait_it_is_there(rate: float, burst: int, spent: int, now: int) -> None:
    bucket = Bucket(rate, burst)
    for _ in range(spent):
        bucket.take(0)
    pause = bucket.wait(now)
    assert pause >= 0
    assert bucket.wait(now + pause) == pytest.approx(0, abs=1e-9)
    if pause > 0.01:
        assert not bucket.allow(now + pause - 0.01)


def test_a_reserve_is_left_for_those_who_ask_without_one() -> None:
    bucket = Bucket(rate=1, burst=10)
    for _ in range(7):
        assert bucket.wait(0, reserve=0.3) == 0
        bucket.take(0)
    assert bucket.wait(0, reserve=0.3) == pytest.approx(1)
    assert [bucket.allow(0) for _ in range(4)] == [True, True, True, False]


def test_a_debt_makes_later_takers_wait() -> None:
    bucket = Bucket(rate=1, burst=1)
    bucket.take(0, cost=5)
    assert bucket.wait(0) == pytest.approx(5)


def test_what_costs_more_than_the_burst_passes_when_all_of_it_is_there() -> None:
    assert Bucket(rate=1, burst=2).wait(0, cost=5) == 0


def test_a_freeze_lets_nothing_pass_before_its_end() -> None:
    bucket = Bucket(rate=1, burst=100)
    bucket.freeze(until=60)
    assert not bucket.allow(0)
    assert not bucket.allow(60)
    assert bucket.allow(61)
    bucket.freeze(until=5)  # an earlier end does not thaw it
    assert not bucket.allow(61)


def test_each_key_has_its_own_bucket_and_the_least_used_is_forgotten() -> None:
    buckets = BucketPerKey(rate=1, burst=1, most=2)
    assert buckets.allow("a", 0)
    assert not buckets.allow("a", 0)
    assert buckets.allow("b", 0)
    assert not buckets.allow("a", 0)  # used after b
    assert buckets.allow("c", 0)  # b is forgotten
    assert not buckets.allow("a", 0)
    assert buckets.allow("b", 0)


RULES = BreakerRules(window_s=60, min_calls=5, failure_threshold=3, slow_s=3, cooldown_s=30, probes=2)


def failed(breaker: Breaker, times: int, at: float = 0.0) -> Breaker:
    for _ in range(times):
        breaker.record(at, ok=False)
    return breaker


def test_it_opens_at_the_threshold_but_not_before_there_are_enough_calls() -> None:
    breaker = failed(Breaker(RULES), 4)
    assert breaker.allows_entry(0)
    breaker.record(0, ok=True)
    assert breaker.state(0) is OPEN
    assert not breaker.allows_entry(0)


def test_failures_below_the_threshold_leave_it_closed() -> None:
    breaker = failed(Breaker(RULES), 2)
    for _ in range(50):
        breaker.record(1, ok=True)
    assert breaker.state(1) is CLOSED


def test_slow_answers_count_as_failures() -> None:
    breaker = Breaker(RULES)
    for _ in range(5):
        breaker.record(0, ok=True, seconds=2.99)
    assert breaker.state(0) is CLOSED
    for _ in range(3):
        breaker.record(0, ok=True, seconds=3.0)
    assert breaker.state(0) is OPEN


def test_what_is_older_than_the_window_is_forgotten() -> None:
    breaker = failed(Breaker(RULES), 4)
    failed(breaker, 2, at=60.1)
    assert breaker.state(60.1) is CLOSED


def test_after_the_cooldown_probes_decide_and_entries_still_wait() -> None:
    breaker = failed(Breaker(RULES), 5)
    assert (breaker.state(29.9), breaker.state(30)) == (OPEN, HALF_OPEN)
    assert not breaker.allows_entry(30)
    breaker.record(31, ok=True)
    assert breaker.state(31) is HALF_OPEN
    breaker.record(32, ok=True)
    assert breaker.state(32) is CLOSED
    failed(breaker, 4, at=33)  # the failures from before are not counted again
    assert breaker.state(33) is CLOSED


def test_a_failed_probe_opens_it_again_for_a_whole_cooldown() -> None:
    breaker = failed(Breaker(RULES), 5)
    breaker.record(31, ok=True)
    breaker.record(40, ok=False)
    assert (breaker.state(69.9), breaker.state(70)) == (OPEN, HALF_OPEN)
    breaker.record(70, ok=True)
    assert breaker.state(70) is HALF_OPEN  # the good probe of before does not count


def test_late_answers_do_not_change_an_open_breaker() -> None:
    breaker = failed(Breaker(RULES), 5)
    breaker.record(10, ok=True)
    breaker.record(10, ok=False)
    assert (breaker.state(29.9), breaker.state(30)) == (OPEN, HALF_OPEN)
