"""A book's orders, executions and positions in the words of Bybit v5."""

from decimal import Decimal
from typing import Any

from standins.account import Account, Instrument, Position
from standins.book import Book
from standins.orders import BookOrder, Status, Trade
from standins.wire import candle_starts, digits, fees, plain

SIDES = {"net": 0, "long": 1, "short": 2}  # positionIdx
_STATUS = {Status.NEW: "New", Status.PARTIAL: "PartiallyFilled", Status.FILLED: "Filled"}


def status(order: BookOrder) -> str:
    if order.open and order.waiting:
        return "Untriggered"
    if order.status in _STATUS:
        return _STATUS[order.status]
    if order.waiting:
        return "Deactivated"
    return "PartiallyFilledCanceled" if order.executed and not order.instrument.swap else "Cancelled"


def filter_of(order: BookOrder) -> str:
    """The `orderFilter` under which it is listed."""
    if not (order.stop or order.trail):
        return "Order"
    return "StopOrder" if order.instrument.swap else str(order.wire.get("orderFilter", "tpslOrder"))


def order(one: BookOrder) -> dict[str, Any]:
    swap, wire = one.instrument.swap, one.wire
    paid = fees(one.trades)
    row = {
        "orderId": str(one.id),
        "orderLinkId": one.client_id,
        "symbol": one.instrument.name,
        "price": plain(one.price),
        "qty": plain(one.quantity),
        "side": one.side.capitalize(),
        "positionIdx": SIDES[one.position_side],
        "orderStatus": status(one),
        "cancelType": "CancelByUser" if one.status is Status.CANCELED else "UNKNOWN",
        "rejectReason": "EC_NoError",
        "avgPrice": plain(one.average) if one.executed else "",
        "leavesQty": plain(one.remaining if one.open else Decimal(0)),
        "cumExecQty": plain(one.executed),
        "cumExecValue": plain(one.spent),
        "cumExecFee": plain(sum(paid.values(), Decimal(0))),
        "cumFeeDetail": {asset: plain(fee) for asset, fee in paid.items()},
        "timeInForce": "PostOnly" if one.post_only else one.time_in_force,
        "orderType": "Limit" if one.price else "Market",
        "stopOrderType": _stop_type(one),
        "triggerPrice": plain(one.stop),
        "triggerDirection": (1 if one.rises else 2) if one.stop else 0,
        "takeProfit": str(wire.get("takeProfit", "")),
        "stopLoss": str(wire.get("stopLoss", "")),
        "reduceOnly": one.reduce_only,
        "closeOnTrigger": one.whole,
        "marketUnit": str(wire.get("marketUnit", "")),
        "createdTime": str(one.time),
        "updatedTime": str(one.updated),
    }
    return row | {"tpslMode": str(wire.get("tpslMode", ""))} if swap else row


def _stop_type(one: BookOrder) -> str:
    if one.trail:
        return "TrailingStop"
    return str(one.wire.get("stopOrderType", "Stop" if one.stop else ""))


def trade(one: Trade) -> dict[str, Any]:
    return {
        "symbol": one.order.instrument.name,
        "orderId": str(one.order.id),
        "orderLinkId": one.order.client_id,
        "side": one.order.side.capitalize(),
        "orderPrice": plain(one.order.price),
        "orderQty": plain(one.order.quantity),
        "orderType": "Limit" if one.order.price else "Market",
        "execId": f"exec-{one.id}",
        "execPrice": plain(one.price),
        "execQty": plain(one.quantity),
        "execValue": plain(one.price * one.quantity),
        "execFee": plain(one.fee),
        "feeRate": plain(one.order.instrument.fee),
        "feeCurrency": one.fee_asset,
        "execType": "Trade",
        "execTime": str(one.time),
        "isMaker": one.maker,
        "leavesQty": plain(one.order.remaining),
    }


def position(one: Position, side: str, book: Book) -> dict[str, Any]:
    account, mark = book.account, book.mark(one.instrument)
    leverage = account.leverage_of(one.instrument.name)
    guards = {
        _stop_type(order): plain(order.trail.distance if order.trail else order.stop)
        for order in book.live.values()
        if order.whole and (order.instrument, order.position_side) == (one.instrument, side)
    }
    return {
        "positionIdx": SIDES[side],
        "symbol": one.instrument.name,
        "side": "Buy" if one.amount > 0 else "Sell" if one.amount else "",
        "size": plain(abs(one.amount)),
        "avgPrice": plain(one.average),
        "positionValue": plain(abs(one.amount) * one.average),
        "leverage": plain(leverage),
        "markPrice": plain(mark),
        "positionIM": plain(account.margin(one)),
        "positionMM": plain(account.margin(one) / 2),
        "liqPrice": "",
        "takeProfit": guards.get("TakeProfit", ""),
        "stopLoss": guards.get("StopLoss", ""),
        "trailingStop": guards.get("TrailingStop", "0"),
        "unrealisedPnl": plain(one.unrealized(mark)),
        "curRealisedPnl": plain(one.realized),
        "positionStatus": "Normal",
        "createdTime": str(one.updated),
        "updatedTime": str(one.updated),
    }


def wallet(account: Account) -> dict[str, Any]:
    coins = [
        {
            "coin": asset,
            "walletBalance": plain(total),
            "equity": plain(total),
            "unrealisedPnl": "0",
            "locked": plain(account.held.get(asset, Decimal(0))),
            "totalOrderIM": "0",
            "totalPositionIM": plain(account.locked(asset) - account.held.get(asset, Decimal(0))),
            "availableToWithdraw": "",
            "borrowAmount": "0",
            "accruedInterest": "0",
        }
        for asset, total in sorted(account.total.items())
    ]
    return {"list": [{"accountType": "UNIFIED", "coin": coins}]}


def instrument(one: Instrument) -> dict[str, Any]:
    shared = {
        "symbol": one.name,
        "baseCoin": one.base,
        "quoteCoin": one.quote,
        "status": "Trading",
        "priceFilter": {"tickSize": plain(one.tick), "minPrice": plain(one.tick), "maxPrice": "1999999.8"},
    }
    if not one.swap:
        lots = {"basePrecision": plain(one.step), "quotePrecision": "0.0000001",
                "minOrderQty": plain(one.step), "maxOrderQty": "9000",
                "minOrderAmt": plain(one.min_notional), "maxOrderAmt": "8000000"}  # fmt: skip
        return shared | {"innovation": "0", "marginTrading": "utaOnly", "lotSizeFilter": lots}
    lots = {"qtyStep": plain(one.step), "minOrderQty": plain(one.step), "maxOrderQty": "1190",
            "minNotionalValue": plain(one.min_notional), "postOnlyMaxOrderQty": "1190"}  # fmt: skip
    return shared | {
        "contractType": "LinearPerpetual",
        "settleCoin": one.quote,
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "priceScale": str(digits(one.tick)),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "lotSizeFilter": lots,
    }


def ticker(one: Instrument, mark: Decimal) -> dict[str, Any]:
    price = plain(mark)
    prices = dict.fromkeys(
        ("lastPrice", "bid1Price", "ask1Price", "prevPrice24h", "highPrice24h", "lowPrice24h"), price
    )
    row = {"symbol": one.name, "bid1Size": "1", "ask1Size": "1", "price24hPcnt": "0", "turnover24h": price,
           "volume24h": "1", **prices}  # fmt: skip
    return row | {"openInterestValue": "1", "markPrice": price, "indexPrice": price} if one.swap else row


def candles(params: dict[str, Any], mark: Decimal, now: int) -> list[list[str]]:
    """Flat at the mark, newest first."""
    price = plain(mark)
    interval = {"D": "1d", "W": "7d"}.get(params["interval"], params["interval"])
    starts = candle_starts(interval, int(params.get("limit", 200)), now)
    return [[str(start), price, price, price, price, "1", price] for start in reversed(starts)]
