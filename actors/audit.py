"""Copies committed events into the audit file. It looks on: whatever fails here, trading goes on."""

from enum import Enum, auto

import structlog
import trio

from fks.domain.errors import Overloaded
from fks.infra.audit import AuditDiffers, AuditExporter
from fks.kernel import Restart

log = structlog.get_logger()


class Audit(Enum):
    """The actor's messages. LOOK may be dropped: the next one finds the same. REOPEN may not."""

    LOOK = auto()
    REOPEN = auto()


class AuditActor:
    """After a failure the next message tries again, behind the file's last complete line."""

    MAILBOX = 4
    RESTART = Restart()

    def __init__(self, exporter: AuditExporter) -> None:
        self._exporter = exporter
        self._failure: str | None = None

    async def start(self) -> None:
        """Catch up with what was committed in an earlier life."""
        await self.handle(Audit.LOOK)

    async def handle(self, message: Audit, /) -> None:
        """Write what is new; after a rotation, to the file that has the name now."""
        try:
            if message is Audit.REOPEN:
                await trio.to_thread.run_sync(self._exporter.close)
            while await trio.to_thread.run_sync(self._exporter.pump):
                pass
            self._failure = None
        except (OSError, AuditDiffers, Overloaded) as error:
            if str(error) != self._failure:  # once, not with every event of a bad day
                log.error("audit_failed", reason=str(error))  # noqa: TRY400 - no traceback: the reason says it
            self._failure = str(error)
