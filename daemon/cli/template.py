"""`fks template`: the message to paste into TradingView's alert dialog."""

import json
from typing import TYPE_CHECKING, Any

import click

from fks.cli.connection import WEBHOOK
from fks.cli.context import config_option, load, webhook_secret

if TYPE_CHECKING:
    from fks.domain.secret import Secret
    from fks.domain.settings import Settings

ADVICE = f"""\
Paste it into the alert's "Message". It holds your secret: who has it can trade on your account.
Webhook URL: https://YOUR-HOST{WEBHOOK}
(TradingView uses ports 80 and 443 only: put a reverse proxy before the door).
"""


def message(settings: "Settings", secret: "Secret") -> dict[str, Any]:
    """The native alert with TradingView's placeholders, for a strategy's alert.

    Order id and position size tell two fills within TradingView's one-second clock apart. Placeholders
    stand in quotes: what they become need not be a JSON number.
    """
    confidence = {"confidence": 1} if settings.webhook.min_confidence > 0 else {}
    return {
        "secret": secret.reveal(),
        "exchange": settings.default_exchange,
        "symbol": "{{ticker}}",
        "action": "{{strategy.order.action}}",
        **confidence,
        "timestamp": "{{timenow}}",
        "price": "{{close}}",
        "order_id": "{{strategy.order.id}}",
        "bar_time": "{{time}}",
        "market_position": "{{strategy.market_position}}",
        "prev_market_position": "{{strategy.prev_market_position}}",
        "position_size": "{{strategy.position_size}}",
    }


@click.command()
@config_option
@click.option("--dialect", type=click.Choice(["native"]), default="native", show_default=True)
def template(dialect: str) -> None:  # noqa: ARG001 - one value so far; the option is part of the contract
    """Print the message to paste into TradingView.

    This configuration's account and secret are filled in.
    """
    loaded = load()
    click.echo(json.dumps(message(loaded.settings, webhook_secret(loaded)), indent=2))
    click.echo(ADVICE, err=True, nl=False)
