"""The daemon keeps its promises in every simulated execution, and the simulation is worth its name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.bugs import BUGS, NONE, Bug
from simulation.regressions import SEEDS, WIDE_SEEDS
from simulation.run import Result, simulate

TESTS = Path(__file__).parent
SHARE = 125


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simulation", *arguments],
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )


def executed(result: Result) -> list[str]:
    """The trace without the daemon's own log."""
    return [line for line in result.trace if line[10:].split()[0] != "log"]


@pytest.mark.parametrize("first", range(0, 2000, SHARE))  # shares: so that every core gets some
def test_two_thousand_executions_keep_every_promise(first: int) -> None:
    reports = [simulate(seed).report() for seed in range(first, first + SHARE)]
    broken = [line for report in reports for line in report]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("seed", "wide"), [(seed, False) for seed in SEEDS] + [(seed, True) for seed in WIDE_SEEDS]
)
def test_what_was_found_once_stays_mended(seed: int, wide: bool) -> None:
    assert simulate(seed, wide=wide).violations == ()


@pytest.mark.parametrize("bug", [bug for bug in BUGS.values() if bug is not NONE], ids=lambda bug: bug.name)
def test_planted_bug_is_found_within_a_thousand_executions(bug: Bug) -> None:
    broken = (violation.rule for seed in range(1000) for violation in simulate(seed, bug).violations)
    assert bug.breaks in broken  # stops at the first that is


def test_one_seed_is_one_execution() -> None:
    first = simulate(3, verbose=True)
    assert simulate(3, verbose=True).digest == first.digest
    assert simulate(4, verbose=True).digest != first.digest


def test_watching_an_execution_does_not_change_it() -> None:
    assert executed(simulate(5, verbose=True)) == executed(simulate(5))


def test_the_executions_are_eventful() -> None:
    results = [simulate(seed) for seed in range(60)]
    assert sum(result.crashes for result in results) > 20
    assert sum(result.sent for result in results) > 80
    told = "\n".join(line for result in results for line in result.trace)
    for event in (
        *("CRASH", "SIGTERM", "gave up", "loses power", "place silent", "place late", "too late"),
        *("sender    503", "sender    409", "sender    504", "sets halted", "sets reduce", "cancels entries"),
        *("leg=stop_loss", "leg=take_profit", "leg=close", "type=limit"),
        *("type=stop", "account=other", "expired", "canceled"),
    ):
        assert event in told, event


def test_a_failing_seed_tells_how_to_see_it_again() -> None:
    failed = command("--seeds", "1000", "--bug", "blind-resend")
    assert failed.returncode == 1
    (again,) = (line for line in failed.stdout.splitlines() if "again: " in line)
    told = command(*again.partition("-m simulation ")[2].split())
    assert told.returncode == 1
    assert "VIOLATION" in told.stdout, told.stdout + told.stderr
    assert "START" in told.stdout
