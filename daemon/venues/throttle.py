"""When a request may go: the exchange's rate limit, and the silence that it has asked for.

Every request of an account passes here last, also those that were under way when a ban came.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from fks.domain.errors import NotSent, Throttled
from fks.domain.limits import Bucket

_NOTHING_S = 1e-6  # less than this added to a clock may leave it where it was


@dataclass(slots=True)
class Silence:
    """Nothing is to be asked for before `until`, in the trio run's own time."""

    until: float = float("-inf")

    def extend(self, until: float) -> None:
        self.until = max(self.until, until)


@dataclass(slots=True)
class Throttle:
    """One account's gate. Idle time is credited: the first request after a pause never waits.

    `bucket`: the exchange's limit as ccxt knows it, in ccxt's units of cost.
    `asked`: a 429's, which may count this account's orders alone. `ban`: a 418's, which is for the
    address that we come from: accounts that share it share this object.
    """

    exchange: str
    bucket: Bucket
    asked: Silence = field(default_factory=Silence)
    ban: Silence = field(default_factory=Silence)
    on_wait: Callable[[float], None] | None = None  # told the seconds of every wait that is over

    def heed(self, seconds: float, *, banned: bool) -> None:
        """The exchange wants to hear nothing for so long."""
        (self.ban if banned else self.asked).extend(trio.current_time() + seconds)

    def wait(self, cost: float, reserve: float | None) -> float:
        """Seconds until a request of `cost` may go that leaves `reserve`, a share of the burst, to others.

        None is for cancels and for what closes a position: they overdraw, and others wait the longer.
        Were it too much, the exchange would say so, and that answer is heeded.
        """
        return self._wait(trio.current_time(), cost, reserve)

    def _wait(self, now: float, cost: float, reserve: float | None) -> float:
        due = 0.0 if reserve is None else self.bucket.wait(now, cost, reserve)
        seconds = max(due, self._silent_for(now))
        return seconds if seconds > _NOTHING_S else 0.0

    def _silent_for(self, now: float) -> float:
        return max(self.asked.until, self.ban.until) - now

    async def admit(self, cost: float, reserve: float | None, patience_s: float) -> None:
        """Wait for the rate limit. Who is cancelled while waiting has taken nothing.

        Raises NotSent during a silence, and Throttled at once rather than wait longer than `patience_s`.
        """
        waited = 0.0
        while True:
            now = trio.current_time()
            self._refuse_in_silence(now)
            seconds = self._wait(now, cost, reserve)
            if seconds == 0:
                break
            if seconds > patience_s:
                raise Throttled(f"the rate limit of {self.exchange} is used up", retry_after=seconds)
            await trio.sleep(seconds)
            waited += seconds
        if waited and self.on_wait is not None:
            self.on_wait(waited)
        self.bucket.take(now, cost)

    def refuse_in_silence(self) -> None:
        """Raises NotSent while the exchange wants to hear nothing."""
        self._refuse_in_silence(trio.current_time())

    def _refuse_in_silence(self, now: float) -> None:
        rest = self._silent_for(now)
        if rest > 0:
            banned = self.ban.until > now
            why = "banned us" if banned else "asked us to slow down"
            raise NotSent(f"{self.exchange} {why}", retry_after=rest, frozen=banned)
