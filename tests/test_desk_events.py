"""The desk's event stream: without gap or double, however slow the listener."""

import json

import pytest
import trio

from desk_cases import Desk, an_event
from fks.domain.messages import Event
from fks.infra.event_stream import HEARTBEAT_S, PAGE
from fks.ledger import JournalBusy
from memory_journal import MemoryLedger


def land(desk: Desk, *events: Event) -> None:
    """Committed, then published: as the journal does it."""
    desk.ledger.chain.extend(events)
    desk.events.publish(list(events))


async def test_events_are_sent_as_they_land() -> None:
    desk = Desk(MemoryLedger(chain=[an_event(1), an_event(2)]))
    async with desk.stream("/v1/events") as stream:
        start = await stream.message()
        assert start["status"] == 200
        assert (b"content-type", b"text/event-stream") in start["headers"]
        await stream.chunk()
        land(desk, an_event(3, "order_open"))
        first, event, data, *_ = (await stream.chunk()).split(b"\n")
        assert (first, event) == (b"id: 3", b"event: order_open")
        assert json.loads(data.removeprefix(b"data: "))["seq"] == 3


async def test_a_listener_that_comes_back_gets_what_it_missed() -> None:
    desk = Desk(MemoryLedger(chain=[an_event(seq) for seq in range(1, 6)]))
    async with desk.stream("/v1/events", last_event_id="3") as stream:
        assert (await stream.message())["status"] == 200
        land(desk, an_event(6))
        assert await stream.seqs(3) == [4, 5, 6]
    async with desk.stream("/v1/events?after=0", last_event_id="4") as stream:
        await stream.message()
        assert await stream.seqs(2) == [5, 6]


async def test_a_long_replay_meets_the_live_events_without_gap_or_double() -> None:
    total = 2 * PAGE + 10
    desk = Desk(MemoryLedger(chain=[an_event(seq) for seq in range(1, total + 1)]))
    async with desk.stream("/v1/events?after=0") as stream:
        await stream.message()
        seen = await stream.seqs(PAGE)
        land(desk, an_event(total + 1), an_event(total + 2))
        seen += await stream.seqs(total + 2 - PAGE)
        assert seen == list(range(1, total + 3))


async def test_a_slow_listener_misses_nothing() -> None:
    desk, total = Desk(), 2000
    async with desk.stream("/v1/events?after=0") as stream:
        await stream.message()
        for seq in range(1, total + 1):  # more than any buffer holds, before it takes one
            land(desk, an_event(seq))
        assert await stream.seqs(total) == list(range(1, total + 1))


async def test_a_quiet_stream_has_a_heartbeat() -> None:
    desk = Desk()
    async with desk.stream("/v1/events") as stream:
        await stream.message()
        await stream.chunk()
        began = trio.current_time()
        for beat in (1, 2, 3, 4, 5, 6):  # also past the framework's own reply timeout of 60 s
            assert (await stream.chunk()).startswith(b":")
            assert trio.current_time() - began == pytest.approx(beat * HEARTBEAT_S)


async def test_a_listener_that_leaves_is_forgotten() -> None:
    desk = Desk()
    async with desk.stream("/v1/events") as stream:
        await stream.message()
        await stream.chunk()
        await trio.testing.wait_all_tasks_blocked()
        assert len(desk.events._listeners) == 1
    assert len(desk.events._listeners) == 0


async def test_a_stream_ends_when_the_journal_does_not_answer() -> None:
    desk = Desk()
    desk.journal.error = JournalBusy("locked")
    async with desk.stream("/v1/events?after=0") as stream:
        await stream.message()
        await stream.chunk()
        assert not (await stream.message())["more_body"]
