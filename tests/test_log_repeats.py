"""Warnings that repeat are counted; nothing else is held back, and nothing is lost."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog import DropEvent

from fks.infra.log_repeats import MOST, WINDOW_S, Repeats


class Clock:
    """Time, and what is to be called later."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def __call__(self) -> float:
        return self.now

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        assert seconds >= 0
        self.due.append((self.now + seconds, call))

    def go(self, to: float) -> None:
        while self.due and min(at for at, _ in self.due) <= to:
            self.due.sort(key=lambda one: one[0])
            self.now, call = self.due.pop(0)
            call()
        self.now = to


class Log:
    def __init__(self) -> None:
        self.clock = Clock()
        self.lines: list[tuple[float, dict[str, Any]]] = []
        self.repeats = Repeats(self._write, self.clock, self.clock.later)

    def _write(self, event: Any) -> None:
        self.lines.append((self.clock.now, dict(event)))

    def say(self, event: str = "look_up_failed", level: str = "warning", **fields: Any) -> None:
        try:
            self._write(self.repeats(None, "", {"level": level, "event": event, **fields}))
        except DropEvent:
            pass

    def told(self) -> list[tuple[float, str, int]]:
        return [(at, line["event"], line.get("repeated", 0)) for at, line in self.lines]


@pytest.fixture
def log() -> Log:
    return Log()


def test_the_first_is_told_at_once_and_the_rest_as_a_number_when_the_window_ends(log: Log) -> None:
    for second in range(42):
        log.clock.go(second)
        log.say(account="main", reason="timed out")
    assert log.told() == [(0, "look_up_failed", 0)]
    log.clock.go(WINDOW_S)
    first, last = (line for _, line in log.lines)
    assert last == {**first, "repeated": 41}


def test_what_goes_on_has_one_line_a_window_and_what_has_stopped_is_told_anew(log: Log) -> None:
    for second in range(0, 150, 10):
        log.clock.go(second)
        log.say()
    log.clock.go(1000)
    assert log.told() == [
        (0, "look_up_failed", 0),
        (60, "look_up_failed", 5),
        (120, "look_up_failed", 6),
        (180, "look_up_failed", 3),
    ]
    log.say()
    assert log.told()[4:] == [(1000, "look_up_failed", 0)]
    assert log.clock.due == []  # nobody waits for what has not been repeated


def test_another_account_alert_or_reason_is_another_warning(log: Log) -> None:
    for _ in range(2):
        for fields in ({"account": "a"}, {"account": "b"}, {"alert_id": "1"}, {"reason": "x"}, {}):
            log.say(**fields)
    assert len(log.lines) == 5
    log.repeats.flush()
    assert [line.get("repeated") for _, line in log.lines[5:]] == [1] * 5


@pytest.mark.parametrize("level", ["debug", "info", "error", "critical"])
def test_nothing_but_warnings_is_held_back(log: Log, level: str) -> None:
    for _ in range(3):
        log.say("alarm", level)
    assert len(log.lines) == 3


def test_what_is_remembered_is_bounded_and_what_is_forgotten_is_told(log: Log) -> None:
    log.say(number=-1)
    log.say(number=-1)
    for number in range(10 * MOST):
        log.say(number=number)
    assert len(log.repeats._seen) == MOST
    assert [line["number"] for _, line in log.lines if "repeated" in line] == [-1]


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 3))))
def test_every_warning_is_either_told_or_counted(steps: list[tuple[float, int]]) -> None:
    log = Log()
    for pause, number in steps:
        log.clock.go(log.clock.now + pause)
        log.say(number=number)
    log.clock.go(log.clock.now + 2 * WINDOW_S)
    for number in range(4):
        came = sum(1 for _, one in steps if one == number)
        assert sum(line.get("repeated", 1) for _, line in log.lines if line["number"] == number) == came
