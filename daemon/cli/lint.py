"""`fks lint`: what would become of this alert; nothing is sent and nothing is kept."""

import json
import sys
import time
from typing import Any, BinaryIO

import click

from fks.cli import samples, views
from fks.cli.context import Failed, Unreachable, config_option, load, webhook_secret

OFFLINE = (
    "The daemon does not answer, so this is what the configuration alone can tell: symbol, size, limits and "
    "book are not checked."
)


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="The answer as one JSON document.")
@click.argument("file", type=click.File("rb"), default="-")
def lint(as_json: bool, file: BinaryIO) -> None:
    """Say what an alert would do; send nothing.

    Asks the daemon about the alert in FILE (default: stdin); without a daemon, the configuration alone.
    TradingView's placeholders are filled in with examples. Exits 1 when the alert would be refused.
    """
    if file is sys.stdin.buffer and sys.stdin.isatty():
        click.echo("Paste the alert, then press Ctrl-D.", err=True)
    body, used = samples.filled(file.read(), load().settings)
    if used:
        click.echo("With examples for the placeholders:\n  " + "\n  ".join(used), err=True)
    report = _ask(body)
    accepted = report["accepted"]
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _print(report)
    if not accepted:
        raise Failed("the alert would be refused")


def _ask(body: bytes) -> dict[str, Any]:
    """The daemon's report, or one without it, which says so."""
    from fks.cli.desk_client import desk

    try:
        report: dict[str, Any] = desk().call("POST", "/v1/lint", body=body)
    except Unreachable:
        return _alone(body) | {"offline": OFFLINE}
    return report


def _alone(body: bytes) -> dict[str, Any]:
    from fks.domain import preview
    from fks.domain.gate import gate_rules
    from fks.domain.secret import Secret

    loaded = load()
    try:
        made = webhook_secret(loaded)
    except Unreachable:  # never started: it has no secret yet, so none is right
        made = Secret("")
    report, _ = preview.read(
        body, gate_rules(loaded.settings, lambda: made), lambda _account: None, time.time()
    )
    return report


def _print(report: dict[str, Any]) -> None:
    """The verdict, the alert in plain words, and what each account would do with it."""
    refusal = report.pop("refusal", None)
    click.echo("It would be accepted." if report.pop("accepted") else "It would be refused.")
    if refusal is not None:
        field = f" (field: {views.printable(refusal['field'])})" if refusal.get("field") else ""
        click.echo(f"{views.printable(refusal['detail'])}{field}")
    for name in ("symbol", "action"):  # `does` says both
        report.pop(name, None)
    orders = [order for account in report["accounts"] for order in account.pop("orders", ())]
    for told in views.outline(report):
        click.echo(told)
    if orders:
        views.show(orders, views.PLANS)
