"""What a flood leaves on the disk: its beginning, its size, and little else."""

from hypothesis import given
from hypothesis import strategies as st

from fks.domain.sampling import Sampler


def test_the_first_of_every_address_is_recorded_and_then_one_a_minute() -> None:
    sampler = Sampler()
    assert sampler.sample("a", 0.0) == 0
    assert [sampler.sample("a", 0.01 * number) for number in range(1, 1000)] == [None] * 999
    assert sampler.sample("b", 10.0) == 999
    assert sampler.sample("a", 60.0) == 0


def test_many_addresses_share_a_hundred_records_and_then_six_a_minute() -> None:
    sampler = Sampler()
    recorded = [sampler.sample(f"address {n}", n / 50) is not None for n in range(30_000)]
    assert sum(recorded) == 100 + 59  # in ten minutes


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 100))))
def test_every_event_is_counted_once(events: list[tuple[str, float]]) -> None:
    sampler, now, told = Sampler(), 0.0, 0
    for key, pause in events:
        now += pause
        unrecorded = sampler.sample(key, now)
        told += 0 if unrecorded is None else 1 + unrecorded
    last = sampler.sample("another", now + 60)
    assert last is not None
    assert told + last == len(events)
