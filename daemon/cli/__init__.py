"""The command line: one group, and the one place where an error becomes an exit code.

Commands import what they need when they run, so that `fks --help` stays quick.
"""

import os
import select
import sys
import traceback
from typing import Any, NoReturn

import click

from fks.cli.bench import bench
from fks.cli.check import check
from fks.cli.context import config_option
from fks.cli.demo import demo
from fks.cli.doctor import doctor
from fks.cli.exchanges import exchanges
from fks.cli.journal import audit, journal
from fks.cli.journal_copy import backup, export, restore
from fks.cli.lint import lint
from fks.cli.listings import alerts, balance, orders, positions
from fks.cli.man import man
from fks.cli.notify import notify
from fks.cli.replay import replay
from fks.cli.run import run
from fks.cli.send import send
from fks.cli.tail import tail
from fks.cli.template import template
from fks.cli.trades import trades
from fks.cli.trading import cancel, halt, reduce, resume

STDOUT = 1
USAGE, INTERNAL, INTERRUPTED = 64, 70, 130  # sysexits(3); 128 + SIGINT


class Fks(click.Group):
    """Exits with 64 on a wrong call, with the error's own code when it has one, with 70 on a defect."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except SystemExit:
            raise  # shell completion
        except BaseException as error:  # noqa: BLE001 - the last stop of every error
            code = _report(error)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> None:
        try:
            super().invoke(ctx)
            sys.stdout.flush()  # a reader that left shows here at the latest
        except click.exceptions.Exit:
            raise
        except Exception as error:
            if ctx.params["debug"]:
                traceback.print_exception(error)
            if isinstance(error, BrokenPipeError):  # click would exit 1 without a word, whichever pipe it was
                ctx.exit(0 if _reader_left() else _report(error))
            raise


def _reader_left() -> bool:
    """Whether stdout is the broken pipe: `fks orders | head` is no error, a broken socket is one."""
    poll = select.poll()
    poll.register(STDOUT, 0)
    left = any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
    if left:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), STDOUT
        )  # or the interpreter complains when it flushes at exit
    return left


def _report(error: BaseException) -> int:
    """Tell it on stderr, one line where one is enough; return the exit code."""
    from fks.domain.errors import Fatal, FksError

    while isinstance(error, BaseExceptionGroup):
        error = (error.subgroup(Fatal) or error).exceptions[0]  # a Fatal names the reason, the rest follows
    if isinstance(error, click.ClickException):
        error.show()
        return USAGE if isinstance(error, click.UsageError) else error.exit_code
    if isinstance(error, FksError):
        text = str(error)
        click.echo(f"Error:\n{text}" if "\n" in text else f"Error: {text}", err=True)
        return error.exit_code if isinstance(error, Fatal) else INTERNAL
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return INTERRUPTED
    told = f"{type(error).__name__}: {error}".rstrip(": ")
    click.echo(f"Error: {told}\nThis is a defect in fks; `fks --debug ...` shows where.", err=True)
    return INTERNAL


@click.group(cls=Fks, context_settings={"help_option_names": ["-h", "--help"]})
@config_option
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="fks-execution", prog_name="fks")
@click.pass_context
def main(ctx: click.Context, debug: bool) -> None:  # noqa: ARG001 - `debug` is read by Fks.invoke
    """Turns trading alerts into exchange orders: never lost, never executed twice."""
    if os.environ.get("NO_COLOR"):
        ctx.color = False


for _command in (
    run, demo, check, doctor, exchanges, template, lint, send, orders, alerts, positions, trades,
    balance, halt, reduce, resume, cancel, tail, notify, journal, audit, replay, bench, man,
):  # fmt: skip
    main.add_command(_command)
for _command in (backup, restore, export):
    journal.add_command(_command)
