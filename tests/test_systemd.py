"""What systemd sees: the notify protocol of the real daemon, and unit files that hold."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fks.actors.sentinel import summary
from fks.domain.messages import AccountStatus
from process import Daemon

UNITS = Path(__file__).parents[1] / "systemd"
EXPOSURE = {"fks.service": 1.1, "fks@.service": 1.1, "fks-backup.service": 2.0}


class Manager:
    """The service manager's end of the notify socket."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address)

    def until(self, word: str, within: float = 10.0) -> list[str]:
        """All that was said, up to the message that begins with `word`."""
        told: list[str] = []
        deadline = time.monotonic() + within
        while not told or not told[-1].startswith(word):
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            told.append(self.socket.recv(4096).decode())
        return told

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
    assert "WATCHDOG=1" in told + manager.until("WATCHDOG=1")
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


def test_the_status_line_says_what_waits() -> None:
    here = AccountStatus(account="a", type="paper", ready=True)
    away = AccountStatus(account="b", type="binance", reason="connecting", unknown=2)
    assert summary([here, away], ["full"]) == (
        "1 of 2 accounts ready, b: connecting, 2 orders of unknown outcome, takes no alerts: full"
    )


@pytest.mark.parametrize("unit", EXPOSURE)
def test_the_units_are_as_tight_as_said(unit: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    command = ["systemd-analyze", "security", "--offline=true", str(UNITS / unit)]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert float(told.rpartition("service: ")[2].split()[0]) <= EXPOSURE[unit]


def test_the_instance_unit_is_the_unit() -> None:
    """They differ in names and addresses only, so that a right taken from one is taken from both."""
    plain, instance = (
        {line for line in (UNITS / name).read_text().splitlines() if line and not line.startswith("#")}
        for name in ("fks.service", "fks@.service")
    )
    named = ("Description=", "After=", "ExecStart=", "StateDirectory=", "RuntimeDirectory=", "Also=")
    assert all(line.startswith(named) for line in plain ^ instance)
