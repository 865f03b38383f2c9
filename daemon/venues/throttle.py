"""When a request may go: the exchange's rate limit, and the silence that it has asked for.

Every request of an account passes here last, also those that were under way when a ban came.
"""

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

    def rest(self) -> float:
        """Seconds; 0 or less: it is over."""
        return self.until - trio.current_time()


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

    def heed(self, seconds: float, *, banned: bool) -> None:
        """The exchange wants to hear nothing for so long."""
        (self.ban if banned else self.asked).extend(trio.current_time() + seconds)

    def wait(self, cost: float, reserve: float | None) -> float:
        """Seconds until a request of `cost` may go that leaves `reserve`, a share of the burst, to others.

        None is for cancels and for what closes a position: they overdraw, and others wait the longer.
        Were it too much, the exchange would say so, and that answer is heeded.
        """
        due = 0.0 if reserve is None else self.bucket.wait(trio.current_time(), cost, reserve)
        seconds = max(due, self.asked.rest(), self.ban.rest())
        return seconds if seconds > _NOTHING_S else 0.0

    async def admit(self, cost: float, reserve: float | None, patience_s: float) -> None:
        """Wait for the rate limit. Who is cancelled while waiting has taken nothing.

        Raises NotSent during a silence, and Throttled at once rather than wait longer than `patience_s`.
        """
        while True:
            self.refuse_in_silence()
            seconds = self.wait(cost, reserve)
            if seconds == 0:
                break
            if seconds > patience_s:
                raise Throttled(f"the rate limit of {self.exchange} is used up", retry_after=seconds)
            await trio.sleep(seconds)
        self.bucket.take(trio.current_time(), cost)

    def refuse_in_silence(self) -> None:
        """Raises NotSent while the exchange wants to hear nothing."""
        banned = self.ban.rest() > 0
        rest = max(self.asked.rest(), self.ban.rest())
        if rest > 0:
            why = "banned us" if banned else "asked us to slow down"
            raise NotSent(f"{self.exchange} {why}", retry_after=rest, frozen=banned)
