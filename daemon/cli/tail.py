"""`fks tail`: the daemon's JSON lines, for people."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import click

from fks.cli.context import Failed
from fks.cli.views import printable

LEVELS = ("debug", "info", "warning", "error", "critical")
COLOURS = {"debug": "bright_black", "info": "green", "warning": "yellow", "error": "red", "critical": "red"}
JOURNALCTL = ("journalctl", "-u", "fks", "-o", "cat", "-n", "100", "-f")
IDS = ("alert_id", "order_id", "client_order_id")


@click.command()
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="This level and above.")
@click.option("--alert", metavar="ID", help="Only the lines of this alert.")
def tail(level: str, alert: str | None) -> None:
    """Pretty live log.

    Of stdin when it is piped (`fks run | fks tail`), else of the systemd unit fks.
    """
    if sys.stdin.isatty():
        _show(_from_journald(), level, alert)
        return
    # Ctrl-C is meant for the writer of the pipe; its last lines are worth seeing, and then it ends.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _show(sys.stdin.buffer, level, alert)
    finally:
        signal.signal(signal.SIGINT, handler)


def _show(lines: Iterable[bytes], level: str, alert: str | None) -> None:
    for line in lines:
        text = pretty(line.decode(errors="replace").rstrip("\n"), level=level, alert=alert)
        if text is not None:
            click.echo(text)


def _from_journald() -> Iterator[bytes]:
    if shutil.which(JOURNALCTL[0]) is None:
        raise Failed("there is no journalctl here: pipe the log in, as in `fks run | fks tail`")
    with subprocess.Popen(JOURNALCTL, stdout=subprocess.PIPE) as process:  # noqa: S603 - a constant
        try:
            yield from process.stdout or ()
        finally:
            process.terminate()


def pretty(line: str, *, level: str = "debug", alert: str | None = None) -> str | None:
    """One line for a terminal; None when it is filtered out. What is not a JSON object passes as it is."""
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        return printable(line)
    told = str(record.pop("level", "info"))
    if told in LEVELS and LEVELS.index(told) < LEVELS.index(level):
        return None
    if alert is not None and alert not in (record.get(name) for name in IDS):
        return None
    return _render(told, record)


def _render(level: str, record: dict[str, Any]) -> str:
    moment = printable(record.pop("time", ""))
    event = printable(record.pop("event", ""))
    exception = record.pop("exception", None)
    colour = COLOURS.get(level)
    parts = [
        click.style(moment[11:23] or "-", dim=True),
        click.style(f"{printable(level):<8}", fg=colour),
        click.style(f"{event:<24}", bold=True),
        *_pairs(record.items()),
    ]
    text = " ".join(parts).rstrip()
    if exception is None:
        return text
    trace = "\n".join(f"    {printable(one)}" for one in str(exception).splitlines())
    return f"{text}\n{click.style(trace, fg=colour)}"


def _pairs(items: Iterable[tuple[str, Any]]) -> Iterator[str]:
    for key, value in items:
        if value is None:
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        yield f"{click.style(printable(key), fg='cyan')}={printable(text)}"
