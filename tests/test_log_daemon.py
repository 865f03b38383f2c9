"""The real daemon's log: one alert is found by its id, from its acceptance to its last fill."""

import json
import subprocess
import sys
from pathlib import Path

from process import running


def test_every_line_of_an_alert_is_found_by_its_id(tmp_path: Path) -> None:
    with running(tmp_path, head='[log]\nlevel = "debug"\n') as daemon:
        first = daemon.accepted(id="one", stop_loss={"percent": 2})
        other = daemon.accepted(id="two")
        closed = daemon.accepted(id="three", action="close", amount=None)
        daemon.until_order(closed, "filled")
        daemon.stop()
    for line in daemon.events():
        assert line["level"] in ("debug", "info", "warning", "error")
        if "order_id" in line or "client_order_id" in line:
            assert line["alert_id"], line
    told = tail(daemon.log.read_bytes(), "--alert", first)
    events = [line.split()[2] for line in told]
    assert events[:3] == ["alert_accepted", "order_sending", "order_filled"]
    assert all(first in line for line in told)
    assert {"stop_loss", "entry"} == {
        word.removeprefix("leg=") for line in told for word in line.split() if word.startswith("leg=")
    }
    assert not any(other in line or closed in line for line in told)


def tail(log: bytes, *args: str) -> list[str]:
    command = [sys.executable, "-m", "fks", "tail", *args]
    done = subprocess.run(command, input=log, capture_output=True, check=True)
    return [line for line in done.stdout.decode().splitlines() if not json_line(line)]


def json_line(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
