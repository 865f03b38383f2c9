"""Brings messages to one target: in turn, again when it fails, and for no longer than some minutes."""

from collections import deque
from collections.abc import Callable

import structlog
import trio

from fks.domain.outbox import Message
from fks.infra.notify import NotDelivered, Target

WAITING = 20  # messages; the oldest gives way
PAUSES_S = (5.0, 15.0, 60.0, 120.0)  # between attempts: given up after the last of them

log = structlog.get_logger(actor="notify")

Count = Callable[[str, str], None]
"""Is told the target's scheme, and `sent`, `failed` (given up) or `dropped`."""


class Courier:
    """A target that fails is told once in the log, until it works again."""

    def __init__(self, target: Target, count: Count) -> None:
        self.scope = trio.CancelScope()  # ends `run`
        self._target = target
        self._scheme = target.name.partition("://")[0]
        self._count = count
        self._waiting: deque[Message] = deque()
        self._stirred = trio.Event()
        self._turn = trio.Lock()
        self._failing = False

    def offer(self, message: Message) -> None:
        """Never waits."""
        self._waiting.append(message)
        if len(self._waiting) > WAITING:
            self._waiting.popleft()
            self._count(self._scheme, "dropped")
        self._stirred.set()

    async def run(self) -> None:
        with self.scope:
            while True:
                while self._waiting:
                    await self.bring(self._waiting.popleft())
                self._stirred = trio.Event()
                await self._stirred.wait()

    async def idle(self) -> None:
        """Return when nothing waits and nothing is on its way, or nothing is to be expected of the target."""
        while (self._waiting or self._turn.locked()) and not self._failing:  # noqa: ASYNC110 - asked once, at the daemon's end
            await trio.sleep(0.02)

    async def bring(self, message: Message) -> bool:
        """Whether it arrived, in the end."""
        async with self._turn:
            for pause in (*PAUSES_S, None):
                try:
                    await self._target.deliver(message)
                except NotDelivered as error:
                    self._complain(str(error))
                else:
                    self._count(self._scheme, "sent")
                    self._rejoice()
                    return True
                if pause is not None:
                    await trio.sleep(pause)
            self._count(self._scheme, "failed")
            return False

    def _complain(self, reason: str) -> None:
        if not self._failing:
            log.warning("notification_failed", target=self._target.name, reason=reason, then="tried again")
        self._failing = True

    def _rejoice(self) -> None:
        if self._failing:
            log.info("notification_works_again", target=self._target.name)
        self._failing = False
