"""The real daemon and the real ccxt against a local Binance that checks signatures and keeps the book."""

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from exchange_process import Exchange as ExchangeProcess
from process import PAPER, Daemon, running, until
from standins.binance import KEY, SECRET


class Exchange(ExchangeProcess):
    def placements(self) -> list[dict[str, str]]:
        """The parameters of every order request that arrived, executed or not."""
        found = []
        for method, target, _headers, body in self.control("requests"):
            path, _, query = target.partition("?")
            if (method, path) == ("POST", "/api/v3/order"):
                found.append({name: values[0] for name, values in parse_qs(query or body).items()})
        return found


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    one = Exchange()
    with one.process:
        yield one
        one.process.kill()


def config(exchange: Exchange, **more: Any) -> str:
    extra = "\n".join(f"{name} = {json.dumps(value)}" for name, value in more.items())
    return f"""
[exchanges.binance]
api_key = "{KEY}"
api_secret = "{SECRET}"
base_url = "{exchange.url}"
{extra}
"""


def test_a_signed_alert_becomes_exactly_one_signed_order(tmp_path: Path, exchange: Exchange) -> None:
    with running(tmp_path, config(exchange)) as daemon:
        reply = daemon.alert(symbol="BINANCE:BTCUSDT", exchange="binance")
        assert reply.status == 200, reply
        (placement,) = exchange.placements()
        (row,) = exchange.control("orders")
        assert reply.json["order_id"] == str(row["orderId"])
        assert placement["newClientOrderId"] == reply.json["orders"][0]["client_order_id"]
        assert (placement["symbol"], placement["side"], placement["type"]) == ("BTCUSDT", "BUY", "MARKET")
        assert "signature" in placement
        order = daemon.until_order(reply.json["alert_id"], "filled")
        assert order["fills"][0]["fee_currency"] == "BTC"


@pytest.mark.fault(26)
def test_a_hundred_copies_are_one_order_on_the_exchange(tmp_path: Path, exchange: Exchange) -> None:
    with running(tmp_path, config(exchange)) as daemon, ThreadPoolExecutor(20) as pool:
        now = time.time()
        replies = list(pool.map(lambda _: daemon.alert(id="same", timestamp=now), range(100)))
        assert {reply.status for reply in replies} <= {200, 202}
        assert len(exchange.placements()) == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "reset"},
        {"kind": "close"},
        {"kind": "empty"},
        {"kind": "html"},
        {"kind": "cut"},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 524},
        {"kind": "redirect"},
    ],
    ids=lambda fault: fault["kind"],
)
@pytest.mark.fault(41, 43, 44, 45)
def test_executed_but_not_answered_is_found_and_not_doubled(
    tmp_path: Path, exchange: Exchange, fault: dict[str, Any]
) -> None:
    exchange.fault(executed=True, **fault)
    with running(tmp_path, config(exchange)) as daemon:
        reply = daemon.alert()
        assert reply.status in (200, 202)
        daemon.until_order(reply.json["alert_id"], "filled")
        assert len(exchange.placements()) == 1
        assert list(exchange.executions().values()) == [1]


def test_an_order_that_never_executed_is_sent_anew_behind_the_fence(
    tmp_path: Path, exchange: Exchange
) -> None:
    exchange.fault("reset", executed=False)
    with running(tmp_path, config(exchange)) as daemon:
        alert = daemon.accepted()
        order = daemon.until_order(alert, "filled")
        assert order["attempt"] == 2
        first, second = exchange.placements()
        assert first["newClientOrderId"] != second["newClientOrderId"]
        assert int(second["timestamp"]) - int(first["timestamp"]) > int(first["recvWindow"])
        assert list(exchange.executions().values()) == [1]


@pytest.mark.fault(42)
def test_killed_while_the_exchange_is_silent_and_started_again(tmp_path: Path, exchange: Exchange) -> None:
    exchange.fault("hang", executed=True)
    with running(tmp_path, config(exchange)) as daemon:
        reply = daemon.alert()
        assert reply.status == 202
        daemon.kill()
        daemon.start()
        daemon.until_order(reply.json["alert_id"], "filled")
        assert len(exchange.placements()) == 1


@pytest.mark.fault(46)
def test_an_exchange_that_freezes_with_orders_on_the_way_is_not_noticed_by_the_others(
    tmp_path: Path, exchange: Exchange
) -> None:
    def seconds(daemon: Daemon, attempt: int) -> float:
        began = time.monotonic()
        reply = daemon.alert(exchange="paper", id=f"alive {attempt}")
        assert (reply.status, reply.json["status"]) == (200, "success")
        return time.monotonic() - began

    soon = "breaker = { cooldown_s = 2.0 }\n"  # else its entries wait for a minute
    both = 'default_exchange = "paper"\n'
    with (
        running(tmp_path, config(exchange) + soon + PAPER, head=both) as daemon,
        ThreadPoolExecutor(20) as pool,
    ):
        assert daemon.alert(exchange="binance", id="first").status == 200
        exchange.process.send_signal(signal.SIGSTOP)
        try:
            frozen = [pool.submit(daemon.alert, exchange="binance", id=f"frozen {n}") for n in range(20)]
            took = [seconds(daemon, attempt) for attempt in range(3)]
            assert min(took) < 1.0, "also where this machine was held up once"
            replies = [one.result() for one in frozen]
        finally:
            exchange.process.send_signal(signal.SIGCONT)
        assert {reply.status for reply in replies} == {202}
        for reply in replies:
            daemon.until_order(reply.json["alert_id"], "filled")
        assert list(exchange.executions().values()) == [1] * 21


def test_the_exchange_s_rejection_is_told(tmp_path: Path, exchange: Exchange) -> None:
    with running(tmp_path, config(exchange)) as daemon:
        reply = daemon.alert(amount=8000)
        assert (reply.status, reply.json["reason"]) == (422, "insufficient_funds")


def test_a_limit_order_rests_is_canceled_by_the_desk_and_by_an_alert(
    tmp_path: Path, exchange: Exchange
) -> None:
    with running(tmp_path, config(exchange)) as daemon:
        first = daemon.alert(id="a", order_type="limit", price=49_000).json
        daemon.until_order(first["alert_id"], "open")
        daemon.ask(f"/v1/orders/{first['order_id']}", "DELETE")
        daemon.until_order(first["alert_id"], "canceled")
        second = daemon.alert(id="b", order_type="limit", price=49_000).json
        daemon.until_order(second["alert_id"], "open")
        assert daemon.alert(id="c", action="cancel", amount=None).status == 200
        daemon.until_order(second["alert_id"], "canceled")


def test_a_limit_order_that_fills_later_is_followed(tmp_path: Path, exchange: Exchange) -> None:
    with running(tmp_path, config(exchange)) as daemon:
        reply = daemon.alert(order_type="limit", price=49_000)
        daemon.until_order(reply.json["alert_id"], "open")
        exchange.control("mark", symbol="BTCUSDT", price=48_900)
        assert daemon.until_order(reply.json["alert_id"], "filled")["average"] == "48900"


def test_a_stop_loss_rests_on_the_exchange_after_the_fill(tmp_path: Path, exchange: Exchange) -> None:
    with running(tmp_path, config(exchange)) as daemon:
        reply = daemon.alert(stop_loss=48_000, take_profit=52_000)
        daemon.until_order(reply.json["alert_id"], "filled")
        rest = {"entry": "filled", "stop_loss": "open", "take_profit": "planned"}
        until(lambda: {order["leg"]: order["state"] for order in daemon.orders()} == rest)


def test_dry_run_sends_no_order(tmp_path: Path, exchange: Exchange) -> None:
    with running(tmp_path, config(exchange, mode="dry_run")) as daemon:
        assert daemon.alert().status == 200
        assert exchange.placements() == []


@pytest.mark.fault(60)
def test_keys_are_in_no_file(tmp_path: Path, exchange: Exchange) -> None:
    exchange.fault("status", status=500)
    with running(tmp_path, config(exchange).replace("[exch", '[log]\nlevel = "debug"\n[exch')) as daemon:
        daemon.alert()
        daemon.stop()
        text = b"".join(
            path.read_bytes() for path in tmp_path.iterdir() if path.is_file() and path != daemon.config
        )
        for secret in (KEY, SECRET, "signature="):
            assert secret.encode() not in text
