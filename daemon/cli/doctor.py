"""`fks doctor`: would it work? Asks every account and address of the configuration; changes nothing."""

import errno
import http.client
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fks.cli.connection import request, url_of
from fks.cli.context import Failed, config_option, load
from fks.cli.views import printable

if TYPE_CHECKING:
    from fks.domain.diagnosis import Finding, Judgement
    from fks.domain.settings import Settings
    from fks.infra.config import Loaded

PROBE_S = 2.0
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def doctor(as_json: bool) -> None:
    """Check each account and address: does it answer, may the key do what it must, does an order fit.

    Reads only, and needs no daemon. Exits 1 when something fails.
    """
    from fks.venues.trio_ccxt import exchange_ids

    loaded = load(exchange_ids())
    with _patience(loaded.settings), _silence():
        findings = [*_local(loaded), *_accounts(loaded.settings)]
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

    return Console(stderr=True).status(f"asking {', '.join(settings.exchanges)}")


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


# --- this machine


def _local(loaded: "Loaded") -> Iterator["Finding"]:
    from fks.domain.diagnosis import Judgement, Verdict
    from fks.domain.reachability import judge_desk, judge_door, judge_proxies

    for warning in loaded.warnings:
        yield Judgement(Verdict.WARN, warning).of("configuration", "sense")
    server = loaded.settings.server
    for role, addresses, judge in (("door", server.listen, judge_door), ("desk", server.admin, judge_desk)):
        for address in addresses:
            yield port(address).of(f"{role} {address}", "port")
            yield judge(address).of(f"{role} {address}", "reach")
    yield judge_proxies(server, loaded.settings.webhook).of("door", "proxy")


def port(address: str) -> "Judgement":
    """Who listens there: our daemon, nobody (then: could we?), or somebody else."""
    from fks.domain.diagnosis import Judgement, Verdict
    from fks.infra.sockets import BindError, bind

    free = Judgement(Verdict.OK, "free; the daemon does not run")
    if address.startswith("unix:"):  # not tried: it would leave a socket file behind
        path = Path(address.removeprefix("unix:"))
        if path.is_socket():
            return _who_answers(address)
        if path.exists():
            return Judgement(Verdict.FAIL, "a file that is no socket is there", "move it away")
        if os.access(path.parent, os.W_OK):
            return free
        detail = f"{path.parent} is not there, or not writable for this user"
        return Judgement(Verdict.FAIL, detail, "make the folder, writable for the daemon's user")
    try:
        bind(address).close()
    except BindError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE:
            return _who_answers(address)
        return Judgement(Verdict.FAIL, str(error), "choose an address that this user may listen on")
    return free if not address.endswith(":0") else Judgement(Verdict.OK, "any free port")


def _who_answers(address: str) -> "Judgement":
    from fks.domain.diagnosis import Judgement, Verdict

    remedy = "stop it, or choose another address"
    try:
        reply = request(url_of(address), "GET", "/readyz", timeout=PROBE_S)
        told = json.loads(reply.body)
        ready, reasons = told.get("status") == "ready", told.get("reasons")
    except ConnectionRefusedError:
        if address.startswith("unix:"):
            return Judgement(Verdict.OK, "free, after a daemon that did not clean up")
        return Judgement(Verdict.FAIL, "in use by a process that does not listen", remedy)
    except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
        detail = f"in use, and not by the daemon ({type(error).__name__}: {error})"
        return Judgement(Verdict.FAIL, detail, remedy)
    if reply.status == 200 and ready:
        return Judgement(Verdict.OK, "the daemon answers, and accepts alerts")
    if reply.status == 503 and reasons:
        detail = f"the daemon answers, and takes no alerts: {'; '.join(map(str, reasons))}"
        return Judgement(Verdict.WARN, detail, "`fks tail` shows why")
    return Judgement(Verdict.FAIL, f"in use, and not by the daemon (status {reply.status})", remedy)


# --- the table


def table(findings: Sequence["Finding"]) -> list[str]:
    """A line for each check, aligned, its remedy below it; a blank line between two subjects."""
    wide = max((len(one.check) for one in findings), default=0)
    lines: list[str] = []
    for before, one in zip((None, *findings), findings, strict=False):
        if before is None or before.subject != one.subject:
            lines += ["", click.style(printable(one.subject), bold=True)]
        verdict = click.style(f"{one.verdict:<4}", fg=COLOURS[one.verdict])
        lines.append(f"  {verdict}  {printable(one.check):<{wide}}  {printable(one.detail)}")
        if one.remedy:
            lines.append(f"        {'':<{wide}}  -> {printable(one.remedy)}")
    return lines[1:]


def _print_json(findings: Sequence["Finding"], *, ok: bool) -> None:
    import msgspec

    document = msgspec.json.encode({"ok": ok, "findings": findings})
    click.echo(msgspec.json.format(document, indent=2).decode())
