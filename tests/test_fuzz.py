"""The fuzzers in small; `make fuzz` runs them for longer, `make fuzz-full` for a million bodies."""

from pathlib import Path

import pytest

from fuzz.campaign import attack, door
from fuzz.flood import Flood
from fuzz.parser import fuzz

pytestmark = pytest.mark.real_time


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_bytes_are_they_are_accepted_or_refused_by_name(seed: int) -> None:
    outcomes = fuzz(seed, most=500)
    assert outcomes.total() == 500
    assert len(outcomes) > 5, "the fuzzer does not get far"
    assert outcomes["accepted"], "the fuzzer never gets through"


def test_the_door_of_the_real_daemon_holds(tmp_path: Path) -> None:
    daemon = door(tmp_path).start()
    try:
        report = attack(daemon, Flood(daemon.door, 1), bodies=400, connections=200)
        report.enough_s = 3.0  # TradingView's patience: this machine may have other things to do
        assert report.problems() == [], report
        assert report.flood.bodies == 400
        assert report.flood.statuses["401"] > 100, report
        denied = [line for line in daemon.events() if line["event"] == "webhook_denied"]
        assert 0 < len(denied) <= 105, "strangers fill the disk"
    finally:
        daemon.kill()
