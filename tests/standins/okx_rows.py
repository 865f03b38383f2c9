"""A book's orders, executions and positions in the words of OKX v5."""

from decimal import Decimal
from typing import Any

from standins.account import ZERO, Account, Instrument, Position
from standins.orders import BookOrder, Status, Trade
from standins.wire import candle_starts, fees, or_empty, plain

_STATES = {Status.NEW: "live", Status.PARTIAL: "partially_filled", Status.FILLED: "filled"}
_ALGO_STATES = {Status.NEW: "live", Status.TRIGGERED: "effective", Status.FAILED: "order_failed"}


def kind(instrument: Instrument) -> str:
    return "SWAP" if instrument.swap else "SPOT"


def named(one: BookOrder, now: int) -> dict[str, str]:
    """The answer to a placement or cancellation."""
    if one.becomes:
        return {"algoId": str(one.id), "algoClOrdId": one.client_id,
                "clOrdId": str(one.wire.get("clOrdId", "")), "tag": ""}  # fmt: skip
    return {"ordId": str(one.id), "clOrdId": one.client_id, "tag": "", "ts": str(now)}


def any_order(one: BookOrder) -> dict[str, Any]:
    return algo(one) if one.becomes else order(one)


def _shared(one: BookOrder) -> dict[str, Any]:
    return {
        "instType": kind(one.instrument),
        "instId": one.instrument.name,
        "sz": plain(one.quantity),
        "side": one.side,
        "posSide": one.position_side if one.instrument.swap else "",
        "tdMode": str(one.wire.get("tdMode", "")),
        "tgtCcy": "base_ccy" if not one.instrument.swap else "",
        "reduceOnly": str(one.reduces).lower(),
        "tag": "",
        "cTime": str(one.time),
        "uTime": str(one.updated),
    }


def order(one: BookOrder) -> dict[str, Any]:
    paid, last = fees(one.trades), one.trades[-1] if one.trades else None
    asset = next(iter(paid), one.instrument.quote)
    kinds = {"GTC": "post_only" if one.post_only else "limit", "IOC": "ioc", "FOK": "fok"}
    return _shared(one) | {
        "ordId": str(one.id),
        "clOrdId": one.client_id,
        "algoId": str(one.wire.get("algoId", "")),
        "px": or_empty(one.price),
        "ordType": kinds[one.time_in_force] if one.price else "market",
        "state": _STATES.get(one.status, "canceled"),
        "accFillSz": plain(one.executed),
        "avgPx": or_empty(one.average),
        "fillPx": plain(last.price) if last else "",
        "fillSz": plain(last.quantity) if last else "",
        "fillTime": str(last.time) if last else "",
        "tradeId": str(last.id) if last else "",
        "fee": plain(-paid.get(asset, ZERO)),
        "feeCcy": asset,
        "attachAlgoOrds": one.wire.get("attachAlgoOrds", []),
        "cancelSource": "" if one.open or one.status is Status.FILLED else "1",
    }


def algo(one: BookOrder) -> dict[str, Any]:
    wire, became = one.wire, one.became
    given = {name: str(wire.get(name, "")) for name in (
        "tpTriggerPx", "tpOrdPx", "slTriggerPx", "slOrdPx", "triggerPx", "callbackRatio", "callbackSpread",
        "closeFraction", "clOrdId", "ordType",
    )}  # fmt: skip
    return (
        _shared(one)
        | given
        | {
            "algoId": str(one.id),
            "algoClOrdId": one.client_id,
            "ordPx": str(wire.get("orderPx", "")),
            "activePx": str(wire.get("activePx", "")),
            "moveTriggerPx": "",
            "state": _ALGO_STATES.get(one.status, "canceled"),
            "ordId": str(became.id) if became else "",
            "ordIdList": [str(became.id)] if became else [],
            "actualSz": plain(became.executed) if became else "0",
            "actualPx": or_empty(became.average) if became else "",
            "actualSide": ("tp" if one.rises == (one.side == "sell") else "sl") if became else "",
            "triggerTime": str(one.updated) if became else "",
            "failCode": "51008" if one.status is Status.FAILED else "",
        }
    )


def trade(one: Trade) -> dict[str, Any]:
    instrument = one.order.instrument
    return {
        "instType": kind(instrument),
        "instId": instrument.name,
        "tradeId": str(one.id),
        "ordId": str(one.order.id),
        "clOrdId": one.order.client_id,
        "billId": str(one.id),
        "side": one.order.side,
        "posSide": one.order.position_side,
        "fillPx": plain(one.price),
        "fillSz": plain(one.quantity),
        "fee": plain(-one.fee),
        "feeCcy": one.fee_asset,
        "execType": "M" if one.maker else "T",
        "ts": str(one.time),
    }


def position(one: Position, side: str, account: Account, mark: Decimal) -> dict[str, Any]:
    """The size is signed in one-way mode and above zero for each side of a hedge."""
    name = one.instrument.name
    return {
        "instType": kind(one.instrument),
        "instId": name,
        "mgnMode": "isolated" if account.isolated.get(name) else "cross",
        "posId": name,
        "posSide": side,
        "pos": plain(one.amount if side == "net" else abs(one.amount)),
        "posCcy": "",
        "avgPx": plain(one.average),
        "markPx": plain(mark),
        "upl": plain(one.unrealized(mark)),
        "uplRatio": "0",
        "realizedPnl": plain(one.realized),
        "lever": plain(account.leverage_of(name)),
        "imr": plain(account.margin(one)),
        "margin": plain(account.margin(one)) if account.isolated.get(name) else "",
        "mmr": plain(account.margin(one) / 2),
        "notionalUsd": plain(one.notional(mark)),
        "liqPx": "",
        "cTime": str(one.updated),
        "uTime": str(one.updated),
    }


def balance(account: Account, now: int) -> dict[str, Any]:
    details = [
        {
            "ccy": asset,
            "eq": plain(total),
            "cashBal": plain(total),
            "availEq": plain(account.free(asset)),
            "availBal": plain(account.free(asset)),
            "frozenBal": plain(account.locked(asset)),
        }
        for asset, total in sorted(account.total.items())
    ]
    return {"uTime": str(now), "totalEq": "", "details": details}


def config(account: Account) -> dict[str, Any]:
    mode = "long_short_mode" if account.hedge else "net_mode"
    return {"uid": "1", "mainUid": "1", "acctLv": "2", "posMode": mode, "perm": "read_only,trade",
            "ip": "127.0.0.1", "label": "stand-in"}  # fmt: skip


def instrument(one: Instrument) -> dict[str, Any]:
    pair = f"{one.base}-{one.quote}"
    return {
        "instType": kind(one),
        "instId": one.name,
        "instFamily": pair if one.swap else "",
        "uly": pair if one.swap else "",
        "baseCcy": "" if one.swap else one.base,
        "quoteCcy": "" if one.swap else one.quote,
        "settleCcy": one.quote if one.swap else "",
        "ctVal": plain(one.contract) if one.swap else "",
        "ctValCcy": one.base if one.swap else "",
        "ctType": "linear" if one.swap else "",
        "ctMult": "1" if one.swap else "",
        "tickSz": plain(one.tick),
        "lotSz": plain(one.step),
        "minSz": plain(one.min_quantity),
        "maxLmtSz": "999999999",
        "maxMktSz": "1000000",
        "lever": "100" if one.swap else "",
        "state": "live",
        "listTime": "1548133413000",
        "expTime": "",
    }


def ticker(one: Instrument, mark: Decimal, now: int) -> dict[str, Any]:
    price = plain(mark)
    prices = dict.fromkeys(("last", "askPx", "bidPx", "open24h", "high24h", "low24h"), price)
    return {"instType": kind(one), "instId": one.name, "lastSz": "1", "askSz": "1", "bidSz": "1",
            "volCcy24h": price, "vol24h": "1", "ts": str(now), **prices}  # fmt: skip


def candles(params: dict[str, Any], mark: Decimal, now: int) -> list[list[str]]:
    """Flat at the mark, newest first; the last field says whether the candle is closed."""
    price = plain(mark)
    bar = str(params.get("bar", "1m")).lower().removesuffix("utc")
    starts = candle_starts(bar, int(params.get("limit", 100)), now)
    return [
        [str(start), price, price, price, price, "1", price, price, "0" if start == starts[-1] else "1"]
        for start in reversed(starts)
    ]
