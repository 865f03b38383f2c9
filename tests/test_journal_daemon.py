"""The journal's commands on a real daemon's journal: a backup under load, a round trip, a newer schema."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fks.infra.sqlite_schema import MIGRATIONS
from ledger_cases import opened, sql
from process import Daemon, running

pytestmark = pytest.mark.real_time


def fks(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fks", "journal", args[0], "--config", str(folder / "fks.toml"), *args[1:]],
        env={**os.environ, "STATE_DIRECTORY": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_backup_under_load_is_brought_back_halted_and_the_daemon_goes_on(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        first = daemon.alert().json
        assert first["status"] == "success"
        done = threading.Event()

        def load() -> None:
            while not done.is_set():
                daemon.alert(amount=0.001)

        sender = threading.Thread(target=load)
        sender.start()
        try:
            copied = fks(tmp_path, "backup", str(tmp_path / "copy.db"))
        finally:
            done.set()
            sender.join()
        assert copied.returncode == 0, copied.stderr
        after = daemon.alert(id="after the backup").json
        assert fks(tmp_path, "restore", "--yes", str(tmp_path / "copy.db")).returncode == 77
        assert daemon.stop() == 0
        restored = fks(tmp_path, "restore", "--yes", str(tmp_path / "copy.db"))
        assert restored.returncode == 0, restored.stderr
        assert restored.stdout.count("is kept as") == 2  # the journal and the audit trail that knows more
        daemon.start()
        assert daemon.ask(f"/v1/alerts/{first['alert_id']}")["state"] == "done"
        known = {one["id"] for one in daemon.ask("/v1/alerts?limit=1000")["alerts"]}
        assert after["alert_id"] not in known
        refused = daemon.alert()
        assert (refused.status, "halted" in refused.body.decode()) == (422, True)
        daemon.await_event("daemon_started")
        assert daemon.stop() == 0
    assert not [one for one in daemon.events() if one.get("event") == "audit_failed"]
    assert fks(tmp_path, "verify").returncode == 0
    (kept,) = tmp_path.glob("fks.db.before-*Z")
    assert sql(kept, f"SELECT count(*) FROM alert WHERE id = '{after['alert_id']}'") == [(1,)]


@pytest.mark.fault(38)
def test_the_daemon_refuses_a_newer_schema(tmp_path: Path) -> None:
    opened(tmp_path / "fks.db", migrations=[*MIGRATIONS, "CREATE TABLE later(x)"]).close()
    daemon = Daemon(tmp_path)
    daemon.spawn()
    assert daemon.process is not None
    assert daemon.process.wait(timeout=30) == 78
