"""Which of many like events get a record, so that no stranger can fill a disk with them.

Time is an argument, in seconds of a clock that never jumps.
"""

from dataclasses import dataclass, field

from fks.domain.limits import Bucket, BucketPerKey


@dataclass(slots=True)
class Sampler:
    """The first of every key (an address, say) is recorded, then one a minute; of all keys together a
    hundred, then six a minute. Each record tells how many before it went without.
    """

    _own: BucketPerKey = field(init=False, default_factory=lambda: BucketPerKey(1 / 60, 1))
    _all: Bucket = field(init=False, default_factory=lambda: Bucket(0.1, 100))
    _unrecorded: int = field(init=False, default=0)

    def sample(self, key: str, now: float) -> int | None:
        """How many unrecorded events this record stands for besides its own; None: no record."""
        if self._own.allow(key, now) and self._all.allow(now):
            unrecorded, self._unrecorded = self._unrecorded, 0
            return unrecorded
        self._unrecorded += 1
        return None
