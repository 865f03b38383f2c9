"""`fks check`: is the configuration right? Talks to nobody."""

import click

from fks.cli.context import config_option, load


@click.command()
@config_option
def check() -> None:
    """Validate the configuration, nothing else.

    Prints every error, not only the first, and exits 78 when there are some.
    """
    from fks.infra.config import ConfigError
    from fks.infra.notify import open_targets
    from fks.venues.accounts import impossible_accounts
    from fks.venues.trio_ccxt import exchange_ids

    loaded = load(exchange_ids())
    settings = loaded.settings
    click.echo(f"configuration  {loaded.path or 'none found: an embedded paper exchange'}")
    click.echo(f"journal        {loaded.journal_path}")
    click.echo(f"audit          {loaded.audit_path}")
    click.echo(f"door           {', '.join(settings.server.listen)}")
    click.echo(f"desk           {', '.join(settings.server.admin)}")
    impossible = impossible_accounts(settings)
    for name, account in settings.exchanges.items():
        remarks = [account.type, account.market, account.mode]
        remarks += ["testnet"] if account.testnet else []
        remarks += ["default"] if name == settings.default_exchange else []
        remarks += [f"its own {key}" for key in ("sizing", "risk") if getattr(account, key)]
        click.echo(f"account        {name}: {', '.join(remarks)}")
    for secret in settings.webhook.secrets:
        click.echo(f"secret         {secret.name}: {_reach(secret.accounts, secret.strategies)}")
    for name, strategy in settings.strategies.items():
        where = ", ".join(strategy.exchanges) or "any account"
        remarks = [where, *(f"its own {key}" for key in ("secret", "sizing") if getattr(strategy, key))]
        remarks.append(f"on drift: {strategy.on_drift or settings.webhook.on_drift}")
        click.echo(f"strategy       {name}: {'; '.join(remarks)}")
    # Reading the configuration leaves Apprise alone: its import is slow, and the daemon starts without it.
    for warning in (*loaded.warnings, *open_targets(settings.notify.urls)[1]):
        click.echo(f"Warning: {warning}", err=True)
    if impossible:
        raise ConfigError(impossible)


def _reach(accounts: tuple[str, ...], strategies: tuple[str, ...]) -> str:
    """What a secret may trade."""
    return f"{', '.join(strategies) or 'every strategy'} on {', '.join(accounts) or 'every account'}"
