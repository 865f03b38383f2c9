"""sentinel: tells systemd that the daemon is alive and how it is.

The watchdog is fed only after a change went through the journal's mailbox, its thread and its disk: where
the loop is blocked, the journal's actor is stuck or the disk hangs, the ping stays away and systemd
starts the daemon anew.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
import trio

from fks.domain.errors import Overloaded
from fks.domain.messages import AccountStatus
from fks.domain.orders import State
from fks.infra.notify_socket import NotifySocket
from fks.kernel import Latest
from fks.ledger import Journal

STATUS_S = 5.0  # how often, where there is no watchdog
READ_S = 1.0  # what the status may take of a watchdog's time

log = structlog.get_logger(actor="sentinel")


@dataclass(slots=True)
class Sentinel:
    """One per process. `unready` gives the reasons against taking alerts now."""

    systemd: NotifySocket
    journal: Journal
    accounts: Mapping[str, Latest[AccountStatus]]
    unready: Callable[[], Sequence[str]]
    _live: tuple[State, ...] = field(init=False, default=())  # of each order that is not at rest

    async def run(self) -> None:
        """Three pings in a watchdog's time, so that a slow one is no death."""
        pause = self.systemd.watchdog_s / 3 if self.systemd.watchdog_s else STATUS_S
        while True:
            if self.systemd.watchdog_s and await self._journal_answers(pause):
                self.systemd.alive()
            await self._look_at_orders(min(pause, READ_S))
            accounts = [cell.get() for cell in self.accounts.values()]
            self.systemd.status(summary(accounts, self._live, self.unready()))
            await trio.sleep(pause)

    async def _journal_answers(self, within: float) -> bool:
        """A full mailbox is busy, not dead: its actor is at work."""
        try:
            await self.journal.write(lambda ledger: ledger.probe(), within=within)
        except Overloaded:
            return True
        except trio.TooSlowError:
            log.error("journal_silent", seconds=within)  # noqa: TRY400 - there is no more to tell
            return False
        return True

    async def _look_at_orders(self, within: float) -> None:
        """Where the journal does not answer, the last figures stay."""
        with suppress(Overloaded, trio.TooSlowError):
            live = await self.journal.read(lambda ledger: ledger.live_orders(), within=within)
            self._live = tuple(order.state for order in live)


def summary(accounts: Sequence[AccountStatus], live: Sequence[State], unready: Sequence[str]) -> str:
    """One line for `systemctl status`. `live`: the state of each order that is not at rest."""
    waiting = [f"{one.account}: {one.reason}" for one in accounts if not one.ready]
    resting = sum(state in (State.OPEN, State.PARTIAL) for state in live)
    parts = [f"{len(accounts) - len(waiting)} of {len(accounts)} accounts ready"]
    parts += waiting
    parts += [f"{resting} open order{'' if resting == 1 else 's'}", f"{live.count(State.UNKNOWN)} unknown"]
    parts += [f"takes no alerts: {'; '.join(unready)}"] if unready else []
    return ", ".join(parts)
