"""What an account is worth, to look at: no order is sized by it."""

from collections.abc import Iterable
from decimal import Decimal

from fks.domain import sizing
from fks.domain.messages import Market
from fks.venues.account import Account

PRICE_AGE_S = 60.0
MAX_PRICED = 20  # holdings: an account with more (a testnet's gifts) would spend its rate limit on prices


async def equity(account: Account, traded: Iterable[str]) -> tuple[str, Decimal] | None:
    """Its currency and the amount. None while it is not known: no balance yet, a holding without a price,
    or markets in several currencies, which have no sum.

    `traded`: symbols that the account holds or has held; they say in what it counts.
    """
    balance, markets = account.status.get().balance, account.venue.markets()
    known = [markets[symbol] for symbol in traded if symbol in markets] or list(markets.values())
    quotes = {market.settle or market.quote for market in known}
    if balance is None or len(quotes) != 1:
        return None
    (quote,) = quotes
    held = (
        {}
        if any(map(_contract, known))
        else {
            base: f"{base}/{quote}"
            for base, amount in balance.total.items()
            if amount > 0 and f"{base}/{quote}" in markets
        }
    )
    if len(held) > MAX_PRICED:
        return None
    prices = await account.quotes.all(held.values(), PRICE_AGE_S)
    if len(prices) < len(held):
        return None
    return quote, sizing.equity(balance, quote, {base: prices[pair] for base, pair in held.items()})


def _contract(market: Market) -> bool:
    return market.kind != "spot"
