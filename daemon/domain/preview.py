"""What an alert would do, told in plain words: as far as a body and a configuration can tell. Pure.

The daemon adds the orders that would come of it (`fks.actors.lint`).
"""

from typing import Any

from fks.domain import dialects, gate, strategy
from fks.domain.alerts import Action, Alert, Target
from fks.domain.auth import Denied, Sender, authenticate
from fks.domain.errors import Refusal
from fks.domain.messages import NewAlert
from fks.domain.money import plain
from fks.domain.orders import OrderType

Report = dict[str, Any]

UNSIGNED = "no secret in the message: only a sender that signs (X-Signature, Standard Webhooks) could send it"
WRONG = "the secret in the message is none of this configuration: it would be refused (401)"


def read(
    body: bytes, rules: gate.GateRules, indexes: gate.Indexes, now: float
) -> tuple[Report, NewAlert | None]:
    """`{"accepted", "dialect", "secret", "does", "accounts"}` and the alert; with a `refusal`, None."""
    report: Report = {"accepted": False}
    try:
        message = dialects.recognise(body)
        report["dialect"] = message.dialect
        sender, report["secret"] = _sender(message, rules, now)
        new = gate.validate(message, sender, rules, indexes, now)
    except Refusal as refusal:
        return report | {"refusal": refusal_view(rules.known.refusal(refusal)), "accounts": []}, None
    told = {
        "accepted": report["secret"] != WRONG,
        "symbol": new.alert.symbol,
        "action": new.alert.action.value,
    }
    accounts = [{"account": account} for account in new.accounts]
    return report | told | {"does": sentences(new.alert, rules), "accounts": accounts}, new


def refusal_view(refusal: Refusal) -> Report:
    return {"code": refusal.code, "detail": refusal.detail, "field": refusal.field}


def _sender(message: dialects.Message, rules: gate.GateRules, now: float) -> tuple[Sender, str]:
    if message.secret is None:
        return Sender("lint"), UNSIGNED
    try:
        sender = authenticate({}, b"", message.secret.reveal(), rules.secrets, now)
    except Denied:
        return Sender("lint"), WRONG
    return sender, f"valid ({sender.name})"


def sentences(alert: Alert, rules: gate.GateRules) -> list[str]:
    """One line each: what is done, how much, and how it is protected."""
    match alert.action:
        case Action.CANCEL:
            return [f"cancels the open entries{_side(alert)} of {alert.symbol}; positions and stops stay"]
        case Action.CLOSE:
            part = "" if alert.share is None else f"{plain(alert.share * 100)} % of "
            if alert.amount is not None:
                part = f"{plain(alert.amount)} (in base units, or all there is) of "
            return [f"closes {part}the position{_side(alert)} in {alert.symbol} at market"]
    told = [f"{alert.action.value}s {alert.symbol}, {_order(alert)}", f"size: {_size(alert, rules)}"]
    if alert.reduce_only:
        told.append("only reduces a position")
    if (change := strategy.change(alert)) is not None:
        before = f"{alert.prev_market_position} before, " if alert.prev_market_position else ""
        told.append(f"for its strategy it is: {change} ({before}{alert.market_position} after)")
    told.append(f"stop loss: {_target(alert.stop_loss) if alert.stop_loss else 'none'}")
    told.append(f"take profit: {', '.join(map(_target, alert.take_profit)) or 'none'}")
    return told


def _side(alert: Alert) -> str:
    return f" ({alert.position_side} only)" if alert.position_side else ""


def _order(alert: Alert) -> str:
    words = str(alert.order_type).replace("_", " ")
    match alert.order_type:
        case OrderType.MARKET:
            return "at market"
        case OrderType.LIMIT if alert.price:
            return f"limit at {plain(alert.price)}"
        case OrderType.TRAILING_STOP if alert.trail_percent:
            return f"{words}, {plain(alert.trail_percent)} % behind the market"
    limit = (
        f", limit {plain(alert.price)}" if alert.order_type is OrderType.STOP_LIMIT and alert.price else ""
    )
    return f"{words} at {plain(alert.stop_price) if alert.stop_price else '?'}{limit}"


def _size(alert: Alert, rules: gate.GateRules) -> str:
    if alert.amount is not None:
        return f"{plain(alert.amount)} in base units"
    if alert.notional is not None:
        return f"for {plain(alert.notional)} of the quote currency"
    if alert.percent is not None:
        return f"{plain(alert.percent)} % of the equity"
    own = rules.strategies.get(alert.strategy or "")
    if alert.sizing:
        return "as the alert's own sizing says"
    of_strategy = f"[strategies.{alert.strategy}], " if own and own.sizing else ""
    return f"as {of_strategy}the account's own sizing and [sizing] say"


def _target(target: Target) -> str:
    share = "" if target.share is None else f" for {plain(target.share * 100)} % of it"
    if target.price is not None:
        return f"at {plain(target.price)}{share}"
    if target.percent is not None:
        return f"{plain(target.percent)} % from the entry{share}"
    return f"{plain(target.offset) if target.offset else '?'} from the entry{share}"
