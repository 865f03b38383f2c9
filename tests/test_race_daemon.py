"""Five hundred alerts at once at the real door, for accounts with a limit each, and a kill between."""

import json
import sqlite3
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from crowd import at_once
from process import Daemon, until

ALERTS, PRICE = 500, Decimal(50_000)
LIMITED = {
    "order": "max_order_notional = 499.0",
    "position": "max_position_notional = 5000.0",
    "open": "max_open_orders = 4",
    "minute": "max_orders_per_minute = 7",
    "pause": "cooldown_s = 600.0",
    "market": '[exchanges.market.risk.symbols."BTC/USDT"]\nmax_position_notional = 3000.0',
    "free": "max_position_notional = 1e9",
}
ACCOUNTS = "[risk]\nmax_position_notional = 90000.0\n" + "".join(
    f'[exchanges.{name}]\ntype = "paper"\nbalance = {{ USDT = 1e8 }}\nprices = {{ "BTC/USDT" = 50000.0 }}\n'
    + (limit if limit.startswith("[") else f"[exchanges.{name}.risk]\n{limit}")
    + "\n"
    for name, limit in LIMITED.items()
)
STRATEGIES = "[strategies.trend.risk]\nmax_position_notional = 4000.0\n[strategies.grid]\n"


def body(number: int) -> bytes:
    """Every third one rests below the market."""
    resting = {"order_type": "limit", "price": 49_000} if number % 3 == 0 else {}
    raw = {
        "id": f"n{number}", "symbol": "BTC/USDT", "action": "buy", "exchanges": list(LIMITED),
        "strategy": ("trend", "grid")[number % 2], "amount": 0.009 if number % 5 else 0.011,
        "confidence": 1, "timestamp": time.time(), **resting,
    }  # fmt: skip
    return json.dumps(raw).encode()


def test_five_hundred_at_the_real_door_pass_no_limit_also_over_a_kill(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, ACCOUNTS + STRATEGIES, head='default_exchange = "free"\n')
    text = daemon.config.read_text().replace("wait_s = 5.0", "wait_s = 0.0")
    daemon.config.write_text(text.replace("drain_s = 5.0", "drain_s = 5.0\nmax_connections = 600"))
    bodies = [body(number) for number in range(ALERTS)]
    daemon.start()
    try:
        assert set(at_once(daemon, bodies[:250])) == {202}
        daemon.kill()
        daemon.start()
        assert set(at_once(daemon, bodies)) <= {200, 202}
        until(lambda: at_rest(daemon), "rest")
        assert daemon.stop() == 0
        check(daemon)
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()


def at_rest(daemon: Daemon) -> bool:
    if daemon.ask("/v1/alerts?state=accepted&limit=1")["alerts"]:
        return False
    return not any(one["state"] in ("planned", "sending") for one in daemon.orders())


def check(daemon: Daemon) -> None:
    found = all_orders(daemon)
    by_account = {name: [one for one in found if one["account"] == name] for name in LIMITED}
    notional = {name: worth(orders) for name, orders in by_account.items()}
    assert {one["amount"] for one in by_account["order"]} == {"0.009"}
    assert 4500 < notional["position"] <= 5000
    assert 2500 < notional["market"] <= 3000
    assert len(by_account["minute"]) == 7
    assert len(by_account["pause"]) == 1
    assert 1 <= sum(one["state"] == "open" for one in by_account["open"]) <= 4
    for orders in by_account.values():
        assert worth([one for one in orders if one["strategy"] == "trend"]) <= 4000
    assert 80_000 < notional["free"] <= 140_000


def worth(orders: list[dict[str, Any]]) -> Decimal:
    """In the worst case, at the price that the paper exchange had throughout."""
    return sum((Decimal(one["amount"]) * PRICE for one in orders), Decimal(0))


def all_orders(daemon: Daemon) -> list[dict[str, Any]]:
    """From the view that is there for users: the API does not tell an order's strategy."""
    journal = sqlite3.connect(daemon.folder / "fks.db")
    journal.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in journal.execute("SELECT account, strategy, state, amount FROM orders")]
    finally:
        journal.close()
