"""The bench's child processes: started from a module, asked in lines of JSON, always ended."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from fks.domain.errors import FksError

END_S = 10.0  # from the request to stop until it is killed


class BenchError(FksError):
    """A process of the bench did not do its part; the message holds the end of what it said."""


class Child:
    """One process. Its standard input closes when the bench ends, and those that listen to it end too."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log
        self.pid = process.pid

    def read(self) -> Any:
        """The next line of JSON that it tells. Raises BenchError when it ended instead."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise self.failure("ended early")
        return json.loads(line)

    def ask(self, **question: Any) -> Any:
        """Raises BenchError when it ends instead of answering."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self.failure("ended early") from None
        return self.read()

    def failure(self, what: str) -> BenchError:
        said = self.log.read_text(encoding="utf8", errors="replace")[-2000:].strip()
        command = " ".join(self.process.args[1:]) if isinstance(self.process.args, list) else ""
        return BenchError(f"the bench's process `{command}` {what}:\n{said or '(it said nothing)'}")


@contextmanager
def running(
    log: Path, *command: str, env: Mapping[str, str] | None = None, stdout: Path | None = None
) -> Iterator[Child]:
    """`python COMMAND...` until the block ends. Its stderr goes to `log`, its stdout to us or to a file."""
    with log.open("ab") as errors, stdout.open("ab") if stdout else nullcontext(subprocess.PIPE) as told:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, our own modules
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=told,
            stderr=errors,
            text=True,
            env=None if env is None else dict(env),
        )
    try:
        yield Child(process, log)
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=END_S)  # closes the pipes
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
