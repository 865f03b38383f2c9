"""`fks exchanges`: what each exchange that ccxt has can do here. Talks to nobody."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fks.cli import views
from fks.cli.context import Failed

if TYPE_CHECKING:
    from fks.venues.capabilities import Capability, MarketCapability

BIG_TEN = ("binance", "bybit", "okx", "coinbase", "kraken", "kucoin", "gate", "bitget", "mexc", "htx")
MARKERS = ("<!-- exchanges -->", "<!-- /exchanges -->")
NO = "-"
LEGEND = """\
client order id: the parameter that carries our order's id; "?": no test has seen it on the wire.
look-up: how an order is found whose reply was lost. fence: the exchange itself refuses a request that is
older; without one, an order that cannot be found stays unknown until a human, or a close, cancels it.
"""

Cells = dict[str, str]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--markdown", "as_markdown", is_flag=True, help="A Markdown table; of the big ten by default.")
@click.option(
    "--update",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"Put the Markdown table between {' and '.join(MARKERS)} of FILE.",
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
def exchanges(as_json: bool, as_markdown: bool, update: Path | None, ids: tuple[str, ...]) -> None:
    """Tell what each exchange of the installed ccxt can do here, or what those named can do."""
    from fks.venues.trio_ccxt import exchange_ids

    _check(ids, exchange_ids())
    if update:
        _update(update, markdown(ids or BIG_TEN))
    elif as_markdown:
        click.echo(markdown(ids or BIG_TEN), nl=False)
    elif as_json:
        _print_json(ids or exchange_ids())
    else:
        found = survey(ids or exchange_ids())
        _show(found)
        click.echo(LEGEND, err=True, nl=False)


def _check(ids: Iterable[str], known: Sequence[str]) -> None:
    import difflib

    for one in ids:
        if one not in known:
            near = difflib.get_close_matches(one, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"ccxt knows no exchange {one!r}{hint}")


def survey(ids: Sequence[str]) -> list["Capability"]:
    """All of them, in that order; each is imported, which takes about 20 ms: progress on a terminal."""
    from fks.venues.capabilities import capability

    if len(ids) < 5 or not sys.stderr.isatty():
        return [capability(one) for one in ids]
    from rich.console import Console
    from rich.progress import track

    shown = track(ids, "reading ccxt's exchanges", console=Console(stderr=True), transient=True)
    return [capability(one) for one in shown]


def _print_json(ids: Sequence[str]) -> None:
    import msgspec

    document = msgspec.json.encode(survey(ids))
    click.echo(msgspec.json.format(document, indent=2).decode())


COLUMNS = (
    views.Column("exchange", "EXCHANGE"),
    views.Column("spot", "SPOT"),
    views.Column("swap", "SWAP"),
    views.Column("testnet", "TESTNET"),
    views.Column("stop", "STOP ORDERS"),
    views.Column("attached", "ATTACHED STOP"),
    views.Column("trailing", "TRAILING"),
    views.Column("client_id", "CLIENT ORDER ID"),
    views.Column("lookup", "LOOK-UP"),
    views.Column("fence", "FENCE"),
    views.Column("verified_by", "VERIFIED BY"),
)

PROBLEM = views.Column("reason", "CANNOT BE CONFIGURED")


def columns(found: Iterable["Capability"]) -> tuple[views.Column, ...]:
    """Those of a table of these exchanges."""
    return (*COLUMNS, PROBLEM) if any(one.problem for one in found) else COLUMNS


def cells(one: "Capability") -> Cells:
    """One exchange as a row of text, by the keys of its columns."""
    if one.problem:
        return dict.fromkeys((column.key for column in COLUMNS), NO) | {
            "exchange": one.exchange,
            "reason": one.problem,
        }
    return {
        "exchange": one.exchange,
        "spot": "yes" if one.spot else NO,
        "swap": "yes" if one.swap else NO,
        "testnet": _where(one, lambda market: market.testnet),
        "stop": _where(one, lambda market: "stop" in market.order_types),
        "attached": _where(one, lambda market: market.attached_stop),
        "trailing": _where(one, lambda market: "trailing_stop" in market.order_types),
        "client_id": one.client_id if one.client_id_known else f"{one.client_id} ?",
        "lookup": NO if one.lookup == "none" else one.lookup,
        "fence": NO if one.window_s is None else f"{one.window_s:g} s",
        "verified_by": ", ".join(one.verified_by) or NO,
        "reason": "",
    }


def _where(one: "Capability", able: Callable[["MarketCapability"], bool]) -> str:
    """On which of its markets: "yes" means on all."""
    offered = {"spot": one.spot, "swap": one.swap}
    there = {kind: able(market) for kind, market in offered.items() if market is not None}
    if all(there.values()):
        return "yes" if there else NO
    return ", ".join(kind for kind, is_able in there.items() if is_able) or NO


def _show(found: Sequence["Capability"]) -> None:
    shown, rows = columns(found), [cells(one) for one in found]
    if not views.on_terminal():
        views.show(rows, shown)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=0)
    for column in shown:  # the others may be folded where the terminal is narrow
        table.add_column(column.heading, no_wrap=column.key in ("exchange", "client_id"), overflow="fold")
    for row in rows:
        table.add_row(*(row[column.key] for column in shown))
    Console().print(table)


def markdown(ids: Sequence[str]) -> str:
    """The table in Markdown, with its legend and a line break at the end."""
    found = survey(ids)
    shown = columns(found)
    rows = [[row[column.key] for column in shown] for row in map(cells, found)]
    lines = [[column.heading.lower() for column in shown], ["---"] * len(shown), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{LEGEND}"


def between_markers(text: str, table: str) -> str:
    """`text` with `table` between the markers, instead of what is there. Raises ValueError without them."""
    begin, end = MARKERS
    head, found, rest = text.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"has no {begin} before an {end}")
    return f"{head}{begin}\n{table}{end}{tail}"


def _update(path: Path, table: str) -> None:
    before = path.read_text(encoding="utf8")
    try:
        after = between_markers(before, table)
    except ValueError as error:
        raise Failed(f"{path} {error}: put both markers where the table shall be") from None
    if after != before:
        path.write_text(after, encoding="utf8")
    click.echo(f"{path}: {'updated' if after != before else 'up to date'}")
