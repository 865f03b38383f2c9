"""How much: from an alert and an account's equity to an amount in base units, before rounding.

The formulas are those of the README's table ("How much"). Nothing here rounds up.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, assert_never

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import asdict, replace

from fks.domain import kelly
from fks.domain.alerts import Action, Alert, Target
from fks.domain.candles import COLUMNS, Table, average_true_range, filled, seconds
from fks.domain.errors import Refusal
from fks.domain.messages import Balance, Market
from fks.domain.money import ZERO, parse_decimal, plain, rough
from fks.domain.settings import KellySettings, SizingChanges, SizingSettings
from fks.domain.trades import RoundTrip

_MOST_CANDLES = 1000  # that exchanges tell at once


def laid_over(rules: SizingSettings, changes: SizingChanges | None) -> SizingSettings:
    """`rules` with what `changes` says, key by key; Kelly's numbers too."""
    if changes is None:
        return rules
    said = _said(changes)
    if changes.kelly is not None:
        said["kelly"] = replace(rules.kelly, **_said(changes.kelly))
    return replace(rules, **said)


def _said(changes: Struct) -> dict[str, Any]:
    return {name: value for name, value in asdict(changes).items() if value is not None}


def effective_rules(alert: Alert, rules: SizingSettings) -> SizingSettings:
    """The configured rules with the alert's own `sizing` laid over them. Raises Refusal."""
    if not alert.sizing:
        return rules
    given = dict(alert.sizing)
    for name, value in given.items():
        if name not in SizingChanges.__struct_fields__:
            raise Refusal("alert.schema", f"sizing has the unknown key {name[:40]!r}", "sizing")
        if name == "kelly" and isinstance(value, dict):
            given[name] = {
                key: one if key == "estimate" else _number(f"kelly.{key[:40]}", one)
                for key, one in value.items()
            }
        elif name not in ("method", "atr_timeframe", "nan", "kelly"):
            given[name] = _number(name, value)
    try:
        result = laid_over(rules, msgspec.convert(given, SizingChanges))
    except msgspec.ValidationError as error:
        raise Refusal("alert.schema", f"sizing: {error}", "sizing") from None
    _check_shares(result)
    return result


def _check_shares(rules: SizingSettings) -> None:
    own = rules.kelly
    if any(not 0 <= one <= 1 for one in (rules.pct, rules.risk_pct, own.win_rate, own.fraction)):
        detail = "sizing: pct, risk_pct, kelly.win_rate and kelly.fraction are shares between 0 and 1"
        raise Refusal("alert.number", detail, "sizing")
    if own.payoff <= 0 or own.min_trades < 1 or rules.atr_multiplier <= 0 or rules.atr_period < 1:
        detail = "sizing: kelly.payoff, kelly.min_trades, atr_multiplier and atr_period must be above zero"
        raise Refusal("alert.number", detail, "sizing")
    try:
        seconds(rules.atr_timeframe)
    except ValueError as error:
        raise Refusal("alert.schema", f"sizing.atr_timeframe: {error}", "sizing") from None


def _number(name: str, value: object) -> Any:
    try:
        number = parse_decimal(value)
    except ValueError as error:
        raise Refusal("alert.number", f"sizing.{name}: {error}", "sizing") from None
    whole = name in ("atr_period", "kelly.min_trades")
    if whole and number != int(number):
        raise Refusal("alert.number", f"sizing.{name} must be a whole number", "sizing")
    return int(number) if whole else number


def needs_equity(alert: Alert, rules: SizingSettings) -> bool:
    """Whether `amount_for` will ask for the equity, so that nobody fetches a balance for nothing."""
    if alert.amount is not None or alert.notional is not None:
        return False
    return alert.percent is not None or rules.method not in (
        "fixed_amount",
        "fixed_notional",
        "target_position",
    )


def needs_candles(alert: Alert, rules: SizingSettings) -> bool:
    """Whether `amount_for` will ask for candles."""
    return needs_equity(alert, rules) and alert.percent is None and rules.method == "volatility_adjusted"


def needs_trips(alert: Alert, rules: SizingSettings) -> bool:
    """Whether `amount_for` will ask for closed round trips."""
    by_kelly = rules.method == "kelly" and rules.kelly.estimate
    return needs_equity(alert, rules) and alert.percent is None and by_kelly


def candle_count(rules: SizingSettings) -> int:
    """How many to ask for: Wilder's average remembers, so that after ten periods its beginning weighs
    less than 0.01 %. The one that is not over is among them.
    """
    return min(11 * rules.atr_period + 2, _MOST_CANDLES)


def equity(balance: Balance, quote: str, last_prices: dict[str, Decimal]) -> Decimal:
    """Cash, the profit of open positions, and holdings, in `quote`. `last_prices` by base currency; what has
    no price counts nothing: a size is then too small rather than too large.
    """
    cash = balance.total.get(quote, ZERO) + balance.gains.get(quote, ZERO)
    return cash + sum(
        (
            amount * last_prices[currency]
            for currency, amount in balance.total.items()
            if currency in last_prices
        ),
        start=ZERO,
    )


def amount_for(
    alert: Alert,
    rules: SizingSettings,
    *,
    price: Decimal | None,
    equity: Decimal | None,
    entry: Decimal | None = None,
    held: Decimal = ZERO,
    candles: Table | None = None,
    trips: Sequence[RoundTrip] = (),
) -> Decimal:
    """Base units to trade, unrounded. `price`: the limit price, or the last one. `entry`: where it is to
    fill, when that is another one. `held`: the signed position with what is pending towards it. `candles`:
    closed, quote units. `trips`: closed. Raises Refusal.
    """
    if alert.amount is not None:
        return alert.amount
    if rules.method == "target_position" and alert.notional is None and alert.percent is None:
        return _to_target(alert, rules.target, held)
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
    if rules.method == "volatility_adjusted":
        return equity * rules.risk_pct / (_volatility(rules, candles) * rules.atr_multiplier)
    if rules.method == "kelly":
        return equity * rules.kelly.fraction * _edge(rules.kelly, trips) / price
    return _by_equity(alert, rules, price, equity, entry or price)


def _to_target(alert: Alert, target: Decimal, held: Decimal) -> Decimal:
    """What an alert's buy or sell still has to trade: a repeated one has nothing left."""
    missing = target - held if alert.action is Action.BUY else held - target
    if missing <= 0:
        detail = (
            f"the position is {plain(held)} with what is pending, the target {plain(target)}: "
            f"nothing to {alert.action}"
        )
        raise Refusal("sizing.at_target", detail, "sizing")
    return missing


def _edge(rules: KellySettings, trips: Sequence[RoundTrip]) -> Decimal:
    edge = kelly.estimated(trips, rules) if rules.estimate else kelly.edge(rules.win_rate, rules.payoff)
    if edge <= 0:
        raise Refusal("sizing.no_edge", f"kelly: the edge is {edge:.4f}, so the size is zero")
    return edge


def _volatility(rules: SizingSettings, table: Table | None) -> Decimal:
    """The average true range in quote units, above zero; an IEEE double, exactly."""
    needed = rules.atr_period + 1
    known = filled(np.empty((0, len(COLUMNS))) if table is None else table, rules.nan)
    if len(known) < needed:
        detail = f"{len(known)} closed candles of {rules.atr_timeframe} are known, {needed} are needed"
        raise Refusal("sizing.no_candles", detail, "sizing")
    average = average_true_range(known, rules.atr_period)
    if not average:
        detail = f"the price has not moved in {len(known)} candles of {rules.atr_timeframe}"
        raise Refusal("sizing.no_volatility", detail, "sizing")
    return Decimal(average)


def _by_equity(
    alert: Alert, rules: SizingSettings, price: Decimal, equity: Decimal, entry: Decimal
) -> Decimal:
    match rules.method:
        case "fixed_percentage":
            return equity * rules.pct / price
        case "risk_based":
            stop = stop_price(alert, entry)
            if stop is None:
                raise Refusal("sizing.no_stop", "risk_based needs a stop_loss in the alert", "stop_loss")
            return equity * rules.risk_pct / abs(entry - stop)
        case "kelly" | "volatility_adjusted" | "fixed_amount" | "fixed_notional" | "target_position":
            raise AssertionError("sized before")
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
        raise Refusal("alert.number", f"{name} would be at {rough(price)}", name)
    if (price > entry) is not up or price == entry:
        where = "at" if price == entry else f"on the {'loss' if profit else 'profit'} side of"
        detail = f"{name} {rough(price)} is {where} the entry price {rough(entry)}"
        raise Refusal("alert.number", detail, name)
    return price


def minimum(market: Market, price: Decimal | None) -> Decimal:
    """The smallest amount that the market takes at that price."""
    by_notional = market.min_notional / price if market.min_notional and price else ZERO
    return max(market.min_amount or ZERO, by_notional)
