"""What the commands share: the configuration that was pointed at, and failures that carry an exit code."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fks.domain.secret import Secret
    from fks.infra.config import Loaded


class Failed(click.ClickException):
    """It was understood and answered, and the answer is no."""

    exit_code = 1


class Unreachable(click.ClickException):
    """The daemon did not answer."""

    exit_code = 69  # EX_UNAVAILABLE


def _remember(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.meta["config"] = value  # `meta` is one dict for the group and its commands


config_option = click.option(
    "--config",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    expose_value=False,
    callback=_remember,
    help="Default: $FKS_CONFIG, ./fks.toml, /etc/fks/fks.toml, else an embedded paper exchange.",
)


def load(exchange_ids: Collection[str] = ()) -> "Loaded":
    """The configuration of this call. Without `exchange_ids` the accounts' types are not checked.

    Raises ConfigError.
    """
    from fks.infra import config

    path = click.get_current_context().meta.get("config")
    return config.load(path, os.environ, exchange_ids=exchange_ids)


def read_secret(path: Path, what: str) -> "Secret":
    """A secret that the daemon made. Raises Unreachable.

    Never made here: in the wrong directory it would be a second one, and every alert would be refused.
    """
    from fks.domain.secret import Secret

    try:
        return Secret(path.read_text().strip())
    except FileNotFoundError:
        raise Unreachable(
            f"there is no {what} at {path}: the daemon makes it at its first start. Start it with `fks run`; "
            "if it runs, give this command the same --config and $STATE_DIRECTORY"
        ) from None
    except PermissionError:
        raise Unreachable(f"{path} may not be read: run this as the daemon's user") from None


def webhook_secret(loaded: "Loaded") -> "Secret":
    """What alerts are signed with: $FKS_WEBHOOK_SECRET, the first configured one, or the daemon's own."""
    from fks.domain.secret import Secret

    if given := os.environ.get("FKS_WEBHOOK_SECRET"):
        return Secret(given)
    if loaded.settings.webhook.secrets:
        return loaded.settings.webhook.secrets[0].secret
    return read_secret(loaded.state_dir / "webhook_secret", "webhook secret")
