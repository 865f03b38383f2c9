"""The notify protocol, against a socket that listens as systemd does."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fks.infra.notify_socket import NotifySocket


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.setblocking(False)
        name = str(tmp_path / "notify")
        if request.param == "abstract":
            listener.bind("\0" + name)
            name = "@" + name
        else:
            listener.bind(name)
        yield listener, name


def heard(listener: socket.socket) -> list[str]:
    told = []
    while True:
        try:
            told.append(listener.recv(4096).decode())
        except BlockingIOError:
            return told


def test_each_word_is_one_datagram(ear: tuple[socket.socket, str]) -> None:
    listener, name = ear
    systemd = NotifySocket({"NOTIFY_SOCKET": name}, 1)
    systemd.ready()
    systemd.alive()
    systemd.stopping()
    assert heard(listener) == ["READY=1", "WATCHDOG=1", "STOPPING=1"]


def test_a_reload_carries_the_monotonic_time(ear: tuple[socket.socket, str]) -> None:
    listener, name = ear
    NotifySocket({"NOTIFY_SOCKET": name}, 1).reloading()
    (told,) = heard(listener)
    first, _, stamp = told.partition("\nMONOTONIC_USEC=")
    assert first == "RELOADING=1"
    assert abs(int(stamp) / 1e6 - time.monotonic()) < 5


def test_a_status_is_one_line_and_not_repeated(ear: tuple[socket.socket, str]) -> None:
    listener, name = ear
    systemd = NotifySocket({"NOTIFY_SOCKET": name}, 1)
    for text in ("2 accounts\nREADY=1", "2 accounts\nREADY=1", "stopping"):
        systemd.status(text)
    assert heard(listener) == ["STATUS=2 accounts READY=1", "STATUS=stopping"]


def test_a_manager_that_does_not_read_holds_nothing_up(ear: tuple[socket.socket, str]) -> None:
    _, name = ear
    systemd = NotifySocket({"NOTIFY_SOCKET": name}, 1)
    began = time.monotonic()
    for _ in range(2000):
        systemd.alive()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("address", ["", "/there/is/none"])
def test_without_a_manager_nothing_happens(address: str) -> None:
    systemd = NotifySocket({"NOTIFY_SOCKET": address}, 1)
    systemd.ready()
    systemd.status("fine")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_only_when_systemd_says_so(env: dict[str, str], expected: float | None) -> None:
    assert NotifySocket({"NOTIFY_SOCKET": "/x", **env}, 7).watchdog_s == expected
    assert NotifySocket(env, 7).watchdog_s is None
