"""`fks journal` and `fks audit`: is what was written down whole? They only read, also beside the daemon."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from fks.cli.context import Failed, config_option, load
from fks.cli.views import outline

if TYPE_CHECKING:
    from fks.infra.chain import VerifyResult
    from fks.infra.sqlite_reader import SqliteReader

R = TypeVar("R")

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@click.group()
def journal() -> None:
    """The journal (the database of alerts, orders and fills)."""


@journal.command()
@config_option
@json_option
def stats(as_json: bool) -> None:
    """How much is in it, and what is unfinished."""
    from fks.infra.journal_stats import stats

    found = read_journal(stats)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(outline(found)))


@journal.command("verify")
@config_option
@json_option
def verify_journal(as_json: bool) -> None:
    """Check the file, its hash chain, its books and what must hold of every alert and order.

    Says what is wrong, where, and what to do; then it exits 1.
    """
    from fks.infra.journal_check import verify_journal

    _conclude(read_journal(verify_journal), "the journal", as_json=as_json)


def read_journal(question: "Callable[[SqliteReader], R]") -> R:
    """The answer of the configured journal. Raises Failed when there is none, or none that can be read."""
    import apsw

    from fks.infra.journal_check import open_journal
    from fks.infra.sqlite_file import advice
    from fks.ledger import JournalBroken

    path = load().journal_path
    if not path.exists():
        raise Failed(
            f"there is no journal at {path}: the daemon makes it at its first start. If it runs, give this "
            "command the same --config and $STATE_DIRECTORY"
        )
    try:
        with open_journal(path) as reader:
            # One snapshot for all of the question: the daemon goes on writing meanwhile.
            reader.connection.execute("BEGIN")
            return patiently(f"reading {path}", lambda: question(reader))
    except JournalBroken as error:
        raise Failed(str(error)) from error
    except apsw.Error as error:
        raise Failed(f"cannot read the journal {path} ({error}): {advice(error)}") from error


@click.group()
def audit() -> None:
    """The audit trail (the journal's events as hash-chained JSON lines)."""


@audit.command("verify")
@config_option
@json_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
def verify_audit(as_json: bool, file: Path | None) -> None:
    """Check the hash chain; say at which record it breaks, and exit 1.

    Of FILE alone, by default of the configured file with all its rotated ones, and then also that it is the
    journal's: its newest record, and the last one that the journal has forgotten. That the end was cut off
    shows only there: compare the head with that of `fks journal verify`.
    """
    from fks.infra.audit import rotated, verify

    loaded = load()
    path = file or loaded.audit_path
    paths = [path] if file else [*rotated(path), path]
    try:
        known = _known(loaded.journal_path) if file is None else {}
        result = patiently(f"reading {path}", lambda: verify(paths, known))
    except OSError as error:
        raise Failed(f"{error.filename or path}: {error.strerror or error}") from error
    _conclude(result, "the audit trail", as_json=as_json)


def _known(journal: Path) -> dict[int, str]:
    """Hashes by which the journal knows the trail; none where it cannot be read."""
    import apsw

    from fks.domain.errors import Fatal
    from fks.infra.journal_check import open_journal

    if not journal.exists():
        return {}
    try:
        with open_journal(journal) as reader:
            last = reader.first("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1")
            return dict(one for one in (reader.chain_start(), last) if one)
    except (apsw.Error, Fatal):
        return {}


def patiently(what: str, work: Callable[[], R]) -> R:
    """Do it, with a sign of life on a terminal."""
    if not sys.stderr.isatty():
        return work()
    from rich.console import Console

    with Console(stderr=True).status(what):
        return work()


def _conclude(result: "VerifyResult", what: str, *, as_json: bool) -> None:
    if as_json:
        document = {"records": result.records, "problems": result.problems, "head": result.head}
        click.echo(json.dumps(document, indent=2))
    else:
        for problem in result.problems:
            click.echo(problem)
    if result.problems:
        raise Failed(f"{what} does not hold: stop the daemon, and keep the file as it is")
    if not as_json:
        click.echo(f"{what} holds: {result.records} records, head {result.head}")
