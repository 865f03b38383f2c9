"""How long a commit takes while the janitor works, and while it does not: `make pruning ARGS="--alerts N"`.

An old journal of that many alerts (every other one half of a round trip), a sender every 5 ms, the real
journal actor, disk and clock.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import trio
from msgspec.structs import replace

from fks.actors.janitor import Janitor
from fks.actors.journal import JournalActor
from fks.domain.errors import Refusal
from fks.domain.messages import IntentState, Look
from fks.domain.orders import Leg, Side, State
from fks.domain.retention import DAY_S, Rules
from fks.infra.audit import AuditExporter
from fks.infra.journal_check import verify_journal
from fks.infra.ledger_sqlite import SqliteStore
from fks.kernel import Restart, mailbox, supervise
from fks.ledger import Journal, Write
from ledger_cases import alert, order, report
from makers import intent

AGO = 100 * DAY_S
BATCH = 500


def old_alert(n: int, now: float) -> Callable[[Any], None]:
    """Bought, refused, sold, refused: as the daemon would have written it."""

    def write(ledger: Any) -> None:
        new = replace(alert(n), received_at=now, good_until=now + 300)
        ledger.accept(new)
        wish = replace(intent(id=new.id), state=IntentState.ACCEPTED)
        if n % 2:
            ledger.refuse(wish, Refusal("risk.max_open_orders", "too many orders are open"))
            return
        leg, side = (Leg.ENTRY, Side.BUY) if n % 4 else (Leg.CLOSE, Side.SELL)
        one = order(new, leg, side=side)
        ledger.plan(wish, [one])
        (claimed,) = ledger.claim("paper", now=now, window=5.0, limit=1)
        filled = replace(report(claimed, State.FILLED, "1", "100"), time=now)
        ledger.settle(one.id, filled, now)

    return write


def build(path: Path, count: int) -> float:
    """Times grow towards `AGO` ago; the seconds that it took."""
    start, clock = time.perf_counter(), time.time() - AGO
    store = SqliteStore.open(path, wall=lambda: clock, durable=False)
    for first in range(2, count + 2, BATCH):
        clock += 1.0
        results = store.commit([old_alert(n, clock) for n in range(first, first + BATCH)]).results
        for one in results:
            if isinstance(one, Exception):
                raise one
    store.close()
    return time.perf_counter() - start


async def latencies(
    journal: Journal, first: int, seconds: float, ended: trio.Event | None = None
) -> list[float]:
    """Of a sender every 5 ms, for so long or until the end of something."""
    taken: list[float] = []
    deadline = trio.current_time() + seconds
    while trio.current_time() < deadline and (ended is None or not ended.is_set()):
        new = replace(alert(first + len(taken)), received_at=time.time(), good_until=time.time() + 300)
        start = time.perf_counter()
        await journal.write(lambda ledger, new=new: ledger.accept(new))  # type: ignore[misc]
        taken.append(time.perf_counter() - start)
        await trio.sleep(0.005)
    return taken


def told(what: str, taken: list[float]) -> None:
    taken.sort()
    of = [taken[min(len(taken) - 1, int(len(taken) * share))] * 1000 for share in (0.5, 0.99, 0.999)]
    numbers = f"p50 {of[0]:.2f} p99 {of[1]:.2f} p99.9 {of[2]:.2f} max {taken[-1] * 1000:.2f} ms"
    click.echo(f"{what}: {len(taken)} commits, {numbers}")


async def measure(path: Path, count: int, seconds: float) -> None:
    store = SqliteStore.open(path, wall=time.time)
    exporter = AuditExporter(path.with_name("audit.jsonl"), store)
    while exporter.pump():
        pass
    exporter.close()
    ref, inbox = mailbox("journal", JournalActor.MAILBOX, Write)
    journal = Journal(ref, store)
    ended = trio.Event()
    async with trio.open_nursery() as tasks:
        actor = JournalActor(store, inbox)
        await tasks.start(supervise, lambda _tasks: actor, inbox, Restart())
        told("without", await latencies(journal, 10_000_000, seconds))
        rules = Rules(keep_s=30 * DAY_S)
        one = Janitor(tasks, journal, lambda: rules, dict, lambda: exporter.synced, time.time)
        await one.start()

        async def clean() -> None:
            start = time.perf_counter()
            await one.handle(Look())
            click.echo(f"pruned in {time.perf_counter() - start:.0f} s")
            ended.set()

        tasks.start_soon(clean)
        told("pruning", await latencies(journal, 20_000_000, 4 * seconds, ended))
        tasks.cancel_scope.cancel()
    click.echo(
        {
            table: store.read(lambda reader, table=table: reader.first(f"SELECT count(*) FROM {table}"))[0]
            for table in ("alert", "order_", "fill", "event")
        }
    )
    found = store.read(verify_journal)
    click.echo(f"verify: {found.problems or 'holds'}")
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--alerts", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    Path("build").mkdir(exist_ok=True)  # of a disk, where the machine's own temporary folder may be in memory
    with tempfile.TemporaryDirectory(dir="build") as folder:
        path = Path(folder) / "fks.db"
        took = build(path, given.alerts)
        click.echo(f"{given.alerts} alerts written in {took:.0f} s, {path.stat().st_size >> 20} MiB")
        trio.run(measure, path, given.alerts, given.seconds)


if __name__ == "__main__":
    main()
