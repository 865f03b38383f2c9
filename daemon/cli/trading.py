"""`fks halt | reduce | resume | cancel`: the operator's hand on the daemon. Each is asked for once."""

import json
from urllib.parse import quote

import click

from fks.cli.context import config_option


def _set(state: str, account: str | None) -> None:
    from fks.cli.desk_client import desk

    body = json.dumps({"state": state, "account": account}).encode()
    reply = desk().call("POST", "/v1/trading", body=body)
    # All of it, not only what was asked for: an account resumed under a general halt is still halted.
    whose = {one["account"]: _whose(one) for one in reply["restrictions"]}
    click.echo(f"all accounts: {reply['state']}{whose.get(None, '')}")
    for name, own in reply["accounts"].items():
        if own != "active":
            click.echo(f"{name}: {own}{whose.get(name, '')}")


def _whose(restriction: dict[str, str]) -> str:
    """Who set it, when and, where a limit did, why."""
    why = f": {restriction['why']}" if restriction["why"] else ""
    return f" by {restriction['by']} since {restriction['at']}{why}"


def _command(name: str, state: str, text: str) -> click.Command:
    @click.command(name, help=text)
    @config_option
    @click.argument("account", required=False)
    def command(account: str | None) -> None:
        _set(state, account)

    return command


halt = _command("halt", "halted", "Refuse all new entries, of ACCOUNT or of all. Survives a restart.")
reduce = _command("reduce", "reduce", "Accept only what makes positions smaller. Survives a restart.")
resume = _command("resume", "active", "Back to normal.")


@click.command()
@config_option
@click.option(
    "--all", "everything", is_flag=True, help="Every live order, stop losses too, of ACCOUNT or of all."
)
@click.argument("target", metavar="ORDER_ID | --all [ACCOUNT]", required=False)
def cancel(everything: bool, target: str | None) -> None:
    """Cancel one order, or all.

    The daemon writes it down and then asks the exchange: `fks orders` shows when it is done.
    """
    from fks.cli.desk_client import desk

    if everything:
        reply = desk().call("POST", "/v1/cancel", body=json.dumps({"account": target}).encode())
        click.echo(f"{target or 'all accounts'}: cancel requested for {len(reply['orders'])} orders")
        return
    if target is None:
        raise click.UsageError("say which: ORDER_ID, or --all")
    order = desk().call("DELETE", f"/v1/orders/{quote(target, safe='')}")
    click.echo(f"{order['id']}: cancel requested, it is {order['state']} now")
