"""`fks replay`: a strategy's alerts against the past, through the whole daemon, before there are keys."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

import click

from fks.cli import views
from fks.cli.context import config_option, load

if TYPE_CHECKING:
    from fks.actors.replay import Happening, Replayed
    from fks.domain.trades import RoundTrip

REFUSED = (
    views.Column("time", "TIME"),
    views.Column("line", "LINE", number=True),
    views.Column("code", "CODE"),
    views.Column("reason", "REASON"),
)


@click.command()
@config_option
@click.argument("file", type=click.File(encoding="utf-8-sig"), required=False)
@click.option(
    "--candles", type=click.File(encoding="utf-8-sig"), help="CSV: time,open,high,low,close[,volume]."
)
@click.option("--alerts", type=click.File(encoding="utf-8-sig"), help="JSON lines, as in FILE.")
@click.option("--symbol", metavar="BASE/QUOTE", help="Of candles that name none.")
@click.option("--timeframe", metavar="1h", help="A candle's length; default: the shortest distance of two.")
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON document.")
@click.option("--csv", "as_csv", is_flag=True, help="The round trips as CSV.")
def replay(
    *,
    file: TextIO | None,
    candles: TextIO | None,
    alerts: TextIO | None,
    symbol: str | None,
    timeframe: str | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Run past alerts and candles through the whole daemon, and print what they came to.

    FILE holds JSON lines: alerts as they were sent, each with its time, and candles
    {"candle": [time, open, high, low, close, volume], "symbol": "BTC/USDT"}. Every account trades on paper,
    with the configuration's sizes, limits, fees and slippage. The same input gives the same result.
    """
    timeline = _read(file=file, candles=candles, alerts=alerts, symbol=symbol, timeframe=timeframe)
    result = _run(timeline)
    if as_json:
        click.echo(json.dumps(_document(result), indent=2))
    elif as_csv:
        _print_csv(result)
    else:
        _print(result)


def _read(
    *,
    file: TextIO | None,
    candles: TextIO | None,
    alerts: TextIO | None,
    symbol: str | None,
    timeframe: str | None,
) -> "list[Happening]":
    from fks.domain import history
    from fks.domain.candles import seconds

    if file is None and (candles is None or alerts is None):
        raise click.UsageError("give FILE, or both --candles and --alerts")
    read: list[Any] = []
    for source, how in (
        (file, history.read_lines),
        (candles, history.read_csv),
        (alerts, history.read_lines),
    ):
        if source is not None:
            try:
                read += how(source, symbol)
            except (history.BadHistory, UnicodeDecodeError) as error:
                raise click.UsageError(f"{source.name}: {error}") from None
    lengths = history.lengths(one for one in read if isinstance(one, history.Candle))
    if timeframe is not None:
        try:
            lengths = dict.fromkeys(lengths, float(seconds(timeframe)))
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    if not any(isinstance(one, history.Sent) for one in read):
        raise click.UsageError("there is no alert in these files")
    return history.timeline(read, lengths)


def _run(timeline: "list[Happening]") -> "Replayed":
    import structlog
    from rich.console import Console
    from rich.progress import Progress

    from fks.actors.replay import Replay

    loaded = load()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    with Progress(console=Console(stderr=True), transient=True, disable=not views.on_terminal()) as progress:
        task = progress.add_task("replaying", total=len(timeline))
        return Replay(loaded, timeline, _quote(timeline), lambda done: progress.advance(task, done)).run()


def _quote(timeline: "Iterable[Happening]") -> str:
    """The currency in which the result is reckoned: that of the first price."""
    from fks.domain.book import currencies
    from fks.domain.history import Tick, Turn

    for one in timeline:
        if isinstance(one, Turn):
            return currencies(one.candle.symbol)[1]
        if isinstance(one, Tick):
            return currencies(one.symbol)[1]
    raise click.UsageError("there is no price in these files: alerts need candles or ticks to trade against")


def _document(result: "Replayed") -> dict[str, Any]:
    from msgspec.structs import asdict

    performance = {name: _plain(value) for name, value in asdict(result.performance).items()}
    return {
        "quote": result.quote,
        "began": _time(result.began),
        "ended": _time(result.ended),
        "alerts": result.alerts,
        "duplicates": result.duplicates,
        "orders": result.orders,
        "performance": performance,
        "trades": [_row(trip) for trip in (*result.closed, *result.still_open)],
        "refused": [asdict(one) | {"time": _time(one.time)} for one in result.refused],
        "alarms": [{"time": _time(at), "code": code, "detail": text} for at, code, text in result.alarms],
        "journal": result.chain,
    }


def _row(trip: "RoundTrip") -> dict[str, Any]:
    from msgspec.structs import asdict

    row = {name: _plain(value) for name, value in asdict(trip).items()}
    times = {name: _time(getattr(trip, name)) for name in ("opened_at", "closed_at")}
    return row | times | {"profit": _plain(trip.profit), "holding_s": trip.holding_s}


def _shown(trip: "RoundTrip") -> dict[str, Any]:
    """As `_row`, in as many digits as a human reads."""
    money = {name: _money(getattr(trip, name)) for name in ("profit", "fees", "slippage")}
    prices = {name: _digits(getattr(trip, name)) for name in ("amount", "entry", "exit")}
    return _row(trip) | money | prices | {"held": views.held(trip.holding_s)}


def _money(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _digits(value: Decimal | None) -> str | None:
    """Eight that count; of a large number its whole part."""
    if not value:
        return None if value is None else "0"
    return f"{round(value, max(0, 7 - value.adjusted())):f}"


def _plain(value: Any) -> Any:
    from fks.domain.money import rough

    return rough(value) if isinstance(value, Decimal) else value


def _time(moment: float | None) -> str | None:
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _print_csv(result: "Replayed") -> None:
    import sys

    from fks.infra import csv_text

    rows = [_row(trip) for trip in (*result.closed, *result.still_open)]
    names = list(rows[0]) if rows else [column.key for column in views.TRADES]
    csv_text.write(sys.stdout, names, ([row[name] for name in names] for row in rows))


def _print(result: "Replayed") -> None:
    trips = [_shown(trip) for trip in (*result.closed, *result.still_open)]
    if trips:
        views.show(trips, views.TRADES, f"Round trips, money in {result.quote}")
    if result.refused:
        refused = [{"time": _time(one.time), "line": one.line or "", "code": one.code, "reason": one.reason}
                   for one in result.refused]  # fmt: skip
        views.show(refused, REFUSED, "Alerts that came to nothing")
    for at, code, text in result.alarms:
        click.echo(f"alarm {_time(at)} {code}: {views.printable(text)}")
    click.echo("")
    for told in _summary(result):
        click.echo(told)


def _summary(result: "Replayed") -> list[str]:
    one, quote = result.performance, result.quote
    share = f" ({one.win_rate * 100:.1f} %)" if one.win_rate is not None else ""
    without = "none: no loss" if one.trades else "none"
    factor = f"{one.profit_factor:.2f}" if one.profit_factor is not None else without
    rest = one.equity_end - one.equity_start - one.profit
    lost, codes = len(result.refused), Counter(refusal.code for refusal in result.refused)
    why = f" ({', '.join(f'{code} {count}' for code, count in codes.most_common())})" if lost else ""
    held = f"; held for {views.held(one.average_holding_s)} on average" if one.trades else ""
    change = f" ({(one.equity_end / one.equity_start - 1) * 100:+.1f} %)" if one.equity_start else ""
    return [
        f"from {_time(result.began)} to {_time(result.ended)}",
        f"alerts: {result.alerts}, of which {lost} came to nothing{why} and {result.duplicates} were repeats",
        f"orders: {result.orders}",
        f"round trips: {one.trades}, won {one.winners}{share}; still open: {one.still_open}{held}",
        f"profit of the closed ones: {one.profit:.2f} {quote} after fees; fees: {one.fees:.2f} {quote}; "
        f"profit factor: {factor}",
        f"open positions and funding: {rest:+.2f} {quote}",
        f"equity: {one.equity_start:.2f} -> {one.equity_end:.2f} {quote}{change}; "
        f"deepest fall: {one.drawdown:.2f} {quote} ({one.drawdown_share * 100:.1f} %)",
        f"journal: {result.chain} (the same for the same files and configuration)",
    ]
