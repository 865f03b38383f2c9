"""More than the real daemon can take: 503 at once, nobody waits, and the memory stays. The long run is
`python -m crash.overload`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crash.overload import SLOWEST_S, Overload, Told, prepared
from process import Daemon

pytestmark = pytest.mark.real_time


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    one = prepared(tmp_path, max_connections=8).start()
    yield one
    one.kill()


async def test_of_many_senders_some_are_served_and_the_others_are_told_at_once(daemon: Daemon) -> None:
    load = Overload(daemon)
    for _ in range(3):  # this machine may be held up once
        told = await load.flood("64 senders on 8 connections", 1.5, 64)
        if told.slowest < SLOWEST_S:
            break
    assert list(told.problems) == []
    assert told.statuses["202"] > 8, told
    assert told.statuses["503"] > 8, told


def test_what_is_wrong_with_a_flood_is_told() -> None:
    assert list(Told("nothing").problems) == ["nothing: no reply at all"]
    bad = Told("bad", slowest=9.0, settled_at=0, ended_with=100 << 20)
    bad.statuses.update(["200", "500"])
    assert [problem.partition(": ")[2] for problem in bad.problems] == [
        "unexpected replies {'500'}",
        "a reply took 9.0 s",
        "the memory grew by 100 MB",
    ]
