"""Rows as tables: rich on a terminal, aligned text everywhere else."""

import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, NamedTuple

import click

Row = Mapping[str, Any]


class Column(NamedTuple):
    key: str
    heading: str
    number: bool = False


def _columns(text: str) -> tuple[Column, ...]:
    """`key:HEADING` by blanks; a number's heading ends with `#`."""
    pairs = [one.split(":") for one in text.split()]
    return tuple(Column(key, heading.rstrip("#"), heading.endswith("#")) for key, heading in pairs)


ORDERS = _columns(
    "created_at:TIME id:ORDER account:ACCOUNT symbol:SYMBOL leg:LEG side:SIDE type:TYPE "
    "amount:AMOUNT# price:PRICE# stop_price:STOP# filled:FILLED# average:AVERAGE# state:STATE reason:REASON"
)
ALERTS = _columns("received_at:TIME id:ALERT symbol:SYMBOL action:ACTION state:STATE source:SOURCE")
PLANS = _columns(
    "account:ACCOUNT symbol:SYMBOL leg:LEG side:SIDE type:TYPE amount:AMOUNT# price:PRICE# stop_price:STOP#"
)
POSITIONS = _columns(
    "account:ACCOUNT symbol:SYMBOL strategy:STRATEGY amount:AMOUNT# average:AVERAGE# last:LAST# "
    "realized:REALIZED# unrealized:UNREALIZED# fees:FEES#"
)
TRADES = _columns(
    "opened_at:OPENED closed_at:CLOSED account:ACCOUNT strategy:STRATEGY symbol:SYMBOL side:SIDE "
    "amount:AMOUNT# entry:ENTRY# exit:EXIT# profit:PROFIT# fees:FEES# slippage:SLIPPAGE# held:HELD#"
)
BALANCE = _columns("account:ACCOUNT currency:CURRENCY free:FREE# total:TOTAL#")
FILLS = _columns(
    "time:TIME order_id:ORDER trade_id:TRADE price:PRICE# amount:AMOUNT# fee:FEE# fee_currency:IN"
)

SPARE = (
    "type",
    "order_id",
    "account",
    "average",
    "filled",
)  # given up first, in this order, on a narrow terminal

COLOURS = {
    "accepted": "yellow", "planned": "yellow", "sending": "yellow", "working": "yellow",
    "open": "cyan", "partial": "cyan", "placed": "cyan",
    "filled": "green", "done": "green",
    "unknown": "bright_magenta", "rejected": "red", "refused": "red",
    "canceled": "bright_black", "expired": "bright_black",
}  # fmt: skip


def printable(value: object) -> str:
    """Text of strangers, safe on a terminal: control characters are shown, not obeyed."""
    text = "" if value is None else str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def on_terminal() -> bool:
    return sys.stdout.isatty()


def cells(row: Row, columns: Sequence[Column]) -> list[str]:
    """A time loses its fraction; everything else is shown as the daemon writes it."""
    texts = [printable(row.get(column.key)) for column in columns]
    return [_second(text) if _is_time(column) else text for text, column in zip(texts, columns, strict=True)]


def _is_time(column: Column) -> bool:
    return column.key == "time" or column.key.endswith("_at")


def _second(text: str) -> str:
    return text[:19] + "Z" if text[10:11] == "T" else text  # 2025-11-07T10:30:00.123Z, or a heading


def widths(rows: Sequence[Row], columns: Sequence[Column]) -> list[int]:
    lines = [[column.heading for column in columns], *(cells(row, columns) for row in rows)]
    return [max(len(line[index]) for line in lines) for index in range(len(columns))]


def line(row: Row, columns: Sequence[Column], wide: Sequence[int]) -> str:
    """One row, aligned; its state coloured (`click.echo` drops the colour when it is not for a terminal)."""
    padded = []
    for text, width, column in zip(cells(row, columns), wide, columns, strict=True):
        shown = text.rjust(width) if column.number else text.ljust(width)
        if column.key == "state" and text in COLOURS:
            shown = shown.replace(text, click.style(text, fg=COLOURS[text]))
        padded.append(shown)
    return "  ".join(padded).rstrip()


def heading(columns: Sequence[Column], wide: Sequence[int]) -> str:
    return line({column.key: column.heading for column in columns}, columns, wide)


def show(rows: Sequence[Row], columns: Sequence[Column], title: str | None = None) -> None:
    """Print all rows as one table."""
    if on_terminal():
        _show_rich(rows, columns, title)
        return
    wide = widths(rows, columns)
    if title:
        click.echo(f"\n{title}")
    click.echo(heading(columns, wide))
    for row in rows:
        click.echo(line(row, columns, wide))


def _show_rich(rows: Sequence[Row], columns: Sequence[Column], title: str | None) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # never markup: the text is not ours

    console = Console()
    shown = _fitting(rows, columns, console.width)
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", padding=0)
    for column in shown:
        side: Literal["left", "right"] = "right" if column.number else "left"
        table.add_column(column.heading, justify=side, no_wrap=column.key != "reason", overflow="fold")
    for row in rows:
        texts = _brief_cells(row, shown)
        styles = [
            COLOURS.get(text, "") if column.key == "state" else ""
            for text, column in zip(texts, shown, strict=True)
        ]
        table.add_row(*(Text(text, style) for text, style in zip(texts, styles, strict=True)))
    console.print(table)


def _fitting(rows: Sequence[Row], columns: Sequence[Column], width: int) -> list[Column]:
    """Without the columns that are empty and, while the table is too wide, without those to spare."""
    shown = [column for column in columns if any(row.get(column.key) for row in rows)] or list(columns)
    for key in SPARE:
        lines = [[column.heading for column in shown], *(_brief_cells(row, shown) for row in rows)]
        if sum(max(map(len, texts)) + 1 for texts in zip(*lines, strict=True)) < width:
            break
        shown = [column for column in shown if column.key != key]
    return shown


def _brief_cells(row: Row, columns: Sequence[Column]) -> list[str]:
    """As `cells`, with times without their year."""
    texts = cells(row, columns)
    return [
        text[5:19].replace("T", " ") if _is_time(column) else text
        for text, column in zip(texts, columns, strict=True)
    ]


def outline(report: dict[str, Any]) -> list[str]:
    """`key: value` a line, lists and objects indented below their key; what is empty is left out."""
    told: list[str] = []
    for key, value in report.items():
        if value in (None, "", [], {}):
            continue
        match value:
            case dict():
                told += [f"{printable(key)}:", *(f"  {line}" for line in outline(value))]
            case list():
                told.append(f"{printable(key)}:")
                for one in value:
                    inner = outline(one) if isinstance(one, dict) else [printable(one)]
                    told += [f"{'  - ' if index == 0 else '    '}{line}" for index, line in enumerate(inner)]
            case _:
                told.append(f"{printable(key)}: {printable(value)}")
    return told


def held(seconds: float | None) -> str:
    """`2 days, 1:00:05`, to the second."""
    return "" if seconds is None else str(timedelta(seconds=round(seconds)))
