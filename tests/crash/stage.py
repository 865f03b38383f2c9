"""Where a bad day is played: daemons in folders of their own, an exchange, a disk and a clock that fail."""

import re
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from crash.exchange import Exchange, serving
from crash.faults import Faults
from fks.infra import journal_check
from process import PAPER, Daemon, Reply


class Stage:
    """Nothing on it survives its `with`. `build`: where the preloaded library is compiled, once."""

    def __init__(self, folder: Path, build: Path) -> None:
        self.folder = folder
        self._build = build
        self._daemons: list[Daemon] = []
        self._stack = ExitStack()

    def __enter__(self) -> "Stage":
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._daemons:
            if error is not None:
                error.add_note(one.obituary())
            if one.process is not None and one.process.poll() is None:
                one.kill()
        self._stack.close()

    def exchange(self) -> Exchange:
        return self._stack.enter_context(serving())

    def daemon(self, config: str = PAPER, top: str = "") -> Daemon:
        """One that is not running yet. `top`: what comes first in its configuration."""
        folder = self.folder / f"daemon{len(self._daemons)}"
        folder.mkdir()
        one = Daemon(folder, config, head=top)
        one.config.write_text(re.sub("wait_s = .*", "wait_s = 0.5", one.config.read_text()))
        self._daemons.append(one)
        return one

    def faults(self, daemon: Daemon) -> Faults:
        """A disk of its own for the daemon's state; the daemon is to be started with the returned `env`."""
        disk = daemon.folder / "state"
        disk.mkdir()
        return self.faults_of(disk, daemon.folder / "faults")

    def faults_of(self, disk: Path, work: Path) -> Faults:
        return Faults(self._build, disk, work)


def problems(journal: Path) -> tuple[str, ...]:
    """What is wrong with a journal by its own check."""
    with journal_check.open_journal(journal) as reader:
        return journal_check.verify_journal(reader).problems


def tried(daemon: Daemon, **fields: Any) -> Reply | None:
    """An alert's reply; None when the daemon hangs up."""
    try:
        return daemon.alert(**fields)
    except OSError:
        return None


def total(exchange: Exchange) -> int:
    """Orders that were executed, all together."""
    return sum(exchange.executions().values())
