"""How much: from an alert and an account's equity to an amount in base units, before rounding.

Formulas are those of the README's sizing table. Nothing here rounds up.
"""

from decimal import Decimal
from typing import Any, assert_never

import msgspec

from fks.domain.alerts import Action, Alert, Target
from fks.domain.errors import Refusal
from fks.domain.messages import Balance, Market
from fks.domain.money import ZERO, parse_decimal
from fks.domain.settings import SizingSettings


def effective_rules(alert: Alert, rules: SizingSettings) -> SizingSettings:
    """The configured rules with the alert's own `sizing` laid over them. Raises Refusal."""
    if not alert.sizing:
        return rules
    given = dict(alert.sizing)
    for name, value in given.items():
        if name not in SizingSettings.__struct_fields__:
            raise Refusal("alert.schema", f"sizing has the unknown key {name[:40]!r}", "sizing")
        if name == "kelly" and isinstance(value, dict):
            given[name] = {key: _number(f"kelly.{key[:40]}", one) for key, one in value.items()}
        elif name not in ("method", "atr_timeframe", "nan", "kelly"):
            given[name] = _number(name, value)
    merged: dict[str, Any] = msgspec.structs.asdict(rules) | given
    try:
        result = msgspec.convert(merged, SizingSettings)
    except msgspec.ValidationError as error:
        raise Refusal("alert.schema", f"sizing: {error}", "sizing") from None
    kelly = result.kelly
    if any(not 0 <= one <= 1 for one in (result.pct, result.risk_pct, kelly.win_rate, kelly.fraction)):
        detail = "sizing: pct, risk_pct, kelly.win_rate and kelly.fraction are shares between 0 and 1"
        raise Refusal("alert.number", detail, "sizing")
    if kelly.payoff <= 0 or result.atr_multiplier <= 0 or result.atr_period < 1:
        detail = "sizing: kelly.payoff, atr_multiplier and atr_period must be above zero"
        raise Refusal("alert.number", detail, "sizing")
    return result


def _number(name: str, value: object) -> Any:
    try:
        number = parse_decimal(value)
    except ValueError as error:
        raise Refusal("alert.number", f"sizing.{name}: {error}", "sizing") from None
    if name == "atr_period" and number != int(number):
        raise Refusal("alert.number", "sizing.atr_period must be a whole number", "sizing")
    return int(number) if name == "atr_period" else number


def needs_equity(alert: Alert, rules: SizingSettings) -> bool:
    """Whether `amount_for` will ask for the equity, so that nobody fetches a balance for nothing."""
    if alert.amount is not None or alert.notional is not None:
        return False
    return alert.percent is not None or rules.method not in ("fixed_amount", "fixed_notional")


def equity(balance: Balance, quote: str, last_prices: dict[str, Decimal]) -> Decimal:
    """Cash plus holdings, in `quote`. `last_prices` by base currency; what has no price counts nothing:
    a size is then too small rather than too large.
    """
    cash = balance.total.get(quote, ZERO)
    return cash + sum(
        (
            amount * last_prices[currency]
            for currency, amount in balance.total.items()
            if currency in last_prices
        ),
        start=ZERO,
    )


def amount_for(
    alert: Alert, rules: SizingSettings, *, price: Decimal | None, equity: Decimal | None
) -> Decimal:
    """Base units to trade, unrounded. `price`: the limit price, or the last one. Raises Refusal."""
    if alert.amount is not None:
        return alert.amount
    if price is None or price <= 0:
        raise Refusal("sizing.no_price", "there is no price to size with: try again, or give amount")
    if alert.notional is not None:
        return alert.notional / price
    if rules.method == "fixed_notional" and alert.percent is None:
        return _configured("notional", rules.notional) / price
    if rules.method == "fixed_amount" and alert.percent is None:
        return _configured("amount", rules.amount)
    if equity is None:
        raise Refusal("sizing.no_equity", "the account's balance is not known: try again, or give amount")
    if equity <= 0:
        raise Refusal("sizing.no_equity", f"the account's equity is {equity}: there is nothing to trade with")
    if alert.percent is not None:
        return equity * alert.percent / 100 / price
    return _by_equity(alert, rules, price, equity)


def _by_equity(alert: Alert, rules: SizingSettings, price: Decimal, equity: Decimal) -> Decimal:
    match rules.method:
        case "fixed_percentage":
            return equity * rules.pct / price
        case "risk_based":
            stop = stop_price(alert, price)
            if stop is None:
                raise Refusal("sizing.no_stop", "risk_based needs a stop_loss in the alert", "stop_loss")
            return equity * rules.risk_pct / abs(price - stop)
        case "kelly":
            # J. L. Kelly, "A New Interpretation of Information Rate" (1956): f* = w - (1 - w) / b
            edge = rules.kelly.win_rate - (1 - rules.kelly.win_rate) / rules.kelly.payoff
            if edge <= 0:
                raise Refusal("sizing.no_edge", f"kelly: the edge is {edge:.4f}, so the size is zero")
            return equity * rules.kelly.fraction * edge / price
        case "volatility_adjusted":
            raise Refusal("sizing.unsupported", "volatility_adjusted sizing is not available yet", "sizing")
        case "fixed_amount" | "fixed_notional":
            raise AssertionError("sized without the equity")
        case _:
            assert_never(rules.method)


def _configured(name: str, value: Decimal) -> Decimal:
    if value <= 0:
        raise Refusal("sizing.not_configured", f"sizing.{name} is not set: set it, or send {name}")
    return value


def stop_price(alert: Alert, entry: Decimal) -> Decimal | None:
    """Where the alert's stop loss lies for an entry at that price; None when it asks for none."""
    return (
        target_price(alert.stop_loss, entry, profit=False, buying=alert.action is Action.BUY)
        if alert.stop_loss
        else None
    )


def target_price(target: Target, entry: Decimal, *, profit: bool, buying: bool) -> Decimal:
    """The absolute price of a target. Raises Refusal when it is not on its own side of the entry."""
    name = "take_profit" if profit else "stop_loss"
    up = profit == buying
    if target.price is not None:
        price = target.price
    else:
        distance = target.offset if target.offset is not None else entry * (target.percent or ZERO) / 100
        price = entry + distance if up else entry - distance
    if price <= 0:
        raise Refusal("alert.number", f"{name} would be at {price}", name)
    if (price > entry) is not up or price == entry:
        side = "profit" if not profit else "loss"
        raise Refusal(
            "alert.number", f"{name} {price} is on the {side} side of the entry price {entry}", name
        )
    return price


def minimum(market: Market, price: Decimal | None) -> Decimal:
    """The smallest amount that the market takes at that price."""
    by_notional = market.min_notional / price if market.min_notional and price else ZERO
    return max(market.min_amount or ZERO, by_notional)
