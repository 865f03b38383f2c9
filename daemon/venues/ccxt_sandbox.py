"""The exchange's own test environment, or a refusal: real money is never what a testnet falls back to."""

from typing import Any

from ccxt.base.errors import NotSupported

# ccxt gives it the address of another company's testnet (delta's), which would be sent the key.
_FOREIGN = frozenset({"blockchaincom"})


class NoSandbox(Exception):
    """There is no test environment; the text says of what."""


def enter_sandbox(exchange: Any, market: str) -> None:
    """Turn a fresh ccxt object, for a kind of market, to the test environment. Raises NoSandbox.

    Most have addresses of their own. bitget, okx and weex keep to the live ones and mark each request.
    """
    if not _covers(exchange.features or {}, market):
        raise NoSandbox(f"that of {exchange.id} has no {market} markets")
    if exchange.id in _FOREIGN:
        raise NoSandbox(f"{exchange.id} has none")
    try:
        exchange.set_sandbox_mode(True)
    except (TypeError, NotSupported):  # the first is what ccxt stumbles into when it knows no address
        raise NoSandbox(f"{exchange.id} has none") from None


def _covers(features: dict[str, Any], market: str) -> bool:
    """Whether ccxt's description allows for it: a "no" counts only where it tells kinds of markets apart.

    Some exchanges with a working testnet say no to all kinds: nobody has filled it in.
    """
    told = {kind: _table(features, kind).get("sandbox") for kind in ("spot", "swap", "future")}
    return told[market] is not False or not any(told.values())


def _table(features: dict[str, Any], kind: str) -> dict[str, Any]:
    table = features.get(kind) or {}
    return table if kind == "spot" else table.get("linear") or {}
