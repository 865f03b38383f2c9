"""`fks tail`: JSON lines made readable, nothing of them obeyed."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from fks.cli import main
from fks.cli.tail import pretty

LINE = {"time": "2025-11-07T10:30:00.123456Z", "level": "info", "event": "order_filled", "order_id": "q1"}


def tail(*args: str, lines: list[object]) -> Result:
    text = "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines)
    return CliRunner().invoke(main, ["tail", *args], input=text)


def test_a_line_shows_time_level_event_and_the_rest() -> None:
    result = tail(lines=[{**LINE, "amount": 1.5, "reason": None, "alert_id": "a1"}])
    told = ["10:30:00.123", "info", "order_filled", "order_id=q1", "amount=1.5", "alert_id=a1"]
    assert result.stdout.split() == told


def test_level_hides_what_is_below_it() -> None:
    lines = [{**LINE, "level": level, "event": level} for level in ("debug", "info", "warning", "error")]
    assert [line.split()[2] for line in tail("--level", "warning", lines=lines).stdout.splitlines()] == [
        "warning",
        "error",
    ]


def test_one_alert_is_followed_by_any_of_its_ids() -> None:
    lines: list[object] = [{**LINE, "alert_id": "a1"}, {**LINE, "alert_id": "a2", "order_id": "q2"}, LINE]
    assert len(tail("--alert", "a1", lines=lines).stdout.splitlines()) == 1
    assert len(tail("--alert", "q1", lines=lines).stdout.splitlines()) == 2


def test_lines_that_are_not_json_objects_pass_through() -> None:
    lines: list[object] = ["Started fks.service", "[1, 2]", "", "3"]
    assert tail("--level", "error", lines=lines).stdout == "Started fks.service\n[1, 2]\n\n3\n"


def test_a_traceback_keeps_its_lines() -> None:
    result = tail(lines=[{**LINE, "level": "error", "exception": "Traceback:\n  boom"}])
    assert result.stdout.splitlines()[1:] == ["    Traceback:", "      boom"]


@given(st.dictionaries(st.text(), st.text() | st.integers()) | st.text())
def test_no_log_line_moves_the_cursor_or_fails(content: dict[str, str | int] | str) -> None:
    text = pretty(content if isinstance(content, str) else json.dumps(content))
    assert text is not None
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m", "\x1b[90m"):
        text = text.replace(code, "")
    assert not set(text) & {chr(n) for n in (*range(10), *range(11, 32), *range(127, 160))}


def test_without_a_pipe_and_journalctl_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _self: True, raising=False)
    result = CliRunner().invoke(main, ["tail"])
    assert result.exit_code == 1
    assert "fks run | fks tail" in result.stderr
