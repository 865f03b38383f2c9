"""What ccxt's unified orders and trades prove of ours. Pure."""

import re
from decimal import Decimal
from typing import Any

from msgspec import structs

from fks.domain.errors import Unknown
from fks.domain.messages import Report, Trade
from fks.domain.money import ZERO
from fks.domain.orders import State
from fks.venues.ccxt_markets import contract_size, number

_AN_ID = re.compile(r"[^\s<>{}\"]{1,128}")


def report(raw: dict[str, Any], raw_market: dict[str, Any], client_order_id: str) -> Report:
    """What ccxt's unified order proves. Raises Unknown for one without an id: it proves nothing."""
    exchange_order_id = str(raw.get("id") or "")
    if not _AN_ID.fullmatch(exchange_order_id):  # some exchanges' parsers pass a web page on as the id
        raise Unknown("the exchange answered without an order id")
    size = contract_size(raw_market)
    filled = (number(raw.get("filled")) or ZERO) * size
    time = (raw.get("lastUpdateTimestamp") or raw.get("timestamp") or 0) / 1000
    trades = trades_of(raw.get("trades") or (), size, time)
    fee, currency = _fee(raw, trades)
    amount = number(raw.get("amount"))
    return Report(
        client_order_id=client_order_id,
        exchange_order_id=exchange_order_id,
        state=state_of(raw.get("status"), filled, None if amount is None else amount * size),
        filled=filled,
        average=number(raw.get("average")) if filled else None,
        fee=fee,
        fee_currency=currency,
        trades=trades if sum((one.amount for one in trades), ZERO) == filled else (),
        time=time,
        reason=None,
    )


def state_of(status: str | None, filled: Decimal, amount: Decimal | None) -> State:
    """The unified status with what it leaves open: "closed" is any end, None a bare acknowledgement."""
    whole = amount is not None and filled >= amount > ZERO
    match status:
        case "closed":
            return State.FILLED if whole or (amount is None and filled > ZERO) else State.CANCELED
        case "canceled":
            return State.FILLED if whole else State.CANCELED
        case "expired":
            return State.FILLED if whole else State.EXPIRED
        case "rejected":
            return State.REJECTED if filled == ZERO else State.CANCELED
        case _:
            return State.FILLED if whole else State.PARTIAL if filled > ZERO else State.OPEN


def trades_of(raw: Any, size: Decimal, time: float) -> tuple[Trade, ...]:
    """Executions with an id of the exchange's; one without could not be told from another."""
    found = []
    for one in raw:
        price, amount = number(one.get("price")), number(one.get("amount"))
        if not one.get("id") or price is None or not amount:
            return ()
        fee = one.get("fee") or {}
        found.append(
            Trade(
                id=str(one["id"]),
                time=(one["timestamp"] / 1000) if one.get("timestamp") else time,
                price=price,
                amount=amount * size,
                fee=number(fee.get("cost")) or ZERO,
                fee_currency=fee.get("currency"),
            )
        )
    return tuple(found)


def with_trades(report: Report, raw: Any, raw_market: dict[str, Any]) -> Report:
    """The report with its executions, if they are all there: a part would make the rest look new later."""
    trades = trades_of(raw, contract_size(raw_market), report.time)
    if sum((one.amount for one in trades), ZERO) != report.filled:
        return report
    fee, currency = _fee({}, trades)
    return structs.replace(report, trades=trades, fee=fee, fee_currency=currency)


def _fee(raw: dict[str, Any], trades: tuple[Trade, ...]) -> tuple[Decimal, str | None]:
    """The order's whole fee. In several currencies: that of the first, the trades tell the others."""
    fees = [(one.fee, one.fee_currency) for one in trades]
    if not fees:
        listed = raw.get("fees") or [raw.get("fee") or {}]
        fees = [(number(one.get("cost")) or ZERO, one.get("currency")) for one in listed]
    currency = next((name for fee, name in fees if fee), None)
    return sum((fee for fee, name in fees if name == currency), ZERO), currency


def under(report: Report, exchange_order_id: str) -> Report:
    """The report with the id that the order was placed by: a triggered one has got another since."""
    return structs.replace(report, exchange_order_id=exchange_order_id)
