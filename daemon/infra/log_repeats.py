"""A warning that comes again and again is told once, and then how often it came."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from structlog import DropEvent
from structlog.typing import EventDict, WrappedLogger

WINDOW_S = 60.0
MOST = 200  # different warnings that are remembered

Schedule = Callable[[float, Callable[[], None]], object]
"""After so many seconds, call that, in whatever thread."""


@dataclass(slots=True)
class _Seen:
    event: EventDict
    until: float
    repeated: int = 0


def _later(seconds: float, call: Callable[[], None]) -> object:
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    return timer


class Repeats:
    """A processor, for events that are plain data and have no time yet. From any thread.

    Two warnings are the same when every field is. The first is written; those within `WINDOW_S` of it are
    counted, and at the window's end one more line with `repeated` is given to `write`. While it goes on
    there is such a line for every window. Errors are never held back: each is for a human.
    """

    def __init__(
        self,
        write: Callable[[EventDict], None],
        clock: Callable[[], float],
        later: Schedule = _later,
    ) -> None:
        self._write = write
        self._clock = clock
        self._later = later
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, _Seen] = OrderedDict()  # the window that ends first is the first
        self._waiting = False  # for a window's end

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Raises DropEvent for one that is only counted."""
        if event["level"] != "warning":
            return event
        same = repr(event)
        now = self._clock()
        with self._lock:
            ended = self._ended(now)
            seen = self._seen.get(same)
            if seen is None:
                self._seen[same] = _Seen(dict(event), now + WINDOW_S)
                if len(self._seen) > MOST:
                    ended.append(self._seen.popitem(last=False)[1])
            else:
                seen.repeated += 1
                if not self._waiting:
                    self._waiting = True
                    self._later(seen.until - now, self._tell_ended)
        self._tell(ended)
        if seen is not None:
            raise DropEvent
        return event

    def flush(self) -> None:
        """Tell what is counted, before the process ends or the log goes elsewhere."""
        with self._lock:
            rest = list(self._seen.values())
            self._seen.clear()
        self._tell(rest)

    def _tell_ended(self) -> None:
        now = self._clock()
        with self._lock:
            ended = self._ended(now)
            due = [seen.until for seen in self._seen.values() if seen.repeated]
            self._waiting = bool(due)
            if due:
                self._later(max(due[0] - now, 0.0), self._tell_ended)
        self._tell(ended)

    def _ended(self, now: float) -> list[_Seen]:
        """Those whose window is over. One that was repeated begins another window."""
        ended = []
        while self._seen:
            same, seen = next(iter(self._seen.items()))
            if seen.until > now:
                break
            del self._seen[same]
            if seen.repeated:
                self._seen[same] = _Seen(seen.event, now + WINDOW_S)
                ended.append(seen)
        return ended

    def _tell(self, ended: list[_Seen]) -> None:
        for seen in ended:
            if seen.repeated:
                self._write({**seen.event, "repeated": seen.repeated})
