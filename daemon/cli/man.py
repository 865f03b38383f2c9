"""`fks man`: the manual page fks(1), made from the commands themselves, so that none is missing (man(7))."""

import inspect
from collections.abc import Iterator

import click

_ENVIRONMENT = {
    "FKS_CONFIG": "The configuration file, where --config names none.",
    "FKS_WEBHOOK_SECRET": "What fks send and fks template use instead of the daemon's own secret.",
    "FKS_ADMIN_URL": "Where the desk is, for the commands that ask it. Default: server.admin.",
    "FKS_ADMIN_TOKEN": "The desk's token. Default: server.admin_token, or the one that the daemon made.",
    "STATE_DIRECTORY": "Where the journal, the audit trail and the daemon's own secrets are. "
    "Default: /var/lib/fks for /etc/fks/fks.toml, /var/lib/fks-NAME for /etc/fks/NAME.toml, else ./var.",
    "CREDENTIALS_DIRECTORY": "Where ${credential:NAME} is looked for first (systemd sets it).",
    "NO_COLOR": "If set, no colours.",
}
_FILES = {
    "/etc/fks/fks.toml": "The configuration; every key is in it, with its default.",
    "/etc/fks/credentials": "Secrets, one file each, for LoadCredential= of fks.service.",
    "/var/lib/fks/fks.db": "The journal: SQLite, with the views alerts, orders, fills, positions and events.",
    "/var/lib/fks/audit.jsonl": "The hash-chained audit trail.",
    "/var/lib/fks/webhook_secret, /var/lib/fks/admin_token": "Made at the first start if not configured.",
    "/var/backups/fks": "What fks-backup.timer keeps.",
}
_EXITS = {
    "0": "Done.",
    "1": "Understood, and the answer is no.",
    "64": "Wrong usage.",
    "69": "The daemon cannot be reached.",
    "70": "fks cannot go on: a defect, a damaged journal, an address it cannot listen on.",
    "77": "Another daemon holds this journal.",
    "78": "The configuration, the state directory or the journal's schema cannot be used.",
    "130": "Interrupted.",
}
_SIGNALS = {
    "SIGTERM, SIGINT": "Take no more alerts, finish what is under way, end.",
    "SIGHUP": "Read the configuration again and reopen the audit trail.",
}


@click.command(hidden=True)
@click.pass_context
def man(ctx: click.Context) -> None:
    """Print the manual page: `fks man | man -l -`."""
    root = ctx.find_root()
    assert isinstance(root.command, click.Group)
    click.echo(page(root.command), nl=False)


def page(group: click.Group) -> str:
    """The whole page, as roff."""
    return "\n".join(_lines(group)) + "\n"


def _lines(group: click.Group) -> Iterator[str]:
    ctx = click.Context(group, info_name="fks", **group.context_settings)
    yield '.TH FKS 1 "" fks-execution "User commands"'
    yield ".SH NAME"
    yield f"fks \\- {_text(_prose(group).rstrip('.').lower())}"
    yield ".SH SYNOPSIS"
    yield f".B fks\n{_text(' '.join(group.collect_usage_pieces(ctx)))}"
    yield ".PP\nEvery command explains itself with \\-h."
    yield ".SH OPTIONS"
    yield from _options(ctx)
    yield ".SH COMMANDS"
    for command in _commands(ctx):
        yield from _command(command)
    for title, entries in (
        ("ENVIRONMENT", _ENVIRONMENT), ("FILES", _FILES), ("EXIT STATUS", _EXITS), ("SIGNALS", _SIGNALS),
    ):  # fmt: skip
        yield f".SH {title}"
        for term, meaning in entries.items():
            yield from _entry(term, meaning)
    yield ".SH SEE ALSO\n.BR systemd.exec (5),\n.BR journalctl (1)"


def _commands(ctx: click.Context) -> Iterator[click.Context]:
    """Every command that is not hidden, as they were added; those of a group in its place."""
    assert isinstance(ctx.command, click.Group)
    for name, command in ctx.command.commands.items():
        inner = click.Context(command, info_name=name, parent=ctx)
        if isinstance(command, click.Group):
            yield from _commands(inner)
        elif not command.hidden:
            yield inner


def _command(ctx: click.Context) -> Iterator[str]:
    usage = " ".join(ctx.command.collect_usage_pieces(ctx))
    yield f".SS {_text(f'{ctx.command_path} {usage}')}"
    yield _text(_prose(ctx.command))
    yield from _options(ctx)


def _options(ctx: click.Context) -> Iterator[str]:
    for option in ctx.command.params:  # without --help, which every command has
        if isinstance(option, click.Option) and (record := option.get_help_record(ctx)):
            yield from _entry(*record)


def _entry(term: str, meaning: str) -> Iterator[str]:
    yield f".TP\n.B {_text(term)}\n{_text(meaning)}"


def _prose(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "").replace("\n\n", "\n.PP\n")


def _text(text: str) -> str:
    """Escaped, but for our own requests: no line may begin with a dot or an apostrophe by accident."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").split("\n")
    return "\n".join(f"\\&{line}" if line[:1] in (".", "'") and line != ".PP" else line for line in lines)
