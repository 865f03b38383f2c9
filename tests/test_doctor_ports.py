"""Who listens on the daemon's addresses, as `fks doctor` finds out."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli_daemon import Daemon
from fks.cli.doctor_local import port
from fks.domain.diagnosis import Verdict

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with Daemon() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ((200, {"status": "ready"}), OK),
        ((503, {"title": "x", "reasons": ["the daemon is stopping"]}), WARN),
        ((200, b"<html>"), FAIL),
        ((200, []), FAIL),
        ((500, {"status": "ready"}), FAIL),
        ((503, {"title": "Service Unavailable"}), FAIL),
        ((404, {"title": "Not Found"}), FAIL),
        ((0, None), FAIL),
    ],
)
def test_who_answers_at_an_address(daemon: Daemon, reply: tuple[int, Any], verdict: Verdict) -> None:
    daemon.replies["GET", "/readyz"] = reply
    daemon.replies["GET", "/healthz"] = (200, {"status": "ok"})
    judged = port(daemon.address)
    assert judged.verdict is verdict
    assert ("stopping" in judged.detail) == (verdict is WARN)


def test_address_where_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
        assert port(address).verdict is FAIL  # bound by another, who does not listen
    assert port(address).verdict is OK
    assert port("127.0.0.1:0").detail == "any free port"
    elsewhere = port("203.0.113.7:8080")
    assert (elsewhere.verdict, "does not have that address" in elsewhere.detail) == (FAIL, True)


def test_unix_socket_where_nobody_listens(tmp_path: Path) -> None:
    assert port(f"unix:{tmp_path}/door").verdict is OK
    assert not list(tmp_path.iterdir())
    assert port(f"unix:{tmp_path}/no/door").verdict is FAIL
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(f"{tmp_path}/door")
    assert "did not clean up" in port(f"unix:{tmp_path}/door").detail
    (tmp_path / "file").touch()
    assert port(f"unix:{tmp_path}/file").verdict is FAIL


@pytest.mark.parametrize(("health", "verdict"), [((200, {}), OK), ((503, {}), FAIL), ((0, None), FAIL)])
def test_daemon_whose_journal_does_not_answer(daemon: Daemon, health: Any, verdict: Verdict) -> None:
    daemon.replies["GET", "/readyz"] = (200, {"status": "ready"})
    daemon.replies["GET", "/healthz"] = health
    assert port(daemon.address).verdict is verdict
