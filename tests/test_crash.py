"""The real daemon on a bad day: killed, frozen, without a disk, with a lying clock.

`python -m crash` is the long run.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import apsw
import pytest

from crash import scenarios
from crash.faults import FAILS, HANGS, HONEST, LIES, NO_COMPILER, compiler
from crash.stage import Stage, problems, total, tried
from fks.infra.ledger_sqlite import SqliteStore
from process import PATIENCE_S, TESTS, until

pytestmark = pytest.mark.real_time
needs_compiler = pytest.mark.skipif(compiler() is None, reason=NO_COMPILER)
fault = pytest.mark.fault
ROUNDS = 20

SCENARIOS = [
    pytest.param(scenarios.slow_clients, marks=fault(12)),
    pytest.param(scenarios.killed_before_sending_on_a_busy_market, marks=[needs_compiler, fault(37)]),
    pytest.param(scenarios.killed_before_any_write, marks=[needs_compiler, fault(37)]),
    pytest.param(scenarios.sigterm_during_a_placement, marks=fault(57)),
    pytest.param(scenarios.frozen_before_sending, marks=[needs_compiler, fault(42, 55)]),
    pytest.param(scenarios.frozen_before_the_answer, marks=fault(42, 55)),
    pytest.param(scenarios.clock_jumps, marks=[needs_compiler, fault(55, 56)]),
    pytest.param(scenarios.clock_jumps_forward_during_a_placement, marks=[needs_compiler, fault(55, 56)]),
    pytest.param(scenarios.clock_jumps_back_while_an_order_waits, marks=[needs_compiler, fault(56)]),
]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture
def stage(tmp_path: Path, build: Path) -> Iterator[Stage]:
    with Stage(tmp_path / "stage", build) as one:
        yield one


@pytest.fixture(scope="module", autouse=True)
def campaign(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The rounds of kills run beside the other tests here, which mostly wait."""
    if not any(item.name.startswith("test_kill_9_") for item in request.session.items):
        yield None
        return
    folder = tmp_path_factory.mktemp("rounds") / "evidence"
    command = [sys.executable, "-m", "crash", "--rounds", str(ROUNDS), "--seed", "1", "--keep", str(folder)]
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True
    ) as process:
        yield process
        with contextlib.suppress(ProcessLookupError):  # with its daemon and its exchange, if it is not over
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module", autouse=True)
def days(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, build: Path
) -> Iterator[dict[str, Future[None]]]:
    """All scenarios that are asked for, begun together."""
    asked: list[Any] = [one.values[0] for one in SCENARIOS]
    names = " ".join(item.name for item in request.session.items)

    def play(scenario: Callable[[Stage], None]) -> None:
        with Stage(tmp_path_factory.mktemp(scenario.__name__), build) as one:
            scenario(one)

    with ThreadPoolExecutor(3) as pool:
        yield {one.__name__: pool.submit(play, one) for one in asked if f"[{one.__name__}]" in names}


# --- the disk


@pytest.fixture(params=["tmpfs", "preload"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path, stage: Stage) -> Iterator[Any]:
    """Two ways to a disk that can be full: (its folder, the daemon's environment, fill, free)."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if request.param == "preload":
        if compiler() is None:
            pytest.skip(NO_COMPILER)
        faults = stage.faults_of(disk, tmp_path / "faults")
        yield disk, faults.env, lambda: faults.set("full", 1), lambda: faults.set("full", 0)
        return
    mount(disk)
    filler = disk / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(1 << 16)):
                pass

    yield disk, {"STATE_DIRECTORY": str(disk)}, fill, filler.unlink
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def mount(folder: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system is not allowed here")


@fault(32)
def test_full_disk_refuses_with_503_and_recovers(stage: Stage, small_disk: Any) -> None:
    """What is there already takes some more alerts; the reserve is for orders under way."""
    disk, env, fill, free = small_disk
    daemon = stage.daemon()
    daemon.start(**env)
    fill()
    now = time.time()
    stored: set[str] = set()
    refused: list[str] = []
    while len(refused) < 3:
        name = f"full-{len(stored) + len(refused)}"
        reply = daemon.alert(id=name, timestamp=now)
        assert reply.status in (200, 202, 503), reply
        if reply.status == 503:
            assert reply.headers["retry-after"] == "5"
            refused.append(name)
        else:
            stored.add(reply.json["alert_id"])
        assert len(stored) < 1000
    free()
    until(lambda: daemon.alert(id=refused[0], timestamp=now).status < 300, "recovery")
    daemon.kill()
    daemon.start(**env)
    again = [daemon.alert(id=name, timestamp=now) for name in refused]
    assert [one.json["status"] == "duplicate" for one in again] == [True, False, False]
    there = {row["id"] for row in daemon.ask("/v1/alerts?limit=1000")["alerts"]}
    assert there == stored | {one.json["alert_id"] for one in again}
    for alert in there:
        daemon.until_order(alert, "filled")
    assert daemon.stop() == 0
    assert problems(disk / "fks.db") == ()


@needs_compiler
@fault(33)
def test_failed_fsync_ends_the_daemon_and_acknowledges_nothing(stage: Stage) -> None:
    exchange = stage.exchange()
    daemon = stage.daemon(exchange.config())
    faults = stage.faults(daemon)
    daemon.start(**faults.env)
    daemon.until_order(daemon.accepted(id="before"), "filled")
    faults.set("sync", FAILS)
    now = time.time()
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda n: tried(daemon, id=f"failing-{n}", timestamp=now), range(4)))
    assert {None if one is None else one.status for one in replies} <= {None, 503}
    assert daemon.process is not None
    assert daemon.process.wait(timeout=PATIENCE_S) == 70
    assert len(exchange.sent()) == total(exchange) == 1
    faults.set("sync", HONEST)
    daemon.start(**faults.env)
    for number in range(4):
        reply = daemon.alert(id=f"failing-{number}", timestamp=now)
        daemon.until_order(reply.json["alert_id"], "filled")
    assert daemon.stop() == 0
    assert total(exchange) == 5
    assert problems(faults.disk / "fks.db") == ()


@needs_compiler
def test_disk_that_hangs_is_503_before_tradingview_gives_up(stage: Stage) -> None:
    daemon = stage.daemon()
    faults = stage.faults(daemon)
    daemon.start(**faults.env)
    faults.set("sync", HANGS)
    now = time.time()

    def seconds(name: str) -> float:
        began = time.monotonic()
        reply = daemon.alert(id=name, timestamp=now)
        assert (reply.status, reply.headers["retry-after"]) == (503, "5")
        return time.monotonic() - began

    assert any(seconds(f"hanging-{n}") < 3.0 for n in range(3)), "also where this machine was held up once"
    faults.set("sync", HONEST)
    daemon.until_order(daemon.accepted(id="hanging-0", timestamp=now), "filled")
    sent = [order["alert_id"] for order in daemon.orders()]
    assert len(sent) == len(set(sent)), "what was told to come again was stored all the same, and once"
    assert daemon.stop() == 0


@needs_compiler
@pytest.mark.parametrize("fsync", [HONEST, LIES], ids=["honest", "lying"])
@fault(33, 37)
def test_power_cut_keeps_what_was_synced(stage: Stage, fsync: int) -> None:
    """A disk that lies may cost what it swallowed, and nothing else."""
    daemon = stage.daemon()
    faults = stage.faults(daemon)
    daemon.start(**faults.env)
    kept = {daemon.accepted(id=f"kept-{number}") for number in range(5)}
    faults.set("sync", fsync)
    doubtful = {daemon.accepted(id=f"doubtful-{number}") for number in range(5)}
    daemon.kill()
    faults.cut_the_power()
    faults.set("sync", HONEST)
    daemon.start(**faults.env)
    there = {row["id"] for row in daemon.ask("/v1/alerts?limit=100")["alerts"]}
    assert there == (kept if fsync == LIES else kept | doubtful)
    for alert in there:
        daemon.until_order(alert, "filled")
    amount = Decimal(daemon.ask("/v1/positions")["positions"][0]["amount"])
    assert amount == len(there) * Decimal("0.01")
    assert daemon.stop() == 0
    assert problems(faults.disk / "fks.db") == ()


@fault(34)
def test_read_only_file_system_is_refused_at_the_start(stage: Stage, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount(disk)
    try:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(AssertionError, match="ended with 70") as caught:
            stage.daemon().start(STATE_DIRECTORY=str(disk))
        assert "read-only" in str(caught.value)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@fault(35)
def test_locked_database_is_503_within_two_seconds(stage: Stage) -> None:
    daemon = stage.daemon().start()
    intruder = apsw.Connection(str(daemon.folder / "fks.db"))
    intruder.set_busy_timeout(5_000)  # the daemon may be writing at that moment
    intruder.execute("BEGIN IMMEDIATE")

    def seconds(attempt: int) -> float:
        began = time.monotonic()
        reply = daemon.alert(id=f"locked-{attempt}")
        assert (reply.status, reply.headers["retry-after"]) == (503, "5")
        return time.monotonic() - began

    assert any(seconds(attempt) < 2.0 for attempt in range(3)), "also where this machine was held up once"
    intruder.execute("ROLLBACK")
    intruder.close()
    until(lambda: daemon.alert(id="locked").status < 300, "recovery")
    assert daemon.stop() == 0
    assert problems(daemon.folder / "fks.db") == ()


@fault(36)
def test_corrupt_database_is_refused_and_kept(stage: Stage) -> None:
    daemon = stage.daemon().start()
    daemon.alert(id="before")
    daemon.stop()
    journal = daemon.folder / "fks.db"
    damaged = bytearray(journal.read_bytes())
    damaged[4096:8192] = b"\x55" * 4096
    journal.write_bytes(damaged)
    with pytest.raises(AssertionError, match="ended with 70") as caught:
        daemon.start()
    assert "restore a backup" in str(caught.value)
    assert journal.read_bytes() == damaged


@fault(38)
def test_newer_schema_ends_with_78(stage: Stage) -> None:
    daemon = stage.daemon()
    journal = daemon.folder / "fks.db"
    SqliteStore.open(journal, wall=time.time).close()
    later = apsw.Connection(str(journal))
    later.execute("PRAGMA user_version = 999")
    later.close()
    with pytest.raises(AssertionError, match="ended with 78"):
        daemon.start()


# --- the process and the clock


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_stands(scenario: Callable[[Stage], None], days: dict[str, "Future[None]"]) -> None:
    """See the scenario."""
    days[scenario.__name__].result(timeout=600)


@fault(26, 27, 37, 41, 42, 43, 44, 45)
def test_kill_9_under_load_loses_and_doubles_nothing(campaign: "subprocess.Popen[str]") -> None:
    """Lost, late, cut and senseless answers, doubled alerts and kills, mixed at random."""
    told, _ = campaign.communicate(timeout=600)
    found = re.match(r"(\d+) kills, ([\d,]+) acknowledged, 0 lost, 0 doubled\n", told)
    assert campaign.returncode == 0, told
    assert found, told
    assert int(found[1]) == ROUNDS
    assert int(found[2].replace(",", "")) > ROUNDS, "there was no load"
