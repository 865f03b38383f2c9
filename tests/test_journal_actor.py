from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio

from fks.actors.journal import JournalActor
from fks.domain.messages import Event, Order, Verdict
from fks.infra.ledger_sqlite import SqliteStore
from fks.kernel import Inbox, Ref, Reply, mailbox, supervise
from fks.ledger import Committed, Journal, JournalBroken, JournalFull, Ledger, Write
from ledger_cases import NOON, alert, kinds, opened, order, planned

pytestmark = pytest.mark.real_time  # worker threads: a mock clock would jump while they work


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    one = opened(tmp_path / "fks.db")
    yield one
    one.close()


class Failing:
    """A store whose every commit raises."""

    def __init__(self, error: Exception) -> None:
        self.error: Exception | None = error

    def commit(self, operations: Sequence[Callable[[Ledger], Any]]) -> Committed:
        if self.error is not None:
            raise self.error
        return Committed(tuple("stored" for _ in operations), ())

    def read(self, query: Callable[[Any], Any]) -> Any:
        raise NotImplementedError

    def close(self) -> None: ...


def box() -> tuple[Ref[Write], Inbox[Write]]:
    return mailbox("journal", JournalActor.MAILBOX, Write)


def post(ref: Ref[Write], count: int) -> list[Reply[Any]]:
    writes = [Write(lambda ledger, n=n: ledger.note("alarm", n=n), Reply[Any]()) for n in range(count)]
    for write in writes:
        assert ref.offer(write)
    return [write.reply for write in writes]


async def outcome(reply: Reply[Any]) -> Any:
    try:
        return await reply.get()
    except Exception as error:  # noqa: BLE001 - what it raised is what is asked for
        return error


async def test_all_that_waits_is_one_commit(store: SqliteStore) -> None:
    ref, inbox = box()
    commits: list[tuple[float, int]] = []
    seen: list[int] = []
    actor = JournalActor(
        store,
        inbox,
        observers=[lambda events: seen.extend(event.seq for event in events)],
        on_commit=lambda seconds, size: commits.append((seconds, size)),
    )
    replies = post(ref, 600)
    await actor.handle(await inbox.receive.receive())
    await actor.handle(await inbox.receive.receive())
    assert [size for _, size in commits] == [512, 88]
    assert all(seconds > 0 for seconds, _ in commits)
    assert [await outcome(reply) for reply in replies] == [None] * 600
    assert seen == list(range(1, 601))


async def test_writer_hears_after_the_commit_and_others_error_is_not_his(store: SqliteStore) -> None:
    ref, inbox = box()
    journal = Journal(ref, store)

    def broken(_ledger: Ledger) -> None:
        raise ZeroDivisionError

    async def fails() -> None:
        with pytest.raises(ZeroDivisionError):
            await journal.write(broken)

    async def succeeds() -> None:
        acceptance = await journal.write(lambda ledger: ledger.accept(alert()))
        assert acceptance.verdict is Verdict.FRESH
        assert await journal.read(lambda reader: reader.alert(alert().id)) is not None

    async with trio.open_nursery() as nursery:
        await nursery.start(supervise_journal, store, inbox)
        async with trio.open_nursery() as writers:
            writers.start_soon(fails)
            writers.start_soon(succeeds)
        nursery.cancel_scope.cancel()


async def supervise_journal(
    store: Any, inbox: Inbox[Write], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    await supervise(
        lambda _tasks: JournalActor(store, inbox), inbox, JournalActor.RESTART, task_status=task_status
    )


async def test_full_disk_is_told_to_everyone_and_survived() -> None:
    ref, inbox = box()
    store = Failing(JournalFull("no space"))
    actor = JournalActor(store, inbox)
    replies = post(ref, 3)
    await actor.handle(await inbox.receive.receive())
    assert {type(await outcome(reply)) for reply in replies} == {JournalFull}
    store.error = None
    (reply,) = post(ref, 1)
    await actor.handle(await inbox.receive.receive())
    assert await outcome(reply) == "stored"


@pytest.mark.parametrize("error", [JournalBroken("EIO"), RuntimeError("a bug")])
async def test_broken_disk_is_told_to_everyone_who_waits_and_is_fatal(error: Exception) -> None:
    ref, inbox = box()
    replies = post(ref, JournalActor.BATCH * 2 + 5)
    with pytest.raises(JournalBroken):
        await supervise_journal(Failing(error), inbox)
    with trio.fail_after(1):
        assert {type(await outcome(reply)) for reply in replies} == {JournalBroken}


async def test_cancelled_writer_leaves_a_whole_write(store: SqliteStore) -> None:
    ref, inbox = box()
    journal = Journal(ref, store)
    with trio.move_on_after(0):
        await journal.write(lambda ledger: ledger.accept(alert()))
    post(ref, 1)
    actor = JournalActor(store, inbox)
    await actor.handle(await inbox.receive.receive())
    assert kinds(store) in (["alarm"], ["alert_accepted", "alarm"])


async def test_stopping_the_daemon_answers_what_was_taken(store: SqliteStore) -> None:
    ref, inbox = box()
    replies = post(ref, 3)
    actor = JournalActor(store, inbox)
    first = await inbox.receive.receive()
    with trio.CancelScope() as scope:
        scope.cancel()
        await actor.handle(first)
    assert [await outcome(reply) for reply in replies] == [None] * 3
    assert kinds(store) == ["alarm"] * 3


async def test_what_a_claim_refuses_is_in_the_log(store: SqliteStore) -> None:
    ref, inbox = box()
    late = order(alert(), good_until=NOON - 1.0)
    planned(store, late)
    claim = Write(
        lambda ledger: ledger.claim(late.account, now=NOON, window=5.0, limit=1), Reply[list[Order]]()
    )
    assert ref.offer(claim)
    with structlog.testing.capture_logs() as lines:
        await JournalActor(store, inbox).handle(await inbox.receive.receive())
    assert await outcome(claim.reply) == []
    (told,) = (line for line in lines if line["event"] == "order_refused")
    assert (told["order_id"], told["alert_id"], told["reason"]) == (late.id, late.alert_id, "stale")


async def test_failing_observer_stops_neither_the_journal_nor_the_others(store: SqliteStore) -> None:
    ref, inbox = box()
    seen: list[str] = []

    def broken(_events: Sequence[Event]) -> None:
        raise ZeroDivisionError

    actor = JournalActor(
        store, inbox, observers=[broken, lambda events: seen.extend(event.kind for event in events)]
    )
    (reply,) = post(ref, 1)
    await actor.handle(await inbox.receive.receive())
    assert (await outcome(reply), seen) == (None, ["alarm"])
