"""When notices go out, and how many in one message. Pure: time is an argument, in seconds."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import Struct

from fks.domain.limits import Bucket
from fks.domain.notices import Notice

SHOWN = 10  # notices of a message that are told in full, urgent and others each; the rest is counted


class Message(Struct, frozen=True):
    """What is sent: plain text."""

    title: str
    body: str


@dataclass(slots=True)
class Outbox:
    """The first notice after a rest goes at once; what comes within `digest_s` of a message waits and becomes
    the next one. Over `per_minute` messages it goes on waiting. However much waits, the memory is flat.
    """

    digest_s: float
    per_minute: float
    _bucket: Bucket = field(init=False)
    _rests_until: float = field(init=False, default=float("-inf"))
    _counts: Counter[str] = field(init=False, default_factory=Counter)
    _urgent: list[Notice] = field(init=False, default_factory=list)
    _others: list[Notice] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.pace(self.digest_s, self.per_minute)

    def pace(self, digest_s: float, per_minute: float) -> None:
        """From now on."""
        self.digest_s, self.per_minute = digest_s, per_minute
        self._bucket = Bucket(per_minute / 60.0, per_minute)

    def add(self, notice: Notice) -> None:
        self._counts[notice.names[0]] += 1
        kept = self._urgent if notice.urgent else self._others
        if len(kept) < SHOWN:
            kept.append(notice)

    def due(self, now: float) -> float | None:
        """Seconds until `take`; None when nothing waits."""
        if not self._counts:
            return None
        return max(self._rests_until - now, self._bucket.wait(now), 0.0)

    def take(self, now: float) -> Message:
        """All that waits as one message, also before it is due."""
        self._bucket.take(now)
        self._rests_until = now + self.digest_s
        shown = [*self._urgent, *self._others]
        message = _message(self._counts, shown)
        self._counts, self._urgent, self._others = Counter(), [], []
        return message


def _message(counts: Counter[str], shown: list[Notice]) -> Message:
    total = counts.total()
    if total == 1:
        return Message(shown[0].title, shown[0].text or shown[0].title)
    lines = [f"- {one.title}" + (f" ({one.text})" if one.text else "") for one in shown]
    if total > len(shown):
        lines.append(f"- and {total - len(shown)} more: `fks orders` and `fks alerts` show all")
    return Message(f"fks: {tally(counts.items())}", "\n".join(lines))


def tally(counts: Iterable[tuple[str, int]]) -> str:
    """`38 filled, 2 rejected`: the most first."""
    ordered = sorted(counts, key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{count} {name}" for name, count in ordered if count)
