"""Token bucket and circuit breaker. Time is an argument; nothing here sleeps or knows an actor."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import IntEnum

from msgspec import Struct


@dataclass(slots=True)
class Bucket:
    """GCRA: `rate` per second with bursts of `burst`; idle time is credited up to the burst.

    Source: ITU-T I.371's generic cell rate algorithm, in its virtual scheduling form.
    """

    rate: float
    burst: float
    _full_at: float = field(init=False, default=float("-inf"))  # the theoretical arrival time

    def wait(self, now: float, cost: float = 1.0, reserve: float = 0.0) -> float:
        """Seconds until `cost` may be taken while `reserve` (a share of the burst) stays untouched."""
        room = self.burst * (1.0 - reserve) / self.rate
        debt = max(self._full_at - now, 0.0)  # exactly none after a rest, whatever the clock's rounding
        return max(0.0, debt + cost / self.rate - max(room, cost / self.rate))

    def take(self, now: float, cost: float = 1.0) -> None:
        """Take `cost`, whether it is there or not: the debt makes later takers wait."""
        self._full_at = max(self._full_at, now) + cost / self.rate

    def allow(self, now: float, cost: float = 1.0) -> bool:
        """Take `cost` if it is there now."""
        if self.wait(now, cost) > 0:
            return False
        self.take(now, cost)
        return True

    def freeze(self, until: float) -> None:
        """Nothing before `until` (Retry-After, a ban)."""
        self._full_at = max(self._full_at, until + self.burst / self.rate)


@dataclass(slots=True)
class BucketPerKey:
    """A bucket for each of at most `most` keys (addresses); the one unused for longest is forgotten."""

    rate: float
    burst: float
    most: int = 10_000
    _buckets: OrderedDict[str, Bucket] = field(init=False, default_factory=OrderedDict)

    def allow(self, key: str, now: float) -> bool:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self.rate, self.burst)
            if len(self._buckets) > self.most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket.allow(now)


class BreakerState(IntEnum):
    """The metric's values."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class BreakerRules(Struct, frozen=True, forbid_unknown_fields=True):
    """Resilience4j's model: a window of calls, failures and slow ones counted, few probes when half open."""

    window_s: float = 60.0
    min_calls: int = 5
    failure_threshold: int = 5
    slow_s: float = 3.0
    cooldown_s: float = 60.0
    probes: int = 1


@dataclass(slots=True)
class Breaker:
    """Stops new entries while an exchange fails; cancels, closes and queries always pass.

    Business rejections are not failures: the exchange answered. Only transport failures, unknown
    outcomes and calls slower than `slow_s` count.
    """

    rules: BreakerRules
    _calls: deque[tuple[float, bool]] = field(init=False, default_factory=deque)
    _failures: int = field(init=False, default=0)  # among them
    _opened_at: float | None = field(init=False, default=None)
    _good_probes: int = field(init=False, default=0)

    def state(self, now: float) -> BreakerState:
        if self._opened_at is None:
            return BreakerState.CLOSED
        if now >= self._opened_at + self.rules.cooldown_s:
            return BreakerState.HALF_OPEN
        return BreakerState.OPEN

    def allows_entry(self, now: float) -> bool:
        """Entries pass only while closed: when half open, reads are the probes."""
        return self.state(now) is BreakerState.CLOSED

    def record(self, now: float, *, ok: bool, seconds: float = 0.0) -> None:
        """Count one call's end."""
        good = ok and seconds < self.rules.slow_s
        match self.state(now):
            case BreakerState.OPEN:
                return
            case BreakerState.HALF_OPEN if good:
                self._good_probes += 1
                if self._good_probes >= self.rules.probes:
                    self._opened_at, self._good_probes = None, 0
                    self._calls.clear()
                    self._failures = 0
                return
            case BreakerState.HALF_OPEN:
                self._opened_at, self._good_probes = now, 0
                return
        self._calls.append((now, good))
        self._failures += not good
        while self._calls[0][0] < now - self.rules.window_s:
            self._failures -= not self._calls.popleft()[1]
        if len(self._calls) >= self.rules.min_calls and self._failures >= self.rules.failure_threshold:
            self._opened_at = now
