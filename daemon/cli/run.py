"""`fks run`: the daemon in the foreground, until SIGTERM or SIGINT."""

import click

from fks.cli.context import config_option, load


@click.command()
@config_option
def run() -> None:
    """The daemon.

    Without a configuration it trades on an embedded paper exchange.
    """
    import structlog
    import trio

    from fks.actors.supervisor import daemon
    from fks.infra import log
    from fks.venues.trio_ccxt import exchange_ids

    loaded = load(exchange_ids())
    log.configure(loaded.settings.log.level, loaded.settings.log.format)
    for warning in loaded.warnings:
        structlog.get_logger().warning("configuration", detail=warning)
    trio.run(daemon, loaded)
