"""`fks check`: is the configuration right? Talks to nobody."""

import click

from fks.cli.context import config_option, load


@click.command()
@config_option
def check() -> None:
    """Validate the configuration, nothing else.

    Prints every error, not only the first, and exits 78 when there are some.
    """
    from fks.venues.trio_ccxt import exchange_ids

    loaded = load(exchange_ids())
    settings = loaded.settings
    click.echo(f"configuration  {loaded.path or 'none found: an embedded paper exchange'}")
    click.echo(f"journal        {loaded.journal_path}")
    click.echo(f"audit          {loaded.audit_path}")
    click.echo(f"door           {', '.join(settings.server.listen)}")
    click.echo(f"desk           {', '.join(settings.server.admin)}")
    for name, account in settings.exchanges.items():
        remarks = [account.type, account.market, account.mode]
        remarks += ["testnet"] if account.testnet else []
        remarks += ["default"] if name == settings.default_exchange else []
        click.echo(f"account        {name}: {', '.join(remarks)}")
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
