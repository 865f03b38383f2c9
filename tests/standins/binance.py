"""A local Binance server, spot and USD-M futures, that checks keys, signatures and time and can misbehave.

Both kinds of market share one wallet. Not modelled: margin trading, order lists, coin-margined futures.
"""

import hashlib
import hmac
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from standins import binance_futures as futures
from standins import binance_spot as spot
from standins.account import Instrument
from standins.book import Book
from standins.orders import BookOrder, Reason, Refused, Trade
from standins.server import KEY, SECRET, Answer, Fault, Request, Said, StandIn, json_answer, main

__all__ = ["KEY", "SECRET", "BinanceStandIn", "Fault", "Request"]

INSTRUMENTS = (
    Instrument("BTCUSDT", "BTC", "USDT", Decimal("0.00001"), Decimal("0.01")),
    Instrument("ETHUSDT", "ETH", "USDT", Decimal("0.0001"), Decimal("0.01")),
    Instrument("BTCUSDT", "BTC", "USDT", Decimal("0.001"), Decimal("0.10"), swap=True, fee=Decimal("0.0005")),
    Instrument("ETHUSDT", "ETH", "USDT", Decimal("0.001"), Decimal("0.01"), swap=True, fee=Decimal("0.0005")),
)
MARKS = {"BTCUSDT": Decimal(50_000), "ETHUSDT": Decimal(2_500)}


class BinanceStandIn(StandIn):
    """A local Binance with one account."""

    placing = ("POST /api/v3/order", "POST /fapi/v1/order", "POST /fapi/v1/algoOrder")

    @staticmethod
    def make_book() -> Book:
        return Book(INSTRUMENTS, dict(MARKS))

    def reply(self, request: Request) -> Answer:
        futures_asked = _is_futures(request)
        public = self._futures_public(request) if futures_asked else self._spot_public(request)
        if public is not None:
            return json_answer(public)
        self._authenticate(request)
        handlers: tuple[Callable[[Request], Any], ...] = (self._spot_private,)
        if futures_asked:
            handlers = (self._futures_trade, self._futures_lists, self._futures_account)
        for handler in handlers:
            if (found := handler(request)) is not None:
                return json_answer(found)
        raise self._said(-1100, f"no such endpoint: {request.route}", 404)

    def refusal(self, request: Request, refused: Refused) -> Answer:
        codes = futures.CODES if _is_futures(request) else spot.CODES
        code, text = codes[refused.reason]
        return json_answer({"code": code, "msg": text}, 400)

    def too_many(self, fault: Fault) -> Answer:
        wait = f"Retry-After: {fault.seconds:.0f}\r\n" if fault.seconds else ""
        text = "Too many requests; current limit is 6000 request weight per 1 MINUTE."
        return json_answer({"code": -1003, "msg": text}, 418 if fault.kind == "ban" else 429, wait)

    def order_rows(self) -> list[dict[str, Any]]:
        return [_row(one) for one in self.book.orders]

    @staticmethod
    def _said(code: int, text: str, status: int = 400) -> Said:
        return Said(json_answer({"code": code, "msg": text}, status))

    def _authenticate(self, request: Request) -> None:
        if request.header("x-mbx-apikey") != KEY:
            raise self._said(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        payload, _, signature = (request.query + request.body.decode()).rpartition("&signature=")
        wanted = hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, wanted):
            raise self._said(-1022, "Signature for this request is not valid.")
        params = request.params
        sent, window = int(params.get("timestamp", 0)), int(params.get("recvWindow", 5000))
        if sent > self.now + 1000:
            raise self._said(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if self.now - sent > window:
            raise self._said(-1021, "Timestamp for this request is outside of the recvWindow.")

    # --- spot

    def _spot_public(self, request: Request) -> Any:
        book, now, params = self.book, self.now, request.params
        match request.route:
            case "GET /api/v3/ping":
                return {}
            case "GET /api/v3/time":
                return {"serverTime": now}
            case "GET /api/v3/exchangeInfo":
                symbols = [spot.instrument(one) for one in book.instruments.values() if not one.swap]
                return {"timezone": "UTC", "serverTime": now, "rateLimits": [], "symbols": symbols}
            case "GET /api/v3/ticker/24hr" | "GET /api/v3/ticker/price" | "GET /api/v3/ticker/bookTicker":
                instrument = book.instrument(params.get("symbol"))
                ticker = spot.ticker(instrument, book.mark(instrument), now)
                return ticker | {"price": ticker["lastPrice"]}
            case "GET /api/v3/klines":
                return spot.candles(params, book.mark(book.instrument(params.get("symbol"))), now)
        return None

    def _spot_private(self, request: Request) -> Any:
        book, params, now = self.book, request.params, self.now
        match request.route:
            case "POST /api/v3/order":
                return spot.placed(book.place(spot.as_order(params, book), now))
            case "POST /api/v3/order/test":
                spot.as_order(params, book)
                return {}
            case "GET /api/v3/order":
                return spot.order(self._order(params))
            case "DELETE /api/v3/order":
                order = self._cancel(params)
                return spot.order(order) | {
                    "origClientOrderId": order.client_id, "clientOrderId": f"c-{order.id}"
                }  # fmt: skip
            case "GET /api/v3/openOrders":
                return self._orders(params, spot.order, lambda one: one.open)
            case "GET /api/v3/allOrders":
                return self._orders(params, spot.order, lambda _one: True)
            case "GET /api/v3/myTrades":
                return self._trades(params, spot.trade)
            case "GET /api/v3/account":
                return spot.account(book.account, now)
            case "GET /sapi/v1/account/apiRestrictions":
                return {"ipRestrict": True, "enableReading": True, "enableWithdrawals": False,
                        "enableSpotAndMarginTrading": True, "enableFutures": True}  # fmt: skip
        return None

    # --- futures

    def _futures_public(self, request: Request) -> Any:
        book, now, params = self.book, self.now, request.params
        match request.route:
            case "GET /fapi/v1/ping":
                return {}
            case "GET /fapi/v1/time":
                return {"serverTime": now}
            case "GET /fapi/v1/exchangeInfo":
                symbols = [futures.instrument(one) for one in book.instruments.values() if one.swap]
                return {"timezone": "UTC", "serverTime": now, "rateLimits": [], "symbols": symbols}
            case "GET /fapi/v1/ticker/24hr":
                instrument = book.instrument(params.get("symbol"), swap=True)
                return spot.ticker(instrument, book.mark(instrument), now)
            case "GET /fapi/v1/klines":
                return spot.candles(params, book.mark(book.instrument(params.get("symbol"), swap=True)), now)
        return None

    def _futures_trade(self, request: Request) -> Any:
        book, params, now = self.book, request.params, self.now
        match request.route:
            case "POST /fapi/v1/order":
                if params.get("type") in futures.TRIGGERED:
                    raise self._said(-4120, "Order type not supported for this endpoint. "
                                            "Please use the Algo Order API endpoints instead.")  # fmt: skip
                return futures.order(book.place(futures.as_order(params, book), now))
            case "POST /fapi/v1/algoOrder":
                return futures.algo(book.place(futures.as_order(params, book), now))
            case "GET /fapi/v1/order" | "GET /fapi/v1/algoOrder":
                return _row(self._order(params, swap=True, algo=_is_algo(request)))
            case "DELETE /fapi/v1/order":
                return futures.order(self._cancel(params, swap=True))
            case "DELETE /fapi/v1/algoOrder":
                order = self._cancel(params, swap=True, algo=True)
                return {"algoId": order.id, "clientAlgoId": order.client_id, "code": "200", "msg": "success"}
            case "DELETE /fapi/v1/allOpenOrders" | "DELETE /fapi/v1/algoOpenOrders":
                return self._cancel_all(params, algo=_is_algo(request))
        return None

    def _futures_lists(self, request: Request) -> Any:
        params = request.params
        match request.route:
            case "GET /fapi/v1/openOrders" | "GET /fapi/v1/openAlgoOrders":
                wanted = _is_algo(request)
                return self._orders(params, _row, lambda one: one.open and one.becomes == wanted, swap=True)
            case "GET /fapi/v1/allOrders" | "GET /fapi/v1/allAlgoOrders":
                wanted = _is_algo(request)
                return self._orders(params, _row, lambda one: one.becomes == wanted, swap=True)
            case "GET /fapi/v1/userTrades":
                return self._trades(params, futures.trade, swap=True)
        return None

    def _futures_account(self, request: Request) -> Any:
        book, params, account = self.book, request.params, self.book.account
        match request.route:
            case "GET /fapi/v2/positionRisk" | "GET /fapi/v3/positionRisk":
                return self._positions(params)
            case "GET /fapi/v2/account" | "GET /fapi/v3/account":
                return {"assets": futures.balances(account, self.now), "positions": self._positions(params)}
            case "GET /fapi/v2/balance" | "GET /fapi/v3/balance":
                return futures.balances(account, self.now)
            case "GET /fapi/v1/symbolConfig":
                name = book.instrument(params.get("symbol"), swap=True).name
                kind = "ISOLATED" if account.isolated.get(name, False) else "CROSSED"
                return [{"symbol": name, "marginType": kind, "leverage": 20}]
            case "GET /fapi/v1/leverageBracket":
                return [futures.brackets(one) for one in book.instruments.values() if one.swap]
            case "POST /fapi/v1/leverage":
                name = book.instrument(params.get("symbol"), swap=True).name
                account.leverage[name] = Decimal(params["leverage"])
                return {"leverage": int(params["leverage"]), "maxNotionalValue": "1000000", "symbol": name}
            case "POST /fapi/v1/marginType":
                name = book.instrument(params.get("symbol"), swap=True).name
                isolated = params["marginType"] == "ISOLATED"
                if account.isolated.get(name, False) == isolated:
                    raise self._said(-4046, "No need to change margin type.")
                account.isolated[name] = isolated
                return {"code": 200, "msg": "success"}
            case "GET /fapi/v1/positionSide/dual":
                return {"dualSidePosition": account.hedge}
            case "POST /fapi/v1/positionSide/dual":
                self._set_hedge(params["dualSidePosition"] == "true")
                return {"code": 200, "msg": "success"}
        return None

    def _set_hedge(self, hedge: bool) -> None:
        if self.book.account.hedge == hedge:
            raise Refused(Reason.SAME)
        if any(one.instrument.swap for one in self.book.live.values()):
            raise self._said(-4067, "Position side cannot be changed if there exists open orders.")
        if self.book.positions:
            raise Refused(Reason.BUSY)
        self.book.account.hedge = hedge

    def _positions(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            futures.position(one, side, self.book.account, self.book.mark(one.instrument))
            for (name, side), one in self.book.positions.items()
            if params.get("symbol") in (None, name)
        ]

    # --- both

    def _order(self, params: dict[str, Any], *, swap: bool = False, algo: bool = False) -> BookOrder:
        instrument = None if algo and "symbol" not in params else self.book.instrument(
            params.get("symbol"), swap=swap
        )  # fmt: skip
        names = ("algoId", "clientAlgoId") if algo else ("orderId", "origClientOrderId")
        found = self.book.find(instrument, *(params.get(name) for name in names))
        if found is None or found.becomes != algo:
            raise Refused(Reason.NOT_FOUND)
        return found

    def _cancel(self, params: dict[str, Any], *, swap: bool = False, algo: bool = False) -> BookOrder:
        """Cancelling has one code for what is not there and what has ended."""
        try:
            order = self._order(params, swap=swap, algo=algo)
            self.book.cancel(order, self.now)
        except Refused as refused:
            raise Refused(Reason.NOT_OPEN if refused.reason is Reason.NOT_FOUND else refused.reason) from None
        return order

    def _cancel_all(self, params: dict[str, Any], *, algo: bool) -> dict[str, Any]:
        instrument = self.book.instrument(params.get("symbol"), swap=True)
        for one in list(self.book.live.values()):
            if one.instrument == instrument and one.becomes == algo:
                self.book.cancel(one, self.now)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def _orders(
        self,
        params: dict[str, Any],
        row: Callable[[BookOrder], dict[str, Any]],
        wanted: Callable[[BookOrder], bool],
        *,
        swap: bool = False,
    ) -> list[dict[str, Any]]:
        since = int(params.get("startTime", 0))
        return [
            row(one)
            for one in self.book.orders
            if one.instrument.swap == swap and params.get("symbol") in (None, one.instrument.name)
            and wanted(one) and one.time >= since
        ]  # fmt: skip

    def _trades(
        self, params: dict[str, Any], row: Callable[[Trade], dict[str, Any]], *, swap: bool = False
    ) -> list[dict[str, Any]]:
        order_id, since = params.get("orderId"), int(params.get("startTime", 0))
        return [
            row(one)
            for one in self.book.trades
            if one.order.instrument.swap == swap and one.order.instrument.name == params.get("symbol")
            and order_id in (None, str(one.order.id)) and one.time >= since
        ]  # fmt: skip


def _is_futures(request: Request) -> bool:
    return request.path.startswith("/fapi/")


def _is_algo(request: Request) -> bool:
    return "algo" in request.path.lower()


def _row(one: BookOrder) -> dict[str, Any]:
    if not one.instrument.swap:
        return spot.order(one)
    return futures.algo(one) if one.becomes else futures.order(one)


if __name__ == "__main__":
    main(BinanceStandIn)
