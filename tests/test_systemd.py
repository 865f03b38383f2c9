"""What systemd sees: the notify protocol of the real daemon, and unit files that hold."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from crash.faults import HANGS, HONEST, NO_COMPILER, Faults, compiler
from crash.stage import Stage
from fks.actors.sentinel import Sentinel, summary
from fks.domain.messages import AccountStatus, Order
from fks.domain.orders import State
from fks.infra.notify_socket import NotifySocket
from process import PATIENCE_S, Daemon, until

UNITS = Path(__file__).parents[1] / "systemd"
EXPOSURE = {"fks.service": 1.1, "fks@.service": 1.1, "fks-backup.service": 1.1, "fks-failure@.service": 1.1}
OTHERS = ("fks.socket", "fks-desk.socket", "fks-backup.timer")


class Manager:
    """The service manager's end of the notify socket."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address)

    def until(self, word: str, within: float = PATIENCE_S) -> list[str]:
        """All that was said, up to the message that begins with `word`."""
        told: list[str] = []
        deadline = time.monotonic() + within
        while not told or not told[-1].startswith(word):
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            told.append(self.socket.recv(4096).decode())
        return told

    def pings(self) -> list[bytes]:
        """Those that have come and were not asked for yet."""
        found: list[bytes] = []
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                found.append(self.socket.recv(4096))
        return [one for one in found if one.startswith(b"WATCHDOG")]

    def silent(self, seconds: float) -> bool:
        """Whether no ping comes, after those that are under way."""
        time.sleep(0.3)
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(4096)
        except BlockingIOError:
            pass
        time.sleep(seconds)
        try:
            return not self.socket.recv(4096).startswith(b"WATCHDOG")
        except BlockingIOError:
            return True


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path)
    yield made
    made.socket.close()


def test_a_life_as_systemd_hears_it(tmp_path: Path, manager: Manager) -> None:
    daemon = Daemon(tmp_path)
    daemon.start(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1500000")
    assert manager.until("READY=1") == ["READY=1"]
    told = manager.until("STATUS=1 of 1 accounts ready")
    assert told[-1].endswith(", 0 open orders, 0 unknown")
    assert "WATCHDOG=1" in told + manager.until("WATCHDOG=1")
    daemon.alert(order_type="limit", price=49_000)
    manager.until("STATUS=1 of 1 accounts ready, 1 open order, 0 unknown")
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in manager.until("RELOADING=1")[-1]
    manager.until("READY=1")
    assert daemon.stop() == 0
    manager.until("STOPPING=1")


def test_a_stopped_process_pings_no_more(tmp_path: Path, manager: Manager) -> None:
    daemon = Daemon(tmp_path)
    daemon.start(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1500000")
    manager.until("WATCHDOG=1")
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGSTOP)
    assert manager.silent(1.0)
    daemon.process.send_signal(signal.SIGCONT)
    manager.until("WATCHDOG=1")
    assert daemon.stop() == 0


@pytest.mark.skipif(compiler() is None, reason=NO_COMPILER)
def test_a_disk_that_hangs_ends_the_pings(tmp_path: Path, manager: Manager) -> None:
    daemon = Daemon(tmp_path)
    faults = Faults(tmp_path, tmp_path, tmp_path / "faults")
    daemon.start(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1500000", **faults.env)
    manager.until("WATCHDOG=1")
    faults.set("sync", HANGS)
    assert manager.silent(1.5)
    faults.set("sync", HONEST)
    manager.until("WATCHDOG=1")
    assert daemon.stop() == 0


class _Journal:
    """Answers writes while nobody blocks its actor."""

    def __init__(self) -> None:
        self.blocked = False

    async def write(self, _change: object, *, within: float) -> None:
        with trio.fail_after(within):
            if self.blocked:
                await trio.sleep_forever()
            await trio.lowlevel.checkpoint()

    async def read(self, _query: object, *, within: float) -> list[Order]:
        await trio.lowlevel.checkpoint()
        return []


async def test_one_blocked_actor_ends_the_pings(tmp_path: Path, manager: Manager) -> None:
    """The loop goes on, other actors are at work: it is the journal's that takes nothing any more."""
    systemd = NotifySocket({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "30000000"}, 1)
    journal: Any = _Journal()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Sentinel(systemd, journal, {}, list).run)
        await trio.sleep(25.0)
        assert len(manager.pings()) == 3  # three in a watchdog's time
        journal.blocked = True
        await trio.sleep(10.0)  # one may have been under way
        manager.pings()
        await trio.sleep(60.0)
        assert manager.pings() == []
        journal.blocked = False
        await trio.sleep(25.0)
        assert manager.pings()
        nursery.cancel_scope.cancel()


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    """An exchange that does not answer would keep the first one waiting for `drain_s`."""
    with Stage(tmp_path, tmp_path) as stage:
        exchange = stage.exchange()
        daemon = stage.daemon(exchange.config())
        daemon.config.write_text(daemon.config.read_text().replace("drain_s = 5.0", "drain_s = 25.0"))
        daemon.start()
        exchange.fault("hang", executed=True)
        alert_id = daemon.accepted(id="under way")
        until(exchange.sent, "a request")
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGTERM)
        time.sleep(1.0)
        assert daemon.process.poll() is None  # it waits for the answer
        refused = daemon.alert(id="too late")
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 15.0  # of 25
        daemon.start()
        daemon.until_order(alert_id, "filled")
        assert len(exchange.sent()) == 1


def test_the_status_line_says_what_waits() -> None:
    here = AccountStatus(account="a", type="paper", ready=True)
    away = AccountStatus(account="b", type="binance", reason="connecting")
    live = [State.OPEN, State.UNKNOWN, State.PARTIAL, State.UNKNOWN, State.PLANNED, State.UNKNOWN]
    assert summary([here, away], live, ["full"]) == (
        "1 of 2 accounts ready, b: connecting, 2 open orders, 3 unknown, takes no alerts: full"
    )


@pytest.mark.parametrize("unit", EXPOSURE)
def test_the_units_are_as_tight_as_said(unit: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    command = ["systemd-analyze", "security", "--offline=true", str(UNITS / unit)]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert float(told.rpartition("service: ")[2].split()[0]) <= EXPOSURE[unit]


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    units = [tmp_path / name.replace("@.", "@alice.") for name in (*EXPOSURE, *OTHERS)]
    for path in units:
        text = (UNITS / path.name.replace("@alice.", "@.")).read_text()
        path.write_text(text.replace("/opt/fks/bin/fks", sys.executable))
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=one", *map(str, units)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.parametrize("unit", ["fks.service", "fks@.service", "fks-backup.service"])
def test_a_unit_that_fails_for_good_tells_of_it(unit: str) -> None:
    assert "\nOnFailure=fks-failure@%N.service\n" in (UNITS / unit).read_text()


def test_the_instance_unit_is_the_unit() -> None:
    """They differ in names and addresses only, so that a right taken from one is taken from both."""
    plain, instance = (
        {line for line in (UNITS / name).read_text().splitlines() if line and not line.startswith("#")}
        for name in ("fks.service", "fks@.service")
    )
    named = (
        "Description=",
        "After=",
        "ExecStart=",
        "StateDirectory=",
        "RuntimeDirectory=",
        "Also=",
        "Sockets=",
    )
    assert all(line.startswith(named) for line in plain ^ instance)
