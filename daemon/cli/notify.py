"""`fks notify`: do notifications arrive? It talks to their services itself; no daemon is needed."""

import json
import time
from typing import TYPE_CHECKING, Any

import click

from fks.cli.context import Failed, config_option, load
from fks.cli.views import printable

if TYPE_CHECKING:
    from fks.domain.outbox import Message
    from fks.domain.secret import Secret

COLOURS = {"ok": "green", "fail": "red"}


@click.group()
def notify() -> None:
    """Notifications, as [notify] configures them."""


@notify.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def test(as_json: bool) -> None:
    """Send a test message to each URL of `notify.urls` and say what came of it.

    Exits 1 unless all have arrived.
    """
    from fks.domain.outbox import Message

    urls = load().settings.notify.urls
    if not urls:
        raise Failed("notify.urls is empty: add an Apprise URL, such as tgram://BOT_TOKEN/CHAT_ID")
    message = Message("fks: a test", "Notifications of fks-execution arrive here. Nothing has happened.")
    verdicts = _try(urls, message)
    failed = sum(one["verdict"] != "ok" for one in verdicts)
    if as_json:
        click.echo(json.dumps({"ok": not failed, "targets": verdicts}, indent=2))
    else:
        for line in _table(verdicts):
            click.echo(line)
    if failed:
        raise Failed(f"{failed} of {len(verdicts)} did not arrive")


def _try(urls: "tuple[Secret, ...]", message: "Message") -> list[dict[str, Any]]:
    """All at once, told in the order of the configuration."""
    import trio

    from fks.infra.notify import NotDelivered, Unusable, open_target

    verdicts: list[dict[str, Any]] = [{} for _ in urls]

    async def one(at: int) -> None:
        name, began = f"notify.urls[{at}]", time.monotonic()
        try:
            target = open_target(urls[at])
            name, began = target.name, time.monotonic()
            await target.deliver(message)
            verdict, detail = "ok", ""
        except (Unusable, NotDelivered) as error:
            verdict, detail = "fail", str(error)
        seconds = round(time.monotonic() - began, 3)
        verdicts[at] = {"target": name, "verdict": verdict, "seconds": seconds, "detail": detail}

    async def every() -> None:
        async with trio.open_nursery() as nursery:
            for at in range(len(urls)):
                nursery.start_soon(one, at)

    trio.run(every)
    return verdicts


def _table(verdicts: list[dict[str, Any]]) -> list[str]:
    wide = max(len(one["target"]) for one in verdicts)
    return [
        f"{click.style(format(one['verdict'], '<4'), fg=COLOURS[one['verdict']])}  "
        f"{printable(one['target']):<{wide}}  {one['seconds']:6.2f} s  {printable(one['detail'])}".rstrip()
        for one in verdicts
    ]
