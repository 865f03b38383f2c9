"""From what a sender calls a market to the one market that the sender means, or a refusal."""

import re
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal

from fks.domain.errors import Refusal
from fks.domain.messages import Market
from fks.domain.money import ZERO

Markets = Mapping[str, Mapping[str, Market]]  # by account, then by symbol

_PREFIX = re.compile(r"^[A-Z0-9_]{2,24}:(?=[A-Z0-9])")
_PERPETUAL = re.compile(r"(\.P|[-_]?PERP|-SWAP)$")
_XBT = re.compile(r"^XBT(?=[A-Z/_-])")  # the ISO 4217 style name of bitcoin, as some charts have it


def amount_step(markets: Markets, account: str, symbol: str) -> Decimal:
    """In base units; 0 of a market that is not known (any more), so that nothing of it counts as nothing."""
    market = markets.get(account, {}).get(symbol)
    return market.amount_step if market else ZERO


class SymbolIndex:
    """Look-up of one account's markets; built once per market table.

    The configured aliases win, then the unified symbol, the exchange's own id, base and quote glued
    together. What names a perpetual (`.P`, `PERP`, `-SWAP`) never becomes a spot market. The chart's
    exchange before a colon (`BINANCE:`, on delayed data `BINANCE_DL:`) does not matter.
    """

    def __init__(self, markets: Mapping[str, Market], aliases: Mapping[str, str]) -> None:
        self._markets = markets
        self._aliases = {name.upper(): symbol for name, symbol in aliases.items()}
        self._names: dict[str, set[str]] = defaultdict(set)
        for symbol, market in markets.items():
            names = {symbol, market.id, market.base + market.quote, f"{market.base}/{market.quote}"}
            names |= {f"{market.base}-{market.quote}", f"{market.base}_{market.quote}"}
            for name in names:
                self._names[name.upper()].add(symbol)

    def resolve(self, name: str) -> Market:
        """Raises Refusal when the name fits none or several of the account's markets."""
        wanted = name.strip().upper()
        bare = _PREFIX.sub("", wanted)
        for candidate in (wanted, bare):
            if candidate in self._aliases:
                return self._known(self._aliases[candidate], name)
        perpetual = _PERPETUAL.search(bare)
        found = self._named(bare) or self._named(_XBT.sub("BTC", bare))
        exact = {
            symbol for symbol in found if symbol.upper() == bare or self._markets[symbol].id.upper() == bare
        }
        found = exact if len(exact) == 1 else found
        if len(found) > 1:
            raise Refusal(
                "alert.symbol",
                f"{name!r} fits {', '.join(sorted(found))}: name one of them, or add it to [symbols]",
                "symbol",
            )
        if not found:
            hint = " (a perpetual; this account trades spot)" if perpetual else ""
            raise Refusal("alert.symbol", f"this account has no market {name!r}{hint}", "symbol")
        return self._known(found.pop(), name)

    def _named(self, bare: str) -> set[str]:
        perpetual = _PERPETUAL.search(bare)
        return {
            symbol
            for symbol in self._names.get(bare, set()) | self._names.get(_PERPETUAL.sub("", bare), set())
            if not perpetual or self._markets[symbol].kind == "swap"
        }

    def _known(self, symbol: str, name: str) -> Market:
        market = self._markets.get(symbol)
        if market is None:
            raise Refusal(
                "alert.symbol", f"{name!r} stands for {symbol!r}, which this account has not", "symbol"
            )
        if not market.active:
            raise Refusal("alert.symbol", f"{symbol} is not trading at the moment", "symbol")
        return market
