"""janitor: forgets what is older than `[journal] retention_days`, in slices that nobody waits for.

in   Look: do it now
out  journal: markets carried forward, alerts forgotten, events trimmed, `journal_pruned` when it was any
What may go is `domain.retention`'s decision, and the ledger checks it again with each slice. Every slice is a
whole step, so that a crash between two of them leaves a journal that holds.

The pages that become free are used for what comes next: the file stays as large as what is kept. A backup is
written without them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import structlog
import trio

from fks.domain.errors import Overloaded
from fks.domain.events import Kind
from fks.domain.messages import Carried, Look
from fks.domain.retention import Retention, Rules
from fks.domain.symbols import Markets, amount_step
from fks.infra.chain import rfc3339
from fks.kernel import Restart
from fks.ledger import Journal, Reader

EVERY_S = 3600.0
PAUSE_S = 0.05  # between two slices: the journal is everybody's
PAGE = 1_000  # fills in one look
ALERTS = 10  # forgotten in one transaction
EVENTS = 100  # trimmed in one transaction
WITHIN_S = 30.0


log = structlog.get_logger(actor="janitor")


@dataclass(slots=True)
class Janitor:
    """`exported` tells up to which record the audit trail is on disk: no event goes before.

    An alert that was not there at the look before stays: so a wall clock that jumps ahead never makes the
    daemon forget the key of what may still come again. `rules` are those of the moment, None: all is kept.
    """

    MAILBOX: ClassVar = 1
    RESTART: ClassVar = Restart()

    tasks: trio.Nursery
    journal: Journal
    rules: Callable[[], Rules | None]
    markets: Callable[[], Markets]
    exported: Callable[[], int]
    wall: Callable[[], float]
    _known: int = field(init=False, default=0)  # the newest alert at the look before

    async def start(self) -> None:
        self._known = await self.journal.read(lambda ledger: ledger.newest_alert())
        self.tasks.start_soon(self._pulse)

    async def handle(self, _look: Look) -> None:
        """One round over the journal; none while all is to be kept."""
        rules = self.rules()
        if rules is None:
            return
        newest = await self.journal.read(lambda ledger: ledger.newest_alert())
        horizon = self.wall() - rules.keep_s
        try:
            for one in await self._flat(rules, horizon):
                await self.journal.write(lambda ledger, one=one: ledger.carry(one), within=WITHIN_S)  # type: ignore[misc]
            alerts, events = await self._forget(horizon), await self._trim(horizon)
            if alerts or events:
                told: dict[str, Any] = {"alerts": alerts, "events": events, "kept_from": rfc3339(horizon)}
                log.info("journal_pruned", **told)
                await self.journal.write(lambda ledger: ledger.note(Kind.JOURNAL_PRUNED, **told))
        except (Overloaded, trio.TooSlowError) as error:
            log.warning("pruning_postponed", reason=str(error) or "the journal is slow")
        self._known = newest

    async def _pulse(self) -> None:
        while True:
            await trio.sleep(EVERY_S)
            await self.handle(Look())

    async def _flat(self, rules: Rules, horizon: float) -> list[Carried]:
        """The markets that can be carried further than they are."""
        markets = self.markets()
        retention = Retention(rules, horizon, lambda *market: amount_step(markets, *market))
        after = 0

        def fold(ledger: Reader) -> bool:
            nonlocal after
            retention.begin(ledger.carried(after))
            page, after = ledger.executions(after, PAGE)
            for one in page:
                retention.add(one)
            return len(page) == PAGE and not retention.beyond(page)

        while await self.journal.read(fold):  # noqa: ASYNC110 - it waits for nothing, it gives way
            await trio.sleep(PAUSE_S)
        return list(retention.found())

    async def _forget(self, horizon: float) -> int:
        count = after = 0
        while True:
            page = await self.journal.read(
                lambda ledger, after=after: ledger.forgettable(after, self._known, horizon, ALERTS)  # type: ignore[misc]
            )
            if not page:
                return count
            after = page[-1][0]
            names = [name for _, name in page]
            count += await self.journal.write(
                lambda ledger, names=names: ledger.forget(names, horizon),  # type: ignore[misc]
                within=WITHIN_S,
            )
            await trio.sleep(PAUSE_S)

    async def _trim(self, horizon: float) -> int:
        count, exported = 0, self.exported()
        while trimmed := await self.journal.write(
            lambda ledger: ledger.trim(exported, horizon, EVENTS), within=WITHIN_S
        ):
            count += trimmed
            await trio.sleep(PAUSE_S)
        return count
