"""Examples for TradingView's placeholders, so that a message can be tried before an alert fires."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fks.domain.settings import AccountSettings, Settings

_PLACEHOLDER = re.compile(r"\{\{\s*([a-z_.]+)\s*\}\}")


def is_real(account: "AccountSettings") -> bool:
    """Whether what is sent to it can cost money."""
    return account.type != "paper" and account.mode == "live" and not account.testnet


def symbol_of(settings: "Settings") -> str:
    """A symbol that the default account probably has."""
    account = settings.exchanges[settings.default_exchange]
    return (*account.symbols, *account.prices, *settings.symbols.values(), "BTC/USDT")[0]


def filled(body: bytes, settings: "Settings") -> tuple[bytes, list[str]]:
    """The message as TradingView would send it, and what was put in place of what.

    Placeholders that it does not know stay, and are refused by name like any other.
    """
    values = _examples(settings)
    used: dict[str, str] = {}

    def put(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            return found[0]
        used[name] = values[name]
        return values[name]

    text = _PLACEHOLDER.sub(put, body.decode("utf-8", "surrogateescape"))
    return text.encode("utf-8", "surrogateescape"), [
        f"{{{{{name}}}}} = {value}" for name, value in used.items()
    ]


def _examples(settings: "Settings") -> dict[str, str]:
    account = settings.exchanges[settings.default_exchange]
    symbol = symbol_of(settings)
    base, _, quote = symbol.partition(":")[0].partition("/")
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    price = str(account.prices.get(symbol, 50000))
    return {
        "ticker": base + quote + (".P" if ":" in symbol else ""),
        "exchange": account.type.upper(),
        "syminfo.basecurrency": base,
        "syminfo.currency": quote,
        "interval": "60",
        "time": now,
        "timenow": now,
        **dict.fromkeys(("open", "high", "low", "close", "strategy.order.price"), price),
        "volume": "1",
        "strategy.order.action": "buy",
        "strategy.order.contracts": "0.01",
        "strategy.order.id": "Long",
        "strategy.order.comment": "Long",
        "strategy.market_position": "long",
        "strategy.prev_market_position": "flat",
        "strategy.position_size": "0.01",
        "strategy.market_position_size": "0.01",
        "strategy.prev_market_position_size": "0",
    }
