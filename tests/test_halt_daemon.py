"""A halt over HTTP while entries are queued: nothing leaves after its reply, and another account goes on."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from crowd import at_once
from exchange_process import Exchange, exchange_running
from process import Daemon, running, until
from standins.server import KEY, SECRET

QUEUED = 30


def body(number: int) -> bytes:
    raw = {
        "id": f"n{number}", "symbol": "BTC/USDT", "action": "buy", "exchanges": ["one", "other"],
        "amount": 0.001, "confidence": 1, "timestamp": time.time(),
    }  # fmt: skip
    return json.dumps(raw).encode()


def trading(daemon: Daemon, state: str, account: str | None) -> float:
    """When it was acknowledged, UTC."""
    daemon.ask("/v1/trading", "POST", json.dumps({"state": state, "account": account}).encode())
    return time.time()


def sent(daemon: Daemon, account: str) -> list[float]:
    journal = sqlite3.connect(daemon.folder / "fks.db")
    try:
        rows = journal.execute("SELECT sent_at FROM attempt WHERE account = ? AND sent_at > 0", (account,))
        return [at for (at,) in rows]
    finally:
        journal.close()


def of(daemon: Daemon, account: str) -> list[dict[str, Any]]:
    return [order for order in daemon.orders() if order["account"] == account]


def at_rest(daemon: Daemon, account: str) -> bool:
    orders = of(daemon, account)
    return len(orders) == QUEUED and {order["state"] for order in orders} <= {"filled", "refused"}


def test_a_halt_of_one_account_stops_its_queue_with_the_reply(tmp_path: Path) -> None:
    with exchange_running("binance") as exchange:
        _halt(tmp_path, exchange)


def _halt(folder: Path, exchange: Exchange) -> None:
    own = f'type = "binance"\napi_key = "{KEY}"\napi_secret = "{SECRET}"\nbase_url = "{exchange.url}"\n'
    config = f"[exchanges.one]\n{own}[exchanges.other]\n{own}"
    with running(folder, config, head='default_exchange = "one"\n') as daemon:
        daemon.config.write_text(daemon.config.read_text().replace("wait_s = 5.0", "wait_s = 0.0"))
        daemon.stop()
        daemon.start()
        until(lambda: all(one["ready"] for one in daemon.ask("/v1/accounts")["accounts"]))
        exchange.control("latency", seconds=0.2)
        assert set(at_once(daemon, [body(number) for number in range(QUEUED)])) == {202}
        until(lambda: len(sent(daemon, "one")) >= 3)
        acknowledged = trading(daemon, "halted", "one")
        exchange.control("latency", seconds=0.0)
        until(lambda: at_rest(daemon, "one"))
        until(lambda: at_rest(daemon, "other"))
        assert max(sent(daemon, "one")) <= acknowledged
        refused = [order for order in of(daemon, "one") if order["state"] == "refused"]
        assert refused
        assert all(order["reason"].startswith("risk.halted") for order in refused)
        assert {order["state"] for order in of(daemon, "other")} == {"filled"}

        daemon.kill()  # the halt is on disk
        daemon.start()
        assert daemon.accepted(id="late", exchange="one")
        until(lambda: _code(daemon, "one") == "risk.halted")
        assert daemon.alert(id="out", exchange="one", action="close", amount=None).status == 202
        until(
            lambda: any(order["leg"] == "close" and order["state"] == "filled" for order in of(daemon, "one"))
        )


def _code(daemon: Daemon, account: str) -> str | None:
    newest = daemon.ask("/v1/alerts?limit=1")["alerts"][0]
    chain = daemon.ask(f"/v1/alerts/{newest['id']}")
    codes = [one["code"] for one in chain["intents"] if one["account"] == account]
    return codes[0] if codes else None
