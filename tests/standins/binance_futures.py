"""Binance's USD-M futures: requests as orders of the book, and the book's orders in Binance's words.

Orders with a trigger live behind endpoints of their own ("algo orders") and become, when it fires, another
order with another id.
"""

from decimal import Decimal
from typing import Any

from standins.account import Account, Instrument, Position
from standins.binance_spot import STATUS
from standins.book import Book
from standins.orders import BookOrder, Reason, Refused, Status, Trade, Trail
from standins.wire import digits, number, plain

TRIGGERED = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")
_LIMITS = ("LIMIT", "STOP", "TAKE_PROFIT")
_SIDES = {"BOTH": "net", "LONG": "long", "SHORT": "short"}
SIDES = {ours: theirs for theirs, ours in _SIDES.items()}

CODES = {
    Reason.SYMBOL: (-1121, "Invalid symbol."),
    Reason.REQUEST: (-1102, "A mandatory parameter was not sent, was empty/null, or malformed."),
    Reason.QUANTITY: (-1111, "Precision is over the maximum defined for this asset."),
    Reason.PRICE: (-4014, "Price not increased by tick size."),
    Reason.NOTIONAL: (-4164, "Order's notional must be no smaller than 5 (unless you choose reduce only)."),
    Reason.FUNDS: (-2019, "Margin is insufficient."),
    Reason.DUPLICATE: (-4116, "ClientOrderId is duplicated."),
    Reason.NOT_FOUND: (-2013, "Order does not exist."),
    Reason.NOT_OPEN: (-2011, "Unknown order sent."),
    Reason.TRIGGERS: (-2021, "Order would immediately trigger."),
    Reason.TAKES: (-5022, "Due to the order could not be executed as maker, the Post Only order will be "
                          "rejected. The order will not be recorded in the order history"),
    Reason.REDUCES_NOTHING: (-2022, "ReduceOnly Order is rejected."),
    Reason.POSITION_SIDE: (-4061, "Order's position side does not match user's setting."),
    Reason.BUSY: (-4068, "Position side cannot be changed if there exists position."),
    Reason.SAME: (-4059, "No need to change position side."),
}  # fmt: skip


def as_order(params: dict[str, Any], book: Book) -> BookOrder:
    """An order of `POST /fapi/v1/order` or, with a trigger, `/fapi/v1/algoOrder`. Raises Refused."""
    instrument = book.instrument(params.get("symbol"), swap=True)
    kind, side = str(params.get("type")), str(params.get("side"))
    if side not in ("BUY", "SELL") or kind not in ("MARKET", "LIMIT", *TRIGGERED):
        raise Refused(Reason.REQUEST, f"{side} {kind}")
    algo, given = kind in TRIGGERED, str(params.get("timeInForce") or "GTC")
    price, stop = number(params, "price"), number(params, "triggerPrice")
    trailing = kind == "TRAILING_STOP_MARKET"
    share = number(params, "callbackRate") / 100
    if (kind in _LIMITS and price <= 0) or (algo and not (share if trailing else stop)):
        raise Refused(Reason.REQUEST, "price, triggerPrice or callbackRate")
    return BookOrder(
        instrument,
        side.lower(),
        number(params, "quantity"),
        str(params.get("clientAlgoId" if algo else "newClientOrderId") or f"x-{len(book.orders)}"),
        price=price if kind in _LIMITS else Decimal(0),
        stop=stop if algo and not trailing else Decimal(0),
        rises=(side == "BUY") == kind.startswith("STOP"),
        trail=Trail(share=share, activation=number(params, "activatePrice")) if trailing else None,
        time_in_force="GTC" if given == "GTX" else given,
        post_only=given == "GTX",
        reduce_only=str(params.get("reduceOnly")).lower() == "true",
        position_side=_SIDES[str(params.get("positionSide") or "BOTH")],
        whole=str(params.get("closePosition")).lower() == "true",
        holds=not algo,
        becomes=algo,
        wire=params,
    )


def order(one: BookOrder) -> dict[str, Any]:
    kind = "LIMIT" if one.price else "MARKET"
    return {
        "orderId": one.id,
        "symbol": one.instrument.name,
        "status": STATUS.get(one.status, "EXPIRED"),
        "clientOrderId": one.client_id,
        "price": plain(one.price),
        "avgPrice": plain(one.average),
        "origQty": plain(one.quantity),
        "executedQty": plain(one.executed),
        "cumQuote": plain(one.spent),
        "timeInForce": "GTX" if one.post_only else one.time_in_force,
        "type": kind,
        "origType": one.wire["type"],
        "reduceOnly": one.reduce_only,
        "closePosition": one.whole,
        "side": one.side.upper(),
        "positionSide": SIDES[one.position_side],
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "time": one.time,
        "updateTime": one.updated,
    }


def algo(one: BookOrder) -> dict[str, Any]:
    """It tells neither how much was executed nor what it cost: that is told of the order it became."""
    became = one.became
    return {
        "algoId": one.id,
        "clientAlgoId": one.client_id,
        "algoType": "CONDITIONAL",
        "orderType": one.wire["type"],
        "symbol": one.instrument.name,
        "side": one.side.upper(),
        "positionSide": SIDES[one.position_side],
        "timeInForce": one.time_in_force,
        "quantity": plain(one.quantity),
        "algoStatus": _algo_status(one),
        "actualOrderId": str(became.id) if became else "",
        "actualPrice": plain(became.average) if became else "0.00000",
        "triggerPrice": plain(one.stop),
        "price": plain(one.price),
        "workingType": "CONTRACT_PRICE",
        "closePosition": one.whole,
        "reduceOnly": one.reduce_only,
        "createTime": one.time,
        "updateTime": one.updated,
        "triggerTime": one.updated if became else 0,
    }


def _algo_status(one: BookOrder) -> str:
    if one.became:
        return "TRIGGERED" if one.became.open else "FINISHED"
    return {Status.NEW: "NEW", Status.CANCELED: "CANCELED", Status.FAILED: "REJECTED"}.get(
        one.status, "EXPIRED"
    )


def trade(one: Trade) -> dict[str, Any]:
    return {
        "symbol": one.order.instrument.name,
        "id": one.id,
        "orderId": one.order.id,
        "side": one.order.side.upper(),
        "positionSide": SIDES[one.order.position_side],
        "price": plain(one.price),
        "qty": plain(one.quantity),
        "quoteQty": plain(one.price * one.quantity),
        "commission": plain(one.fee),
        "commissionAsset": one.fee_asset,
        "realizedPnl": "0",
        "time": one.time,
        "buyer": one.order.buys,
        "maker": one.maker,
    }


def position(one: Position, side: str, account: Account, mark: Decimal) -> dict[str, Any]:
    name, isolated = one.instrument.name, account.isolated.get(one.instrument.name, False)
    margin = plain(account.margin(one))
    return {
        "symbol": name,
        "positionSide": SIDES[side],
        "positionAmt": plain(one.amount),
        "entryPrice": plain(one.average),
        "breakEvenPrice": plain(one.average),
        "markPrice": plain(mark),
        "unRealizedProfit": plain(one.unrealized(mark)),
        "liquidationPrice": "0",
        "isolatedMargin": margin if isolated else "0",
        "isolatedWallet": margin if isolated else "0",
        "marginType": "isolated" if isolated else "cross",
        "leverage": plain(account.leverage_of(name)),
        "notional": plain(one.amount * mark),
        "marginAsset": one.instrument.quote,
        "initialMargin": margin,
        "maintMargin": plain(one.notional(mark) * Decimal("0.004")),
        "updateTime": one.updated,
    }


def balances(account: Account, now: int) -> list[dict[str, Any]]:
    return [
        {
            "asset": asset,
            "walletBalance": plain(total),
            "unrealizedProfit": "0",
            "marginBalance": plain(total),
            "maintMargin": "0",
            "initialMargin": plain(account.locked(asset)),
            "crossWalletBalance": plain(total),
            "balance": plain(total),
            "availableBalance": plain(account.free(asset)),
            "maxWithdrawAmount": plain(account.free(asset)),
            "updateTime": now,
        }
        for asset, total in sorted(account.total.items())
    ]


def instrument(one: Instrument) -> dict[str, Any]:
    return {
        "symbol": one.name,
        "pair": one.name,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "baseAsset": one.base,
        "quoteAsset": one.quote,
        "marginAsset": one.quote,
        "pricePrecision": digits(one.tick),
        "quantityPrecision": digits(one.step),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "orderTypes": ["LIMIT", "MARKET", *TRIGGERED],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": plain(one.tick), "maxPrice": "4529764",
             "tickSize": plain(one.tick)},
            {"filterType": "LOT_SIZE", "minQty": plain(one.step), "maxQty": "1000",
             "stepSize": plain(one.step)},
            {"filterType": "MIN_NOTIONAL", "notional": plain(one.min_notional)},
        ],
    }  # fmt: skip


def brackets(one: Instrument) -> dict[str, Any]:
    first = {"bracket": 1, "initialLeverage": 125, "notionalCap": 50_000_000, "notionalFloor": 0,
             "maintMarginRatio": 0.004, "cum": 0.0}  # fmt: skip
    return {"symbol": one.name, "brackets": [first]}
