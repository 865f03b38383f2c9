"""The actor model, whole: mailboxes, questions, facts that overwrite, supervision.

An actor is a class with `start` (rebuild state) and `handle` (one message). The loop, the restart and
the mailbox live here once, so that a test of an actor is `await actor.handle(message)`.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec
import structlog
import trio

from fks.domain.errors import Fatal, Overloaded, Transient

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)
R = TypeVar("R")
T = TypeVar("T")

log = structlog.get_logger()

INLINE = trio.lowlevel.RunVar("inline", default=False)
"""Whether blocking work is done on the loop: a simulated clock would not wait for a thread."""


async def in_thread(
    work: Callable[..., T],
    *args: Any,
    limiter: trio.CapacityLimiter | None = None,
    abandon_on_cancel: bool = False,
) -> T:
    """Run blocking work in a worker thread; see `trio.to_thread.run_sync`."""
    if INLINE.get():
        await trio.lowlevel.checkpoint()
        return work(*args)
    return await trio.to_thread.run_sync(work, *args, limiter=limiter, abandon_on_cancel=abandon_on_cancel)


class Actor(Protocol[M_contra]):
    """One message at a time. Background work goes into the nursery given to its maker."""

    async def start(self) -> None: ...
    async def handle(self, message: M_contra, /) -> None: ...


class Ref(Generic[M]):
    """The only way to reach an actor. It outlives the actor's restarts."""

    def __init__(self, name: str, send: trio.MemorySendChannel[M]) -> None:
        self.name = name
        self.dropped = 0
        self._send = send

    @property
    def depth(self) -> int:
        """Messages waiting."""
        return self._send.statistics().current_buffer_used

    async def tell(self, message: M) -> None:
        """Send, waiting for room. Downhill only: two full actors that tell each other deadlock."""
        await self._send.send(message)

    def offer(self, message: M) -> bool:
        """Send if there is room, else drop, count and return False."""
        try:
            self._send.send_nowait(message)
        except trio.WouldBlock:
            self.dropped += 1
            return False
        return True

    def close(self) -> None:
        """No more messages: the actor handles what is waiting and ends."""
        self._send.close()


@dataclass(frozen=True, slots=True)
class Inbox(Generic[M]):
    """The receiving end of a mailbox; it belongs to the supervisor, not to one life of the actor."""

    name: str
    receive: trio.MemoryReceiveChannel[M]

    def drain(self, limit: int) -> list[M]:
        """What is waiting already, at most `limit` messages, without blocking."""
        taken: list[M] = []
        while len(taken) < limit:
            try:
                taken.append(self.receive.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                break
        return taken


def mailbox(name: str, capacity: int, _of: type[M]) -> tuple[Ref[M], Inbox[M]]:
    """A bounded channel; `_of` only tells the type checker what it carries."""
    send, receive = trio.open_memory_channel[M](capacity)
    return Ref(name, send), Inbox(name, receive)


class Reply(Generic[R]):
    """One answer, a value or an error, to one question."""

    def __init__(self) -> None:
        self._ready = trio.Event()
        self._value: list[R] = []
        self._error: Exception | None = None

    def set(self, value: R) -> None:
        self._value.append(value)
        self._ready.set()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._ready.set()

    async def done(self) -> None:
        """Return when there is an answer, whichever."""
        await self._ready.wait()

    async def get(self) -> R:
        await self.done()
        if self._error is not None:
            raise self._error
        return self._value[0]


async def ask(ref: Ref[M], make: Callable[[Reply[R]], M], *, within: float) -> R:
    """Put a question and wait `within` seconds for its answer.

    Raises `trio.TooSlowError`: the question may still be answered, so treat its effect as unknown.
    """
    reply = Reply[R]()
    with trio.fail_after(within):
        await ref.tell(make(reply))
        return await reply.get()


class Latest(Generic[T]):
    """A fact that goes uphill: the newest overwrites, setting never blocks."""

    def __init__(self, value: T) -> None:
        self._value = value
        self._changed = trio.Event()

    def set(self, value: T) -> None:
        self._value = value
        self._changed.set()
        self._changed = trio.Event()

    def get(self) -> T:
        return self._value

    async def changed(self) -> T:
        """Wait for the next `set`."""
        await self._changed.wait()
        return self._value


class Broadcast(Generic[T]):
    """Facts for whoever listens now. A listener that does not keep up misses some, and is told nothing."""

    def __init__(self) -> None:
        self.dropped = 0
        self._listeners: set[trio.MemorySendChannel[T]] = set()

    def publish(self, fact: T) -> None:
        for listener in tuple(self._listeners):
            try:
                listener.send_nowait(fact)
            except trio.WouldBlock:
                self.dropped += 1
            except trio.BrokenResourceError:
                self._listeners.discard(listener)

    @contextmanager
    def listen(self, capacity: int) -> Iterator[trio.MemoryReceiveChannel[T]]:
        """Everything published from here on, at most `capacity` unread."""
        send, receive = trio.open_memory_channel[T](capacity)
        self._listeners.add(send)
        try:
            yield receive
        finally:
            self._listeners.discard(send)
            receive.close()


class Restart(msgspec.Struct, frozen=True):
    """At most `times` restarts within `window` seconds, then give up (OTP's intensity and period)."""

    times: int = 3
    window: float = 60.0
    backoff: float = 0.5


# A full disk, a slow journal, an exchange that does not answer: not this actor's failure.
_PASSING = (Transient, Overloaded, trio.TooSlowError)

Make = Callable[[trio.Nursery], Actor[M]]


async def _live(make: Make[M], inbox: Inbox[M], told: "_FirstLife") -> None:
    """One life of an actor and of the tasks that it started: they end together."""
    async with trio.open_nursery() as tasks:
        actor = make(tasks)
        await actor.start()
        told.started()
        async for message in inbox.receive:
            await actor.handle(message)
        tasks.cancel_scope.cancel()


def passing(error: BaseException) -> bool:
    """Whether it is the world that is down, not the actor: then waiting helps."""
    return all(isinstance(leaf, _PASSING) for leaf in _leaves(error))


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


class _FirstLife:
    """Passes on once that the actor has started; its later lives are nobody's news."""

    def __init__(self, told: trio.TaskStatus[None]) -> None:
        self._told: trio.TaskStatus[None] | None = told

    def started(self) -> None:
        if self._told is not None:
            self._told.started()
            self._told = None


async def supervise(
    make: Make[M],
    inbox: Inbox[M],
    policy: Restart,
    *,
    on_restart: Callable[[str], None] = lambda _name: None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run one actor until its mailbox is closed; rebuild it from scratch when it fails.

    When the world is down, not we (`_PASSING`), it waits and rebuilds without counting it.
    Raises `Fatal` at once when the actor does, and when it fails more often than `policy` allows.
    """
    structlog.contextvars.bind_contextvars(actor=inbox.name)  # its tasks inherit it: every line names it
    failures: deque[float] = deque()
    first = _FirstLife(task_status)
    while True:
        try:
            await _live(make, inbox, first)
            return
        except Exception as error:
            leaves = _leaves(error)
            if fatal := next((leaf for leaf in leaves if isinstance(leaf, Fatal)), None):
                # Not `from error`: that group holds `fatal` itself, a chain without an end for who prints it.
                raise fatal from None
            on_restart(inbox.name)
            if passing(error):
                log.warning("actor_waits", actor=inbox.name, reason=str(leaves[0]))
                await trio.sleep(policy.window / 10)
                continue
            log.exception("actor_failed", actor=inbox.name)
            now = trio.current_time()
            failures.append(now)
            while failures[0] < now - policy.window:
                failures.popleft()
            if len(failures) > policy.times:
                raise Fatal(f"actor {inbox.name} failed {len(failures)} times") from error
            await trio.sleep(policy.backoff * 2 ** (len(failures) - 1))


SUSTAIN_S = 30.0


async def sustain(
    make: Make[M],
    inbox: Inbox[M],
    policy: Restart,
    gave_up: Callable[[str, Exception], Awaitable[None]],
    *,
    on_restart: Callable[[str], None] = lambda _name: None,
) -> None:
    """Supervise without end: over its budget the actor's name and error are told, and after
    `SUSTAIN_S` it is tried again. Whoever is told sees to it that the actor then does no harm.
    """
    while True:
        try:
            await supervise(make, inbox, policy, on_restart=on_restart)
            return
        except Fatal as error:
            await gave_up(inbox.name, error)
        await trio.sleep(SUSTAIN_S)
