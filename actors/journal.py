"""The journal: everything that waits goes into one transaction with one fsync, then each is answered."""

import time
from collections.abc import Callable, Sequence

import structlog
import trio

from fks.domain.events import order_event
from fks.domain.messages import Event
from fks.domain.orders import State
from fks.kernel import Inbox, Restart, in_thread
from fks.ledger import Committed, JournalBroken, JournalBusy, JournalFull, Store, Write

ORDER_REFUSED = order_event(State.REFUSED)
Observer = Callable[[Sequence[Event]], object]

log = structlog.get_logger()


class JournalActor:
    """The only one that changes the ledger.

    `observers` hear of committed events and must not block; `on_commit` hears the seconds and the
    number of writes of each commit, `on_refusal` of each one that was refused: "full" or "busy".
    """

    MAILBOX = 4096
    BATCH = 512
    RESTART = Restart(times=0)  # a journal that failed is not tried again: systemd starts from the disk

    def __init__(
        self,
        store: Store,
        inbox: Inbox[Write],
        *,
        observers: Sequence[Observer] = (),
        on_commit: Callable[[float, int], None] = lambda _seconds, _size: None,
        on_refusal: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self._store = store
        self._inbox = inbox
        self._observers = observers
        self._on_commit = on_commit
        self._on_refusal = on_refusal
        self._thread = trio.CapacityLimiter(1)  # its own: slow readers never keep the writer waiting

    async def start(self) -> None:
        """Nothing to rebuild: what is committed is the state."""

    async def handle(self, first: Write, /) -> None:
        """Commit `first` with all that waits behind it. Raises JournalBroken, and tells every waiter so."""
        batch = [first, *self._inbox.drain(self.BATCH - 1)]
        try:
            committed = await self._commit(batch)
        except (JournalFull, JournalBusy) as error:
            log.warning("journal_refused", reason=str(error), writes=len(batch))
            self._on_refusal("full" if isinstance(error, JournalFull) else "busy")
            self._refuse(batch, error)
            return
        except Exception as error:
            broken = (
                error if isinstance(error, JournalBroken) else JournalBroken(f"the journal failed: {error!r}")
            )
            self._refuse(batch, broken)
            while waiting := self._inbox.drain(self.BATCH):
                self._refuse(waiting, broken)
            raise broken from error
        for write, result in zip(batch, committed.results, strict=True):
            if isinstance(result, Exception):
                write.reply.fail(result)
            else:
                write.reply.set(result)
        self._publish(committed.events)

    async def _commit(self, batch: Sequence[Write]) -> Committed:
        # Shielded: what was taken out of the mailbox is answered, also when the daemon is being stopped.
        with trio.CancelScope(shield=True):
            start = time.perf_counter()
            committed = await in_thread(
                self._store.commit, [write.operation for write in batch], limiter=self._thread
            )
        self._on_commit(time.perf_counter() - start, len(batch))
        return committed

    def _publish(self, events: Sequence[Event]) -> None:
        if not events:
            return
        for event in events:
            if event.kind == ORDER_REFUSED:  # within a claim, say: nobody else would tell of it
                ids = {"account": event.account, "alert_id": event.alert_id, "order_id": event.order_id}
                log.warning("order_refused", **ids, reason=event.data.get("reason"))
        for observer in self._observers:
            try:
                observer(events)
            except Exception:  # one that only looks on must not stop the ledger
                log.exception("journal_observer_failed")

    @staticmethod
    def _refuse(writes: Sequence[Write], error: Exception) -> None:
        for write in writes:
            write.reply.fail(error)
