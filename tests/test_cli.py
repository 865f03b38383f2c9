"""How the commands exit, and what they say of the configuration."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cli_cases import fixture_daemon, fixture_invoke  # noqa: F401 - fixtures
from fks.cli import Fks, main
from fks.domain.errors import Fatal
from fks.infra.config import ConfigError
from fks.ledger import JournalLocked

# --- exit codes


@pytest.mark.parametrize("args", [["--nonsense"], ["nonsense"], ["cancel"], ["tail", "--level", "loud"]])
def test_wrong_call_exits_64(invoke: Callable[..., Result], args: list[str]) -> None:
    result = invoke(*args)
    assert result.exit_code == 64
    assert "Error:" in result.stderr


def failing(error: BaseException) -> Fks:
    @click.command()
    def fail() -> None:
        raise error

    return Fks("fks", params=[click.Option(["--debug"], is_flag=True)], commands=[fail])


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (Fatal("the disk is gone"), 70, "Error: the disk is gone\n"),
        (JournalLocked("another daemon holds it"), 77, "Error: another daemon holds it\n"),
        (ConfigError(["a: wrong", "b: wrong"]), 78, "Error:\na: wrong\nb: wrong\n"),
        (ExceptionGroup("x", [OSError("y"), ExceptionGroup("z", [ConfigError(["a: no"])])]), 78, "a: no\n"),
        (ZeroDivisionError("oops"), 70, "ZeroDivisionError: oops"),
        (BrokenPipeError("a socket's"), 70, "BrokenPipeError: a socket's"),
        (KeyboardInterrupt(), 130, ""),
    ],
)  # fmt: skip
def test_an_error_becomes_one_line_and_its_exit_code(error: BaseException, code: int, told: str) -> None:
    result = CliRunner().invoke(failing(error), ["fail"])
    assert result.exit_code == code
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_traceback_only_with_debug() -> None:
    result = CliRunner().invoke(failing(ZeroDivisionError("oops")), ["--debug", "fail"])
    assert "Traceback" in result.stderr
    assert result.exit_code == 70


def test_a_reader_that_leaves_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "fks", "tail"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, stderr = process.communicate(b"one line\n" * 1000, timeout=20)
    assert (process.returncode, stderr) == (0, b"")


def test_help_imports_neither_exchanges_nor_the_event_loop() -> None:
    code = "import sys, fks.cli; print({'ccxt', 'trio', 'rich', 'quart', 'numpy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# --- the configuration


def test_check_prints_every_error_and_exits_78(tmp_path: Path) -> None:
    config = tmp_path / "fks.toml"
    config.write_text("timeout = -1\n[webhook]\nmax_agee_s = 3\n[exchanges.binanec]\n")
    result = CliRunner().invoke(main, ["check", "--config", str(config)])
    assert result.exit_code == 78
    for key in ("timeout", "webhook.max_agee_s", "exchanges.binanec.type"):
        assert key in result.stderr


def test_check_names_accounts_and_paths(invoke: Callable[..., Result], tmp_path: Path) -> None:
    result = invoke("check")
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "fks.db") in result.stdout
    assert "paper: paper, spot, live, default" in result.stdout


def test_check_tells_what_only_the_account_itself_can_tell(
    invoke: Callable[..., Result], tmp_path: Path
) -> None:
    config = tmp_path / "kraken.toml"
    config.write_text('[exchanges.kraken]\napi_key = "k"\napi_secret = "czNj"\ntestnet = true\n')
    result = invoke("check", "--config", str(config))
    assert result.exit_code == 78
    assert "[exchanges.kraken] testnet" in result.stderr
