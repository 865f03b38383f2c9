"""`fks send`: sign an alert and post it, as its sender would. Once: a lost reply is told, not retried."""

import http.client
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

import click

from fks.cli import samples
from fks.cli.connection import WEBHOOK, Reply, request, url_of
from fks.cli.context import Failed, Unreachable, config_option, load, webhook_secret

if TYPE_CHECKING:
    from fks.domain.secret import Secret
    from fks.domain.settings import Settings

TIMEOUT_S = 30.0


def example(settings: "Settings") -> dict[str, Any]:
    """A small alert that this configuration accepts. Raises UsageError when it would cost real money."""
    name = settings.default_exchange
    if samples.is_real(settings.exchanges[name]):
        raise click.UsageError(f"the default exchange {name!r} trades real money: give the alert as FILE")
    return {
        "symbol": samples.symbol_of(settings),
        "action": "buy",
        "confidence": 1,
        "exchange": name,
        "order_type": "market",
    }


def read_alert(file: BinaryIO, settings: "Settings") -> bytes:
    """The bytes of an alert of any format, with examples for its placeholders where that costs no money.

    Raises UsageError when it is no alert.
    """
    from fks.domain.dialects import recognise
    from fks.domain.errors import Refusal

    body, used = samples.filled(file.read(), settings)
    real = sorted(name for name, account in settings.exchanges.items() if samples.is_real(account))
    if used and real:
        raise click.UsageError(
            f"the alert holds placeholders, and {', '.join(real)} trades real money: fill them in yourself"
        )
    if used:
        click.echo("With examples for the placeholders:\n  " + "\n  ".join(used), err=True)
    try:
        recognise(body)
    except Refusal as refusal:
        raise click.UsageError(f"the alert: {refusal}") from None
    return body


def dated(body: bytes) -> bytes:
    """A native alert, with a `timestamp` of now when it carries no time. Numbers keep their digits."""
    import msgspec

    from fks.domain.alerts import parse_json
    from fks.domain.dialects import NATIVE, recognise

    if recognise(body).dialect != NATIVE:
        return body
    alert = parse_json(body)
    if alert.get("timestamp"):
        return body
    alert["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return msgspec.json.Encoder(decimal_format="number").encode(alert)


def post(url: str, secret: "Secret", body: bytes) -> Reply:
    """Sign the body and post it to the door at `url`. Raises Unreachable: then it may have been accepted."""
    from fks.domain.auth import sign

    parts = urlsplit(url)
    path = "" if parts.scheme == "unix" else parts.path
    target = (path.rstrip("/") or WEBHOOK) + (f"?{parts.query}" if parts.query else "")
    kind = "application/json" if body.lstrip().startswith(b"{") else "text/plain"
    headers = {"Content-Type": kind, "X-Signature": sign(secret, body)}
    try:
        return request(url, "POST", target, headers=headers, body=body, timeout=TIMEOUT_S)
    except ConnectionRefusedError as error:
        raise Unreachable(f"nothing listens at {url}: start the daemon with `fks run`") from error
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(
            f"no reply from {url} ({error}). The alert may have been accepted: look with `fks alerts` "
            "before sending it again"
        ) from error


@click.command()
@config_option
@click.option("--url", metavar="U", help="Of the door; default: server.listen of the configuration.")
@click.argument("file", type=click.File("rb"), required=False)
def send(url: str | None, file: BinaryIO | None) -> None:
    """Sign an alert and post it.

    FILE is the alert (- is stdin) in any format, by default a small example for a paper or test account. A
    missing timestamp is added, and placeholders are filled in with examples where no account trades real
    money. The secret is $FKS_WEBHOOK_SECRET or the configuration's.
    """
    import msgspec

    from fks.cli.desk_client import problem

    if url is not None and file is None:
        raise click.UsageError("with --url, give the alert as FILE")
    loaded = load()
    body = (
        msgspec.json.encode(example(loaded.settings)) if file is None else read_alert(file, loaded.settings)
    )
    where = url or url_of(loaded.settings.server.listen[0])
    reply = post(where, webhook_secret(loaded), dated(body))
    if not 200 <= reply.status < 300:
        raise Failed(problem(reply.status, reply.body))
    try:
        click.echo(msgspec.json.format(reply.body, indent=2).decode())
    except (msgspec.DecodeError, ValueError):
        raise Failed(f"{reply.status}, but the reply is not JSON: is {where} the door of fks?") from None
