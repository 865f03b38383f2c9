"""The whole of one run, and the machine that it ran on."""

import os
import platform
from collections.abc import Callable, Collection
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from fks.bench import venue, webhook
from fks.bench.venue import VenueReport
from fks.bench.webhook import WebhookReport

SECTIONS = ("venue", "webhook")


class Machine(Struct, frozen=True, kw_only=True):
    """`busy`: the load average of the minute before the run, per core; above 0.3 figures are coarse."""

    processor: str
    cores: int
    busy: float
    system: str
    python: str
    versions: dict[str, str]


class Report(Struct, frozen=True, kw_only=True):
    machine: Machine
    venue: VenueReport | None = None
    webhook: WebhookReport | None = None


def measure(
    sections: Collection[str], seconds: float, reference: Path, progress: Callable[[str], None]
) -> Report:
    """`seconds`: of each single measurement. Raises BenchError."""
    about = _machine()
    # Not /tmp, which may be memory: bringing a journal to that disk would cost nothing.
    with TemporaryDirectory(prefix="fks-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")) as name:  # noqa: S108
        folder = Path(name)
        return Report(
            machine=about,
            venue=venue.measure(seconds, folder, progress) if "venue" in sections else None,
            webhook=webhook.measure(seconds, folder, reference, progress) if "webhook" in sections else None,
        )


def _machine() -> Machine:
    cores = len(os.sched_getaffinity(0))
    return Machine(
        processor=_processor(),
        cores=cores,
        busy=os.getloadavg()[0] / cores,
        system=platform.platform(),
        python=platform.python_version(),
        versions={name: version(name) for name in ("fks-execution", "ccxt", "trio", "hypercorn", "aiohttp")},
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
