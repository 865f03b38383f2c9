"""`fks doctor`: would it work? Asks the machine, every account and every address; changes nothing."""

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from fks.cli.context import Failed, config_option, load
from fks.cli.doctor_local import addresses, files, machine, service
from fks.cli.doctor_url import public_address
from fks.cli.views import printable

if TYPE_CHECKING:
    from fks.domain.diagnosis import Finding
    from fks.domain.settings import Settings

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@config_option
@click.option("--url", metavar="URL", help="The public address of the webhook; default: server.public_url.")
@click.option("--unit", default="fks.service", show_default=True, help="The daemon's systemd unit.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def doctor(url: str | None, unit: str, as_json: bool) -> None:
    """Check the machine, each account and each address: would an alert come in, and become an order.

    Orders nothing, and needs no daemon. With a URL it posts one alert without a signature there, as a
    stranger would, which the daemon refuses. Exits 1 when something fails, 0 with warnings.
    """
    from fks.venues.trio_ccxt import exchange_ids

    loaded = load(exchange_ids())
    settings = loaded.settings
    with _patience(settings), _silence():
        findings = [*machine(loaded), *files(loaded), *service(unit), *addresses(settings)]
        findings += [*public_address(url or settings.server.public_url, settings), *_accounts(settings)]
    failed = sum(one.verdict == "fail" for one in findings)
    if as_json:
        _print_json(findings, ok=not failed)
    else:
        for line in table(findings):
            click.echo(line)
    if failed:
        raise Failed(f"{failed} of {len(findings)} checks failed")


def _patience(settings: "Settings") -> Any:
    """A sign of life on a terminal."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(f"asking this machine and {', '.join(settings.exchanges)}")


@contextmanager
def _silence() -> Iterator[None]:
    """No log: what a venue warns of is told as a finding, and stdout belongs to those."""
    import structlog

    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def _accounts(settings: "Settings") -> list["Finding"]:
    """All at once, told in the order of the configuration."""
    import trio

    from fks.venues.doctor import examine

    found: dict[str, list[Finding]] = {}

    async def one(name: str) -> None:
        found[name] = await examine(name, settings, time.time)

    async def every() -> None:
        async with trio.open_nursery() as nursery:
            for name in settings.exchanges:
                nursery.start_soon(one, name)

    trio.run(every)
    return [finding for name in settings.exchanges for finding in found[name]]


# --- the table


def table(findings: Sequence["Finding"]) -> list[str]:
    """A line for each check, its remedy below it; aligned within its subject, a blank line between two."""
    lines: list[str] = []
    for subject, group in groupby(findings, key=lambda one: one.subject):
        same = list(group)
        wide = max(len(one.check) for one in same)
        lines += ["", click.style(printable(subject), bold=True)]
        for one in same:
            verdict = click.style(f"{one.verdict:<4}", fg=COLOURS[one.verdict])
            lines.append(f"  {verdict}  {printable(one.check):<{wide}}  {printable(one.detail)}")
            if one.remedy:
                lines.append(f"        {'':<{wide}}  -> {printable(one.remedy)}")
    return lines[1:]


def _print_json(findings: Sequence["Finding"], *, ok: bool) -> None:
    import msgspec

    document = msgspec.json.encode({"ok": ok, "findings": findings})
    click.echo(msgspec.json.format(document, indent=2).decode())
