"""`fks journal backup | restore | export`: the journal taken elsewhere and brought back."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fks.cli.context import Failed, config_option, load
from fks.cli.journal import patiently, read_journal
from fks.infra.sqlite_schema import USER_VIEWS

if TYPE_CHECKING:
    from fks.infra.sqlite_reader import SqliteReader


@click.command()
@config_option
@click.option("--keep", type=click.IntRange(1), help="Delete all but the newest N copies in the folder DEST.")
@click.argument("dest", type=click.Path(readable=False, path_type=Path))  # access(2) knows no capabilities
def backup(keep: int | None, dest: Path) -> None:
    """Copy the journal to DEST (a file, or a folder) while the daemon runs, and verify the copy."""
    import apsw

    from fks.infra.journal_copy import back_up, prune_backups

    if keep and not dest.is_dir():
        raise click.UsageError(f"--keep needs a folder, and {dest} is none: make it first")
    path = _journal()
    try:
        copy, result = patiently(f"copying {path}", lambda: back_up(path, dest))
        old = prune_backups(dest, keep) if keep else []
    except (apsw.Error, OSError) as error:
        raise Failed(f"no backup of {path} was made at {dest}: {error}") from error
    click.echo(f"{copy}: {result.records} records, head {result.head}")
    for one in old:
        click.echo(f"deleted {one}")


@click.command()
@config_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.confirmation_option(
    prompt="What happened since the backup will be missing from the journal. Restore it?",
    help="Do not ask.",
)
def restore(file: Path) -> None:
    """Put the backup FILE in the journal's place; the daemon must be stopped.

    The present journal is kept beside it. Trading is halted until `fks resume`: alerts that were accepted
    since the backup are not known to it, so look at the exchange first.
    """
    import apsw

    from fks.infra.journal_copy import restore as put_back

    loaded = load()
    path = loaded.journal_path
    try:
        aside = patiently(f"restoring {path}", lambda: put_back(file, path, loaded.audit_path))
    except OSError as error:
        raise Failed(f"{error.filename or path}: {error.strerror or error}") from error
    except apsw.Error as error:
        raise Failed(f"{path} was not restored: {error}") from error
    click.echo(f"{path} is now {file}; trading is halted: compare with the exchange, then `fks resume`")
    for one in aside:
        click.echo(f"what was there is kept as {one}")


@click.command()
@config_option
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option(
    "--table", type=click.Choice(USER_VIEWS), help="Default: all of them as jsonl; the fills as csv."
)
def export(form: str, table: str | None) -> None:
    """Write the journal's tables to stdout, as JSON lines (each names its table) or as CSV."""
    from fks.infra.journal_copy import write_csv

    def write(reader: "SqliteReader") -> None:
        if form == "csv":
            write_csv(reader, table or "fills", sys.stdout)
        else:
            _write_lines(reader, (table,) if table else USER_VIEWS)

    read_journal(write)


def _write_lines(reader: "SqliteReader", tables: tuple[str, ...]) -> None:
    import msgspec

    from fks.infra.journal_copy import columns, rows

    for table in tables:
        names = columns(reader, table)
        for row in rows(reader, table):
            line = {"table": table, **dict(zip(names, row, strict=True))}
            for name in ("body", "data"):  # JSON already
                if name in line:
                    line[name] = msgspec.Raw(line[name].encode())
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")


def _journal() -> Path:
    path = load().journal_path
    if not path.exists():
        raise Failed(
            f"there is no journal at {path}: give this command the daemon's --config and $STATE_DIRECTORY"
        )
    return path
