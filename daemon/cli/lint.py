"""`fks lint`: what would become of this alert; nothing is sent and nothing is kept."""

import json
import sys
from typing import Any, BinaryIO

import click

from fks.cli import views
from fks.cli.context import Failed, config_option


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="The daemon's answer as one JSON document.")
@click.argument("file", type=click.File("rb"), default="-")
def lint(as_json: bool, file: BinaryIO) -> None:
    """Say what an alert would do; send nothing.

    Asks the daemon about the alert in FILE (default: stdin). Exits 1 when it would be refused.
    """
    from fks.cli.desk_client import desk

    if file is sys.stdin.buffer and sys.stdin.isatty():
        click.echo("Paste the alert, then press Ctrl-D.", err=True)
    report = desk().call("POST", "/v1/lint", body=file.read())
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _print(report)
    if not report["accepted"]:
        raise Failed("the alert would be refused")


def _print(report: dict[str, Any]) -> None:
    orders = [order for account in report["accounts"] for order in account.pop("orders", ())]
    for told in views.outline(report):
        click.echo(told)
    if orders:
        views.show(orders, views.PLANS)
