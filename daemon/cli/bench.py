"""`fks bench`: what an order and an alert cost on this machine."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from fks.cli.views import Column, show

if TYPE_CHECKING:
    from fks.bench.report import Report
    from fks.bench.venue import VenueReport
    from fks.bench.webhook import Load, WebhookReport

Row = dict[str, str]
REFERENCE = Path("bench/reference_service.py")


def _columns(**headings: str) -> tuple[Column, ...]:
    """The first one is text, the others are numbers."""
    return tuple(
        Column(key, heading, number=index > 0) for index, (key, heading) in enumerate(headings.items())
    )


VENUE = _columns(what="WHAT", ours="OURS", upstream="UPSTREAM", ratio="RATIO")
WEBHOOK = _columns(
    target="TARGET", mode="CONNECTION", rate="ALERTS/S", p50="P50 MS", p95="P95 MS", p99="P99 MS",
    cpu="CPU MS", rss="MIB", bare="CPU/BARE", reference="CPU/REF", refused="REFUSED",
)  # fmt: skip


@click.command()
@click.option(
    "--json", "file", metavar="FILE", type=click.File("wb"), help="Write the report there; - is stdout."
)
@click.option("--seconds", type=click.FloatRange(0.1, 60), default=2.0, show_default=True,
              help="Of each single measurement; there are 18.")  # fmt: skip
@click.option("--only", type=click.Choice(("venue", "webhook")), help="One section instead of both.")
@click.option("--reference", type=click.Path(path_type=Path), default=REFERENCE, show_default=True,
              help="The reference service; without it the comparison is left out.")  # fmt: skip
def bench(file: BinaryIO | None, seconds: float, only: str | None, reference: Path) -> None:
    """Measure this machine: orders, alerts, memory, next to the alternatives.

    `venue`: orders through ccxt on trio and through ccxt as it comes. `webhook`: alerts to the daemon, to a
    bare app on the same server, and to a plain FastAPI service. Everything runs on this machine and in
    one run of about a minute; nothing is sent anywhere else.
    """
    import msgspec

    from fks.bench import report

    sections = (only,) if only else report.SECTIONS
    with _stoppable(), _progress() as progress:
        result = report.measure(sections, seconds, reference, progress)
    if file is not None:
        file.write(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    if file is None or file.name not in ("-", "<stdout>"):
        _show(result)


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM as Ctrl-C, or the processes under load would go on without us."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What is going on, on a terminal; nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda _what: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield status.update


def _show(result: "Report") -> None:
    machine = result.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    click.echo(
        f"{machine.processor}, {machine.cores} cores, {machine.busy:.0%} busy before; Python {machine.python}"
    )
    click.echo(versions)
    if result.venue:
        show(_venue_rows(result.venue), VENUE, "Orders")
        click.echo(result.venue.how)
    if result.webhook:
        show(_webhook_rows(result.webhook), WEBHOOK, "Alerts")
        click.echo(f"{result.webhook.how} One fsync here: {result.webhook.fsync_ms:.2f} ms.")
        if result.webhook.left_out:
            click.echo(f"Left out: the reference service, because {result.webhook.left_out}.")


def _venue_rows(report: "VenueReport") -> list[Row]:
    rows = []
    for ours, theirs, ratio in zip(report.ours.orders, report.upstream.orders, report.ratios, strict=True):
        at = f"{ours.in_flight} in flight"
        cpu = f"{ours.cpu_ms_per_order:.3f}", f"{theirs.cpu_ms_per_order:.3f}", f"{ratio.cpu:.2f} x cheaper"
        rate = f"{ours.orders_per_s:.0f}", f"{theirs.orders_per_s:.0f}", f"{ratio.rate:.2f} x faster"
        rows += [(f"CPU ms per order, {at}", *cpu), (f"orders/s, {at}", *rate)]
    for what, mine, other, share in (
        ("MiB after import", report.ours.import_mb, report.upstream.import_mb, report.import_memory),
        ("MiB with markets", report.ours.loaded_mb, report.upstream.loaded_mb, report.loaded_memory),
    ):
        rows.append((what, f"{mine:.0f}", f"{other:.0f}", f"{share:.0%} of it"))
    return [dict(zip(("what", "ours", "upstream", "ratio"), row, strict=True)) for row in rows]


def _webhook_rows(report: "WebhookReport") -> list[Row]:
    return [_webhook_row(one, report) for one in report.loads]


def _webhook_row(one: "Load", report: "WebhookReport") -> Row:
    def ratio(reference: str) -> str:
        same = [
            r for r in report.ratios if (r.target, r.mode, r.reference) == (one.target, one.mode, reference)
        ]
        return f"{same[0].cpu:.1f} x" if same else ""

    return {
        "target": one.target,
        "mode": one.mode,
        "rate": f"{one.alerts_per_s:.0f}",
        "p50": f"{one.p50_ms:.1f}",
        "p95": f"{one.p95_ms:.1f}",
        "p99": f"{one.p99_ms:.1f}",
        "cpu": f"{one.cpu_ms_per_alert:.2f}",
        "rss": f"{one.rss_mb:.0f}",
        "bare": ratio("bare server"),
        "reference": ratio("reference service"),
        "refused": str(one.refused) if one.refused else "",
    }
