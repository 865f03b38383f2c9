"""`fks tail`: JSON lines made readable, nothing of them obeyed."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from fks.cli import main
from fks.cli.tail import Pretty

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
    for any_id, count in (("a1", 2), ("q1", 2), ("a2", 1), ("q2", 1), ("q3", 0)):
        assert len(tail("--alert", any_id, lines=lines).stdout.splitlines()) == count


def test_the_alerts_orders_are_learnt_from_its_lines_whatever_the_level() -> None:
    lines: list[object] = [
        {**LINE, "order_id": "q1", "event": "too_early"},
        {**LINE, "alert_id": "a1", "client_order_id": "c1", "event": "sent", "level": "debug"},
        {"event": "alarm", "order_id": "q1", "level": "error"},
        {"event": "looked_up", "client_order_id": "c1"},
        {"event": "other", "order_id": "q2", "alert_id": "a2"},
        {"event": "no_id"},
    ]
    events = [line.split()[2] for line in tail("--alert", "a1", lines=lines).stdout.splitlines()]
    assert events == ["sent", "alarm", "looked_up"]
    told = tail("--alert", "a1", "--level", "info", lines=lines).stdout.splitlines()
    assert [line.split()[2] for line in told] == ["alarm", "looked_up"]


def test_what_journald_wraps_is_unwrapped() -> None:
    def wrapped(message: object) -> dict[str, object]:
        return {"__REALTIME_TIMESTAMP": "1", "_PID": "7", "MESSAGE": message}

    result = tail(lines=[wrapped(json.dumps(LINE)), wrapped("Started fks.service"), wrapped([1, 2])])
    first, *rest = result.stdout.splitlines()
    assert "order_filled" in first
    assert "_PID" not in first
    assert rest == ["Started fks.service", "[1, 2]"]


def test_lines_that_are_not_json_objects_pass_through() -> None:
    lines: list[object] = ["Started fks.service", "[1, 2]", "", "3"]
    assert tail("--level", "error", lines=lines).stdout == "Started fks.service\n[1, 2]\n\n3\n"


def test_of_one_alert_they_are_not() -> None:
    assert tail("--alert", "q1", lines=["Started fks.service", LINE]).stdout.count("\n") == 1


def test_a_traceback_keeps_its_lines() -> None:
    result = tail(lines=[{**LINE, "level": "error", "exception": "Traceback:\n  boom"}])
    assert result.stdout.splitlines()[1:] == ["    Traceback:", "      boom"]


@given(st.dictionaries(st.text(), st.text() | st.integers()) | st.text())
def test_no_log_line_moves_the_cursor_or_fails(content: dict[str, str | int] | str) -> None:
    text = Pretty()(content if isinstance(content, str) else json.dumps(content))
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


JOURNALCTL = """#!/bin/sh
echo "$@" > "$0.asked"
echo '{"level": "error", "event": "alarm", "alert_id": "a1"}'
echo '{"level": "info", "event": "other"}'
"""


def test_on_a_terminal_it_reads_the_units_journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    journalctl = tmp_path / "journalctl"
    journalctl.write_text(JOURNALCTL)
    journalctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _self: True, raising=False)
    result = CliRunner().invoke(main, ["tail", "--unit", "fks@alice", "--alert", "a1"])
    assert (result.exit_code, result.stdout.split()) == (0, ["-", "error", "alarm", "alert_id=a1"])
    asked = (tmp_path / "journalctl.asked").read_text().split()
    assert asked == ["-u", "fks@alice", "-o", "cat", "-n", "20000", "-f"]


@pytest.mark.parametrize("colour", [True, False])
def test_levels_have_colours_on_a_terminal_only(colour: bool) -> None:
    text = json.dumps({**LINE, "level": "error"}) + "\n"
    told = CliRunner().invoke(main, ["tail"], input=text, color=colour).stdout
    assert ("\x1b[31merror" in told) is colour


@pytest.mark.parametrize("end", ["reader", "interrupt"])
def test_it_ends_quietly(end: str) -> None:
    """As a process: its reader leaves, or Ctrl-C reaches the whole pipeline."""
    command = [sys.executable, "-m", "fks", "tail"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        line = json.dumps(LINE).encode() + b"\n"
        process.stdin.write(line)
        process.stdin.flush()
        assert process.stdout.readline()
        if end == "reader":
            process.stdout.close()
            process.stdin.write(line)
        else:
            process.send_signal(signal.SIGINT)
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(10) == 0
