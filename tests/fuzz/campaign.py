"""A flood on the real daemon from beginning to end, and what it did to it."""

import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import trio

from fuzz.flood import Flood
from fuzz.witness import Witness
from process import PAPER, Daemon

ENOUGH_S = 1.0  # to answer a good alert, whatever else comes
_SETTLE_S = 8.0  # longer than the daemon keeps an idle connection
_WARMING = 500  # bodies
_PAUSE_S, _RATED_S = 0.25, 0.7  # between two good alerts; within the default rate
_FINE = {"200", "202", "422"}
_DEFECTS = {
    "http_app_failed",
    "http_connection_failed",
    "http_drain_cut",
    "actor_failed",
    "log_lines_dropped",
}


@dataclass(frozen=True)
class State:
    """Of the daemon's process and its files."""

    descriptors: int  # but for those of the journal, whose pool of readers grows to its size
    resident_mb: float
    stored_mb: float  # journal, audit and log

    @classmethod
    def of(cls, daemon: Daemon) -> "State":
        assert daemon.process is not None
        proc = Path(f"/proc/{daemon.process.pid}")
        resident = re.search(r"VmRSS:\s*(\d+) kB", (proc / "status").read_text())
        assert resident is not None
        stored = sum(path.stat().st_size for path in daemon.folder.iterdir() if path.is_file())
        return cls(_descriptors(proc / "fd"), int(resident[1]) / 1024, stored / 1e6)


def _descriptors(folder: Path) -> int:
    count = 0
    for each in folder.iterdir():
        with suppress(FileNotFoundError):
            count += "fks.db" not in str(each.readlink())
    return count


@dataclass
class Report:
    flood: Flood
    witness: Witness
    before: State
    enough_s: float = ENOUGH_S
    after: State | None = None  # None: it died
    seconds: float = 0.0
    defects: Counter[str] = field(default_factory=Counter)  # lines of the log that tell of one

    def problems(self) -> list[str]:
        """Nothing, when the door held."""
        flood, found = (
            self.flood,
            [f"the log says {count} x {event}" for event, count in self.defects.items()],
        )
        if self.after is None:
            return ["the daemon died", *found]
        if self.after.descriptors > self.before.descriptors:
            found.append(f"{self.after.descriptors - self.before.descriptors} descriptors leaked")
        if max(self.witness.waits_s) > self.enough_s:
            found.append(f"a good alert waited {max(self.witness.waits_s):.2f} s")
        if not self.witness.statuses.keys() <= _FINE:
            found.append(f"good alerts were told {dict(self.witness.statuses)}")
        if flood.statuses["500"]:
            found.append(f"{flood.statuses['500']} requests were told 500")
        return found

    def __str__(self) -> str:
        flood, after = self.flood, self.after or State(0, 0, 0)
        waits = sorted(self.witness.waits_s)
        told = [
            f"{flood.bodies:,} bodies and {flood.connections:,} hostile connections in {self.seconds:.0f} s",
            f"deaths: {int(self.after is None)}",
            f"descriptors: {self.before.descriptors} before, {after.descriptors} after",
            f"resident: {self.before.resident_mb:.0f} MB before, {after.resident_mb:.0f} MB after",
            f"journal, audit and log: {after.stored_mb - self.before.stored_mb:.1f} MB more",
            f"good alerts meanwhile: {len(waits):,} {dict(sorted(self.witness.statuses.items()))}, "
            f"answered in {statistics.median(waits):.3f} s (99 %: {waits[len(waits) * 99 // 100]:.3f} s, "
            f"the slowest: {waits[-1]:.3f} s)",
            f"replies to the others: {dict(sorted(flood.statuses.items()))}",
        ]
        return "\n".join([*told, *(f"PROBLEM: {one}" for one in self.problems())])


def door(folder: Path, *, rate: str = "{ burst = 10000000, per_minute = 100000000 }") -> Daemon:
    """A daemon that lets every address of this machine in, as often as `rate` says. Not started."""
    daemon = Daemon(folder, PAPER)
    text = re.sub("wait_s = .*", 'wait_s = 0.3\nallow = ["127.0.0.0/8"]', daemon.config.read_text())
    daemon.config.write_text(re.sub("rate = .*", f"rate = {rate}", text))
    return daemon


def attack(
    daemon: Daemon,
    flood: Flood,
    *,
    bodies: int,
    connections: int,
    progress: Callable[[Flood], object] = lambda _flood: None,
) -> Report:
    """Bodies first, then connections, with good alerts all the time. The daemon runs."""
    trio.run(Flood(flood.address, -1).send_bodies, _WARMING)  # what is opened or loaded once is no leak
    began = time.monotonic()
    witness = Witness(flood.address, flood.seed, _RATED_S if flood.strangers else _PAUSE_S)
    report = Report(flood, witness, State.of(daemon))
    with witness:
        trio.run(_attack, flood, bodies, connections, progress)
    report.seconds = time.monotonic() - began
    report.after = _settled(daemon, report.before.descriptors)
    report.defects = Counter(line["event"] for line in daemon.events() if line["event"] in _DEFECTS)
    return report


async def _attack(flood: Flood, bodies: int, connections: int, progress: Callable[[Flood], object]) -> None:
    async def show() -> None:
        while True:
            progress(flood)
            await trio.sleep(0.5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(show)
        await flood.send_bodies(bodies)
        await flood.connect(connections)
        nursery.cancel_scope.cancel()


def _settled(daemon: Daemon, descriptors: int) -> State | None:
    """The daemon once all its clients are gone, or once they should be; None: it is dead."""
    assert daemon.process is not None
    deadline = time.monotonic() + _SETTLE_S
    while daemon.process.poll() is None:
        state = State.of(daemon)
        if state.descriptors <= descriptors or time.monotonic() > deadline:
            return state
        time.sleep(0.05)
    return None
