"""Health, readiness and metrics, and the journal's answer in time that they rest on."""

import json
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import trio

from desk_cases import Desk, problem_of
from fks.infra.health import healthz, readyz
from fks.kernel import mailbox
from fks.ledger import Journal, JournalBusy, Reader, Write
from memory_journal import MemoryJournal, MemoryLedger


async def test_health_is_bad_when_the_journal_does_not_answer_within_a_second() -> None:
    desk = Desk()
    assert (await desk.get("/healthz")).status_code == 200
    desk.journal.hangs = True
    began = trio.current_time()
    reply = await desk.get("/healthz")
    assert (reply.status_code, trio.current_time() - began) == (503, 1.0)
    assert "journal" in (await problem_of(reply))["detail"]
    desk.journal.hangs, desk.journal.error = False, JournalBusy("locked by another program")
    assert "locked by another program" in (await problem_of(await desk.get("/healthz")))["detail"]


async def test_readiness_tells_every_reason() -> None:
    desk = Desk()
    assert json.loads(await (await desk.get("/readyz")).get_data()) == {"status": "ready"}
    desk.unready = ["draining", "binance: connecting"]
    told = await problem_of(await desk.get("/readyz"))
    assert (told["status"], told["reasons"]) == (503, ["draining", "binance: connecting"])


async def test_the_health_helpers_are_what_the_door_needs() -> None:
    journal = MemoryJournal(MemoryLedger())
    status, body, headers = await healthz(journal)
    assert (status, json.loads(body), headers["content-type"]) == (
        200,
        {"status": "alive"},
        "application/json",
    )
    journal.error = JournalBusy("locked")
    assert (await healthz(journal))[0] == 503
    assert readyz(["starting"])[0] == 503


async def test_metrics_are_prometheus_text() -> None:
    reply = await Desk().get("/metrics", token=None)
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert await reply.get_data() == b"fks_up 1\n"


# The real journal's reading


R = TypeVar("R")


class Stuck:
    """A store whose reads wait until they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def commit(self, operations: Any) -> Any:
        raise NotImplementedError

    def read(self, query: Callable[[Reader], R]) -> R:
        self.go.wait(10)
        return query(None)  # type: ignore[arg-type]

    def close(self) -> None: ...


@pytest.mark.real_time
async def test_a_read_with_a_deadline_is_left_behind_in_its_thread() -> None:
    store = Stuck()
    ref, _inbox = mailbox("journal", 1, Write)
    journal = Journal(ref, store)
    try:
        with pytest.raises(trio.TooSlowError):
            await journal.read(lambda _reader: 1, within=0.02)
    finally:
        store.go.set()
    assert await journal.read(lambda _reader: 1, within=5.0) == 1
    assert await journal.read(lambda _reader: 2) == 2
