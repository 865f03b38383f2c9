"""What an account's measured facts mean for trading on it: a verdict each, and what to do about it."""

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from fks.domain import sizing
from fks.domain.alerts import Action, Alert
from fks.domain.errors import Refusal
from fks.domain.messages import Balance, Market
from fks.domain.money import plain, rough
from fks.domain.settings import RiskSettings, SizingSettings

SKEW_S = 0.5  # what a machine with a working time service never reaches
_NAMED = 5  # currencies of a balance that are told by name


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"  # it works, or may work: a human should look
    FAIL = "fail"  # alerts would be lost or refused, or money is at risk


class Finding(Struct, frozen=True, kw_only=True):
    """One check of one thing (an account, an address). `remedy` is empty when there is nothing to do."""

    subject: str
    check: str
    verdict: Verdict
    detail: str
    remedy: str = ""


class Judgement(Struct, frozen=True):
    """A finding before it is known of what."""

    verdict: Verdict
    detail: str
    remedy: str = ""

    def of(self, subject: str, check: str) -> Finding:
        return Finding(
            subject=subject, check=check, verdict=self.verdict, detail=self.detail, remedy=self.remedy
        )


class KeyRights(Struct, frozen=True, kw_only=True):
    """What an exchange says that a key may do; None: it does not say."""

    trade: bool | None = None
    withdraw: bool | None = None
    address_bound: bool | None = None


def judge_clock(ahead_s: float, uncertainty_s: float, window_s: float | None) -> Judgement:
    """`ahead_s`: our clock against the exchange's, measured to +- `uncertainty_s`, which is given away.

    Half the fence is the limit: beyond it too little of the window is left to send an order in.
    """
    skew = max(0.0, abs(ahead_s) - uncertainty_s)
    side = "ahead of" if ahead_s > 0 else "behind"
    detail = f"{abs(ahead_s):.2f} s {side} the exchange's (+-{uncertainty_s:.2f} s)"
    remedy = "run a time service on this machine (systemd-timesyncd, chrony) and check `timedatectl`"
    if window_s is not None and skew > window_s / 2:
        return Judgement(Verdict.FAIL, f"{detail}, more than half of the {window_s:g} s fence", remedy)
    return Judgement(Verdict.WARN, detail, remedy) if skew > SKEW_S else Judgement(Verdict.OK, detail)


def judge_rights(rights: KeyRights) -> Iterator[tuple[str, Judgement]]:
    """The check's name and its result, one for each right."""
    match rights.trade:
        case True:
            yield "trading right", Judgement(Verdict.OK, "the key may trade")
        case False:
            detail = "the key may not trade in this kind of market: every order would be refused"
            yield "trading right", Judgement(Verdict.FAIL, detail, "allow trading for this key")
        case None:
            yield "trading right", _untold("whether the key may trade", "make sure that it may")
    match rights.withdraw:
        case True:
            detail = "the key may withdraw: who gets hold of it can take the money away"
            remedy = "take the withdrawal right from this key: nothing here needs it"
            yield "withdrawal right", Judgement(Verdict.WARN, detail, remedy)
        case False:
            yield "withdrawal right", Judgement(Verdict.OK, "the key may not withdraw")
        case None:
            what = "whether the key may withdraw"
            yield "withdrawal right", _untold(what, "make sure that it may not: nothing here needs it")
    if rights.address_bound is False:
        detail = "the key works from any address"
        yield "key's address", Judgement(Verdict.WARN, detail, "bind the key to this machine's address")


def _untold(what: str, remedy: str) -> Judgement:
    return Judgement(Verdict.WARN, f"{what} cannot be told", f"look on the exchange's site, and {remedy}")


def judge_position_mode(hedged: bool | None) -> Judgement:
    """None: the exchange does not say, and orders are sent as in one-way mode."""
    match hedged:
        case False:
            return Judgement(Verdict.OK, "one-way")
        case True:
            return Judgement(Verdict.OK, "hedge mode: each order names its side")
        case None:
            return _untold("the position mode", "make sure that it is one-way")


def judge_margin_mode(mode: str | None) -> Judgement:
    """What an order without a margin mode of its own gets; None: the exchange does not say."""
    match mode:
        case "isolated":
            return Judgement(Verdict.OK, "isolated: a position can lose its own margin only")
        case "cross":
            detail = "cross: a position can lose the whole balance; an alert's margin_mode may say otherwise"
            return Judgement(Verdict.OK, detail)
        case None:
            return _untold("the margin mode", "make sure that it is the one you mean")
        case other:
            return Judgement(Verdict.WARN, f"{other}: not tested here", "use cross or isolated")


def judge_balance(balance: Balance) -> Judgement:
    free = {currency: amount for currency, amount in sorted(balance.free.items()) if amount > 0}
    if not free:
        detail = "readable, and nothing is free to trade with"
        return Judgement(Verdict.WARN, detail, "pay money into this account, or free what open orders hold")
    named = [f"{plain(amount)} {currency}" for currency, amount in list(free.items())[:_NAMED]]
    more = f" and {len(free) - _NAMED} more" if len(free) > _NAMED else ""
    return Judgement(Verdict.OK, f"readable; free: {', '.join(named)}{more}")


def judge_minimum(
    market: Market, price: Decimal, balance: Balance | None, size: SizingSettings, limits: RiskSettings
) -> Judgement:
    """Whether an order as it is configured would reach the least that the market takes, at that price."""
    if not market.active:
        detail = "not trading at the moment"
        return Judgement(Verdict.WARN, detail, "wait, or take the symbol out of the configuration")
    least = sizing.minimum(market, price)
    detail = f"at least {rough(least)} {market.base}, {rough(least * price)} {market.quote}"
    if 0 < limits.max_order_notional < least * price:
        told = f"{detail}; risk.max_order_notional is {plain(limits.max_order_notional)}: no order fits"
        return Judgement(Verdict.FAIL, told, "raise risk.max_order_notional")
    amount = _configured_amount(market, price, balance, size)
    if amount is not None and amount < least:
        told = f"{detail}; {size.method} makes {rough(amount)} {market.base}: too small, it would be refused"
        return Judgement(Verdict.WARN, told, "raise the size in [sizing], or send larger ones in the alerts")
    return Judgement(Verdict.OK, detail)


def _configured_amount(
    market: Market, price: Decimal, balance: Balance | None, size: SizingSettings
) -> Decimal | None:
    """What an alert without a size of its own would buy; None where that depends on the alert.

    Holdings count nothing here, so with coins instead of cash it comes out too small.
    """
    equity = None if balance is None else sizing.equity(balance, market.settle or market.quote, {})
    try:
        return sizing.amount_for(
            Alert(symbol=market.symbol, action=Action.BUY), size, price=price, equity=equity
        )
    except Refusal:
        return None
