"""Alerts over HTTP: how many a second, how long each takes, and what one costs the process that serves it."""

import os
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from msgspec import Struct

from fks.bench import targets
from fks.bench.process import Child, running
from fks.bench.targets import Target
from fks.bench.usage import cpu_s, rss_mb

CONNECTIONS = 10
MARKETS = 20
WARM_UP_S = 0.3
KEEP_ALIVE, CLOSE = "keep-alive", "close"

HOW = (
    f"Signed alerts, each a new event, from a process of its own over {CONNECTIONS} connections, the next "
    "one sent when the one before is answered; in mode close each on a connection of its own. Time: from "
    "sending, connecting included, to the answer's last byte, of answers below 300. CPU per alert: user and "
    "system of the serving process, from the first alert until its last order is at rest. The daemon runs "
    "with its rate limits lifted and its journal on disk; the exchange is local and has no latency."
)


class Load(Struct, frozen=True, kw_only=True):
    """One target under load. `refused`: answers of 300 and more, and connections lost."""

    target: str
    mode: str
    alerts: int
    refused: int
    alerts_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_ms_per_alert: float
    settled_after_s: float
    rss_mb: float
    load_cpu_ms_per_alert: float


class Ratio(Struct, frozen=True, kw_only=True):
    """How many times the reference's the target's figure is: `rate` above 1 is faster, `cpu` dearer."""

    target: str
    reference: str
    mode: str
    rate: float
    p50: float
    cpu: float


class WebhookReport(Struct, frozen=True, kw_only=True):
    """`fsync_ms`: a write of 4 KiB brought to the journal's disk, median. `left_out`: what did not run."""

    how: str
    fsync_ms: float
    loads: tuple[Load, ...]
    ratios: tuple[Ratio, ...]
    left_out: str | None


def measure(
    seconds: float,
    folder: Path,
    reference: Path,
    progress: Callable[[str], None],
    only: Collection[str] = (),
) -> WebhookReport:
    """`seconds`: of load on each target in each mode. `only`: these targets. Raises BenchError."""
    loads: list[Load] = []
    with ExitStack() as stack:
        server = ("-m", "fks.bench.exchange_server", str(MARKETS))
        exchange = stack.enter_context(running(folder / "webhook-exchange.log", *server)).read()
        generator = stack.enter_context(running(folder / "load.log", "-m", "fks.bench.load"))
        for name, start in targets.starters(folder, exchange, reference).items():
            if only and name not in only:
                continue
            progress(f"webhook: {name} starts")
            with start() as target:
                _load(generator, target, KEEP_ALIVE, min(WARM_UP_S, seconds))
                for mode in (KEEP_ALIVE, CLOSE):
                    progress(f"webhook: {name}, {mode}")
                    loads.append(_load(generator, target, mode, seconds))
    return WebhookReport(
        how=HOW,
        fsync_ms=_fsync_ms(folder),
        loads=tuple(loads),
        ratios=tuple(_ratios(loads)),
        left_out=targets.why_no_reference(reference),
    )


def _load(generator: Child, target: Target, mode: str, seconds: float) -> Load:
    pid, cpu = target.process.pid, cpu_s(target.process.pid)
    told = generator.ask(
        address=target.address,
        secret=target.secret,
        seconds=seconds,
        connections=CONNECTIONS,
        keep_alive=mode == KEEP_ALIVE,
    )
    answered = time.monotonic()
    target.settle()
    spent = cpu_s(pid) - cpu
    latencies = sorted(told["latencies"])
    if not latencies:
        raise target.process.failure(f"accepted no alert ({told['statuses']}, {told['broken']} lost)")
    alerts = len(latencies)
    return Load(
        target=target.name,
        mode=mode,
        alerts=alerts,
        refused=sum(told["statuses"].values()) - alerts + told["broken"],
        alerts_per_s=alerts / told["seconds"],
        p50_ms=_percentile(latencies, 50) * 1000,
        p95_ms=_percentile(latencies, 95) * 1000,
        p99_ms=_percentile(latencies, 99) * 1000,
        cpu_ms_per_alert=spent / alerts * 1000,
        settled_after_s=time.monotonic() - answered,
        rss_mb=rss_mb(pid),
        load_cpu_ms_per_alert=told["cpu_s"] / alerts * 1000,
    )


def _percentile(ordered: list[float], percent: int) -> float:
    """The smallest value that `percent` of them do not exceed (nearest rank)."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _ratios(loads: list[Load]) -> list[Ratio]:
    """Of each measurement of the daemon to those of the references, in the same mode."""
    references = [one for one in loads if one.target in ("bare server", "reference service")]
    return [
        Ratio(
            target=one.target,
            reference=other.target,
            mode=one.mode,
            rate=one.alerts_per_s / other.alerts_per_s,
            p50=one.p50_ms / other.p50_ms,
            cpu=one.cpu_ms_per_alert / max(other.cpu_ms_per_alert, 1e-3),
        )
        for one in loads
        for other in references
        if one not in references and one.mode == other.mode
    ]


def _fsync_ms(folder: Path, times: int = 20) -> float:
    took = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return median(took)
