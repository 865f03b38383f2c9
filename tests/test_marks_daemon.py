"""Paper money at a real exchange's public prices: the daemon, ccxt and an exchange on loopback."""

from decimal import Decimal
from pathlib import Path

import pytest

from exchange_process import Exchange, exchange_running
from process import Daemon, running, until


def price(daemon: Daemon) -> Decimal:
    return Decimal(daemon.ask("/v1/ticker?exchange=paper&symbol=BTC/USDT")["last"])


def until_price(daemon: Daemon, wanted: int) -> None:
    until(lambda: price(daemon) == wanted, f"a price of {wanted}")


@pytest.mark.parametrize("name", ["binance", "okx"])
def test_the_marks_follow_the_exchange_and_fill_what_they_meet(tmp_path: Path, name: str) -> None:
    with exchange_running(name) as exchange:
        _follow(tmp_path, name, exchange)


def _follow(folder: Path, name: str, exchange: Exchange) -> None:
    native = {"binance": "BTCUSDT", "okx": "BTC-USDT"}[name]
    config = f"""
[exchanges.paper]
balance = {{ USDT = 100000.0 }}
prices = {{ "BTC/USDT" = 30000.0 }}
marks_from = "{name}"
base_url = "{exchange.url}"
"""
    with running(folder, config) as daemon:
        until_price(daemon, 50_000)
        assert daemon.alert(price=10, id="a hint that is none").status == 200
        assert price(daemon) == 50_000
        resting = daemon.accepted(id="resting", order_type="limit", price=49_000)
        daemon.until_order(resting, "open")
        exchange.control("mark", symbol=native, price=48_500)
        filled = daemon.until_order(resting, "filled")
        assert Decimal(filled["average"]) == 49_000
        until_price(daemon, 48_500)
        assert not exchange.control("executions")  # nobody traded there
