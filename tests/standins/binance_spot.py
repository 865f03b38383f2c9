"""Binance's spot orders: requests as orders of the book, and the book's orders in Binance's words."""

from decimal import Decimal
from typing import Any

from standins.account import Account, Instrument
from standins.book import Book
from standins.orders import BookOrder, Reason, Refused, Status, Trade, Trail
from standins.wire import candle_starts, interval_ms, number

TRIGGERED = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
_LIMITS = ("LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")
STATUS = {Status.NEW: "NEW", Status.PARTIAL: "PARTIALLY_FILLED", Status.FILLED: "FILLED",
          Status.CANCELED: "CANCELED"}  # fmt: skip

# The texts are exact: ccxt goes by some of them.
CODES = {
    Reason.SYMBOL: (-1121, "Invalid symbol."),
    Reason.REQUEST: (-1116, "Invalid orderType."),
    Reason.QUANTITY: (-1013, "Filter failure: LOT_SIZE"),
    Reason.PRICE: (-1013, "Filter failure: PRICE_FILTER"),
    Reason.NOTIONAL: (-1013, "Filter failure: NOTIONAL"),
    Reason.FUNDS: (-2010, "Account has insufficient balance for requested action."),
    Reason.DUPLICATE: (-2010, "Duplicate order sent."),
    Reason.NOT_FOUND: (-2013, "Order does not exist."),
    Reason.NOT_OPEN: (-2011, "Unknown order sent."),
    Reason.TRIGGERS: (-2010, "Stop price would trigger immediately."),
    Reason.TAKES: (-2010, "Order would immediately match and take."),
}


def as_order(params: dict[str, Any], book: Book) -> BookOrder:
    """An order of `POST /api/v3/order`. Raises Refused."""
    instrument = book.instrument(params.get("symbol"))
    kind, side = str(params.get("type")), str(params.get("side"))
    if side not in ("BUY", "SELL") or kind not in ("MARKET", *_LIMITS, *TRIGGERED):
        raise Refused(Reason.REQUEST, f"{side} {kind}")
    price, stop = number(params, "price"), number(params, "stopPrice")
    if kind in _LIMITS and price <= 0:
        raise Refused(Reason.PRICE, "a limit order needs a price")
    share = number(params, "trailingDelta") / 10_000
    if kind in TRIGGERED and stop <= 0 and not share:
        raise Refused(Reason.REQUEST, "stopPrice")
    quantity = number(params, "quantity")
    if by_quote := number(params, "quoteOrderQty"):
        quantity = (by_quote / book.mark(instrument) // instrument.step) * instrument.step
    return BookOrder(
        instrument,
        side.lower(),
        quantity,
        str(params.get("newClientOrderId") or f"x-{len(book.orders)}"),
        price=price if kind in _LIMITS else Decimal(0),
        stop=stop if kind in TRIGGERED and not share else Decimal(0),
        rises=(side == "BUY") == kind.startswith("STOP_LOSS"),
        trail=Trail(share=share, activation=stop) if kind in TRIGGERED and share else None,
        time_in_force=str(params.get("timeInForce") or "GTC"),
        post_only=kind == "LIMIT_MAKER",
        wire=params,
    )


def order(one: BookOrder) -> dict[str, Any]:
    return {
        "symbol": one.instrument.name,
        "orderId": one.id,
        "orderListId": -1,
        "clientOrderId": one.client_id,
        "price": eight(one.price),
        "origQty": eight(one.quantity),
        "executedQty": eight(one.executed),
        "origQuoteOrderQty": eight(number(one.wire, "quoteOrderQty")),
        "cummulativeQuoteQty": eight(one.spent),
        "status": STATUS.get(one.status, "EXPIRED"),
        "timeInForce": one.time_in_force,
        "type": one.wire["type"],
        "side": one.side.upper(),
        "stopPrice": eight(one.stop),
        "icebergQty": "0.00000000",
        "time": one.time,
        "updateTime": one.updated,
        "isWorking": not one.waiting,
        "workingTime": one.time,
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }


def placed(one: BookOrder) -> dict[str, Any]:
    """The answer to a placement with newOrderRespType=FULL."""
    row = order(one)
    for name in ("time", "updateTime", "isWorking", "icebergQty"):
        del row[name]
    fills = [
        {"price": eight(made.price), "qty": eight(made.quantity), "commission": eight(made.fee),
         "commissionAsset": made.fee_asset, "tradeId": made.id}
        for made in one.trades
    ]  # fmt: skip
    return {**row, "transactTime": one.updated, "fills": fills}


def trade(one: Trade) -> dict[str, Any]:
    return {
        "symbol": one.order.instrument.name,
        "id": one.id,
        "orderId": one.order.id,
        "orderListId": -1,
        "price": eight(one.price),
        "qty": eight(one.quantity),
        "quoteQty": eight(one.price * one.quantity),
        "commission": eight(one.fee),
        "commissionAsset": one.fee_asset,
        "time": one.time,
        "isBuyer": one.order.buys,
        "isMaker": one.maker,
        "isBestMatch": True,
    }


def account(of: Account, now: int) -> dict[str, Any]:
    balances = [
        {"asset": asset, "free": eight(of.free(asset)), "locked": eight(of.locked(asset))}
        for asset in sorted(of.total)
    ]
    return {
        "makerCommission": 10,
        "takerCommission": 10,
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": True,
        "updateTime": now,
        "accountType": "SPOT",
        "balances": balances,
        "permissions": ["SPOT"],
    }


def instrument(one: Instrument) -> dict[str, Any]:
    return {
        "symbol": one.name,
        "status": "TRADING",
        "baseAsset": one.base,
        "baseAssetPrecision": 8,
        "quoteAsset": one.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", *TRIGGERED],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": str(one.tick), "maxPrice": "1000000.00",
             "tickSize": str(one.tick)},
            {"filterType": "LOT_SIZE", "minQty": str(one.step), "maxQty": "9000.00000000",
             "stepSize": str(one.step)},
            {"filterType": "NOTIONAL", "minNotional": str(one.min_notional), "applyMinToMarket": True,
             "maxNotional": "9000000.00", "applyMaxToMarket": False, "avgPriceMins": 5},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
    }  # fmt: skip


def ticker(one: Instrument, mark: Decimal, now: int) -> dict[str, Any]:
    price = str(mark)
    names = ("weightedAvgPrice", "prevClosePrice", "lastPrice", "bidPrice", "askPrice", "openPrice",
             "highPrice", "lowPrice")  # fmt: skip
    return {
        **dict.fromkeys(names, price),
        "symbol": one.name,
        "priceChange": "0",
        "priceChangePercent": "0",
        "bidQty": "1",
        "askQty": "1",
        "volume": "1",
        "quoteVolume": price,
        "openTime": now - 86_400_000,
        "closeTime": now,
        "count": 1,
    }


def candles(params: dict[str, Any], mark: Decimal, now: int) -> list[list[Any]]:
    """Flat at the mark, oldest first."""
    price, interval = str(mark), str(params.get("interval", "1h"))
    return [
        [start, price, price, price, price, "1", start + interval_ms(interval) - 1, price, 1, "0", "0", "0"]
        for start in candle_starts(interval, int(params.get("limit", 500)), now)
    ]


def eight(value: Decimal) -> str:
    return f"{value:.8f}"
