"""`fks demo`: the whole way of one alert, from a signed webhook to its fills, on the paper exchange."""

import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fks.cli.connection import WEBHOOK, url_of
from fks.cli.context import Failed

if TYPE_CHECKING:
    import trio

    from fks.infra.config import Loaded

PATIENCE_S = 10.0
POLL_S = 0.05
ON_ITS_WAY = ("accepted", "working")

R = TypeVar("R")

CONFIG = """\
# Made by `fks demo`.
secrets_dir = {directory}

[server]
listen = ["{door}"]
admin = ["{desk}"]
admin_token = "${{credential:admin_token}}"

[webhook]
secrets = ["${{credential:webhook_secret}}"]

[journal]
url = {journal}

[audit]
path = {audit}

[exchanges.paper]
type = "paper"
balance = {{ USDT = 100000.0 }}
fee = 0.001
slippage_bps = 2.0
prices = {{ "BTC/USDT" = 50000.0 }}
"""


@click.command()
@click.option("--once", is_flag=True, help="Stop after the order instead of serving until Ctrl-C.")
@click.option("--verbose", "-v", is_flag=True, help="The daemon's log on stderr instead of in a file.")
def demo(once: bool, verbose: bool) -> None:
    """Watch one alert become an order.

    Starts the daemon on the embedded paper exchange, posts a signed TradingView alert to it over HTTP,
    prints the order it became, and keeps serving.
    """
    import trio

    from fks.infra import log

    directory = Path(
        tempfile.mkdtemp(prefix="fks-demo-")
    )  # a new one each time: no demo meets another's journal
    loaded = prepare(directory)
    if verbose:
        log.configure("info", "auto", sys.stderr.buffer)
        trio.run(_serve, loaded, once)
        return
    with (directory / "fks.log").open("ab", buffering=0) as file:
        log.configure("info", "json", file)
        try:
            trio.run(_serve, loaded, once)
        finally:
            log.configure("info", "auto", sys.stderr.buffer)  # before the file closes under the logger


def prepare(directory: Path) -> "Loaded":
    """A configuration with its secrets in `directory`, complete enough for any other `fks --config`."""
    from fks.infra import config
    from fks.infra.credentials import ensure_secret

    ensure_secret(directory / "admin_token")
    ensure_secret(directory / "webhook_secret")
    path = directory / "fks.toml"
    door = free_address(8080)
    path.write_text(
        CONFIG.format(
            directory=_toml(str(directory)),
            door=door,
            desk=free_address(8081),
            journal=_toml(f"sqlite:{directory}/fks.db"),
            audit=_toml(f"{directory}/audit.jsonl"),
        )
    )
    return config.load(path, {**os.environ, "STATE_DIRECTORY": str(directory)}, exchange_ids=())


def _toml(text: str) -> str:
    return json.dumps(text.replace("$", "$$"), ensure_ascii=False)  # `$` begins a reference


def free_address(preferred: int) -> str:
    """The preferred port of 127.0.0.1, or any free one when something listens there."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return f"127.0.0.1:{probe.getsockname()[1]}"
    raise Failed("no free port on 127.0.0.1")


async def _serve(loaded: "Loaded", once: bool) -> None:
    """The daemon and the story told beside it; the end of the daemon is the end of both."""
    import trio

    from fks.actors.supervisor import daemon

    async def until_stopped(task_status: "trio.TaskStatus[Any]") -> None:
        await daemon(loaded, task_status=task_status)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        await nursery.start(until_stopped)
        await trio.to_thread.run_sync(_tell, loaded, abandon_on_cancel=True)
        if once:
            signal.raise_signal(signal.SIGTERM)  # stops as it does under systemd
        else:
            click.echo("\nServing until Ctrl-C.")


def alert() -> dict[str, Any]:
    """What a TradingView strategy would send now: a market entry with its stop loss and take profit."""
    return {
        "symbol": "BTCUSDT",
        "action": "buy",
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "confidence": 0.85,
        "exchange": "paper",
        "amount": 0.01,
        "price": 50000.0,
        "take_profit": 52000.0,
        "stop_loss": 48000.0,
        "strategy": "demo",
    }


def _tell(loaded: "Loaded") -> None:
    """Post the alert over real HTTP, and show what the desk knows of it."""
    from fks.cli import views
    from fks.cli.desk_client import Desk, problem
    from fks.cli.listings import BALANCE
    from fks.cli.send import post

    settings = loaded.settings
    door, desk_url = url_of(settings.server.listen[0]), url_of(settings.server.admin[0])
    assert settings.server.admin_token is not None
    desk = Desk(desk_url, settings.server.admin_token, str(loaded.path))
    body = json.dumps(alert(), indent=2).encode()
    click.echo(f"POST {door}{WEBHOOK}, signed:\n{body.decode()}\n")
    reply = post(door, settings.webhook.secrets[0].secret, body)
    if not 200 <= reply.status < 300:
        raise Failed(f"the demo's alert was refused: {problem(reply.status, reply.body)}")
    answer = json.loads(reply.body)
    answer.pop("orders", None)  # shown below, as they are by then
    click.echo(f"{reply.status} {json.dumps(answer)}")
    where = f"/v1/alerts/{answer['alert_id']}"
    chain = _eventually(lambda: desk.call("GET", where), lambda told: told["state"] not in ON_ITS_WAY)
    orders = chain["orders"]
    views.show(orders, views.ORDERS, "Orders")
    views.show([fill for order in orders for fill in order.get("fills", ())], views.FILLS, "Fills")
    # An account's balance is asked for now and then; the bought coins show when it was.
    held = _eventually(
        lambda: BALANCE.rows(desk.call("GET", BALANCE.path)),
        lambda rows: any(row["currency"] == "BTC" for row in rows),
    )
    views.show(held, BALANCE.columns, "Balance")
    click.echo(
        f"\ndoor   {door}{WEBHOOK}\ndesk   {desk_url}   token in {loaded.state_dir / 'admin_token'}\n"
        f"files  {loaded.state_dir} (journal, audit trail, log)\n\n"
        f"Another alert: fks send --config {loaded.path}\n"
        f"All orders:    fks orders --config {loaded.path}"
    )


def _eventually(ask: Callable[[], R], done: Callable[[R], bool]) -> R:
    """The first answer that is `done`, or the last one when patience ends."""
    give_up = time.monotonic() + PATIENCE_S
    while not done(answer := ask()) and time.monotonic() < give_up:
        time.sleep(POLL_S)
    return answer
