"""`fks demo` and `fks run` around a stand-in of the daemon: what they hand to it, what they tell."""

import re
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import structlog
import trio
from click.testing import CliRunner

from cli_daemon import Daemon
from fks.cli import main
from fks.cli.demo import free_address, prepare
from fks.domain.gate import GateRules
from fks.infra import config
from fks.infra.config import Loaded
from fks.ledger import JournalLocked
from makers import admit

ORDER = {"id": "q1", "symbol": "BTC/USDT", "leg": "entry", "state": "filled", "amount": "0.01"}
FILL = {"order_id": "q1", "trade_id": "t1", "price": "50010", "amount": "0.01"}
CHAIN = {"id": "a1", "state": "placed", "orders": [{**ORDER, "fills": [FILL]}]}
AMOUNTS = {"BTC": {"free": "0.01", "total": "0.01"}, "USDT": {"free": "99499.4", "total": "99499.4"}}


class StandIn(ModuleType):
    """In the place of `fks.actors.supervisor`."""

    def __init__(self) -> None:
        super().__init__("fks.actors.supervisor")
        self.reply: tuple[int, Any] = (200, {"status": "success", "alert_id": "a1"})
        self.error: Exception | None = None
        self.loaded: Loaded | None = None
        self.posted: tuple[dict[str, str], bytes] | None = None
        self.stopped_by: int | None = None

    async def daemon(
        self, loaded: Loaded, *, task_status: "trio.TaskStatus[None]" = trio.TASK_STATUS_IGNORED
    ) -> None:
        self.loaded = loaded
        if self.error:
            raise ExceptionGroup("a nursery's", [self.error])
        server = loaded.settings.server
        assert server.admin_token
        door, desk = (int(one[0].rpartition(":")[2]) for one in (server.listen, server.admin))
        with Daemon(door) as at_door, Daemon(desk, server.admin_token.reveal()) as at_desk:
            at_door.replies["POST", "/webhook/tradingview"] = self.reply
            working = {**CHAIN, "state": "working", "orders": []}
            at_desk.replies["GET", "/v1/alerts/a1"] = [(200, working), (200, CHAIN)]
            before = {"balances": {"paper": {}}}
            after = {"balances": {"paper": AMOUNTS}}
            at_desk.replies["GET", "/v1/balance"] = [(200, before), (200, after)]
            for one in (at_door, at_desk):
                threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                task_status.started()
                try:
                    self.stopped_by = await anext(signals)
                finally:
                    at_door.shutdown()
                    at_desk.shutdown()
            *_, headers, body = at_door.requests[0]
            self.posted = headers, body


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    standin = StandIn()
    monkeypatch.setitem(sys.modules, standin.__name__, standin)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield standin
    structlog.reset_defaults()
    shutil.rmtree(tmp_path)


def test_once_posts_an_authentic_alert_shows_its_order_and_stops(supervisor: StandIn) -> None:
    result = CliRunner().invoke(main, ["demo", "--once"])
    assert result.exit_code == 0, result.output
    assert supervisor.stopped_by == signal.SIGTERM
    assert supervisor.loaded
    assert supervisor.posted
    settings = supervisor.loaded.settings
    rules = GateRules(settings.webhook.secrets, settings.webhook, frozenset(settings.exchanges), "paper")
    alert = admit(*supervisor.posted, rules, lambda _account: None, time.time())
    assert alert.alert.symbol == "BTCUSDT"
    for shown in ("q1", "t1", "99499.4", f"fks send --config {supervisor.loaded.path}"):
        assert shown in result.stdout
    assert settings.webhook.secrets[0].secret.reveal() not in result.output


def test_a_refused_alert_is_a_failure_with_its_reason(supervisor: StandIn) -> None:
    supervisor.reply = 400, {"title": "Bad Request", "detail": "no market BTCUSDT"}
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert "no market BTCUSDT" in result.stderr


def test_its_configuration_serves_the_other_commands_alone(tmp_path: Path) -> None:
    directory = tmp_path / 'a "${HOME}" of its own'
    directory.mkdir()
    made = prepare(directory)
    again = config.load(directory / "fks.toml", {}, exchange_ids=())
    assert again.settings == made.settings
    assert again.journal_path == made.journal_path == directory / "fks.db"
    assert not made.warnings
    assert {re.sub(r"\d+$", "", one) for one in again.settings.server.listen} == {"127.0.0.1:"}


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_address(port) != f"127.0.0.1:{port}"
    assert not free_address(0).endswith(":0")


def test_run_tells_why_the_daemon_ended_in_one_line(supervisor: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "fks.toml"
    path.write_text("timeout = 3.0\n")
    supervisor.error = JournalLocked("another daemon (pid 1) holds the journal")
    result = CliRunner().invoke(main, ["run", "--config", str(path)])
    assert (result.exit_code, result.stderr) == (77, "Error: another daemon (pid 1) holds the journal\n")
    assert supervisor.loaded
    assert supervisor.loaded.settings.timeout == 3.0


def test_run_does_not_start_on_a_wrong_configuration(supervisor: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "fks.toml"
    path.write_text("[exchanges.binanec]\n")
    result = CliRunner().invoke(main, ["run", "--config", str(path)])
    assert result.exit_code == 78
    assert "binance" in result.stderr
    assert supervisor.loaded is None
