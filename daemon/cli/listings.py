"""`fks orders | alerts | positions | balance`: what the daemon holds, once or as it changes."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from fks.cli import views
from fks.cli.context import config_option
from fks.cli.views import Column, Row

RECONNECT_S = 0.5


@dataclass(frozen=True, slots=True)
class Listing:
    """One resource of the desk: where it is, which rows are in its reply, what tells them apart."""

    path: str
    columns: tuple[Column, ...]
    rows: Callable[[Any], list[Row]]
    key: tuple[str, ...]
    newest_first: bool = False


def _balance_rows(reply: Any) -> list[Row]:
    return [
        {"account": account, "currency": currency, **amounts}
        for account, currencies in reply["balances"].items()
        for currency, amounts in currencies.items()
    ]


def _position_rows(reply: Any) -> list[Row]:
    """Each position, then the strategies' shares of it."""
    rows: list[Row] = []
    for one in reply["positions"]:
        rows.append({"strategy": "", **one})
        rows += [{**one, **share} for share in one.get("strategies", ())]
    return rows


ORDERS = Listing("/v1/orders", views.ORDERS, lambda reply: reply["orders"], ("id",), newest_first=True)
ALERTS = Listing("/v1/alerts", views.ALERTS, lambda reply: reply["alerts"], ("id",), newest_first=True)
POSITIONS = Listing("/v1/positions", views.POSITIONS, _position_rows, ("account", "symbol", "strategy"))
BALANCE = Listing("/v1/balance", views.BALANCE, _balance_rows, ("account", "currency"))


def _print(listing: Listing, query: dict[str, object], *, as_json: bool) -> None:
    from fks.cli.desk_client import desk

    reply = desk().call("GET", listing.path, query=query)
    if as_json:
        click.echo(json.dumps(reply, indent=2))
    else:
        views.show(listing.rows(reply), listing.columns)


def _follow(listing: Listing, query: dict[str, object], *, as_json: bool) -> None:
    """Print every row once, then each again when it has changed.

    The stream is opened first and the rows are asked for after it, so nothing falls between the two.
    States that come and go between two looks are not shown: the whole record is `/v1/events`.
    """
    from fks.cli.desk_client import desk

    client = desk()
    known: dict[tuple[Any, ...], Row] = {}
    wide: list[int] = []
    while True:
        for _ in client.changes():
            rows = listing.rows(client.call("GET", listing.path, query=query))
            if listing.newest_first:
                rows.reverse()
            latest = {tuple(row[name] for name in listing.key): row for row in rows}
            changed = [row for key, row in latest.items() if known.get(key) != row]
            known = latest
            if as_json:
                _echo_json(changed)
                continue
            if not wide:
                wide = views.widths(changed, listing.columns)
                click.echo(views.heading(listing.columns, wide))
            for row in changed:
                click.echo(views.line(row, listing.columns, wide))
        time.sleep(RECONNECT_S)  # the desk ends the stream of a slow listener, and when it stops


def _echo_json(rows: Sequence[Row]) -> None:
    for row in rows:
        click.echo(json.dumps(row))


def _command(name: str, listing: Listing, text: str) -> click.Command:
    def run(as_json: bool, follow: bool, limit: int | None = None) -> None:
        query: dict[str, object] = {} if limit is None else {"limit": limit}
        (_follow if follow else _print)(listing, query, as_json=as_json)

    run.__doc__ = text
    command = click.command(name)(run)
    options = [
        config_option,
        click.option("--json", "as_json", is_flag=True, help="One JSON document; with --follow, JSON lines."),
        click.option("--follow", "-f", is_flag=True, help="Stay, and print what changes."),
    ]
    if listing.newest_first:
        options.append(
            click.option("--limit", "-n", type=click.IntRange(1, 1000), default=50, show_default=True)
        )
    for option in options:
        option(command)
    return command


orders = _command("orders", ORDERS, "The newest orders, each leg on its own line.")
alerts = _command("alerts", ALERTS, "The newest alerts and what has become of them.")
positions = _command("positions", POSITIONS, "Positions, each with its strategies' shares.")
balance = _command("balance", BALANCE, "Free and total balance by currency.")
