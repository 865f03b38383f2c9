"""What facts of the machine mean, and that they are read from the machine rightly."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from fks.domain.diagnosis import Verdict
from fks.domain.diagnosis_machine import (
    exposure,
    judge_exposure,
    judge_fsync,
    judge_mode,
    judge_socket,
    judge_space,
    judge_time_service,
    judge_unit,
)
from fks.infra.machine import FSYNCS, fsync_seconds, time_service, unit_properties, unit_security

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL
MB = 1_000_000


@pytest.mark.parametrize(("synchronized", "verdict"), [(True, OK), (False, WARN), (None, WARN)])
def test_time_service(synchronized: bool | None, verdict: Verdict) -> None:
    assert judge_time_service(synchronized, 0.01).verdict is verdict


def test_the_kernel_is_asked_about_the_clock() -> None:
    synchronized, error = time_service()
    assert synchronized in (True, False, None)
    assert 0 <= error < 1000


@pytest.mark.parametrize(
    ("free", "journal", "verdict"),
    [
        (50_000 * MB, 100 * MB, OK),
        (999 * MB, MB, WARN),
        (50_000 * MB, 26_000 * MB, WARN),  # a backup of it would not fit for long
        (99 * MB, MB, FAIL),
    ],
)
def test_space(free: int, journal: int, verdict: Verdict) -> None:
    judged = judge_space(free, 100_000 * MB, {"journal": journal, "wal": 0, "audit": MB})
    assert judged.verdict is verdict
    assert "audit 1.0 MB" in judged.detail
    assert "wal" not in judged.detail


@pytest.mark.parametrize(
    ("milliseconds", "verdict"),
    [
        ([1] * 100, OK),
        ([1] * 99 + [900], OK),  # one of a hundred
        ([1] * 98 + [101, 101], WARN),
        ([21] * 100, WARN),
        ([1] * 98 + [1001, 1001], FAIL),
        ([5000], FAIL),  # the budget was gone after one
    ],
)
def test_fsync(milliseconds: list[int], verdict: Verdict) -> None:
    assert judge_fsync([one / 1000 for one in milliseconds]).verdict is verdict


def test_the_disk_is_measured_and_nothing_stays_on_it(tmp_path: Path) -> None:
    taken = fsync_seconds(tmp_path)
    assert 1 <= len(taken) <= FSYNCS
    assert all(one >= 0 for one in taken)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("mode", "secret", "verdict"),
    [
        (0o600, True, OK),
        (0o400, True, OK),
        (0o700, True, OK),
        (0o640, True, WARN),
        (0o644, True, FAIL),
        (0o620, True, FAIL),
        (0o644, False, OK),
        (0o664, False, FAIL),
        (0o666, False, FAIL),
    ],
)
def test_modes(mode: int, secret: bool, verdict: Verdict) -> None:
    judged = judge_mode(0o100000 | mode, secret=secret)
    assert judged.verdict is verdict
    assert bool(judged.remedy) == (verdict is not OK)


RUNNING = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "UnitFileState": "enabled",
    "WatchdogUSec": "30s",
    "NRestarts": "0",
}


@pytest.mark.parametrize(
    ("changes", "verdicts"),
    [
        ({}, {"unit": OK, "watchdog": OK}),
        ({"ActiveState": "failed", "Result": "watchdog"}, {"unit": FAIL, "watchdog": OK}),
        ({"ActiveState": "inactive"}, {"unit": WARN, "watchdog": OK}),
        ({"UnitFileState": "disabled"}, {"unit": OK, "start": WARN, "watchdog": OK}),
        ({"WatchdogUSec": "infinity"}, {"unit": OK, "watchdog": WARN}),
        ({"NRestarts": "3"}, {"unit": OK, "watchdog": OK, "restarts": WARN}),
        ({"LoadState": "not-found"}, {"unit": WARN}),
    ],
)
def test_unit(changes: Mapping[str, str], verdicts: Mapping[str, Verdict]) -> None:
    found = dict(judge_unit({**RUNNING, **changes}))
    assert {check: one.verdict for check, one in found.items()} == verdicts
    assert all(bool(one.remedy) == (one.verdict is not OK) for one in found.values())


def test_a_systemd_that_does_not_answer_knows_no_unit() -> None:
    assert [one.verdict for _, one in judge_unit({})] == [WARN]


def test_sockets_and_hardening() -> None:
    assert judge_socket({"ActiveState": "active"}).verdict is OK
    assert judge_socket({"ActiveState": "inactive"}).verdict is WARN
    assert judge_exposure(1.1).verdict is OK
    assert judge_exposure(9.2).verdict is WARN
    assert exposure("→ Overall exposure level for fks.service: 1.1 OK 🙂\n") == 1.1
    assert exposure("Unit fks.service not found.") is None


def test_systemd_is_asked_through_its_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("systemctl", "LoadState=loaded\\nResult=a=b"), ("systemd-analyze", "level $3")):
        tool = tmp_path / name
        tool.write_text(f'#!/bin/sh\nprintf "{text}\\n"\n')
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert unit_properties("fks.service") == {"LoadState": "loaded", "Result": "a=b"}
    assert unit_security("fks.service") == "level fks.service\n"
    monkeypatch.setenv("PATH", "/nowhere")
    assert unit_properties("fks.service") == {}
