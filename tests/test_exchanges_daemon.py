"""The real daemon and the real ccxt on three exchanges, spot and swap: one code path, one outcome."""

import time
from collections.abc import Iterator

import pytest

from exchange_process import Exchange
from process import Daemon, running, until
from standins.server import KEY, PASSPHRASE, SECRET

NAMES = ("binance", "bybit", "okx")


@pytest.fixture(scope="module", params=NAMES)
def exchange(request: pytest.FixtureRequest) -> Iterator[Exchange]:
    one = Exchange(request.param)
    with one.process:
        yield one
        one.process.kill()


@pytest.fixture(scope="module")
def daemon(exchange: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    keys = {"api_key": KEY, "api_secret": SECRET, "password": PASSPHRASE, "base_url": exchange.url}
    own = "\n".join(f'{name} = "{value}"' for name, value in {"type": exchange.name, **keys}.items())
    config = f'[exchanges.spot]\n{own}\n[exchanges.swap]\nmarket = "swap"\n{own}\n'
    folder = tmp_path_factory.mktemp(exchange.name)
    with running(folder, config, head='default_exchange = "spot"\n') as one:
        yield one


def flat(daemon: Daemon, account: str) -> None:
    """Close what an earlier test left."""
    daemon.alert(action="close", amount=None, exchange=account, id=f"flat-{time.time()}")
    daemon.alert(action="cancel", amount=None, exchange=account, id=f"none-{time.time()}")


def legs(daemon: Daemon, alert: str) -> dict[str, str]:
    return {order["leg"]: order["state"] for order in daemon.ask(f"/v1/alerts/{alert}")["orders"]}


@pytest.mark.parametrize("account", ["spot", "swap"])
def test_an_entry_and_its_close(daemon: Daemon, account: str) -> None:
    bought = daemon.alert(id=f"in-{account}", exchange=account)
    assert bought.status == 200, bought
    daemon.until_order(bought.json["alert_id"], "filled")
    closed = daemon.alert(id=f"out-{account}", exchange=account, action="close", amount=None)
    order = daemon.until_order(closed.json["alert_id"], "filled")
    assert (order["side"], order["leg"]) == ("sell", "close")


@pytest.mark.parametrize("account", ["spot", "swap"])
@pytest.mark.parametrize("kind", ["empty", "reset", "cut"])
def test_executed_but_not_answered_is_one_order(
    daemon: Daemon, exchange: Exchange, account: str, kind: str
) -> None:
    exchange.fault(kind, executed=True, route="")
    reply = daemon.alert(id=f"{kind}-{account}", exchange=account)
    order = daemon.until_order(reply.json["alert_id"], "filled")
    assert order["attempt"] == 1
    assert set(exchange.executions().values()) == {1}
    flat(daemon, account)


def test_on_a_swap_stop_and_target_rest_together_and_a_close_leaves_no_orphan(daemon: Daemon) -> None:
    reply = daemon.alert(id="both", exchange="swap", stop_loss=48_000, take_profit=52_000)
    alert = reply.json["alert_id"]
    until(lambda: legs(daemon, alert) == {"entry": "filled", "stop_loss": "open", "take_profit": "open"})
    closed = daemon.alert(id="both out", exchange="swap", action="close", amount=None)
    daemon.until_order(closed.json["alert_id"], "filled")
    until(lambda: set(legs(daemon, alert).values()) <= {"filled", "canceled"})


def test_the_stop_s_fill_ends_the_take_profit(daemon: Daemon, exchange: Exchange) -> None:
    reply = daemon.alert(id="stopped", exchange="swap", stop_loss=48_000, take_profit=52_000)
    alert = reply.json["alert_id"]
    until(lambda: legs(daemon, alert) == {"entry": "filled", "stop_loss": "open", "take_profit": "open"})
    symbol = {"binance": "BTCUSDT", "bybit": "BTCUSDT", "okx": "BTC-USDT-SWAP"}[exchange.name]
    exchange.control("mark", symbol=symbol, price=47_900)
    until(
        lambda: legs(daemon, alert) == {"entry": "filled", "stop_loss": "filled", "take_profit": "canceled"}
    )
    exchange.control("mark", symbol=symbol, price=50_000)


def test_a_reversal_closes_before_it_opens(daemon: Daemon) -> None:
    long = daemon.accepted(id="long", exchange="swap", amount=0.02)
    daemon.until_order(long, "filled")
    turned = daemon.alert(
        id="turn", exchange="swap", action="sell", amount=0.05, position_size=-0.03,
        market_position="short", prev_market_position="long",
    ).json["alert_id"]  # fmt: skip
    until(lambda: legs(daemon, turned) == {"close": "filled", "entry": "filled"})
    orders = {order["leg"]: order for order in daemon.ask(f"/v1/alerts/{turned}")["orders"]}
    assert (orders["close"]["filled"], orders["entry"]["filled"]) == ("0.02", "0.03")
    assert orders["close"]["updated_at"] < orders["entry"]["updated_at"]
    flat(daemon, "swap")
