"""`fks template`: what to paste into TradingView, with this configuration's account and secret."""

import click

from fks.cli.connection import WEBHOOK
from fks.cli.context import config_option, load, webhook_secret
from fks.cli.messages import NAMES, text
from fks.cli.pine import script

WHERE = f"""\
It holds your secret: who has it can trade on your account.
Webhook URL: https://YOUR-HOST{WEBHOOK}
(TradingView uses ports 80 and 443 only: put a reverse proxy before the door.)
"""
MESSAGE = """\
Paste it into the "Message" of a strategy's alert.
"""
TRY = "Try it first: fks template{option} | fks lint, then fks template{option} | fks send -\n"
SCRIPT = """\
Paste it into TradingView's Pine editor and add it to the chart. Then create an alert: condition "fks: two
averages" with "alert() function calls only". Its Message field does not matter.
"""


@click.command()
@config_option
@click.option("--dialect", type=click.Choice(NAMES), default="native", show_default=True)
@click.option("--pine", is_flag=True, help="A Pine v6 script that sends the alert by itself.")
def template(dialect: str, pine: bool) -> None:
    """Print the message to paste into TradingView.

    This configuration's account and secret are filled in. With --dialect, in the format of another
    service, whose alerts fks reads too.
    """
    if pine and dialect != "native":
        raise click.UsageError("--pine sends the native alert: leave --dialect out")
    loaded = load()
    secret = webhook_secret(loaded).reveal()
    click.echo(script(loaded.settings, secret) if pine else text(dialect, loaded.settings, secret))
    option = "" if dialect == "native" else f" --dialect {dialect}"
    advice = SCRIPT if pine else MESSAGE + TRY.format(option=option)
    click.echo(advice + WHERE, err=True, nl=False)
