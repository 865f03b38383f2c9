"""The actor model: mailboxes, questions, facts that overwrite, supervision. Time is a mock clock."""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from fks.domain.errors import Fatal, Overloaded, Transient
from fks.domain.limits import Breaker, BreakerRules, BreakerState, Bucket
from fks.kernel import Broadcast, Inbox, Latest, Ref, Reply, Restart, ask, mailbox, supervise

Handle = Callable[[str], Awaitable[None]]


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as entries:
        yield entries


async def nothing() -> None:
    return


@dataclass
class Scripted:
    """An actor made of two functions."""

    on_message: Handle
    on_start: Callable[[], Awaitable[None]] = nothing

    async def start(self) -> None:
        await self.on_start()

    async def handle(self, message: str, /) -> None:
        await self.on_message(message)


def box(capacity: int = 8) -> tuple[Ref[str], Inbox[str]]:
    return mailbox("actor", capacity, str)


def raising(error: Exception, heard: list[str] | None = None) -> Handle:
    """Hears everything and fails at "bad"."""

    async def handle(message: str) -> None:
        if heard is not None:
            heard.append(message)
        if message == "bad":
            raise error

    return handle


# --- mailboxes


async def test_messages_arrive_in_their_order() -> None:
    ref, inbox = box()
    heard: list[str] = []
    for message in "abc":
        await ref.tell(message)
    assert ref.depth == 3
    ref.close()
    await supervise(lambda _tasks: Scripted(raising(OSError(), heard)), inbox, Restart())
    assert heard == ["a", "b", "c"]


async def test_a_full_mailbox_makes_tell_wait_and_offer_drop() -> None:
    ref, inbox = box(1)
    assert ref.offer("a")
    assert not ref.offer("b")
    assert not ref.offer("c")
    assert (ref.dropped, ref.depth) == (2, 1)
    with trio.move_on_after(5) as waited:
        await ref.tell("d")
    assert waited.cancelled_caught
    assert inbox.drain(9) == ["a"]
    assert ref.offer("e")


async def test_drain_takes_what_is_there_up_to_its_limit_also_when_the_mailbox_is_closed() -> None:
    ref, inbox = box()
    for message in "abcd":
        ref.offer(message)
    assert inbox.drain(0) == []
    assert inbox.drain(3) == ["a", "b", "c"]
    ref.close()
    assert inbox.drain(3) == ["d"]
    assert inbox.drain(3) == []


# --- questions


async def test_a_question_is_answered_with_a_value_or_an_error() -> None:
    ref, inbox = mailbox("actor", 1, Reply[int])
    async with trio.open_nursery() as nursery:

        async def answer() -> None:
            (await inbox.receive.receive()).set(7)
            (await inbox.receive.receive()).fail(Overloaded("full"))

        nursery.start_soon(answer)
        assert await ask(ref, lambda reply: reply, within=1) == 7
        with pytest.raises(Overloaded, match="full"):
            await ask(ref, lambda reply: reply, within=1)


async def test_a_question_without_an_answer_ends_in_time() -> None:
    ref, _inbox = mailbox("actor", 1, Reply[int])
    began = trio.current_time()
    with pytest.raises(trio.TooSlowError):
        await ask(ref, lambda reply: reply, within=5)  # accepted, not answered
    with pytest.raises(trio.TooSlowError):
        await ask(ref, lambda reply: reply, within=5)  # not even accepted: the mailbox is full
    assert trio.current_time() - began == pytest.approx(10)


async def test_an_answer_that_comes_too_late_hurts_nobody() -> None:
    ref, inbox = mailbox("actor", 1, Reply[int])
    with pytest.raises(trio.TooSlowError):
        await ask(ref, lambda reply: reply, within=1)
    (late,) = inbox.drain(1)
    late.set(1)
    assert await late.get() == 1


# --- facts


async def test_the_newest_fact_overwrites_and_wakes_all_who_wait() -> None:
    cell, seen = Latest(0), []

    async def watch() -> None:
        seen.append(await cell.changed())

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(watch)
        await trio.testing.wait_all_tasks_blocked()
        cell.set(1)
        cell.set(2)
    assert seen == [2, 2]
    assert cell.get() == 2


async def test_changed_waits_for_the_next_change_not_for_the_last() -> None:
    cell = Latest(0)
    cell.set(1)
    with trio.move_on_after(5) as waited:
        await cell.changed()
    assert waited.cancelled_caught


async def test_a_slow_listener_misses_facts_and_holds_up_nobody() -> None:
    facts = Broadcast[int]()
    facts.publish(0)
    with facts.listen(1) as slow, facts.listen(8) as quick:
        for fact in (1, 2, 3):
            facts.publish(fact)
        assert [quick.receive_nowait() for _ in range(3)] == [1, 2, 3]
        assert slow.receive_nowait() == 1
        assert facts.dropped == 2
        with pytest.raises(trio.WouldBlock):
            slow.receive_nowait()


async def test_who_no_longer_listens_is_forgotten() -> None:
    facts = Broadcast[int]()
    with facts.listen(0):
        pass
    with facts.listen(1) as closed:
        closed.close()
        facts.publish(1)
    facts.publish(2)
    assert facts.dropped == 0


# --- supervision


@pytest.mark.fault(58)
async def test_a_crashed_actor_is_built_anew_and_goes_on_with_the_next_message(
    logged: list[MutableMapping[str, Any]],
) -> None:
    ref, inbox = box()
    heard: list[str] = []
    made: list[Scripted] = []
    restarted: list[str] = []

    def make(_tasks: trio.Nursery) -> Scripted:
        made.append(Scripted(raising(ValueError("bug"), heard)))
        return made[-1]

    for message in ("a", "bad", "b"):
        ref.offer(message)
    ref.close()
    await supervise(make, inbox, Restart(backoff=2), on_restart=restarted.append)
    assert heard == ["a", "bad", "b"]  # the message that it died of is not tried again
    assert len(made) == 2
    assert restarted == ["actor"]
    assert [(entry["event"], entry["actor"]) for entry in logged] == [("actor_failed", "actor")]
    assert trio.current_time() == pytest.approx(2)


async def test_over_its_budget_the_actor_gives_up() -> None:
    ref, inbox = box()
    for _ in range(8):
        ref.offer("bad")
    with pytest.raises(Fatal, match="actor failed 4 times"):
        await supervise(
            lambda _tasks: Scripted(raising(ValueError("bug"))), inbox, Restart(times=3, window=60, backoff=1)
        )
    assert ref.depth == 4
    assert trio.current_time() == pytest.approx(1 + 2 + 4)  # the pauses double


async def test_failures_that_are_far_apart_are_forgotten(nursery: trio.Nursery) -> None:
    ref, inbox = box()
    heard: list[str] = []
    policy = Restart(times=1, window=60, backoff=1)
    nursery.start_soon(
        lambda: supervise(lambda _tasks: Scripted(raising(ValueError(), heard)), inbox, policy)
    )
    for _ in range(5):
        await ref.tell("bad")
        await trio.sleep(61)
    assert heard == ["bad"] * 5
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("error", [Transient("no answer"), Overloaded("full disk"), trio.TooSlowError()])
async def test_when_the_world_is_down_it_waits_and_does_not_count(error: Exception) -> None:
    ref, inbox = box(40)
    for _ in range(40):
        ref.offer("bad")
    ref.close()
    await supervise(lambda _tasks: Scripted(raising(error)), inbox, Restart(times=1, window=60))
    assert trio.current_time() == pytest.approx(40 * 6)


async def test_a_bug_beside_an_outage_is_counted() -> None:
    ref, inbox = box()
    ref.offer("bad")
    both = ExceptionGroup("two tasks", [Transient("no answer"), ValueError("bug")])
    with pytest.raises(Fatal, match="failed 1 times"):
        await supervise(lambda _tasks: Scripted(raising(both)), inbox, Restart(times=0))


@pytest.mark.parametrize("wrapped", [False, True])
async def test_what_is_fatal_is_not_tried_again(*, wrapped: bool) -> None:
    ref, inbox = box()
    ref.offer("bad")
    ref.offer("never")
    fatal = Fatal("the disk is broken")
    error = ExceptionGroup("tasks", [ExceptionGroup("inner", [Transient("x"), fatal])]) if wrapped else fatal
    with pytest.raises(Fatal) as caught:
        await supervise(lambda _tasks: Scripted(raising(error)), inbox, Restart())
    assert caught.value is fatal
    assert (fatal.__cause__, fatal.__suppress_context__) == (None, True)  # no chain back to itself
    assert ref.depth == 1
    assert trio.current_time() == 0


async def test_the_tasks_of_an_actor_die_with_it_and_it_with_them() -> None:
    ref, inbox = box()
    ended: list[int] = []
    lives = 0

    async def background(life: int) -> None:
        try:
            if life == 2:
                await trio.sleep(10)
                raise ValueError("a task's bug")
            await trio.sleep_forever()
        finally:
            ended.append(life)

    def make(tasks: trio.Nursery) -> Scripted:
        nonlocal lives
        lives += 1
        tasks.start_soon(background, lives)
        return Scripted(raising(ValueError("bug")))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervise, make, inbox, Restart())
        await ref.tell("bad")
        await trio.sleep(5)
        assert (lives, ended) == (2, [1])
        await trio.sleep(20)
        assert (lives, ended) == (3, [1, 2])
        ref.close()
    assert ended == [1, 2, 3]


@pytest.mark.fault(46, 58)
async def test_one_actors_crash_leaves_its_sibling_alone() -> None:
    ill, ill_inbox = box()
    well, well_inbox = box()
    done: list[float] = []

    async def slow(_message: str) -> None:
        await trio.sleep(30)
        done.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervise, lambda _tasks: Scripted(raising(ValueError())), ill_inbox, Restart())
        nursery.start_soon(supervise, lambda _tasks: Scripted(slow), well_inbox, Restart())
        await well.tell("placement")
        for _ in range(3):
            await ill.tell("bad")
        ill.close()
        well.close()
    assert done == [pytest.approx(30)]


async def test_a_breaker_and_a_bucket_survive_a_restart() -> None:
    """They are built outside of `make`: else a crash would refill the one and close the other."""
    ref, inbox = box()
    bucket, breaker = Bucket(rate=0.001, burst=2), Breaker(BreakerRules(min_calls=1, failure_threshold=1))
    allowed: list[bool] = []

    @dataclass
    class Spender:
        bucket: Bucket
        breaker: Breaker

        async def start(self) -> None:
            pass

        async def handle(self, _message: str, /) -> None:
            allowed.append(self.bucket.allow(trio.current_time()))
            self.breaker.record(trio.current_time(), ok=False)
            raise ValueError("bug")

    for _ in range(3):
        ref.offer("spend")
    ref.close()
    await supervise(lambda _tasks: Spender(bucket, breaker), inbox, Restart())
    assert allowed == [True, True, False]
    assert breaker.state(trio.current_time()) is BreakerState.OPEN


async def test_started_is_told_once_and_only_after_the_start_has_succeeded() -> None:
    ref, inbox = box()
    attempts = 0

    async def start() -> None:
        nonlocal attempts
        attempts += 1
        await trio.sleep(1)
        if attempts < 3:
            raise Transient("the exchange does not answer")

    async with trio.open_nursery() as nursery:
        await nursery.start(
            supervise, lambda _tasks: Scripted(raising(ValueError()), start), inbox, Restart()
        )
        assert attempts == 3
        await ref.tell("bad")  # a restart tells it no second time: that would raise
        await trio.sleep(10)
        assert attempts == 4
        ref.close()


async def test_cancelling_an_actor_is_no_failure() -> None:
    _ref, inbox = box()
    restarted: list[str] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(
            lambda task_status: supervise(
                lambda _tasks: Scripted(raising(ValueError())),
                inbox,
                Restart(),
                on_restart=restarted.append,
                task_status=task_status,
            )
        )
        nursery.cancel_scope.cancel()
    assert restarted == []
