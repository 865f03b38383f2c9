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
IDS = ("alert_id", "order_id", "client_order_id")
LAST, LAST_OF_ALERT = "100", "20000"  # lines of the past; one alert's are few among them


@click.command()
@click.option(
    "--level", type=click.Choice(LEVELS, case_sensitive=False), default="debug", help="This level and above."
)
@click.option(
    "--alert", metavar="ID", help="Only the lines of this alert and of its orders; any id of theirs."
)
@click.option("--unit", default="fks", show_default=True, help="The systemd unit, such as fks@alice.")
def tail(level: str, alert: str | None, unit: str) -> None:
    """Pretty live log.

    Of stdin when it is piped (`fks run | fks tail`), else of the systemd unit.
    """
    pretty = Pretty(level, alert)
    if sys.stdin.isatty():
        _show(_from_journald(unit, LAST_OF_ALERT if alert else LAST), pretty)
        return
    # Ctrl-C is meant for the writer of the pipe; its last lines are worth seeing, and then it ends.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _show(sys.stdin.buffer, pretty)
    finally:
        signal.signal(signal.SIGINT, handler)


def _show(lines: Iterable[bytes], pretty: "Pretty") -> None:
    for line in lines:
        text = pretty(line.decode(errors="replace").rstrip("\n"))
        if text is not None:
            click.echo(text)


def _from_journald(unit: str, last: str) -> Iterator[bytes]:
    if shutil.which("journalctl") is None:
        raise Failed("there is no journalctl here: pipe the log in, as in `fks run | fks tail`")
    command = ("journalctl", "-u", unit, "-o", "cat", "-n", last, "-f")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 - no shell
        try:
            yield from process.stdout or ()
        finally:
            process.terminate()


class Pretty:
    """Lines for a terminal, one by one. Which orders are the alert's, the lines themselves have told."""

    def __init__(self, level: str = "debug", alert: str | None = None) -> None:
        self._least = LEVELS.index(level)
        self._wanted = None if alert is None else {alert}

    def __call__(self, line: str) -> str | None:
        """None when it is filtered out. What is not a JSON object is no alert's, and else passes as it is."""
        line, record = _unwrapped(line, _parsed(line))
        if record is None:
            return printable(line) if self._wanted is None else None
        told = str(record.pop("level", "info"))
        if not self._concerns(record) or (told in LEVELS and LEVELS.index(told) < self._least):
            return None
        return _render(told, record)

    def _concerns(self, record: dict[str, Any]) -> bool:
        if self._wanted is None:
            return True
        ids = {one for name in IDS if isinstance(one := record.get(name), str)}
        if not ids & self._wanted:
            return False
        self._wanted |= ids
        return True


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _unwrapped(line: str, record: dict[str, Any] | None) -> tuple[str, dict[str, Any] | None]:
    """Of what `journalctl -o json` gives, the message."""
    if record is None or "__REALTIME_TIMESTAMP" not in record:
        return line, record
    message = str(record.get("MESSAGE"))
    return message, _parsed(message)


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
