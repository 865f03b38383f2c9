"""`fks trades`: round trips, from flat to flat, as a table, JSON or CSV."""

import json
import sys
from typing import Any

import click

from fks.cli import views
from fks.cli.context import config_option

PAGE = 1000  # the most that the desk gives at once


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--csv", "as_csv", is_flag=True, help="For a spreadsheet.")
@click.option("--account", help="Only of this account.")
@click.option("--strategy", help="Only of this strategy; '' is what has none.")
@click.option("--limit", "-n", type=click.IntRange(1), default=50, show_default=True, help="Closed ones.")
def trades(as_json: bool, as_csv: bool, account: str | None, strategy: str | None, limit: int) -> None:
    """Round trips: what is still open, then the newest that are closed.

    PROFIT is after fees, SLIPPAGE what the entries paid beyond the prices of their alerts; both in quote
    currency. While a trade is open PROFIT is what it has realised so far.
    """
    if as_json and as_csv:
        raise click.UsageError("choose --json or --csv")
    asked = {"account": account, "strategy": strategy}
    found = _ask({name: one for name, one in asked.items() if one is not None}, limit)
    rows = [*found["open"], *found["trades"]]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif as_csv:
        from fks.domain.documents import TradeView
        from fks.infra import csv_text

        columns = list(TradeView.__annotations__)
        csv_text.write(sys.stdout, columns, ([row[name] for name in columns] for row in rows))
    else:
        views.show([{**row, "held": views.held(row["holding_s"])} for row in rows], views.TRADES)


def _ask(query: dict[str, Any], limit: int) -> Any:
    """Page by page. Trades that open or close between two pages show as the first page saw them."""
    from fks.cli.desk_client import desk

    client = desk()
    found = client.call("GET", "/v1/trades", query={**query, "limit": min(limit, PAGE)})
    while found["next"] and len(found["trades"]) < limit:
        more = {"limit": min(limit - len(found["trades"]), PAGE), "before": found["next"]}
        page = client.call("GET", "/v1/trades", query={**query, **more})
        found["trades"] += page["trades"]
        found["next"] = page["next"]
    return found
